"""What part of the axes a plot shows: all of its data, and the same part as long as that still fits well.

Live data moves the limits a little with every step. Following it at once makes the picture swim, so limits move only
when data leaves them or fills too little of them, and then by a round amount.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Iterator

import numpy as np

from tfx_workbench.exhibits.exhibit import Axis, Bars, Curve, HeatMap, Line, Marker, Plot, Span, Stack
from tfx_workbench.exhibits.ticks import nice_step

_FILLED = 0.55  # of the shown span, at least
_HORIZONS = (1.0, 1.2, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0)


@dataclasses.dataclass(frozen=True)
class Range:
    """From `low` to `high`; on a log axis these are log10 values."""

    low: float
    high: float

    @property
    def span(self) -> float:
        """Its width."""
        return self.high - self.low

    def holds(self, other: Range) -> bool:
        """Whether `other` lies within."""
        slack = 1e-9 * max(self.span, abs(self.low), abs(self.high))
        return self.low - slack <= other.low and other.high <= self.high + slack


def horizon(reached: float, planned: float) -> float:
    """How far an x axis goes while data is at `reached` of `planned`: a round number that holds still for a while."""
    if not reached > 0:
        return min(planned, 10.0) if planned > 0 else 10.0
    power = 10.0 ** math.floor(math.log10(reached))
    rounded = next(n * power for n in _HORIZONS if n * power >= reached * (1 - 1e-9))
    return max(min(rounded, planned), reached) if planned > 0 else rounded


def log10(values: np.ndarray) -> np.ndarray:
    """The logarithm as float64; NaN where there is none."""
    values = np.asarray(values, dtype=np.float64)
    return np.log10(values, out=np.full(values.shape, np.nan), where=values > 0)


def colour_limits(heat: HeatMap) -> tuple[float, float]:
    """What the ends of a heat map's colour scale stand for; log10 values where its scale is logarithmic."""
    values = log10(heat.values) if heat.log else np.asarray(heat.values, dtype=np.float64)
    known = values[np.isfinite(values)]
    if not known.size:
        return 0.0, 1.0
    if heat.colour_map == "diverging":
        most = float(np.abs(known).max()) or 1.0
        return -most, most
    low, high = float(known.min()), float(known.max())
    return (low, high) if high > low else (low - 0.5, low + 0.5)


def ranges(plot: Plot, before: tuple[Range, Range] | None = None) -> tuple[Range, Range]:
    """The x and the y range to show, given those shown before."""
    x = _one_range(plot.x, _x_values(plot), before[0] if before else None, tight=True)
    y = _one_range(plot.y, _y_values(plot), before[1] if before else None, tight=_is_tight(plot))
    return x, y


def _is_tight(plot: Plot) -> bool:
    return any(isinstance(layer, (HeatMap, Bars)) for layer in plot.layers)


def _one_range(axis: Axis, values: Iterable[np.ndarray], before: Range | None, tight: bool) -> Range:
    natural = _natural(axis, values)
    fixed = (axis.low is not None, axis.high is not None)
    if tight or all(fixed):
        return natural
    # A fixed end must not have moved, or the old range is of no use.
    if before is not None and before.holds(natural) and natural.span >= _FILLED * before.span:
        ends = ((before.low, natural.low), (before.high, natural.high))
        if all(old == new for is_fixed, (old, new) in zip(fixed, ends, strict=True) if is_fixed):
            return before
    return _padded(natural, *fixed)


def _natural(axis: Axis, values: Iterable[np.ndarray]) -> Range:
    low, high = math.inf, -math.inf
    for array in values:
        data = np.asarray(array, dtype=np.float64)
        data = data[np.isfinite(data) & ((data > 0) | (not axis.log))]
        if data.size:
            low, high = min(low, float(data.min())), max(high, float(data.max()))
    low = axis.low if axis.low is not None else low
    high = axis.high if axis.high is not None else high
    if not (math.isfinite(low) and math.isfinite(high)):
        # One fixed end without data makes a range beside it.
        low = low if math.isfinite(low) else (high - 1 if math.isfinite(high) else (0.1 if axis.log else 0.0))
        high = high if math.isfinite(high) else low + 1
    if axis.log:
        low, high = math.log10(max(low, 1e-300)), math.log10(max(high, 1e-300))
    if high <= low:
        half = 0.5 if axis.log else max(abs(low) * 0.05, 1e-12 if low else 0.5)
        low, high = low - half * (axis.low is None), low + half
    return Range(low, high)


def _padded(natural: Range, low_fixed: bool, high_fixed: bool) -> Range:
    pad = 0.06 * natural.span
    grid = nice_step(natural.span, 20)
    low = natural.low if low_fixed else math.floor((natural.low - pad) / grid) * grid
    high = natural.high if high_fixed else math.ceil((natural.high + pad) / grid) * grid
    return Range(low, high)


def _x_values(plot: Plot) -> Iterator[np.ndarray]:
    for layer in plot.layers:
        match layer:
            case Curve() | Stack():
                yield layer.x
            case HeatMap():
                yield np.array([layer.x_low, layer.x_high])
            case Bars():
                yield np.concatenate([layer.starts, layer.ends])
            case Marker():
                yield np.array([layer.x])
            case Span():
                yield np.array([layer.low, layer.high])
            case Line() if layer.upright:
                yield np.array([layer.value])


def _y_values(plot: Plot) -> Iterator[np.ndarray]:
    for layer in plot.layers:
        match layer:
            case Curve() if layer.sets_range:
                yield from (a for a in (layer.y, layer.low, layer.high) if a is not None)
            case Stack():
                yield layer.values.sum(axis=1)
                yield np.zeros(1)
            case HeatMap():
                yield np.array([-0.5, len(layer.values) - 0.5])
            case Bars():
                yield np.array([-0.5, len(layer.labels) - 0.5])
            case Marker():
                yield np.array([layer.y])
            case Line() if not layer.upright:
                yield np.array([layer.value])
