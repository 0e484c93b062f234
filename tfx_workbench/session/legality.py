"""Which techniques do not fit the other choices, and why: what the form greys."""

from __future__ import annotations

from collections.abc import Mapping

from tfx_engine.protocol.cards import Catalogue
from tfx_engine.protocol.config import Choice, broken_rules
from tfx_engine.protocol.tasks import NOT_FOR, TASKS


def blocked_choices(
    catalogue: Catalogue, techniques: Mapping[str, Choice], task: str = "text"
) -> dict[tuple[str, str], str]:
    """(slot, technique) -> the reason why choosing it would break a rule that holds now, its own or another's.

    One of these is the kind of task that a technique is for. What is broken already stays choosable, so that a wrong
    configuration can be mended step by step.
    """
    broken_now = set(_broken(catalogue, techniques))
    blocked: dict[tuple[str, str], str] = {}
    for card in catalogue.techniques:
        if card.slot not in techniques or techniques[card.slot].use == card.name:
            continue
        then = {**techniques, card.slot: Choice(card.name)}
        reasons = [why for key, why in _broken(catalogue, then).items() if key not in broken_now]
        if card.kinds and TASKS[task].kind not in card.kinds:
            reasons.insert(0, NOT_FOR[TASKS[task].kind])
        if reasons:
            blocked[card.slot, card.name] = " ".join(dict.fromkeys(reasons))
    return blocked


def _broken(catalogue: Catalogue, techniques: Mapping[str, Choice]) -> dict[tuple[str, str, str], str]:
    """(slot, technique, slot it clashes with) -> reason, for every rule that these choices break."""
    found = {}
    for slot, choice in techniques.items():
        card = catalogue.find(slot, choice.use)
        for rule, reason in broken_rules(card, techniques) if card else ():
            found[slot, choice.use, rule.slot] = reason
    return found
