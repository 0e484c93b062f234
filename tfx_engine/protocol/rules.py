"""Which techniques go together: the rules that their files declare as data, judged without torch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from tfx_engine.protocol.cards import Catalogue, Rule, TechniqueCard
from tfx_engine.protocol.problems import Problem

if TYPE_CHECKING:
    from tfx_engine.protocol.config import Choice, Config


def broken_rules(card: TechniqueCard, techniques: Mapping[str, Choice]) -> Iterator[tuple[Rule, str]]:
    """The rules of `card` that the other choices break, with the reason in words: why a toggle is greyed."""
    for rule in card.requires:
        if rule.slot in techniques and techniques[rule.slot].use not in rule.names:
            yield rule, rule.reason
    for rule in card.excludes:
        if rule.slot in techniques and techniques[rule.slot].use in rule.names:
            yield rule, rule.reason


def check_rules(config: Config, catalogue: Catalogue) -> Iterator[Problem]:
    """Every rule that a configuration breaks, with what could be chosen instead."""
    for slot, choice in config.techniques.items():
        card = catalogue.find(slot, choice.use)
        if card is None:
            continue
        for rule, reason in broken_rules(card, config.techniques):
            other = config.techniques[rule.slot].use
            yield Problem(
                code="does-not-fit", path=f"techniques.{slot}.use",
                template="{name!r} does not fit {other!r} in {slot}: {reason}",
                hint_template="Choose {near!r} in {slot}, or something else than {name!r} here.",
                args={"name": choice.use, "other": other, "slot": rule.slot, "reason": reason,
                      "near": _nearest(card, rule, config, catalogue)},
            )


def _nearest(card: TechniqueCard, rule: Rule, config: Config, catalogue: Catalogue) -> str:
    """What `rule` allows in its slot: the slot's default, else the first in the catalogue's order."""
    inside = [t.name for t in catalogue.in_slot(rule.slot)]
    legal = [name for name in inside if (name in rule.names) == (rule in card.requires)]
    default = next(s for s in catalogue.slots if s.name == rule.slot).default_for(config.data.task)
    return default if default in legal else legal[0]
