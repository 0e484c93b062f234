"""A whole plot as shapes: axes, data, and over it what has words, kept inside and apart."""

from __future__ import annotations

import math

import numpy as np

from tfx_workbench.exhibits.exhibit import Bars, Curve, HeatMap, Line, Marker, Plot, Span, Stack
from tfx_workbench.report.axes import LINE, SIZE, Axes, Style
from tfx_workbench.report.drawing import AnyShape, Area, Box, Clip, Dot, Label, Stroke
from tfx_workbench.report.layers import bars, curve, heat_map, readings, stack

_TRIES = 6  # places further down that a text is moved to, where it would lie over another
_ROW = 19.0  # points of height per bar
_HEAT_ROW = 15.0
_AROUND = 40.0  # points above and below the data
_PLOT, _MOST = 230.0, 620.0
_SMALL_PLOT = 170.0


def height_of(plot: Plot, small: bool = False) -> float:
    """The height that a plot wants, in points."""
    rows = max((len(layer.labels) for layer in plot.layers if isinstance(layer, Bars)), default=0)
    heat = max((len(layer.values) for layer in plot.layers if isinstance(layer, HeatMap)), default=0)
    if rows:
        return min(_MOST, max(70.0, rows * _ROW + _AROUND))
    if heat:
        return min(_PLOT * 1.4, max(120.0, heat * _HEAT_ROW + _AROUND))
    return _SMALL_PLOT if small else _PLOT


def draw_plot(plot: Plot, box: Box, style: Style) -> list[AnyShape]:
    """The plot within a box."""
    if plot.missing:
        text, whole = style.fit(plot.missing, box.width)
        return [Label(box.x + box.width / 2, box.y + box.height / 2, text, SIZE, "muted", "middle", whole=whole)]
    axes = Axes(plot, box, style)
    inside: list[AnyShape] = []
    for layer in plot.layers:
        match layer:
            case Curve():
                inside += curve(layer, axes)
            case Stack():
                inside += stack(layer, axes)
            case HeatMap():
                inside += heat_map(layer, axes)
            case Bars():
                inside += bars(layer, axes)
            case Line():
                inside += _line(layer, axes)
            case Span():
                inside += _span(layer, axes)
    over = _Words(axes)
    words = over.all()
    return [*axes.grid(), Clip(_grown(axes.box), tuple(inside)), *axes.words(), *words, *readings(axes), *over.dots]


def _grown(box: Box) -> Box:
    """So that what lies on the edge is not cut in half."""
    return Box(box.x - 2, box.y - 2, box.width + 4, box.height + 4)


def _line(layer: Line, axes: Axes) -> list[AnyShape]:
    box = axes.box
    if layer.upright:
        x, _ = axes.at(layer.value, 1.0)
        ends = [[x, box.y], [x, box.bottom]]
    else:
        _, y = axes.at(1.0, layer.value)
        ends = [[box.x, y], [box.right, y]]
    shapes: list[AnyShape] = []
    if layer.low is not None and layer.high is not None:
        shapes += _interval(layer, axes)
    if np.isfinite(ends).all():
        shapes.append(Stroke(np.array(ends), layer.colour, 1.0, layer.style))
    return shapes


def _interval(layer: Line, axes: Axes) -> list[AnyShape]:
    box = axes.box
    if layer.upright:
        low, high = (axes.at(v, 1.0)[0] for v in (layer.low or 0.0, layer.high or 0.0))
        area = Box(low, box.y, high - low, box.height)
    else:
        low, high = (axes.at(1.0, v)[1] for v in (layer.low or 0.0, layer.high or 0.0))
        area = Box(box.x, high, box.width, low - high)
    sizes = (area.x, area.y, area.width, area.height)
    return [Area(area, layer.colour, 0.16)] if all(map(math.isfinite, sizes)) else []


def _span(layer: Span, axes: Axes) -> list[AnyShape]:
    right, _ = axes.at(layer.high, 1.0)
    right = min(right, axes.box.right)
    if right <= axes.box.x:
        return []
    return [Stroke(np.array([[right, axes.box.y], [right, axes.box.bottom]]), "line", 0.75)]


