"""How long a step will take: its operators, what this device was measured to do, and what the user's own runs taught.

A product takes its FLOPs at the rate that products of about its shape and format reached here; attention likewise;
every other operator the bytes that it reads and writes at the rate of its kind, or the memory's where that is lower;
and each costs what starting an operator costs. On a device with a queue of its own the host's starting goes on beside
the work: where one of both is much longer it alone counts, and where they are alike now one waits and now the other, so
that the step takes longer than either. Runs of the same device then correct each of these terms a little.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from tfx_engine.protocol.ceilings import Ceilings, CopyRate, ProductRate
from tfx_engine.protocol.ledger import OwnError, error_of

TERMS = ("products", "attention", "elementwise", "optimizer", "starting")
_NEIGHBOURS = 3  # measured shapes that a rate is made of
_VIEW = 0.25  # of what starting an operator costs: one that only gives its input another shape
_PRIOR = 0.03  # how much evidence it takes to believe that a term is off: its weight beside one run's
LEAST_RUNS = 3  # before an error is stated
# The exponent by which work and starting go together on a queue: 1 is one after the other, large the longer of both.
_BESIDE = 1.5  # chosen by 32 configurations on an H200 (tests/bench/test_step_time_h200.py)
_FITS = 8  # of the linear fit by which corrections are found; without a queue the first one is exact


@dataclasses.dataclass(frozen=True)
class Operator:
    """One kind of call of a step. `sizes` of a product: rows, inner, columns; of attention: context and head width.

    `what`: product, attention, attention_backward, optimizer, other, view (which moves nothing), or hook: code in
    Python that it passes through and that takes as long again. `bytes`: read and written.
    """

    name: str  # as torch calls it: "mm", "gelu"
    what: str
    format: str = "float32"
    sizes: tuple[int, ...] = ()
    flops: int = 0
    bytes: int = 0


@dataclasses.dataclass(frozen=True)
class StepTime:
    """Milliseconds of a step by term, before any correction. `is_queued`: the host's term runs beside the others."""

    terms: Mapping[str, float]
    is_queued: bool

    def total_ms(self, factors: Mapping[str, float] | None = None) -> float:
        """The step's time with every term multiplied by its factor."""
        work, starting = self._parts(factors or {})
        return float((work**self._beside + starting**self._beside) ** (1 / self._beside))

    def slopes(self, factors: Mapping[str, float]) -> dict[str, float]:
        """By how much the step's time changes with the factor of each term."""
        work, starting = self._parts(factors)
        whole = self.total_ms(factors) or 1.0
        return {name: value * ((starting if name == "starting" else work) / whole) ** (self._beside - 1)
                for name, value in self.terms.items()}

    @property
    def _beside(self) -> float:
        """The exponent by which the device's work and the host's starting go together."""
        return _BESIDE if self.is_queued else 1.0

    def _parts(self, factors: Mapping[str, float]) -> tuple[float, float]:
        ms = {name: value * factors.get(name, 1.0) for name, value in self.terms.items()}
        return sum(value for name, value in ms.items() if name != "starting"), ms["starting"]


@dataclasses.dataclass(frozen=True)
class Past:
    """A run that was predicted and measured: what a correction is learnt from."""

    time: StepTime
    measured_ms: float


def step_time(operators: Mapping[Operator, float], ceilings: Ceilings) -> StepTime:
    """The terms of a step. `operators`: how often each runs."""
    terms = dict.fromkeys(TERMS, 0.0)
    rates = _Rates(ceilings)
    for operator, calls in operators.items():
        terms["starting"] += calls * ceilings.dispatch_us * (_VIEW if operator.what == "view" else 1.0) / 1e3
        if operator.what not in ("view", "hook"):
            terms[_TERM.get(operator.what, "elementwise")] += 1e3 * calls * rates.seconds(operator)
    return StepTime(terms, is_queued=ceilings.circumstances.kind != "cpu")


_TERM = {"product": "products", "attention": "attention", "attention_backward": "attention", "optimizer": "optimizer"}


