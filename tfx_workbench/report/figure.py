"""An exhibit as one drawing: its plots side by side, its legend below; for a file of its own with head and notes."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import cast

import numpy as np

from tfx_workbench.exhibits.colour_maps import colour_table
from tfx_workbench.exhibits.exhibit import Bars, Exhibit, HeatMap, LegendEntry, LineStyle, Plot, Table
from tfx_workbench.exhibits.format import number
from tfx_workbench.exhibits.ranges import colour_limits
from tfx_workbench.exhibits.text import Words, join
from tfx_workbench.report.attention import draw_images
from tfx_workbench.report.axes import SIZE, Style
from tfx_workbench.report.drawing import (
    AnyShape,
    Area,
    Box,
    Clip,
    Drawing,
    Label,
    Picture,
    Reading,
    Shape,
    Stroke,
)
from tfx_workbench.report.lettering import estimate
from tfx_workbench.report.plotting import draw_plot, height_of

WIDTH = 700.0  # points of a figure
_GAP = 14.0
_WIDEST_ENTRY = 240.0
_WORDY = 0.33  # of a plot's width
_MARK, _LEGEND_LINE = 16.0, 15.0
_TITLE, _TEXT = 13.0, 9.5
_MARGIN = 14.0
_ROW = 17.0
PLAIN = Style(str, estimate)


def draw(exhibit: Exhibit, style: Style = PLAIN, width: float = WIDTH) -> Drawing | None:
    """Plots or images with their legend; None where the exhibit has neither."""
    if exhibit.empty or not (exhibit.plots or exhibit.images):
        return None
    if exhibit.images is not None:
        return draw_images(exhibit.images, width, style)
    shapes, height = _plots(exhibit.plots, width, style)
    legend, legend_height = _legend(exhibit, width, height + 6, style)
    return Drawing(width, height + legend_height, (*shapes, *legend))


def draw_whole(exhibit: Exhibit, style: Style = PLAIN, width: float = WIDTH) -> Drawing:
    """A picture that stands by itself: title and sentence, figure, tables, notes."""
    inner = width - 2 * _MARGIN
    shapes: list[AnyShape] = []
    y = _MARGIN + _TITLE
    shapes.append(Label(_MARGIN, y, *_cut(style, exhibit.title, inner, _TITLE, bold=True), bold=True))
    y += 8
    y = _paragraph(shapes, exhibit.empty or exhibit.sentence, y, inner, style)
    body = draw(exhibit, style, inner)
    if body is not None:
        shapes += moved(body.shapes, _MARGIN, y + 8)
        y += body.height + 12
    if not exhibit.empty:
        for table in exhibit.tables:
            y = _table(shapes, table, y + 8, inner, style)
    for note in exhibit.notes:
        y = _paragraph(shapes, note, y, inner, style)
    return Drawing(width, y + _MARGIN, tuple(shapes))


def _cut(style: Style, words: Words, width: float, size: float, bold: bool = False) -> tuple[str, float]:
    text, _ = style.fit(words, width / (1.1 if bold else 1.0), size)
    return text, size


def _paragraph(shapes: list[AnyShape], words: Words, y: float, width: float, style: Style) -> float:
    for line in wrapped(style.said(words), width, _TEXT, style):
        y += _TEXT * 1.4
        shapes.append(Label(_MARGIN, y, line, _TEXT, "muted"))
    return y


def wrapped(text: str, width: float, size: float, style: Style) -> list[str]:
    """A text in lines of that width, broken between words where it has any."""
    lines: list[str] = []
    line = ""
    for word in text.split():
        while style.measure(word, size, False) > width:  # a name of 500 characters
            cut = max(1, int(len(word) * width / style.measure(word, size, False)) - 1)
            lines += [line, word[:cut]] if line else [word[:cut]]
            line, word = "", word[cut:]
        longer = f"{line} {word}".strip()
        if line and style.measure(longer, size, False) > width:
            lines.append(line)
            line = word
        else:
            line = longer
    return [*lines, line] if line else lines


# ---------------------------------------------------------------------------------------- plots


def _plots(plots: Sequence[Plot], width: float, style: Style) -> tuple[list[AnyShape], float]:
    columns = 1 if len(plots) == 1 or _are_wordy(plots, width / 2, style) else 2
    cell = (width - (columns - 1) * _GAP) / columns
    shapes: list[AnyShape] = []
    y = 0.0
    for first in range(0, len(plots), columns):
        row = plots[first : first + columns]
        height = max(height_of(plot, small=columns > 1) for plot in row)
        cell_here = width if len(row) < columns and len(plots) > 2 and first == 0 else cell
        for i, plot in enumerate(row):
            shapes += draw_plot(plot, Box(i * (cell + _GAP), y, cell_here, height), style)
        y += height + _GAP
    return shapes, y - _GAP if plots else 0.0


def _are_wordy(plots: Sequence[Plot], width: float, style: Style) -> bool:
    """Whether what stands at the ends of bars would need more than its share of half a page."""
    texts = [text for plot in plots for layer in plot.layers if isinstance(layer, Bars) for text in layer.texts]
    return any(style.width(style.said(text)) > _WORDY * width for text in texts)


# ---------------------------------------------------------------------------------------- legend


def _legend(exhibit: Exhibit, width: float, top: float, style: Style) -> tuple[list[AnyShape], float]:
    heat = next((layer for p in exhibit.plots for layer in p.layers if isinstance(layer, HeatMap)), None)
    if heat is not None:
        return _scale(heat, top, width, style), 6 + _LEGEND_LINE
    if not exhibit.legend:
        return [], 0.0
    shapes: list[AnyShape] = []
    x, y = 0.0, top
    for entry in exhibit.legend:
        text, whole = style.fit(entry.label, min(_WIDEST_ENTRY, width - _MARK))
        needed = _MARK + 5 + style.width(text)
        if x and x + needed > width:
            x, y = 0.0, y + _LEGEND_LINE
        shapes += _mark(entry, x, y + _LEGEND_LINE / 2)
        shapes.append(Label(x + _MARK + 5, y + _LEGEND_LINE / 2 + 0.35 * SIZE, text, SIZE, "text", whole=whole))
        x += needed + 14
    return shapes, y - top + 6 + _LEGEND_LINE


def _mark(entry: LegendEntry, x: float, middle: float) -> list[AnyShape]:
    if entry.style in ("area", "outline"):
        return [Area(Box(x + 3, middle - 5, 10, 10), entry.colour, hollow=entry.style == "outline")]
    style = cast(LineStyle, entry.style)
    return [Stroke(np.array([[x, middle], [x + _MARK, middle]]), entry.colour, 2.0, style)]


def _scale(heat: HeatMap, top: float, width: float, style: Style) -> list[AnyShape]:
    low, high = colour_limits(heat)
    if heat.log:
        low, high = 10.0**low, 10.0**high
    ends = number(low, 2), number(high, 2)
    middle = top + _LEGEND_LINE / 2
    rows = [np.dstack([colour_table(heat.colour_map, dark)[None], np.full((1, 256), 255, dtype=np.uint8)])
            for dark in (False, True)]
    x = style.width(ends[0]) + 5
    bar = Picture(Box(x, middle - 4, 120, 8), rows[0], rows[1] if heat.colour_map == "attention" else None)
    label, whole = style.fit(join([w for w in (heat.label, heat.unit) if w], ", "), width - x - 220)
    right = x + 125
    return [
        Label(0, middle + 3, ends[0], SIZE, "muted"), bar, Label(right, middle + 3, ends[1], SIZE, "muted"),
        Label(right + style.width(ends[1]) + 14, middle + 3, label, SIZE, "text", whole=whole),
    ]


# ---------------------------------------------------------------------------------------- tables as pictures


def _table(shapes: list[AnyShape], table: Table, y: float, width: float, style: Style) -> float:
    """A table of an exhibit that is saved as a picture."""
    rows = [[style.said(c.title) for c in table.columns], *([style.said(w) for w in row] for row in table.rows)]
    natural = [max(style.width(row[c], _TEXT) for row in rows) for c in range(len(table.columns))]
    widths = _shared_out(natural, width - 12 * (len(natural) - 1))
    for r, row in enumerate(rows):
        x, y = _MARGIN, y + _ROW
        for c, text in enumerate(row):
            is_number = table.columns[c].number
            cut, whole = style.fit(text, widths[c], _TEXT)
            at = x + widths[c] if is_number else x
            colour = table.colours[r - 1] if r and not c and table.colours else ("muted" if r == 0 else "text")
            shapes.append(Label(at, y, cut, _TEXT, colour or "text", "end" if is_number else "start", whole=whole))
            x += widths[c] + 12
        shapes.append(Stroke(np.array([[_MARGIN, y + 5], [_MARGIN + width, y + 5]]), "line", 0.5))
    return y + 6


def _shared_out(natural: list[float], width: float) -> list[float]:
    """Widths of columns: what they want, the widest cut first."""
    if sum(natural) <= width:
        return natural
    limit, left, waiting = width, width, sorted(natural)
    for i, want in enumerate(waiting):
        limit = left / (len(waiting) - i)
        if want > limit:
            break
        left -= want
    return [min(want, limit) for want in natural]


def moved(shapes: Sequence[AnyShape], dx: float, dy: float) -> list[AnyShape]:
    """The same shapes somewhere else."""
    return [_moved(shape, dx, dy) for shape in shapes]


def _moved(shape: AnyShape, dx: float, dy: float) -> AnyShape:
    if isinstance(shape, Clip):
        return Clip(_box_moved(shape.box, dx, dy), tuple(moved(shape.shapes, dx, dy)))
    if isinstance(shape, Reading):
        return Reading(_box_moved(shape.box, dx, dy), shape.lines, _box_moved(shape.within, dx, dy))
    if isinstance(shape, (Area, Picture)):
        return dataclasses.replace(shape, box=_box_moved(shape.box, dx, dy))
    if isinstance(shape, (Stroke, Shape)):
        return dataclasses.replace(shape, points=shape.points + np.array([dx, dy]))
    return dataclasses.replace(shape, x=shape.x + dx, y=shape.y + dy)


def _box_moved(box: Box, dx: float, dy: float) -> Box:
    return Box(box.x + dx, box.y + dy, box.width, box.height)
