"""What a plot says about one place: the values of every layer there, with unit and colour."""

from __future__ import annotations

import dataclasses
import math

import numpy as np

from tfx_engine.protocol.marker import tr_mark
from tfx_workbench.exhibits.exhibit import Bars, Curve, HeatMap, Marker, Plot, Stack
from tfx_workbench.exhibits.format import number, plain, with_unit
from tfx_workbench.exhibits.text import Text, Words, say


@dataclasses.dataclass(frozen=True)
class Reading:
    """One line: a colour ("" for none), what it is, and its value with unit."""

    colour: str
    label: Words
    value: str


@dataclasses.dataclass(frozen=True)
class Readout:
    """Everything there is to say about `x`, a place where there is data; `heading` names the place."""

    x: float
    heading: Text
    readings: tuple[Reading, ...]


def read(plot: Plot, x: float, y: float) -> Readout | None:
    """The values nearest to `x` (in heat maps and among points: at `x` and `y`); None where there is no data."""
    if (point := point_at(plot, x, y)) is not None:
        return _read_point(plot, point)
    arrays = [layer.x for layer in plot.layers if isinstance(layer, (Curve, Stack)) and len(layer.x)]
    places = [array[nearest(array, x)] for array in arrays]
    heat = next((layer for layer in plot.layers if isinstance(layer, HeatMap)), None)
    if heat is not None:
        return _read_heat_map(plot, heat, x, y)
    bars = [layer for layer in plot.layers if isinstance(layer, Bars) and layer.label]
    if bars:
        return _read_bars(plot, bars, x, y)
    if not places:
        return None
    at = float(min(places, key=lambda place: abs(place - x)))
    readings: list[Reading] = []
    for layer in plot.layers:
        if isinstance(layer, Curve):
            readings += _read_curve(plot, layer, at)
        elif isinstance(layer, Stack):
            readings += _read_stack(plot, layer, at)
    return Readout(at, _heading(plot, at), tuple(readings)) if readings else None


def neighbour(plot: Plot, x: float, direction: int) -> float | None:
    """The next place with data to the right (1) or left (-1) of `x`; None where there is none."""
    arrays = [layer.x for layer in plot.layers if isinstance(layer, (Curve, Stack)) and len(layer.x)]
    points = [layer.x for layer in plot.layers if isinstance(layer, Marker) and layer.name]
    arrays = [np.array(sorted(points))] if points else arrays
    beyond = [a[a > x].min(initial=math.inf) if direction > 0 else a[a < x].max(initial=-math.inf) for a in arrays]
    if not beyond:
        return None
    at = float(min(beyond) if direction > 0 else max(beyond))
    return at if math.isfinite(at) else None


def nearest(places: np.ndarray, x: float) -> int:
    """Index of the place nearest to `x` among ascending places."""
    after = int(np.clip(np.searchsorted(places, x), 1, max(len(places) - 1, 1)))
    if len(places) == 1:
        return 0
    return after if places[after] - x < x - places[after - 1] else after - 1


def point_at(plot: Plot, x: float, y: float) -> Marker | None:
    """The named point nearest to a place, in shares of what all of them cover; None where the plot has none.

    A point right above or below the place comes before all others: that is where the keyboard walks to.
    """
    points = [layer for layer in plot.layers if isinstance(layer, Marker) and layer.name]
    if not points:
        return None
    ups = [math.log10(p.y) if plot.y.log and p.y > 0 else p.y for p in points]
    wide, high = (max(values) - min(values) or 1.0 for values in ([p.x for p in points], ups))
    y = y if math.isfinite(y) else ups[0]
    return min(zip(points, ups, strict=True),
               key=lambda pair: (pair[0].x != x, math.hypot((pair[0].x - x) / wide, (pair[1] - y) / high)))[0]


def _read_point(plot: Plot, point: Marker) -> Readout:
    places = ((plot.x, point.x), (plot.y, point.y))
    readings = [Reading(point.colour if i == 0 else "", axis.title, with_unit(number(value), axis.unit))
                for i, (axis, value) in enumerate(places)]
    readings += [Reading("", what, value) for what, value in point.details]
    heading = point.name if isinstance(point.name, Text) else say("{what}", what=point.name)
    return Readout(point.x, heading, tuple(readings))


def _heading(plot: Plot, x: float) -> Text:
    return say("{what} {place}", what=plot.x.title, place=with_unit(plain(x, 4), plot.x.unit))


def _read_curve(plot: Plot, curve: Curve, at: float) -> list[Reading]:
    if not len(curve.x):
        return []
    if curve.steps:
        i = max(0, int(np.searchsorted(curve.x, at, side="right")) - 1)
    else:
        i = nearest(curve.x, at)
        if abs(curve.x[i] - at) > (_reach(curve.x, i) if curve.line else 0.0):
            return []  # this curve has ended, or not begun, here
    if not math.isfinite(curve.y[i]):
        return []
    value = with_unit(number(float(curve.y[i])), plot.y.unit)
    if curve.low is not None and curve.high is not None and curve.high[i] > curve.low[i]:
        value += f"  ({number(float(curve.low[i]), 3)} … {number(float(curve.high[i]), 3)})"
    return [Reading(curve.colour, curve.label, value)]


def _reach(places: np.ndarray, i: int) -> float:
    gaps = np.abs(np.diff(places[max(0, i - 1) : i + 2]))
    return float(gaps.max()) if gaps.size else 0.5


def _read_stack(plot: Plot, stack: Stack, at: float) -> list[Reading]:
    i = max(0, int(np.searchsorted(stack.x, at, side="right")) - 1)
    row = stack.values[i]
    readings = [
        Reading(area.colour, area.label, with_unit(number(float(v)), plot.y.unit))
        for area, v in zip(stack.areas, row, strict=True) if v > 0
    ]
    total = Reading("", say(tr_mark("total")), with_unit(number(float(row.sum())), plot.y.unit))
    return [total, *reversed(readings)]


def _read_bars(plot: Plot, bars: list[Bars], x: float, y: float) -> Readout | None:
    """What the bar of the row at `y` is divided into, and the sum; what is thought and what is known have none."""
    row = round(y)
    if not 0 <= row < len(bars[0].labels):
        return None
    lengths = [(layer, float(layer.ends[row] - layer.starts[row])) for layer in bars]
    readings = [
        Reading(layer.colours[row], layer.label, with_unit(number(length), plot.x.unit))
        for layer, length in lengths if length > 0
    ]
    if not any(layer.hollow for layer in bars):
        total = with_unit(number(sum(length for _, length in lengths)), plot.x.unit)
        readings.insert(0, Reading("", say(tr_mark("total")), total))
    label = bars[0].labels[row]
    return Readout(x, label if isinstance(label, Text) else say("{what}", what=label), tuple(readings))


def _read_heat_map(plot: Plot, heat: HeatMap, x: float, y: float) -> Readout | None:
    rows, columns = heat.values.shape
    row = round(y)
    if not columns or not 0 <= row < rows or not heat.x_low <= x <= heat.x_high:
        return None
    width = (heat.x_high - heat.x_low) / columns
    column = min(columns - 1, int((x - heat.x_low) / width)) if width > 0 else 0
    at = heat.x_low + (column + 0.5) * width
    value = with_unit(number(float(heat.values[row, column])), heat.unit)
    return Readout(at, _heading(plot, at), (Reading("", heat.row_names[row], value),))
