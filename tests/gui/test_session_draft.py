"""The draft: values by key path, problems, what is changed, undo, and several configurations at once."""

from __future__ import annotations

import json

import pytest
from msgspec import structs
from PySide6.QtWidgets import QApplication

from tfx_engine.protocol.cards import Catalogue, Rule, SlotCard, TechniqueCard, load_catalogue
from tfx_engine.protocol.config import parse_config
from tfx_engine.protocol.problems import Problem
from tfx_workbench.session.draft import Draft
from tfx_workbench.session.lean import lean_config
from tfx_workbench.session.legality import blocked_choices


@pytest.fixture
def draft(qapp: QApplication) -> Draft:
    return Draft()


def test_an_untouched_draft_is_legal_and_all_defaults(draft: Draft) -> None:
    assert draft.problems == ()
    assert draft.changed_paths() == frozenset()
    assert draft.values()["techniques.position.use"] == "sinusoidal"


def test_a_value_is_set_counted_and_taken_back(draft: Draft) -> None:
    draft.set_value("model.width", 64)
    draft.set_value("seed", 7)
    assert draft.config.model.width == 64
    assert draft.changed_paths() == {"model.width", "seed"}
    draft.undo()
    draft.undo()
    assert draft.config.model.width == 256
    draft.redo()
    assert draft.config.model.width == 64


def test_typing_into_one_field_is_one_step_of_undo(draft: Draft) -> None:
    for width in (5, 51, 512):
        draft.set_value("model.width", width)
    assert len(draft.history) == 1
    draft.undo()
    assert draft.config.model.width == 256


def test_what_is_wrong_is_kept_as_typed_and_said_by_path(draft: Draft) -> None:
    draft.set_value("model.heads", "many")
    assert draft.values()["model.heads"] == "many"
    assert [p.path for p in draft.problems] == ["model.heads"]
    assert "model.heads" in draft.changed_paths()
    draft.set_value("model.heads", 7)
    assert [p.code for p in draft.problems] == ["heads-do-not-divide"]


def test_options_come_back_when_a_technique_is_chosen_again(draft: Draft) -> None:
    draft.choose("adapter", "lora")
    draft.set_value("techniques.adapter.rank", 32)
    draft.choose("adapter", "none")
    assert draft.changed_paths() == frozenset()
    draft.choose("adapter", "lora")
    assert draft.values()["techniques.adapter.rank"] == 32


def test_a_preset_of_several_is_edited_one_by_one_and_is_one_undo_away(draft: Draft) -> None:
    draft.set_value("model.width", 64)
    draft.load([{"name": "a"}, {"name": "b", "techniques": {"adapter": "lora"}}], "Two")
    assert draft.title == "Two"
    draft.select(1)
    assert draft.config.use("adapter") == "lora"
    draft.set_value("techniques.adapter.rank", 4)
    assert [c["name"] for c in draft.configs] == ["a", "b"]
    assert "techniques" not in draft.configs[0]
    draft.undo()
    draft.undo()
    assert draft.config.model.width == 64
    assert draft.title == ""


def test_problems_of_all_configurations_are_found(draft: Draft) -> None:
    draft.load([{"name": "a"}, {"name": "b", "model": {"heads": 7}}])
    assert [(i, p.path) for i, p in draft.all_problems()] == [(1, "model.heads")]


def test_what_the_engine_found_is_added_and_gone_with_the_next_change(draft: Draft) -> None:
    found = Problem(code="too-long", path="model.context", template="is longer than the data.")
    draft.set_deep_problems([found])
    assert draft.problems == (found,)
    draft.set_value("model.context", 8)
    assert draft.problems == ()


def test_a_warning_is_shown_and_hinders_no_run(draft: Draft) -> None:
    warning = Problem(code="odd", path="techniques.adapter.use", template="means little.", level="warning")
    draft.set_deep_problems([warning])
    assert draft.problems == (warning,) and draft.all_problems() == []


def test_the_state_survives_json_and_nonsense_is_refused(draft: Draft) -> None:
    draft.load([{"name": "a"}, {"name": "b"}], "Two")
    draft.select(1)
    kept = json.loads(json.dumps(draft.state()))
    other = Draft()
    assert other.restore(kept)
    assert (other.current, other.title, other.configs) == (1, "Two", draft.configs)
    for nonsense in ({}, {"configs": []}, {"configs": "x"}, {"configs": [1]}):
        assert not Draft().restore(nonsense)
    assert Draft().restore({"configs": [{"model": 3, "techniques": {"adapter": 5}}], "current": 9})


