"""Every technique declares itself completely, and the catalogue says what the files say."""

from __future__ import annotations

import dataclasses
import sys
import types
from pathlib import Path

import msgspec
import pytest

from tfx_engine.protocol.cards import load_catalogue, resource
from tfx_engine.protocol.options import option
from tfx_engine.techniques.catalogue import catalogue, discover, generate_catalogue, main
from tfx_engine.techniques.slots import SLOTS
from tfx_engine.techniques.technique import Technique

TECHNIQUES = list(discover().values())
every_technique = pytest.mark.parametrize("technique", TECHNIQUES, ids=lambda t: f"{t.slot}.{t.name}")


def test_the_catalogue_in_the_repository_is_up_to_date() -> None:
    hint = "run python -m tfx_engine.techniques.catalogue --write"
    assert resource("catalogue.json").read_bytes() == generate_catalogue(), hint


def test_the_command_that_writes_the_catalogue_says_whether_it_is_up_to_date(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([]) == 0 and "up to date" in capsys.readouterr().out
    monkeypatch.setattr("tfx_engine.techniques.catalogue.resource", lambda name: tmp_path / name)
    assert main([]) == 1 and "stale" in capsys.readouterr().out
    assert main(["--write"]) == 0 and main([]) == 0
    assert (tmp_path / "catalogue.json").read_bytes() == generate_catalogue()


def test_the_catalogue_comes_back_from_json_as_it_was() -> None:
    assert msgspec.json.decode(generate_catalogue(), type=type(catalogue())) == load_catalogue()


def test_every_slot_has_its_default_and_an_order_without_doubt() -> None:
    for slot in SLOTS.values():
        inside = [t for t in TECHNIQUES if t.slot == slot.name]
        assert slot.default in {t.name for t in inside}
        assert len({t.order for t in inside}) == len(inside), f"two techniques of {slot.name} share an order"


@every_technique
def test_its_page_says_what_it_is_what_it_costs_and_where_it_comes_from(technique: Technique) -> None:
    for heading in ("What it is: ", "Formula", "What it costs", "Paper: "):
        assert f"\n{heading}" in technique.doc, f"the docstring lacks {heading!r}"
    assert 150 <= len(technique.doc.split()) <= 400, "a page has 150 to 400 words"
    assert not {"–", "—"} & set(technique.doc), "no dashes"
    assert technique.title and technique.short and technique.paper
    assert technique.summary.endswith(".") and "\n" not in technique.summary
    assert len(technique.short) <= 14, "the word on the toggle must be short"


@every_technique
def test_its_guide_and_effects_are_filled_in(technique: Technique) -> None:
    assert technique.guide.choose.endswith(".") and technique.guide.avoid.endswith(".")
    assert technique.effects, "say what it is expected to change"
    assert all(effect.formula for effect in technique.effects)


@every_technique
def test_its_options_all_have_label_and_help(technique: Technique) -> None:
    for card in technique.card().options:
        assert card.label and card.help.endswith("."), card.name
        assert bool(card.automatic) == card.optional, f"{card.name}: say what null means"
        assert bool(card.choices) == (card.kind in ("choice", "set")), card.name


@every_technique
def test_its_rules_name_slots_and_techniques_that_exist(technique: Technique) -> None:
    for rule in (*technique.requires, *technique.excludes):
        assert rule.slot in SLOTS and rule.reason.endswith(".") and rule.reason[0].isupper()
        assert all((rule.slot, name) in discover() for name in rule.names)


@dataclasses.dataclass
class NotFrozen:
    pass


@dataclasses.dataclass(frozen=True)
class BadDefault:
    rank: int = option(0, kind="int", label="rank", low=1, help="Rank.")


@dataclasses.dataclass(frozen=True)
class OnlyWithNothing:
    rank: int = option(1, kind="int", label="rank", low=1, help="Rank.", only_when={"way": (1,)})


@dataclasses.dataclass(frozen=True)
class NeverMatters:
    way: str = option("near", kind="choice", label="way", choices=("near", "far"), help="Way.")
    rank: int = option(1, kind="int", label="rank", low=1, help="Rank.", only_when={"way": ("up",)})


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"slot": "colour"}, "no slot 'colour'"),
        ({"title": ""}, "needs a title"),
        ({"paper": ""}, "needs a paper"),
        ({"options": NotFrozen}, "frozen dataclass"),
        ({"options": dict}, "frozen dataclass"),
        ({"options": BadDefault}, "default of option 'rank'"),
        ({"options": OnlyWithNothing}, "matters only when 'way' is what it cannot be"),
        ({"options": NeverMatters}, "matters only when 'way' is what it cannot be"),
    ],
)
def test_a_wrong_declaration_is_refused_when_it_is_made(change: dict, fault: str) -> None:
    with pytest.raises(ValueError, match=fault):
        dataclasses.replace(TECHNIQUES[0], **change)


def test_a_file_without_a_docstring_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "bare_technique", types.ModuleType("bare_technique"))
    with pytest.raises(ValueError, match="needs a module docstring"):
        dataclasses.replace(TECHNIQUES[0], module="bare_technique")
