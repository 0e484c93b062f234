"""The layers of a plot as shapes: curves with their bands, stacks, heat maps, bars; and what is read off them."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import numpy as np

from tfx_workbench.exhibits.colour_maps import colour_table, indices
from tfx_workbench.exhibits.exhibit import Bars, Curve, HeatMap, Stack
from tfx_workbench.exhibits.format import number, with_unit
from tfx_workbench.exhibits.ranges import colour_limits, log10
from tfx_workbench.exhibits.readout import Readout, read
from tfx_workbench.report.axes import Axes
from tfx_workbench.report.drawing import AnyShape, Area, Box, Dot, Floats, Picture, Reading, Shape, Stroke

_BAND_OPACITY = 0.22
_WIDTH = 1.3  # points of a curve
_DOT = 1.7
_READINGS = 64  # places along an axis that say their values
_MOST_CELLS = (24, 24)  # rows and columns of a heat map that do
_MOST_LINES = 14  # that are read off at one place
_BAR = 0.32  # of a row, to each side


def curve(layer: Curve, axes: Axes) -> list[AnyShape]:
    """Band, line, points."""
    x = axes.across(layer.x)
    y = axes.up(layer.y)
    known = np.isfinite(x) & np.isfinite(y)
    shapes: list[AnyShape] = []
    if layer.low is not None and layer.high is not None:
        shapes += _band(layer, axes, x)
    stretches = [slice(a, b) for a, b in _stretches(known)]
    if layer.line:
        shapes += [Stroke(_line(x[s], y[s], layer.steps), layer.colour, _WIDTH, layer.style)
                   for s in stretches if s.stop - s.start > 1]
    lone = [s.start for s in stretches if s.stop - s.start == 1]
    places = np.flatnonzero(known) if layer.points or not layer.line else np.array(lone, dtype=np.intp)
    shapes += [Dot(float(x[i]), float(y[i]), _DOT, layer.colour) for i in places]
    return shapes


def _line(x: Floats, y: Floats, steps: bool) -> Floats:
    if steps:  # a value holds until the next x
        x, y = np.repeat(x, 2)[1:], np.repeat(y, 2)[:-1]
    return np.column_stack([x, y])


def _band(layer: Curve, axes: Axes, x: Floats) -> Iterator[AnyShape]:
    low, high = axes.up(layer.low), axes.up(layer.high)  # type: ignore[arg-type]  # the caller has looked
    known = np.isfinite(x) & np.isfinite(low) & np.isfinite(high)
    for a, b in _stretches(known):
        if b - a > 1 and np.any(high[a:b] < low[a:b]):
            there, back = np.column_stack([x[a:b], high[a:b]]), np.column_stack([x[a:b], low[a:b]])[::-1]
            yield Shape(np.vstack([there, back]), layer.colour, _BAND_OPACITY)


def _stretches(known: np.ndarray) -> list[tuple[int, int]]:
    edges = np.flatnonzero(np.diff(np.concatenate([[False], known, [False]]).astype(np.int8)))
    return [(int(a), int(b)) for a, b in edges.reshape(-1, 2)]


def stack(layer: Stack, axes: Axes) -> list[AnyShape]:
    """Bands upon each other, each value from its x to the next."""
    if len(layer.x) < 2:
        return []
    tops = np.cumsum(np.nan_to_num(np.asarray(layer.values, dtype=np.float64)), axis=1)
    x = np.repeat(axes.across(layer.x), 2)[1:-1]
    below = np.zeros(len(layer.x))
    shapes: list[AnyShape] = []
    for i, area in enumerate(layer.areas):
        top = tops[:, i]
        if np.any(top > below):
            upper, lower = (axes.up(np.repeat(edge[:-1], 2)) for edge in (top, below))
            outline = np.vstack([np.column_stack([x, upper]), np.column_stack([x, lower])[::-1]])
            shapes.append(Shape(outline, area.colour))
        below = top
    return shapes


def heat_map(layer: HeatMap, axes: Axes) -> list[AnyShape]:
    """One pixel per value; NaN is the paper."""
    values = log10(layer.values) if layer.log else np.asarray(layer.values, dtype=np.float64)
    if not values.size:
        return []
    shade = indices(values, *colour_limits(layer))
    alpha = np.where(np.isfinite(values), 255, 0).astype(np.uint8)
    light, dark = (np.dstack([colour_table(layer.colour_map, is_dark)[shade], alpha])[::-1]
                   for is_dark in (False, True))
    left, top = axes.at(layer.x_low, len(values) - 0.5)
    right, bottom = axes.at(layer.x_high, -0.5)
    box = Box(left, top, right - left, bottom - top)
    is_same = layer.colour_map != "attention"
    return [Picture(box, np.ascontiguousarray(light), None if is_same else np.ascontiguousarray(dark))]


def bars(layer: Bars, axes: Axes) -> list[AnyShape]:
    """One bar a row; what it says when the mouse is there."""
    shapes: list[AnyShape] = []
    unit = axes.plot.x.unit
    for row, (start, end, colour) in enumerate(zip(layer.starts, layer.ends, layer.colours, strict=True)):
        a, top = axes.at(float(min(start, end)), row + _BAR)
        b, bottom = axes.at(float(max(start, end)), row - _BAR)
        if not (np.isfinite(a) and np.isfinite(b)) or b <= a:
            continue
        length = with_unit(number(float(end - start)), unit)
        parts = [axes.style.said(layer.labels[row]), axes.style.said(layer.label), length]
        box = Box(a, top, b - a, bottom - top)
        shapes.append(Area(box, colour, title=" · ".join(filter(None, parts)), hollow=layer.hollow))
    return shapes


# ---------------------------------------------------------------------------------------- reading values off


def readings(axes: Axes) -> list[AnyShape]:
    """Places over the data that say their values; bars do so themselves."""
    plot = axes.plot
    heat = next((layer for layer in plot.layers if isinstance(layer, HeatMap)), None)
    if heat is not None:
        return list(_cells(axes, heat))
    arrays = [layer.x for layer in plot.layers if isinstance(layer, (Curve, Stack)) and len(layer.x)]
    if not arrays:
        return []
    places = np.unique(np.concatenate(arrays))
    places = places[np.isfinite(axes.across(places))]
    if len(places) > _READINGS:
        places = places[np.linspace(0, len(places) - 1, _READINGS).round().astype(np.intp)]
    return list(_strips(axes, places))


def _strips(axes: Axes, places: Floats) -> Iterator[AnyShape]:
    at = axes.across(places)
    inside = (at >= axes.box.x - 1) & (at <= axes.box.right + 1)
    places, at = places[inside], at[inside]
    if not len(at):
        return
    between = np.concatenate([[axes.box.x], (at[1:] + at[:-1]) / 2, [axes.box.right]])
    for place, (left, right) in zip(places.tolist(), itertools.pairwise(between.tolist()), strict=True):
        found = read(axes.plot, place, 0.0)
        if found is not None and right > left:
            box = Box(left, axes.box.y, right - left, axes.box.height)
            yield Reading(box, _lines(axes, found), axes.box)


def _cells(axes: Axes, heat: HeatMap) -> Iterator[AnyShape]:
    rows, columns = heat.values.shape
    per_row, per_column = (-(-n // most) for n, most in zip((rows, columns), _MOST_CELLS, strict=True))
    if not columns:
        return
    edges = np.linspace(heat.x_low, heat.x_high, columns + 1)
    for row in range(0, rows, per_row):
        for column in range(0, columns, per_column):
            until = min(columns, column + per_column)
            middle = (edges[column] + edges[until]) / 2
            found = read(axes.plot, float(middle), float(min(rows - 1, row + per_row // 2)))
            if found is None:
                continue
            left, top = axes.at(float(edges[column]), min(rows, row + per_row) - 0.5)
            right, bottom = axes.at(float(edges[until]), row - 0.5)
            yield Reading(Box(left, top, right - left, bottom - top), _lines(axes, found), axes.box)


def _lines(axes: Axes, found: Readout) -> tuple[tuple[str, str], ...]:
    said = axes.style.said
    readings = tuple((r.colour, f"{said(r.label)}: {r.value}") for r in found.readings[:_MOST_LINES])
    return (("", said(found.heading)), *readings)
