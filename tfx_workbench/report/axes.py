"""One pair of axes on paper: where values stand, quiet ticks, a faint grid, the unit written once."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable

import numpy as np

from tfx_workbench.exhibits.exhibit import Bars, Plot, Span
from tfx_workbench.exhibits.ranges import Range, ranges
from tfx_workbench.exhibits.text import Words
from tfx_workbench.exhibits.ticks import ticks
from tfx_workbench.report.drawing import AnyShape, Box, Floats, Label, Stroke
from tfx_workbench.report.lettering import Measure, shortened

SIZE = 8.5  # points of what stands at axes and over data
LINE = 12.0  # points from one line of such words to the next
_TOP, _BARE_TOP, _BOTTOM, _RIGHT = 20.0, 4.0, 20.0, 8.0
_GAP = 6.0  # between words and the data
_LEAST_LEFT = 26.0
_TICK_EVERY = 34.0  # points of height
_NAME_EVERY = 13.0  # points of height per name of a bar or a row
_WIDEST_NAME = 0.36  # of the plot
_BETWEEN = 16.0  # points between two ticks along the x axis

Said = Callable[[Words], str]
Tick = tuple[float, str]


@dataclasses.dataclass(frozen=True)
class Style:
    """How words are made: `said` translates them, `measure` knows how wide they are."""

    said: Said
    measure: Measure

    def fit(self, words: Words, width: float, size: float = SIZE) -> tuple[str, str]:
        """The words cut to a width, and the whole where they were cut."""
        text = self.said(words)
        cut = shortened(text, width, size, self.measure)
        return cut, text if cut != text else ""

    def width(self, text: str, size: float = SIZE) -> float:
        """The width of a text in points."""
        return self.measure(text, size, False)


class Axes:
    """The axes of a plot within a box on the paper."""

    def __init__(self, plot: Plot, box: Box, style: Style) -> None:
        self.plot, self.outer, self.style = plot, box, style
        self.x, self.y = ranges(plot)
        top = _TOP if self._has_head() else _BARE_TOP
        height = box.height - top - _BOTTOM
        self.upright = self._upright_ticks(height)
        self.names_every = max(1, math.ceil(_NAME_EVERY / max(1e-6, height / max(self.y.span, 1e-12))))
        widest = max((style.width(text) for _, text, _ in self.upright), default=0.0)
        left = max(_LEAST_LEFT, widest + _GAP)
        self.box = Box(box.x + left, box.y + top, max(1.0, box.width - left - _RIGHT), max(1.0, height))

    def _has_head(self) -> bool:
        """Whether anything stands above the data."""
        return bool(self.plot.y.title or self.plot.y.unit) or any(isinstance(x, Span) for x in self.plot.layers)

    @property
    def _is_bars(self) -> bool:
        return any(isinstance(layer, Bars) for layer in self.plot.layers)

    # ------------------------------------------------------------------ places

    def at(self, x: float, y: float) -> tuple[float, float]:
        """Where a value stands; values as measured, also on log axes."""
        return float(self.across(np.array([x]))[0]), float(self.up(np.array([y]))[0])

    def across(self, values: Floats) -> Floats:
        """The places of values along the x axis."""
        return self.box.x + (_axis_values(values, self.plot.x.log) - self.x.low) / self.x.span * self.box.width

    def up(self, values: Floats) -> Floats:
        """The places of values along the y axis."""
        return self.box.bottom - (_axis_values(values, self.plot.y.log) - self.y.low) / self.y.span * self.box.height

    # ------------------------------------------------------------------ ticks and words

    def _upright_ticks(self, height: float) -> list[tuple[float, str, str]]:
        axis, every = self.plot.y, _TICK_EVERY
        if axis.ticks:
            every = _NAME_EVERY
        if self._is_bars:  # where names are left out, not the topmost
            axis = dataclasses.replace(axis, ticks=axis.ticks[::-1])
        found = ticks(axis, self.y.low, self.y.high, max(2.0, height / every))
        return [(at, *self.style.fit(words, _WIDEST_NAME * self.outer.width)) for at, words in found]

    def _level_ticks(self) -> list[Tick]:
        found: list[Tick] = []
        for count in (8.0, 6.0, 5.0, 4.0, 3.0, 2.0, 1.0):
            found = [(at, self.style.said(words)) for at, words in ticks(self.plot.x, self.x.low, self.x.high, count)]
            if sum(self.style.width(text) + _BETWEEN for _, text in found) < self.box.width:
                break
        return found

    def grid(self) -> list[AnyShape]:
        """What lies under the data."""
        box = self.box
        if self._is_bars:  # their lengths are read off from below
            xs = [box.x + (at - self.x.low) / self.x.span * box.width for at, _ in self._level_ticks()]
            return [Stroke(np.array([[x, box.y], [x, box.bottom]]), "line", 0.75) for x in xs]
        ys = [self._tick_y(at) for at, _, _ in self.upright]
        return [Stroke(np.array([[box.x, y], [box.right, y]]), "line", 0.75) for y in ys]

    def words(self) -> list[AnyShape]:
        """Ticks, titles and units."""
        return [*self._caption(), *self._upright_words(), *self._level_words()]

    def _tick_y(self, at: float) -> float:
        """Ticks of a log axis are log10 values already."""
        return self.box.bottom - (at - self.y.low) / self.y.span * self.box.height

    def _caption(self) -> list[AnyShape]:
        text, whole = self.style.fit(_with_unit(self.style, self.plot.y.title, self.plot.y.unit), self.outer.width)
        return [Label(self.outer.x, self.outer.y + SIZE + 1, text, SIZE, "muted", whole=whole)] if text else []

    def _upright_words(self) -> list[AnyShape]:
        right = self.box.x - _GAP
        return [Label(right, self._tick_y(at) + 0.35 * SIZE, text, SIZE, "muted", "end", whole=whole)
                for at, text, whole in self.upright]

    def _level_words(self) -> list[AnyShape]:
        title = _with_unit(self.style, self.plot.x.title, self.plot.x.unit)
        baseline, edge = self.box.bottom + SIZE + 5, self.outer.right
        shapes: list[AnyShape] = []
        room = 0.0
        if title:
            text, whole = self.style.fit(title, self.box.width)
            room = self.style.width(text) + 10
            shapes.append(Label(edge, baseline, text, SIZE, "muted", "end", whole=whole))
        until = -math.inf
        for at, text in self._level_ticks():
            width = self.style.width(text)
            place = self.box.x + (at - self.x.low) / self.x.span * self.box.width
            left = max(self.outer.x, place - width / 2)
            if left + width > edge - room or left < until:
                continue  # the axis' own name stands there, or the tick before
            shapes.append(Label(left + width / 2, baseline, text, SIZE, "muted", "middle"))
            until = left + width + 4
        return shapes


def _with_unit(style: Style, title: Words, unit: str) -> str:
    return ", ".join(filter(None, [style.said(title), unit]))


def _axis_values(values: Floats, is_log: bool) -> Floats:
    values = np.asarray(values, dtype=np.float64)
    if not is_log:
        return values
    return np.log10(values, out=np.full(values.shape, np.nan), where=values > 0)


__all__ = ["LINE", "SIZE", "Axes", "Range", "Said", "Style"]
