"""What two configurations differ in, in the words of the catalogue: titles of techniques and labels of options."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any

from tfx_engine.protocol.cards import Catalogue, TechniqueCard
from tfx_engine.protocol.config import SECTIONS
from tfx_engine.protocol.marker import tr_mark
from tfx_engine.protocol.options import OptionCard, option_cards
from tfx_engine.protocol.written import written

AUTOMATIC = tr_mark("automatic")
Option = tuple[str, Any]  # label, value


@dataclasses.dataclass(frozen=True)
class Chosen:
    """What one configuration has there: a technique by its title ("" where it is none), and values by their label."""

    title: str
    options: tuple[Option, ...] = ()
    card: TechniqueCard | None = None

    def __str__(self) -> str:
        values = ", ".join(f"{label} {value}" for label, value in self.options)
        if not self.title:
            return ", ".join(str(value) for _, value in self.options)
        return f"{self.title} ({values})" if values else self.title


@dataclasses.dataclass(frozen=True)
class Difference:
    """One thing that differs: a slot by its title, or an option of a section by its label; `path` is its key."""

    path: str
    title: str
    before: Chosen
    after: Chosen


@dataclasses.dataclass(frozen=True)
class Expected:
    """What the files of the techniques say that a change does to a quantity; `sign`: "+", "-" or "0"."""

    quantity: str
    sign: str
    formula: str
    title: str  # of the technique that says so
    is_gone: bool = False  # it is the technique that was left: what it did is undone


def differences(before: Mapping[str, Any], after: Mapping[str, Any], catalogue: Catalogue) -> list[Difference]:
    """What two resolved configurations differ in, techniques first; the name is no difference."""
    return [*_techniques(before, after, catalogue), *_sections(before, after)]


def _techniques(before: Mapping[str, Any], after: Mapping[str, Any], catalogue: Catalogue) -> Iterator[Difference]:
    old, new = before.get("techniques", {}), after.get("techniques", {})
    for slot in dict.fromkeys((*old, *new)):
        was, now = old.get(slot, {}), new.get(slot, {})
        if _plain(was) == _plain(now):
            continue
        card = catalogue.slot(slot)
        sides = (_chosen(slot, was, now, catalogue), _chosen(slot, now, was, catalogue))
        yield Difference(f"techniques.{slot}", card.title if card else slot, *sides)


def _chosen(slot: str, choice: Mapping[str, Any], other: Mapping[str, Any], catalogue: Catalogue) -> Chosen:
    """With the options that tell it from `other`, or from its defaults where that is another technique."""
    use = str(choice.get("use", ""))
    card = catalogue.find(slot, use)
    if card is None:
        return Chosen(use)
    same = other.get("use") == use
    compared = other if same else {option.name: option.default for option in card.options}
    options = tuple(
        (option.label, _value(choice.get(option.name), option)) for option in card.options
        if option.name in choice and _plain(choice[option.name]) != _plain(compared.get(option.name))
    )
    return Chosen(card.title, options, card)


def _sections(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[Difference]:
    if before.get("seed") != after.get("seed"):
        yield Difference("seed", tr_mark("seed"), _lone(before.get("seed")), _lone(after.get("seed")))
    for section, kind in SECTIONS.items():
        cards = {card.name: card for card in option_cards(kind)}
        old, new = before.get(section, {}), after.get(section, {})
        for key in dict.fromkeys((*old, *new)):
            if _plain(old.get(key)) != _plain(new.get(key)):
                card = cards.get(key)
                sides = (_lone(_value(table.get(key), card)) for table in (old, new))
                yield Difference(f"{section}.{key}", card.label if card else key, *sides)


def _lone(value: Any) -> Chosen:
    return Chosen("", (("", value),))


def _value(value: Any, card: OptionCard | None) -> Any:
    if value is None:
        return card.automatic if card and card.automatic else AUTOMATIC
    if isinstance(value, (bool, list, tuple)):
        return written(value)  # as in a configuration: true, ["query", "value"]
    return f"{value} {card.unit}" if card and card.unit and not isinstance(value, str) else _plain(value)


def _plain(value: Any) -> Any:
    """JSON has no tuples."""
    if isinstance(value, Mapping):
        return {key: _plain(inner) for key, inner in value.items()}
    return [_plain(inner) for inner in value] if isinstance(value, (list, tuple)) else value


def expected(found: list[Difference]) -> list[Expected]:
    """What the technique files say about the techniques that came and, turned round, about those that went."""
    result: list[Expected] = []
    for difference in found:
        for chosen, other in ((difference.after, difference.before), (difference.before, difference.after)):
            if chosen.card is None or (other.card is not None and other.card.name == chosen.card.name):
                continue
            is_gone = chosen is difference.before
            result += [
                Expected(effect.quantity, effect.sign, effect.formula, chosen.card.title, is_gone)
                for effect in chosen.card.effects if not (is_gone and effect.sign == "0")
            ]
    return result
