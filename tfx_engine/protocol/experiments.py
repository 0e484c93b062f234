"""Experiments: small, reproducible tests of what textbooks claim. One file of `resources/experiments` is one of them.

A file names the claim and its paper, a base configuration and variants of it, and what is expected of numbers that
their runs, or instruments of the engine, give. What came of it on a machine is kept in its store
(`tfx_workbench.runs.experiments`); what follows from that is judged by `tfx_workbench.analysis.verdict`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any, Literal

import msgspec

from tfx_engine.protocol.config import FORMAT
from tfx_engine.protocol.marker import tr_mark

Statistic = Literal["value", "difference", "ratio", "share", "slope", "least_fall", "unbeaten"]
_SECTIONS = ("model", "techniques", "data", "run")


class Instrument(msgspec.Struct, frozen=True):
    """A measurement of its own kind: what it is called, which options it takes (with their defaults), what it gives.

    `is_asked`: the service answers it, as it answers whoever asks beforehand, and not a process of instruments.
    """

    name: str
    summary: str
    metrics: tuple[str, ...]
    options: Mapping[str, float] = {}
    needs_weights: bool = False
    is_asked: bool = False


INSTRUMENTS: dict[str, Instrument] = {card.name: card for card in (
    Instrument("permutation", tr_mark("how far permuted inputs are from giving permuted outputs"), ("difference",)),
    Instrument("sinusoid", tr_mark("how well one matrix shifts all sinusoidal positions"),
               ("residual", "squared_norm"), {"shift": 7}),
    Instrument("first_gradients", tr_mark("norms of gradients before anything was learned"),
               ("last_feedforward", "first_feedforward")),
    Instrument("longest_path", tr_mark("operations in a row that the backward pass must take"), ("operations",)),
    Instrument("same_gradients", tr_mark("gradients that differ in any bit from those without recompute"),
               ("unequal", "compared")),
    Instrument("held_out_at", tr_mark("loss on held-out data at another length"), ("loss.held_out", "accuracy"),
               {"context": 256}, needs_weights=True),
    Instrument("merging", tr_mark("how far outputs are off once an adapter is merged"), ("difference",), {"steps": 5}),
    Instrument("in_turns", tr_mark("time of a step as a multiple of that in float32 and without recompute, in turns"),
               ("times_as_long",), {"blocks": 5}),
    Instrument("estimate", tr_mark("what is said of a configuration before it runs"),
               ("foretold.peak_bytes", "foretold.step_ms"), is_asked=True),
)}  # fmt: skip


class Variant(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What one configuration changes in the base; a technique is replaced whole, every other key by itself.

    `after`: start from the weights of that variant. `once`: with the first seed alone. `x`: its place on the axis of a
    slope. `instrument` and `options` are the experiment's where they are left out; "run" means an ordinary run.
    """

    model: dict[str, Any] = {}
    techniques: dict[str, Any] = {}
    data: dict[str, Any] = {}
    run: dict[str, Any] = {}
    x: float | None = None
    after: str = ""
    once: bool = False
    instrument: str = ""
    options: dict[str, float] = {}


class Expectation(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename={"from_": "from"}):
    """What is expected of one number.

    value: `of`; difference: `of` - `to`; ratio: `of` / `to`; share: (`from` - `of`) / (`from` - `to`); slope: of the
    logarithms over `x`, along `over`; least_fall: the smallest of the falls from one to the next along `over`;
    unbeaten: by what factor whoever comes nearest to beating the recommended candidate of `goal` on all costs fails.
    `null`: what no effect would be. `says`: the finding as a sentence, with {value}, {low}, {high}, {of}, {to}.
    `found` and `published`: what its author measured, and what the paper says, to be put beside it.
    """

    says: str
    metric: str = ""
    statistic: Statistic = "value"
    goal: str = ""
    of: str = ""
    to: str = ""
    from_: str = ""
    over: tuple[str, ...] = ()
    at_least: float | None = None
    at_most: float | None = None
    null: float | None = None
    exact: bool = False
    unit: str = ""
    found: float | None = None
    published: str = ""

    @property
    def variants(self) -> tuple[str, ...]:
        """Those whose numbers it needs."""
        return tuple(dict.fromkeys(name for name in (self.of, self.to, self.from_, *self.over) if name))


