"""`Technique`: the one declaration from which toggle, form, validation, page, glossary and contract test come.

It refuses wrong declarations when it is made, so a bad file fails at import and not in somebody's run.
"""

from __future__ import annotations

import dataclasses
import inspect
import sys
from collections.abc import Callable, Iterable
from typing import Any

from tfx_engine.protocol.cards import Effect, Guide, Rule, TechniqueCard
from tfx_engine.protocol.config import Config
from tfx_engine.protocol.options import option_cards
from tfx_engine.protocol.problems import Problem
from tfx_engine.techniques.slots import SLOTS


def no_problems(options: Any, config: Config) -> Iterable[Problem]:
    """The `check` of a technique that fits everywhere."""
    return ()


@dataclasses.dataclass(frozen=True)
class NoOptions:
    """The options of a technique that has none."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Technique:
    """One technique. `build` and `reference` have the signature that the slot's contract in `slots.py` states."""

    slot: str
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
    # Extra parameters of the whole model, as a closed form over the configuration; the contract test counts them.
    params: Callable[[Any, Config], int] | None = None
    module: str = dataclasses.field(default="", init=True)

    def __post_init__(self) -> None:
        frame = sys._getframe(2)  # the technique file: __post_init__ < generated __init__ < file
        object.__setattr__(self, "module", self.module or frame.f_globals["__name__"])
        if self.slot not in SLOTS:
            raise ValueError(f"{self.module}: there is no slot {self.slot!r}")
        if not (self.doc and self.title and self.summary):
            raise ValueError(f"{self.module}: a technique needs a module docstring, a title and a summary")
        params = getattr(self.options, "__dataclass_params__", None)
        if params is None or not params.frozen:
            raise ValueError(f"{self.module}: Options must be a frozen dataclass")

    @property
    def name(self) -> str:
        """The file's name is the technique's name."""
        return self.module.rpartition(".")[2]

    @property
    def doc(self) -> str:
        """The module docstring: the user's page."""
        return inspect.getdoc(sys.modules[self.module]) or ""

    def card(self) -> TechniqueCard:
        """The technique as data."""
        return TechniqueCard(
            name=self.name, slot=self.slot, title=self.title, short=self.short, summary=self.summary, doc=self.doc,
            paper=self.paper, guide=self.guide, options=option_cards(self.options), requires=self.requires,
            excludes=self.excludes, effects=self.effects,
        )