def test_a_run_s_resolved_configuration_becomes_what_somebody_would_have_written(draft: Draft) -> None:
    written = {"name": "n", "seed": 3, "model": {"width": 64}, "techniques": {"adapter": {"use": "lora", "rank": 4}}}
    resolved = parse_config(written)[0]
    assert lean_config(resolved.as_dict(), load_catalogue()) == written


def _with_task_default(task: str, use: str) -> Catalogue:
    """The catalogue in which a task fills the mask with another technique."""
    whole = load_catalogue()
    slots = [structs.replace(s, task_defaults={task: use}) if s.name == "mask" else s for s in whole.slots]
    return structs.replace(whole, slots=tuple(slots))


def test_changed_is_what_differs_from_the_defaults_of_the_draft_s_task(qapp: QApplication) -> None:
    draft = Draft(_with_task_default("copy", "bidirectional"))
    draft.set_value("data.task", "copy")
    assert draft.config.use("mask") == "bidirectional"
    assert draft.changed_paths() == {"data.task"}
    draft.choose("mask", "causal")
    assert draft.changed_paths() == {"data.task", "techniques.mask.use"}
    draft.set_value("data.task", "text")
    assert draft.changed_paths() == frozenset(), "causal is the default of this task"


def test_a_run_is_written_leanly_against_the_defaults_of_its_task(qapp: QApplication) -> None:
    catalogue = _with_task_default("copy", "bidirectional")
    for written in ({"name": "n", "data": {"task": "copy"}},
                    {"name": "n", "data": {"task": "copy"}, "techniques": {"mask": {"use": "causal"}}}):
        resolved = parse_config(written, catalogue)[0]
        assert lean_config(resolved.as_dict(), catalogue) == written


def test_one_slot_goes_back_to_its_default_in_one_step(draft: Draft) -> None:
    draft.choose("adapter", "lora")
    draft.set_value("techniques.adapter.rank", 32)
    draft.choose("placement", "post_norm")
    draft.reset_slot("adapter")
    assert draft.changed_paths() == {"techniques.placement.use"}
    draft.reset_slot("adapter")
    draft.undo()
    assert draft.values()["techniques.adapter.rank"] == 32, "an empty reset is no step"
    draft.reset_slot("adapter")
    draft.choose("adapter", "lora")
    assert draft.values()["techniques.adapter.rank"] == 32


def _catalogue() -> Catalogue:
    def technique(slot: str, name: str, **rules: tuple[Rule, ...]) -> TechniqueCard:
        return TechniqueCard(name=name, slot=slot, title=name, short=name, summary="", doc="", paper="",
                             guide={"choose": "", "avoid": ""}, **rules)  # type: ignore[arg-type]

    needs = Rule(slot="mask", names=("causal",), reason="needs an order.")
    return Catalogue(
        slots=tuple(SlotCard(name=n, title=n, group="g", summary="", default=d)
                    for n, d in (("mask", "causal"), ("position", "some"))),
        techniques=(technique("mask", "causal"), technique("mask", "none"), technique("position", "some"),
                    technique("position", "bare", requires=(needs,))),
    )


def test_a_choice_is_blocked_by_its_own_rule_and_by_that_of_another() -> None:
    catalogue = _catalogue()
    parse = lambda **use: parse_config({"techniques": use}, catalogue)[0].techniques  # noqa: E731
    assert blocked_choices(catalogue, parse(mask="none")) == {("position", "bare"): "needs an order."}
    assert blocked_choices(catalogue, parse(position="bare")) == {("mask", "none"): "needs an order."}
    assert blocked_choices(catalogue, parse(mask="none", position="bare")) == {}, "what is broken can be mended"


def test_a_task_blocks_what_is_made_for_other_kinds_of_tasks(draft: Draft) -> None:
    assert {("embedding", "frames"), ("head", "classes")} <= draft.blocked().keys()
    draft.set_value("data.task", "digits")
    assert draft.problems == () and draft.changed_paths() == {"data.task"}, "its own defaults are no changes"
    blocked = draft.blocked()
    assert {("embedding", "token"), ("head", "tied")} <= blocked.keys() and ("head", "classes") not in blocked
    assert "one class" in blocked["head", "tied"]


def test_a_lean_configuration_means_the_same_for_every_task() -> None:
    catalogue = load_catalogue()
    for task in ("text", "digits", "multi_lag"):
        for techniques in ({}, {"mask": "causal"}, {"mask": "bidirectional"}):
            config, _ = parse_config({"data": {"task": task}, "techniques": techniques})
            assert parse_config(lean_config(config.as_dict(), catalogue))[0].as_dict() == config.as_dict()
