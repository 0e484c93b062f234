"""`Technique`: the one declaration from which toggle, form, validation, page, glossary and contract test come.

It refuses wrong declarations when it is made, so a bad file fails at import and not in somebody's run.
"""

from __future__ import annotations

import dataclasses
import inspect
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from fractions import Fraction
from functools import cached_property
from typing import Any

from tfx_engine.protocol.cards import Effect, Guide, Rule, TechniqueCard
from tfx_engine.protocol.config import Config
from tfx_engine.protocol.options import check_value, option_cards
from tfx_engine.protocol.problems import Problem
from tfx_engine.protocol.tasks import KINDS
from tfx_engine.techniques.claims import Claim
from tfx_engine.techniques.costs import Run, Work
from tfx_engine.techniques.slots import SLOTS

_QUANTITIES = frozenset({"parameters", "activations", "gradients", "optimizer", "flops", "time"})


def no_problems(options: Any, config: Config) -> Iterable[Problem]:
    """The `check` of a technique that fits everywhere."""
    return ()


def no_parameters(options: Any, config: Config) -> int:
    """The `params` of a technique that brings none beside its linear layers."""
    return 0


def no_work(options: Any, config: Config) -> Work:
    """The `work` of a technique without linear layers."""
    return Work()


def nothing_again(options: Any, config: Config, runs: Sequence[Run]) -> int:
    """The `again` of a technique that computes nothing twice."""
    return 0


def not_adapted(options: Any, config: Config, layer: int, work: Work) -> Work:
    """The `adapts` of a technique that leaves the work as it is."""
    return work


def each_by_itself(options: Any, config: Config) -> Sequence[int]:
    """The `alike` of an adapter of which nothing is known."""
    return [1] * config.model.layers


def all_alike(options: Any, config: Config) -> Sequence[int]:
    """The `alike` of an adapter that does the same in every layer."""
    return [config.model.layers]


@dataclasses.dataclass(frozen=True)
class NoOptions:
    """The options of a technique that has none."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Technique:
    """One technique. `build` and `reference` have the signature that the slot's contract in `slots.py` states.

    `module` is the file's `__name__`: its last part is the technique's name, its docstring the user's page.
    `order` is the place within the slot, the plainest first. `kinds` of tasks that it is for; empty: all. The closed
    forms, which the contract test counts after: `work`, the linear layers and products of one block (of one connection
    in the slot `residual`, of the whole model outside the slots in `counts.IN_BLOCKS`);
    `params`, the parameters that it brings to the whole model beside those; `again`, multiply-adds per token that
    run a second time, given what of which blocks would (None: nobody knows beforehand). Of adapters: `adapts`, the
    work of a slot in a layer (`costs.OUTSIDE`: in no block) with what the adapter puts beside it and what of it is
    trained; `alike`, how many layers in a row it answers the same for, from the first layer to the last (they are
    counted once); `freezes`, whether weights of the model stay as they are; `trainable`, how many weights are trained
    where these are not just what the adapter brings; `held`, bytes that it saves of frozen weights of so many bytes
    each.
    `is_counted`: whether `work` says all of its matrix work. `memory`: which tensors it makes and keeps, as the table
    of `tape.py` says for its slot; without it they are guessed from `work`. `claims`: what it does to any model, for
    the audit to prove, beside what its `reference` says (see `claims.py`).
    """

    module: str
    slot: str
    order: int
    title: str
    short: str
    summary: str
    paper: str
    guide: Guide
    build: Callable[..., Any]
    reference: Callable[..., Any]
    options: type = NoOptions
    check: Callable[[Any, Config], Iterable[Problem]] = no_problems
    requires: tuple[Rule, ...] = ()
    excludes: tuple[Rule, ...] = ()
    effects: tuple[Effect, ...] = ()
    kinds: tuple[str, ...] = ()
    params: Callable[[Any, Config], int] = no_parameters
    work: Callable[[Any, Config], Work] = no_work
    again: Callable[[Any, Config, Sequence[Run]], int | Fraction] | None = nothing_again
    adapts: Callable[[Any, Config, int, Work], Work] = not_adapted
    alike: Callable[[Any, Config], Sequence[int]] = each_by_itself
    freezes: bool = False
    is_counted: bool = True
    trainable: Callable[[Any, Config], int] | None = None
    claims: tuple[Claim, ...] = ()
    memory: Callable[..., Any] | None = None
    held: Callable[[Any, Config, int], int] | None = None

    def __post_init__(self) -> None:
        for fault in self._faults():
            raise ValueError(f"{self.module}: {fault}")

    def _faults(self) -> Iterable[str]:
        if self.module not in sys.modules:
            yield "write module=__name__"
            return
        if self.slot not in SLOTS:
            yield f"there is no slot {self.slot!r}"
        if not self.doc and sys.flags.optimize < 2:  # -OO strips docstrings, which is no fault of the file
            yield "a technique needs a module docstring: it is the user's page"
        for field in ("title", "short", "summary", "paper"):
            if not getattr(self, field):
                yield f"a technique needs a {field}"
        params = getattr(self.options, "__dataclass_params__", None)
        if params is None or not params.frozen or not isinstance(self.options, type):
            yield "Options must be a frozen dataclass"
            return
        cards = {card.name: card for card in option_cards(self.options)}
        for card in cards.values():
            if check_value(card, card.default, card.name)[1] is not None:
                yield f"the default of option {card.name!r} is not a legal value of it"
            for name, values in card.only_when.items():
                if name not in cards or any(check_value(cards[name], value, name)[1] for value in values):
                    yield f"option {card.name!r} matters only when {name!r} is what it cannot be"
        for effect in self.effects:
            if not isinstance(effect, Effect):
                yield f"among its effects is {effect!r}, which is no Effect(...)"
            elif effect.quantity not in _QUANTITIES or effect.sign not in ("+", "-", "0"):
                yield f"the effect on {effect.quantity!r} ({effect.sign}) is not of a known kind"
        if unknown := set(self.kinds) - set(KINDS):
            yield f"there is no kind of task {min(unknown)!r}"

    @property
    def name(self) -> str:
        """The file's name is the technique's name."""
        return self.module.rpartition(".")[2]

    @cached_property
    def _option_names(self) -> frozenset[str]:
        return frozenset(field.name for field in dataclasses.fields(self.options))

    def options_from(self, given: Mapping[str, Any]) -> Any:
        """Its options; what it does not know is left out, what is not given has its default."""
        return self.options(**{k: v for k, v in given.items() if k in self._option_names})

    @property
    def doc(self) -> str:
        """The module docstring: the user's page."""
        return inspect.getdoc(sys.modules[self.module]) or ""

    def card(self) -> TechniqueCard:
        """The technique as data."""
        return TechniqueCard(
            name=self.name, slot=self.slot, title=self.title, short=self.short, summary=self.summary, doc=self.doc,
            paper=self.paper, guide=self.guide, options=option_cards(self.options), requires=self.requires,
            excludes=self.excludes, effects=self.effects, kinds=self.kinds,
        )