class _Words:
    """Writes beside data so that nothing lies over anything that was written before."""

    def __init__(self, axes: Axes) -> None:
        self._axes, self._style, self._box = axes, axes.style, axes.box
        self._taken: list[Box] = []
        self._shapes: list[AnyShape] = []
        self.dots: list[AnyShape] = []  # of markers; above all, as they say something themselves

    def all(self) -> list[AnyShape]:
        """Everything that has words, in the order of the layers; markers and lines last."""
        for layer in self._axes.plot.layers:
            if isinstance(layer, Bars):
                self._bars(layer)
            elif isinstance(layer, Span):
                self._span(layer)
        self._taken += [self._dot(layer) for layer in self._axes.plot.layers if isinstance(layer, Marker)]
        for layer in self._axes.plot.layers:
            if isinstance(layer, Marker):
                self._marker(layer)
            elif isinstance(layer, Line) and layer.label:
                self._line(layer)
        return self._shapes

    def _bars(self, layer: Bars) -> None:
        for row, text in enumerate(layer.texts):
            if (len(layer.labels) - 1 - row) % self._axes.names_every:
                continue
            x, y = self._axes.at(float(max(layer.starts[row], layer.ends[row])), row)
            if math.isfinite(x):
                self._write(self._style.said(text), x + 4, y, "text")

    def _span(self, layer: Span) -> None:
        left, right = (self._axes.at(v, 1.0)[0] for v in (layer.low, layer.high))
        left, right = max(left, self._box.x), min(right, self._box.right)
        words = self._style.said(layer.label)
        if self._style.width(words) + 4 <= right - left:
            middle = (left + right) / 2
            self._shapes.append(Label(middle, self._box.y - 4, words, SIZE, "muted", "middle"))

    def _dot(self, layer: Marker) -> Box:
        x, y = self._axes.at(layer.x, layer.y)
        return Box(x - 3, y - 3, 6, 6) if math.isfinite(x) and math.isfinite(y) else Box(0, 0, 0, 0)

    def _marker(self, layer: Marker) -> None:
        x, y = self._axes.at(layer.x, layer.y)
        box = self._box
        if not (box.x - 2 <= x <= box.right + 2 and box.y - 2 <= y <= box.bottom + 2):
            return
        words = self._style.said(layer.label)
        self._write(words, x + 6, y - 9, layer.colour)
        said = self._style.said
        details = "\n".join(f"{said(what)}: {value}" for what, value in layer.details)
        title = "\n".join(filter(None, (said(layer.name) or words, details)))
        self.dots.append(Dot(x, y, 4.2, "card"))
        self.dots.append(Dot(x, y, 3.2, layer.colour, title=title, hollow=layer.hollow))

    def _line(self, layer: Line) -> None:
        words = self._style.said(layer.label)
        x, y = self._axes.at(layer.value, layer.value)
        if layer.upright and math.isfinite(x):
            self._write(words, x + 4, self._box.y + LINE / 2, layer.colour)
        elif not layer.upright and math.isfinite(y):
            self._write(words, self._box.right - self._style.width(words) - 6, y - LINE / 2 - 1, layer.colour)

    def _write(self, words: str, x: float, middle: float, colour: str) -> None:
        """On a see-through card, within the data."""
        if not words:
            return
        box = self._box
        text, whole = self._style.fit(words, box.width - 6)
        width = self._style.width(text) + 6
        x = min(max(box.x, x), max(box.x, box.right - width))
        y = min(max(box.y, middle - LINE / 2), box.bottom - LINE)
        place = Box(x, y, width, LINE)
        for _ in range(_TRIES):
            hit = next((taken for taken in self._taken if taken.meets(place)), None)
            if hit is None:
                break
            place = Box(x, hit.bottom + 0.5, width, LINE)
        self._taken.append(place)
        self._shapes.append(Area(place, "card", 0.75))
        self._shapes.append(Label(place.x + 3, place.y + LINE / 2 + 0.35 * SIZE, text, SIZE, colour, whole=whole))
