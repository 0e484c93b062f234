"""`techniques [NAME]`: what there is to choose from, and the page of one technique."""

from __future__ import annotations

import argparse
from typing import Any

import msgspec

from tfx_engine.protocol.cards import Catalogue, TechniqueCard, load_catalogue
from tfx_engine.protocol.experiment_files import experiments_about
from tfx_engine.protocol.marker import tr_mark
from tfx_engine.protocol.options import OptionCard
from tfx_engine.protocol.problems import ConfigError, Problem, nearest
from tfx_workbench.commands.output import DONE, emit


def techniques(args: argparse.Namespace) -> int:
    """List the catalogue, or show one technique (or the techniques of one slot) in full."""
    catalogue = load_catalogue()
    cards = _named(catalogue, args.name) if args.name else catalogue.techniques
    if args.json:
        emit({"techniques": [msgspec.to_builtins(card) for card in cards]})
    elif args.name:
        print("\n\n".join(page(card) for card in cards))
    else:
        _print_list(catalogue)
    return DONE


def _named(catalogue: Catalogue, name: str) -> tuple[TechniqueCard, ...]:
    """By `name`, `slot/name` or slot. Raises `ConfigError` where there is none."""
    slot, _, plain = name.rpartition("/")
    found = tuple(c for c in catalogue.techniques if c.name == plain and slot in ("", c.slot))
    found = found or catalogue.in_slot(name)
    if not found:
        near = nearest(name, [c.name for c in catalogue.techniques] + [s.name for s in catalogue.slots])
        hint = tr_mark("Did you mean {near!r}?") if near else tr_mark("`tfx-workbench techniques` lists them.")
        raise ConfigError([Problem(
            code="unknown-technique", path=name, template=tr_mark("is no technique and no slot."), hint_template=hint,
            args={"near": near},
        )])
    return found


def _print_list(catalogue: Catalogue) -> None:
    width = max(len(card.name) for card in catalogue.techniques)
    for slot in catalogue.slots:
        print(f"{slot.name}: {slot.summary}")
        for card in catalogue.in_slot(slot.name):
            mark = "*" if card.name == slot.default else " "
            print(f"  {mark} {card.name.ljust(width)}  {card.summary}")
    print(tr_mark("* is the default. `tfx-workbench techniques NAME` shows one in full."))


def page(card: TechniqueCard) -> str:
    """The user's page of one technique as text."""
    parts = [
        f"{card.title} ({card.slot} = \"{card.name}\")", card.doc.strip(),
        tr_mark("Choose it when: {text}").format(text=card.guide.choose),
        tr_mark("Rather not when: {text}").format(text=card.guide.avoid),
        *(_option(option) for option in card.options),
        *(f"{rule.slot}: {rule.reason}" for rule in (*card.requires, *card.excludes)),
    ]
    parts += [tr_mark("Experiment {number}: {claim}").format(number=each.number, claim=each.claim)
              for each in experiments_about(card.slot, card.name)]  # fmt: skip
    if card.paper:
        parts.append(tr_mark("Paper: {paper}").format(paper=card.paper))
    return "\n\n".join(parts)


def _option(option: OptionCard) -> str:
    if option.default is None:
        default: Any = option.automatic or tr_mark("automatic")
    else:
        default = ", ".join(option.default) if option.kind == "set" else option.default
    limits = tr_mark("from {low} to {high}").format(low=_limit(option.low), high=_limit(option.high))
    legal = ", ".join(option.choices) if option.choices else limits if option.low is not None else ""
    facts = "; ".join(filter(None, [tr_mark("default {default}").format(default=default), legal, option.unit]))
    return f"  {option.name} ({facts})\n    {option.help}"


def _limit(value: float | None) -> str:
    return tr_mark("any") if value is None else f"{value:g}"
