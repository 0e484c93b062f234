"""Where the ticks of an axis go and what stands at them."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from tfx_workbench.exhibits.exhibit import Axis
from tfx_workbench.exhibits.format import MINUS, number, plain
from tfx_workbench.exhibits.text import Words

_NICE = (1.0, 2.0, 2.5, 5.0, 10.0)
_SUPERSCRIPT = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def nice_step(span: float, count: float, whole: bool = False) -> float:
    """The smallest round step that gives at most `count` steps over `span`."""
    raw = span / max(count, 1.0)
    if not raw > 0 or not math.isfinite(raw):
        return 1.0
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(n * power for n in _NICE if n * power >= raw * (1 - 1e-9))
    if whole:
        step = max(1.0, float(math.ceil(step - 1e-9)))
    return step


def ticks(axis: Axis, low: float, high: float, count: float) -> Sequence[tuple[float, Words]]:
    """(place, words) of about `count` ticks between `low` and `high`; for a log axis the places are log10 values."""
    if axis.ticks:
        return _thinned([(at, text) for at, text in axis.ticks if low <= at <= high], count)
    if not (math.isfinite(low) and math.isfinite(high)) or high <= low:
        return []
    if axis.log:
        return _log_ticks(low, high, count)
    step = nice_step(high - low, count, axis.whole)
    places = np.arange(math.ceil(low / step - 1e-6), math.floor(high / step + 1e-6) + 1) * step
    return list(zip(places.tolist(), _labels(places, step), strict=True))


def _labels(places: np.ndarray, step: float) -> list[str]:
    largest = float(np.max(np.abs(places), initial=0.0))
    if largest >= 1e6 or (largest and largest < 1e-3):
        return [number(p, 3) if p else "0" for p in places]
    decimals = max(0, -math.floor(math.log10(step) + 1e-9))
    if round(step, decimals) != step and decimals < 12:
        decimals += 1  # a step of 2.5 or 0.25
    # Adding 0.0 turns the negative zero into zero.
    return [f"{round(p, decimals) + 0.0:,.{decimals}f}".replace("-", MINUS) for p in places.tolist()]


def _log_ticks(low: float, high: float, count: float) -> Sequence[tuple[float, Words]]:
    first, last = math.ceil(low - 1e-9), math.floor(high + 1e-9)
    if last - first >= 2:
        every = max(1, math.ceil((last - first) / max(count, 1.0)))
        return [(float(e), _power(e)) for e in range(first, last + 1) if e % every == 0]
    for steps in ((1, 2, 5), (1, 1.5, 2, 3, 5, 7)):
        places = [(e + math.log10(m), m * 10.0**e) for e in range(first - 1, last + 1) for m in steps]
        inside = [(at, plain(v, 2)) for at, v in places if low <= at <= high]
        if len(inside) >= (3 if count >= 4 else 2):
            return _thinned(inside, count)
    linear = ticks(Axis(), 10.0**low, 10.0**high, count)
    return [(math.log10(v), text) for v, text in linear if v > 0]


def _power(exponent: int) -> str:
    if -3 <= exponent <= 4:
        return f"{10.0**exponent:g}" if exponent < 4 else "10,000"
    return "10" + str(exponent).translate(_SUPERSCRIPT)


def _thinned(found: Sequence[tuple[float, Words]], count: float) -> Sequence[tuple[float, Words]]:
    every = max(1, math.ceil(len(found) / max(count, 1.0)))
    return found[::every]