class _Rates:
    """The measured rates of a device, by what they are asked for."""

    def __init__(self, ceilings: Ceilings) -> None:
        self._ceilings = ceilings
        self._products: dict[str, tuple[ProductRate, ...]] = {}
        for rate in ceilings.products:
            self._products[rate.format] = (*self._products.get(rate.format, ()), rate)

    def seconds(self, operator: Operator) -> float:
        """Of one call, without starting it."""
        match operator.what:
            case "product":
                return operator.flops / self._product(operator)
            case "attention" | "attention_backward":
                return operator.flops / self._attention(operator)
        memory = bandwidth(self._ceilings.copies, operator.bytes)
        own = self._ceilings.operators.get(operator.name)
        return operator.bytes / (memory if own is None else min(own, max(memory, own / _HOT)))

    def _product(self, operator: Operator) -> float:
        known = self._products.get(operator.format)
        if self._ceilings.circumstances.kind != "cpu":
            operator = _as_one(operator)
        if known:
            return _nearby(operator.sizes, [(_sizes(rate), rate.flops_per_s) for rate in known])
        # Nothing of that format: as fast as float32, and by as much faster as its peak is, where that is known.
        base, peaks = self._products["float32"], self._ceilings.flops
        there = peaks.get(operator.format, peaks["float32"]).per_s / peaks["float32"].per_s
        return there * _nearby(operator.sizes, [(_sizes(rate), rate.flops_per_s) for rate in base])

    def _attention(self, operator: Operator) -> float:
        found = [a for a in self._ceilings.attention if a.backward == (operator.what == "attention_backward")]
        same = [a for a in found if a.format == operator.format] or found
        if not same:
            return self._product(dataclasses.replace(operator, sizes=(operator.sizes[0],) * 3))
        return _nearby(operator.sizes, [((a.context, a.head_width), a.flops_per_s) for a in same])


_HOT = 8.0  # an operator whose own rate was measured in cache is at most by so much slower out of it


def _as_one(operator: Operator) -> Operator:
    """Many products in one call keep a card as busy as one of all their rows."""
    rows, inner, columns = operator.sizes
    many = max(1, round(operator.flops / max(1, 2 * rows * inner * columns)))
    return dataclasses.replace(operator, sizes=(many * rows, inner, columns))


def _sizes(rate: ProductRate) -> tuple[int, ...]:
    return (rate.rows, rate.inner, rate.columns)


def _nearby(sizes: Sequence[int], known: Sequence[tuple[tuple[int, ...], float]]) -> float:
    """A rate between those of the measured shapes that are nearest, by the logarithm of each size."""
    at = [math.log2(max(1, size)) for size in sizes]
    far = []
    for shape, rate in known:
        squares = [(a - math.log2(s)) ** 2 for a, s in zip(at, shape, strict=True)]
        far.append((sum(squares), rate))
    far.sort()
    if far[0][0] < 1e-9:
        return far[0][1]
    near = far[:_NEIGHBOURS]
    weights = [1.0 / distance for distance, _ in near]
    return math.exp(sum(w * math.log(rate) for w, (_, rate) in zip(weights, near, strict=True)) / sum(weights))


def bandwidth(copies: Sequence[CopyRate], size: int) -> float:
    """Bytes per second at which so many are read and written, between those of the copies measured."""
    points = sorted((math.log2(2 * copy.bytes), copy.bytes_per_s) for copy in copies)
    return float(np.interp(math.log2(max(2, size)), [x for x, _ in points], [y for _, y in points]))


# ---------------------------------------------------------------------------------------------------- corrections


def learn(past: Sequence[Past]) -> dict[str, float]:
    """A factor for each term: least squares of the relative error, holding on to 1 where the runs say little."""
    factors = dict.fromkeys(TERMS, 1.0)
    if not past:
        return factors
    for _ in range(_FITS if any(p.time.is_queued for p in past) else 1):
        at = np.array([factors[name] for name in TERMS])
        slopes = [p.time.slopes(factors) for p in past]
        shares = np.array([[slope[name] / p.measured_ms for name in TERMS]
                           for slope, p in zip(slopes, past, strict=True)])
        missed = np.array([1.0 - p.time.total_ms(factors) / p.measured_ms for p in past])
        left = np.vstack([shares, math.sqrt(_PRIOR) * np.eye(len(TERMS))])
        right = np.concatenate([missed + shares @ at, math.sqrt(_PRIOR) * np.ones(len(TERMS))])
        found = np.linalg.lstsq(left, right, rcond=None)[0]
        factors = {name: float(np.clip(value, 0.2, 5.0)) for name, value in zip(TERMS, found, strict=True)}
    return factors


def own_error(past: Sequence[Past]) -> OwnError | None:
    """How far off predictions of these runs would have been, each learnt from the others; None where they are few."""
    if len(past) < LEAST_RUNS:
        return None
    errors = []
    for i, one in enumerate(past):
        factors = learn([*past[:i], *past[i + 1 :]])
        errors.append(100.0 * abs(one.time.total_ms(factors) / one.measured_ms - 1.0))
    return error_of(errors)


def own_error_percent(past: Sequence[Past]) -> float | None:
    """The median of `own_error`, in per cent."""
    found = own_error(past)
    return None if found is None else found.median


def step_ms(time: StepTime, past: Iterable[Past] = ()) -> tuple[float, OwnError | None]:
    """(milliseconds, the error that such predictions had on the user's own runs, or None)."""
    runs = list(past)
    return time.total_ms(learn(runs)), own_error(runs)
