"""Options: from a dataclass to cards, and every kind of value checked against its card."""

from __future__ import annotations

import dataclasses

import pytest

from tfx_engine.protocol.options import check_value, matters, option, option_cards


@dataclasses.dataclass(frozen=True)
class Sample:
    """One option of each kind."""

    flag: bool = option(False, kind="bool", label="flag", help="A flag.")
    count: int = option(3, kind="int", label="count", low=1, high=9, unit="pieces", help="A number.")
    share: float = option(0.5, kind="float", label="share", low=0.0, help="A share.")
    colour: str = option("red", kind="choice", label="colour", choices=("red", "blue"), help="A colour.")
    parts: tuple[str, ...] = option(("a",), kind="set", label="parts", choices=("a", "b", "c"), help="Parts.")
    cap: float | None = option(None, kind="float", label="cap", low=1.0, automatic="none", help="A cap.")
    note: str | None = option(None, kind="str", label="note", automatic="none", help="A note.")


CARDS = {card.name: card for card in option_cards(Sample)}


def test_cards_say_what_the_fields_declare_in_their_order() -> None:
    assert list(CARDS) == ["flag", "count", "share", "colour", "parts", "cap", "note"]
    count = CARDS["count"]
    assert (count.kind, count.default, count.low, count.high, count.unit) == ("int", 3, 1, 9, "pieces")
    assert not count.optional
    assert CARDS["note"].optional and CARDS["note"].automatic == "none"


@pytest.mark.parametrize(
    ("name", "value", "wanted"),
    [
        ("flag", True, True), ("count", 9, 9), ("count", 4.0, 4), ("share", 0, 0.0), ("share", 1e9, 1e9),
        ("colour", "blue", "blue"), ("parts", ["c", "a"], ("a", "c")), ("parts", "b", ("b",)),
        ("parts", ["b", "b"], ("b",)), ("note", None, None), ("note", "", ""),
    ],
)  # fmt: skip
def test_a_legal_value_is_taken_in_its_proper_type(name: str, value: object, wanted: object) -> None:
    taken, problem = check_value(CARDS[name], value, "path")
    assert problem is None
    assert taken == wanted and type(taken) is type(wanted)


@pytest.mark.parametrize(
    ("name", "value", "code"),
    [
        ("flag", 0, "wrong-type"), ("flag", "true", "wrong-type"), ("flag", None, "wrong-type"),
        ("count", 0, "out-of-range"), ("count", 10, "out-of-range"), ("count", 2.5, "wrong-type"),
        ("count", float("nan"), "out-of-range"), ("count", float("inf"), "out-of-range"), ("count", True, "wrong-type"),
        pytest.param("count", 10**400, "out-of-range", id="huge"),
        pytest.param("share", 10**400, "out-of-range", id="huge share"), ("share", -0.1, "out-of-range"),
        ("share", "0.5", "wrong-type"), ("share", float("-inf"), "out-of-range"),
        ("colour", "green", "unknown-choice"), ("colour", ["red"], "unknown-choice"),
        ("parts", [], "wrong-type"), ("parts", ["a", "z"], "unknown-choice"), ("parts", [["a"]], "unknown-choice"),
        ("parts", {"a": 1}, "wrong-type"), ("note", 3, "wrong-type"), ("cap", float("nan"), "out-of-range"),
    ],
)  # fmt: skip
def test_an_illegal_value_gives_the_default_and_a_problem_at_its_path(name: str, value: object, code: str) -> None:
    taken, problem = check_value(CARDS[name], value, "here.there")
    assert taken == CARDS[name].default
    assert problem is not None and (problem.code, problem.path) == (code, "here.there")
    assert problem.sentence()


@dataclasses.dataclass(frozen=True)
class _Conditional:
    kind: str = option("near", kind="choice", choices=("near", "far"), label="kind", help="Which.")
    size: int = option(1, kind="int", low=1, high=9, label="size", help="How far.", only_when={"kind": ("far",)})


def test_an_option_says_with_which_others_it_matters_and_is_checked_all_the_same() -> None:
    kind, size = option_cards(_Conditional)
    assert matters(kind, {"kind": "near"}) and matters(size, {"kind": "far"})
    assert not matters(size, {"kind": "near"})
    assert matters(size, {}), "nothing is known of the other"
    assert check_value(size, 10, "size")[1] is not None
