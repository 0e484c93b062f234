"""How a technique declares its options: a frozen dataclass whose fields carry label, unit, limits and help.

`option()` makes such a field; `option_cards()` turns the dataclass into cards, from which the form, the validation and
the documentation are made; `check_value()` refuses a bad value with a `Problem`.
"""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Mapping
from typing import Any, Literal, get_args

import msgspec

from tfx_engine.protocol.problems import Problem, nearest
from tfx_engine.protocol.written import in_words

Kind = Literal["bool", "int", "float", "choice", "set", "str"]


class OptionCard(msgspec.Struct, frozen=True, kw_only=True):
    """One option of a technique as data. `optional` means that null ("automatic") is legal.

    `only_when` names options beside it and the values of them with which it matters; with any other value of one of
    them it is of no effect. That is for forms, which hide it then: it is checked, kept and legal all the same.
    """

    name: str
    kind: Kind
    default: Any
    label: str
    help: str
    low: float | None = None
    high: float | None = None
    choices: tuple[str, ...] = ()
    unit: str = ""
    optional: bool = False
    automatic: str = ""  # what null means, in words
    only_when: dict[str, tuple[Any, ...]] = {}

    def __post_init__(self) -> None:
        if isinstance(self.default, list):  # JSON has no tuples
            msgspec.structs.force_setattr(self, "default", tuple(self.default))


def option(
    default: Any,
    *,
    kind: Kind,
    label: str,
    help: str,
    low: float | None = None,
    high: float | None = None,
    choices: tuple[str, ...] = (),
    unit: str = "",
    automatic: str = "",
    only_when: Mapping[str, tuple[Any, ...]] | None = None,
) -> Any:
    """A dataclass field that carries its own card. A default of None makes the option optional.

    Raises ValueError where there is no such kind.
    """
    if kind not in get_args(Kind):
        raise ValueError(f"there is no kind of option {kind!r}: {', '.join(get_args(Kind))}")
    card = {
        "kind": kind, "label": label, "help": help, "low": low, "high": high, "choices": choices, "unit": unit,
        "automatic": automatic, "only_when": dict(only_when or {}),
    }
    return dataclasses.field(default=default, metadata={"option": card})


def option_cards(options: type) -> tuple[OptionCard, ...]:
    """The cards of a technique's `Options` dataclass, in the order of its fields. Raises TypeError for other fields."""
    for field in dataclasses.fields(options):
        if "option" not in field.metadata:
            raise TypeError(f"the field {field.name!r} of {options.__name__} is not made by option(...)")
    return tuple(
        OptionCard(name=f.name, default=f.default, optional=f.default is None, **f.metadata["option"])
        for f in dataclasses.fields(options)
    )


def matters(card: OptionCard, values: Mapping[str, Any]) -> bool:
    """Whether an option is of any effect beside these values of the options with it, by name."""
    return all(name not in values or values[name] in wanted for name, wanted in card.only_when.items())


def check_value(card: OptionCard, value: Any, path: str) -> tuple[Any, Problem | None]:
    """The value in its proper type, and a Problem where it is not legal."""
    if value is None:
        if card.optional:
            return None, None
        return card.default, _wrong_type(card, value, path)
    match card.kind:
        case "bool":
            return (value, None) if isinstance(value, bool) else (card.default, _wrong_type(card, value, path))
        case "int" | "float":
            return _check_number(card, value, path)
        case "choice":
            if isinstance(value, str) and value in card.choices:
                return value, None
            return card.default, _unknown_choice(card, value, path)
        case "set":
            return _check_set(card, value, path)
        case "str":
            return _check_text(card, value, path)


def _check_text(card: OptionCard, value: Any, path: str) -> tuple[Any, Problem | None]:
    if not isinstance(value, str):
        return card.default, _wrong_type(card, value, path)
    try:
        value.encode()
    except UnicodeEncodeError:  # half a surrogate pair, as bytes on a command line that are not UTF-8 become
        return card.default, Problem(
            code="not-text", path=path, template="is {value}, which is not text in UTF-8.",
            args={"value": ascii(value)},
        )
    return value, None


_LARGEST = sys.float_info.max


def _check_number(card: OptionCard, value: Any, path: str) -> tuple[Any, Problem | None]:
    if not isinstance(value, (int, float)) or isinstance(value, bool):
        return card.default, _wrong_type(card, value, path)
    if not -_LARGEST <= value <= _LARGEST:  # infinite, not a number, or a whole number that no float can hold
        return card.default, _out_of_range(card, value, path)
    if card.kind == "int" and value != int(value):
        return card.default, _wrong_type(card, value, path)
    if (card.low is not None and value < card.low) or (card.high is not None and value > card.high):
        return card.default, _out_of_range(card, value, path)
    return (int(value) if card.kind == "int" else float(value)), None


def _check_set(card: OptionCard, value: Any, path: str) -> tuple[Any, Problem | None]:
    names = (value,) if isinstance(value, str) else value
    if not isinstance(names, (list, tuple)) or not names:
        return card.default, _wrong_type(card, value, path)
    for name in names:
        if name not in card.choices:
            return card.default, _unknown_choice(card, name, path)
    return tuple(c for c in card.choices if c in names), None


_TYPE_WORDS = {
    "bool": "true or false", "int": "a whole number", "float": "a number", "choice": "one of its choices",
    "set": "a list of names", "str": "a text",
}


def _wrong_type(card: OptionCard, value: Any, path: str) -> Problem:
    return Problem(
        code="wrong-type", path=path, template="must be {wanted}, not {value}.",
        hint_template="Leave it out for the default." if card.default is None else "The default is {default}.",
        args={"wanted": _TYPE_WORDS[card.kind], "value": in_words(value), "default": in_words(card.default)},
    )


def _out_of_range(card: OptionCard, value: Any, path: str) -> Problem:
    low, high = _plain(card, card.low), _plain(card, card.high)
    closest = card.low if card.default is None else card.default
    if card.low is not None and value < card.low:
        closest = card.low
    elif card.high is not None and value > card.high:
        closest = card.high
    shown = value if isinstance(value, float) or abs(value) <= _LARGEST else "too large a number"
    return Problem(
        code="out-of-range", path=path, template="is {value}, but must lie between {low} and {high}.",
        hint_template="The nearest legal value is {closest}.",
        args={"value": shown, "low": low, "high": high, "closest": _plain(card, closest)},
    )


def _plain(card: OptionCard, limit: float | None) -> str:
    """A limit as one would type it: a whole number without an exponent."""
    if limit is None:
        return "any"
    return f"{int(limit)}" if card.kind == "int" else f"{limit:g}"


def _unknown_choice(card: OptionCard, value: Any, path: str) -> Problem:
    near = nearest(str(value), card.choices)
    return Problem(
        code="unknown-choice", path=path, template="does not know {value!r}.",
        hint_template="Did you mean {near!r}? Choices: {choices}." if near else "Choices: {choices}.",
        args={"value": value, "near": near, "choices": ", ".join(card.choices)},
    )
