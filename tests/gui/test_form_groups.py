"""Groups of the form: what is in view, what waits behind "more", what never hides, and that all of it is remembered."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PySide6.QtCore import Qt
from pytestqt.qtbot import QtBot

from tests.helpers.windows import wait, window
from tfx_engine.protocol.cards import load_catalogue
from tfx_workbench.session.draft import Draft
from tfx_workbench.widgets.config_pane import ConfigPane
from tfx_workbench.widgets.form_state import FormState


@pytest.fixture
def pane(qtbot: QtBot) -> ConfigPane:
    made = ConfigPane(load_catalogue())
    qtbot.addWidget(made)
    made.resize(330, 900)
    made.show()
    made.show_state(state(Draft()))
    return made


def state(draft: Draft, warnings: dict[str, str] | None = None, **problems: str) -> FormState:
    said = {path.replace("__", "."): words for path, words in problems.items()}
    return FormState(draft.values(), said, draft.changed_paths(), draft.blocked(), warnings or {})


def seen(pane: ConfigPane) -> set[str]:
    return {name for name, row in pane.form.rows.items() if row.isVisibleTo(pane)}


COMMON = {s.name for s in load_catalogue().slots if s.common}


def test_the_common_slots_come_first_and_the_others_wait_behind_more(pane: ConfigPane) -> None:
    assert seen(pane) == COMMON
    more = pane.form.groups["Attention"].more
    assert "query-key norm" in more.accessibleName(), "it says what waits"
    more.click()
    here = {s.name for s in load_catalogue().slots if s.group == "Attention"}
    assert seen(pane) == COMMON | here
    more.click()
    assert seen(pane) == COMMON


def test_what_few_look_at_is_not_even_made(pane: ConfigPane) -> None:
    made = {name for name, row in pane.form.rows.items() if row.layout() is not None}
    assert made == COMMON


def test_a_slot_that_differs_from_its_default_is_always_in_view(pane: ConfigPane) -> None:
    draft = Draft()
    draft.choose("clip", "norm")
    pane.show_state(state(draft))
    assert seen(pane) == COMMON | {"clip"}
    pane.form.groups["Training"].head.click()
    assert "clip" in seen(pane) and "optimizer" not in seen(pane)


def test_nothing_disappears_under_the_mouse(pane: ConfigPane) -> None:
    draft = Draft()
    draft.choose("clip", "norm")
    pane.show_state(state(draft))
    draft.choose("clip", "none")
    pane.show_state(state(draft))
    assert "clip" in seen(pane), "its toggle was just used"
    pane.form.groups["Training"].head.click()
    pane.form.groups["Training"].head.click()
    assert seen(pane) == COMMON


def test_a_problem_or_a_warning_in_a_hidden_slot_comes_into_view(pane: ConfigPane) -> None:
    draft = Draft()
    for group in pane.form.groups.values():
        group.head.click()
    assert seen(pane) == set()
    pane.show_state(state(draft, techniques__compile__use="Cannot be compiled."))
    assert seen(pane) == {"compile"}
    pane.show_state(state(draft, warnings={"techniques.clip.use": "Means little."}))
    assert seen(pane) == {"clip"}
    pane.show_state(state(draft, model__heads="Does not divide."))
    assert seen(pane) == {"attention"}, "heads stand under attention"
    pane.show_state(state(draft, run__batch="Too large."))
    run = pane.form.forms["run"].fields
    assert run["run.batch"].isVisibleTo(pane) and not run["run.device"].isVisibleTo(pane)


@pytest.mark.parametrize("narrowing", ["search", "changed", "favourites"])
def test_no_filter_hides_a_problem(pane: ConfigPane, narrowing: str) -> None:
    draft = Draft()
    draft.choose("adapter", "lora")
    pane.form.star("norm")
    said = state(draft, techniques__compile__use="Cannot be compiled.", run__batch="Too large.")
    pane.show_state(said)
    if narrowing == "search":
        pane.search.setText("post-norm")
        wanted = {"placement"}
    elif narrowing == "changed":
        pane.changed_button.click()
        wanted = {"adapter"}
    else:
        pane.starred_button.click()
        wanted = {"norm"}
    assert seen(pane) == {"compile"} | wanted
    assert pane.form.forms["run"].fields["run.batch"].isVisibleTo(pane)
    pane.reveal("techniques.placement.use")
    assert seen(pane) >= COMMON, "going to a field ends every filter"


def test_the_number_of_problems_leads_to_the_first_of_them(pane: ConfigPane) -> None:
    assert not pane.before_run.isVisible()
    pane.form.groups["run"].head.click()
    pane.search.setText("rotary")
    pane.show_state(state(Draft(), run__threads="Is 0."))
    pane.before_run.show_problems(1)
    assert pane.before_run.isVisible(), "where nothing is counted as well"
    pane.before_run._verdict.click()
    field = pane.form.forms["run"].fields["run.threads"]
    wait(field.editor.hasFocus)
    assert not field.visibleRegion().isEmpty()
    pane.before_run.show_problems(0)
    assert not pane.before_run.isVisible()


def test_only_what_changed_keeps_what_goes_back_to_its_default_meanwhile(pane: ConfigPane) -> None:
    draft = Draft()
    draft.choose("clip", "norm")
    draft.set_value("model.width", 64)
    pane.show_state(state(draft))
    pane.changed_button.click()
    assert seen(pane) == {"clip"}
    width, layers = (pane.form.forms["model"].fields[f"model.{n}"] for n in ("width", "layers"))
    assert width.isVisibleTo(pane) and not layers.isVisibleTo(pane)
    draft.reset_slot("clip")
    draft.set_value("model.width", 256)
    draft.choose("placement", "post_norm")
    pane.show_state(state(draft))
    assert seen(pane) == {"clip", "placement"} and width.isVisibleTo(pane)


def test_favourites_are_in_view_counted_and_can_be_seen_alone(pane: ConfigPane, qtbot: QtBot) -> None:
    assert not pane.starred_button.isVisible()
    pane.form.groups["Attention"].more.click()
    toggle = pane.form.rows["sink"].toggle
    assert toggle is not None
    qtbot.keyClick(toggle.segment(toggle.value), Qt.Key.Key_D, Qt.KeyboardModifier.ControlModifier)
    pane.form.groups["Attention"].more.click()
    assert seen(pane) == COMMON | {"sink"}
    assert pane.starred_button.text() == "★ 1"
    pane.starred_button.click()
    assert seen(pane) == {"sink"}
    pane.form.star("sink")
    assert seen(pane) >= COMMON and not pane.starred_button.isVisible()


def test_one_slot_is_reset_by_key_by_button_and_from_the_menu(pane: ConfigPane, qtbot: QtBot) -> None:
    draft = Draft()
    pane.form.reset_asked.connect(draft.reset_slot)
    row = pane.form.rows["placement"]
    assert row.toggle is not None

    def change() -> None:
        draft.choose("placement", "post_norm")
        pane.show_state(state(draft))

    change()
    ctrl = Qt.KeyboardModifier.ControlModifier
    qtbot.keyClick(row.toggle.segment("post_norm"), Qt.Key.Key_Backspace, ctrl)
    assert draft.config.use("placement") == "pre_norm"
    change()
    row._show_actions(True)
    assert row._actions is not None and row._actions.reset.isVisible()
    qtbot.mouseClick(row._actions.reset, Qt.MouseButton.LeftButton)
    assert draft.config.use("placement") == "pre_norm"
    pane.show_state(state(draft))
    assert not row._actions.reset.isVisible(), "there is nothing to reset"
    change()
    next(a for a in row.menu().actions() if a.text().startswith("Reset")).trigger()
    assert draft.config.use("placement") == "pre_norm"


def test_the_options_of_a_default_are_folded_until_asked_for_or_changed(pane: ConfigPane) -> None:
    draft = Draft()
    row = pane.form.rows["optimizer"]
    rate = row.field("techniques.optimizer.learning_rate")
    assert rate is not None and not rate.isVisibleTo(pane)
    row._fold.click()
    assert rate.isVisibleTo(pane)
    row._fold.click()
    draft.set_value("techniques.optimizer.learning_rate", 0.5)
    pane.show_state(state(draft))
    assert rate.isVisibleTo(pane) and row._fold.isHidden(), "what differs is never folded"


def test_folds_and_favourites_outlive_the_window(tmp_path: Path) -> None:
    with window(tmp_path) as made:
        made.pane.form.groups["Training"].head.click()
        made.pane.form.groups["Attention"].more.click()
        made.pane.form.star("loss")
    with window(tmp_path) as made:
        groups = made.pane.form.groups
        assert groups["Training"].is_folded and not groups["Architecture"].is_folded
        assert groups["Attention"].shows_more
        assert made.pane.form.favourites == ["loss"] and made.pane.starred_button.isVisible()
        assert made.pane.form.rows["sink"].isVisibleTo(made.pane)


@pytest.mark.parametrize("nonsense", ["[]", "7", '{"folded": 3, "favourites": [[]]}', "{"])
def test_settings_that_say_nonsense_are_left_out(tmp_path: Path, nonsense: str) -> None:
    with window(tmp_path) as made:
        made.settings._keep("form/arrangement", nonsense)
    with window(tmp_path) as made:
        assert made.pane.form.favourites == []
        json.dumps(made.pane.form.arrangement())