class Cost(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a candidate costs: the metric that is told beforehand, and the one that is measured, with its unit.

    `foretold_unit`: where it is another.
    """

    title: str
    foretold: str
    measured: str
    unit: str = ""
    foretold_unit: str = ""


class Goal(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What somebody wants of the candidates: the `least` of a cost, of those `within` a share of another's most."""

    title: str
    least: str
    within: str = ""
    share: float = 1.0


class Experiment(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One experiment. `seconds`: what it takes on two CPU cores.

    `candidates`: what can be recommended, each with the variants that say something of it. They are ranked for each of
    the `goals` by what is foretold of their `costs`.
    """

    format: int
    number: str
    title: str
    topic: str
    claim: str
    paper: str
    tests: str
    advice: str  # what follows for whoever chooses, where the claim holds
    seconds: float
    variants: dict[str, Variant]
    expect: tuple[Expectation, ...]
    caveats: tuple[str, ...] = ()
    techniques: tuple[str, ...] = ()  # whose pages name it: "slot/name"
    seeds: tuple[int, ...] = (0,)
    instrument: str = "run"
    base: Variant = Variant()
    name: str = ""  # the file's
    candidates: dict[str, tuple[str, ...]] = {}
    costs: dict[str, Cost] = {}
    goals: dict[str, Goal] = {}

    def instrument_of(self, variant: str) -> str:
        """What measures a variant: the name of an instrument, or "run"."""
        return self.variants[variant].instrument or self.instrument

    def seeds_of(self, variant: str) -> tuple[int, ...]:
        """The seeds that a variant is measured with."""
        return self.seeds[:1] if self.variants[variant].once else self.seeds

    def metrics_of(self, variant: str) -> tuple[str, ...]:
        """What is to be read of a variant."""
        expected = [e.metric for e in self.expect if variant in e.variants]
        if self.instrument_of(variant) == "run" and any(variant in parts for parts in self.candidates.values()):
            answered = {metric for card in INSTRUMENTS.values() for metric in card.metrics}
            costs = [metric for cost in self.costs.values() for metric in (cost.foretold, cost.measured)]
            expected += [metric for metric in costs if metric not in answered]
        return tuple(dict.fromkeys(expected))

    def needed_by(self, expectation: Expectation) -> tuple[str, ...]:
        """The variants whose numbers an expectation is made of."""
        if expectation.statistic == "unbeaten":
            return tuple(dict.fromkeys(name for parts in self.candidates.values() for name in parts))
        return expectation.variants

    def config_of(self, variant: str, seed: int) -> dict[str, Any]:
        """The configuration of one measurement, as plain data."""
        own = self.variants[variant]
        config: dict[str, Any] = {"format": FORMAT, "name": f"{self.number} {variant.replace('_', ' ')}", "seed": seed}
        for section in _SECTIONS:
            if merged := getattr(self.base, section) | getattr(own, section):
                config[section] = merged
        return config

    @property
    def jobs(self) -> list[tuple[str, int]]:
        """(variant, seed) of every measurement, in an order in which each comes after what it starts from."""
        order = sorted(self.variants, key=self._depth)  # stable
        return [(name, seed) for name in order for seed in self.seeds_of(name)]

    def _depth(self, variant: str) -> int:
        before = self.variants[variant].after
        return 1 + self._depth(before) if before else 0

    @property
    def fingerprint(self) -> str:
        """Changes when anything does that its numbers depend on, and not when its words or its seeds do."""
        numbers = [self.variants, self.base, self.instrument,
                   [(name, self.metrics_of(name)) for name in self.variants]]
        return hashlib.sha256(msgspec.json.encode(numbers, order="sorted")).hexdigest()[:16]
