"""How much one run differs from another, in per cent, with an interval, and by which method that was found.

Of runs that were measured one after the other the interval covers the scatter of their steps, not what changed on the
machine between them. That takes interleaved rounds (`hierarchy`). What finds them is in `contrasts`.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

from tfx_engine.protocol.interleaving import LEAST_ROUNDS
from tfx_engine.protocol.marker import tr_mark
from tfx_workbench.runs.noise import log_factor


@dataclasses.dataclass(frozen=True)
class Method:
    """How an effect was found, as a template over its arguments."""

    template: str
    args: Mapping[str, Any] = dataclasses.field(default_factory=dict, hash=False)
    covers_restarts: bool = False  # all that differs between equal runs: no band of noise is wanted beside it

    def __str__(self) -> str:
        return self.template.format(**self.args)


EXACT = Method(tr_mark("counted, without scatter"), covers_restarts=True)
SEQUENTIAL = Method(tr_mark("one after the other, block bootstrap: does not cover drift"))
_INTERLEAVED = tr_mark("interleaved: mean of {processes} processes with {blocks} blocks, Student's t")
_INTERLEAVED_SEVERAL = tr_mark(
    "interleaved: mean of {processes} processes with {blocks} blocks, Student's t; corrected for {family} comparisons "
    "by a hierarchical bootstrap")
_LOOKED = tr_mark("interleaved: mean of {processes} processes with {blocks} blocks, Student's t at 97 %, of which 95 % "
                  "hold where a comparison may end early")
_LOOKED_SEVERAL = tr_mark(
    "interleaved: mean of {processes} processes with {blocks} blocks, Student's t at 97 %, of which 95 % hold where a "
    "comparison may end early; corrected for {family} comparisons by a hierarchical bootstrap")
_ONE_PROCESS = tr_mark("interleaved in one process each: mean of {blocks} blocks, Student's t; does not cover what a "
                       "restart changes")
_ONE_PROCESS_SEVERAL = tr_mark(
    "interleaved in one process each: mean of {blocks} blocks, Student's t; corrected for {family} comparisons by a "
    "hierarchical bootstrap; does not cover what a restart changes")


@dataclasses.dataclass(frozen=True)
class Effect:
    """A difference to the baseline in per cent: positive means that `other` is larger.

    `low` and `high` are NaN where no interval can be known, and `distinguishable` is None then. `corrected`: the
    intervals of `family` comparisons hold all at once in 95 % of cases. `noise_band`: by how many per cent two copies
    of the same configuration may differ on this machine, None where that is not known; a difference within it is not
    distinguishable.
    """

    percent: float
    low: float
    high: float
    distinguishable: bool | None
    corrected: bool = False
    family: int = 1
    noise_band: float | None = None
    method: Method | None = None

    def as_dict(self) -> dict[str, Any]:
        """`{percent, low, high, distinguishable, corrected, family, noise_band, method}` for JSON."""
        known = {name: value if math.isfinite(value) else None
                 for name, value in (("percent", self.percent), ("low", self.low), ("high", self.high))}
        return {**known, "distinguishable": self.distinguishable, "corrected": self.corrected, "family": self.family,
                "noise_band": self.noise_band, "method": None if self.method is None else str(self.method)}

    def within(self, noise_band: float | None) -> Effect:
        """The same, not distinguishable where it lies within this band."""
        if noise_band is None or self.distinguishable is None or (self.method and self.method.covers_restarts):
            return self
        # In factors, so that twice and half are as far: of the same steps, time and tokens/s are told apart alike.
        beyond = self.distinguishable and abs(log_factor(self.percent)) > log_factor(noise_band)
        return dataclasses.replace(self, noise_band=noise_band, distinguishable=beyond)


UNKNOWN = Effect(math.nan, math.nan, math.nan, None)


def interleaved(processes: int, blocks: int, family: int) -> Method:
    """The method of an effect of runs that took turns, in so many processes and blocks of each."""
    one, several = (
        (_LOOKED, _LOOKED_SEVERAL) if processes >= LEAST_ROUNDS else
        (_INTERLEAVED, _INTERLEAVED_SEVERAL) if processes > 1 else (_ONE_PROCESS, _ONE_PROCESS_SEVERAL)
    )
    return Method(several if family > 1 else one, {"processes": processes, "blocks": blocks, "family": family})


def exact_effect(baseline: float | None, other: float | None) -> Effect:
    """The difference of two counts that have no scatter (bytes of an allocator, parameters), in per cent.

    From nothing to something has no percentage: NaN, yet distinguishable.
    """
    if baseline is None or other is None:
        return UNKNOWN
    if baseline == other:
        return Effect(0.0, 0.0, 0.0, False, method=EXACT)
    if baseline <= 0:
        return Effect(math.nan, math.nan, math.nan, True, method=EXACT)
    percent = _percent(other / baseline)
    return Effect(percent, percent, percent, True, method=EXACT)


def _percent(ratio: float) -> float:
    return (ratio - 1) * 100
