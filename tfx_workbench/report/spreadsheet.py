"""An exhibit as CSV: one line per value, with the series it belongs to and its unit; tables as they are.

Text that a spreadsheet would take for a formula gets an apostrophe before it; numbers stay numbers.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterator, Sequence

import numpy as np

from tfx_workbench.exhibits.exhibit import (
    Bars,
    Curve,
    Exhibit,
    HeatMap,
    Images,
    Line,
    Marker,
    Plot,
    Span,
    Stack,
)
from tfx_workbench.exporting.csv_file import cell
from tfx_workbench.report.axes import Said
from tfx_workbench.report.lettering import harmless

_HEAD = ("plot", "series", "x", "y", "low", "high", "x unit", "y unit")
Entry = str | float | None


def exhibit_csv(exhibit: Exhibit, said: Said = str) -> str:
    """The values of an exhibit in full precision; a blank line before each further table."""
    parts: list[str] = []
    if exhibit.empty:
        return _lines([[said(exhibit.title)], [said(exhibit.empty)]])
    if exhibit.plots:
        parts.append(_lines([_HEAD, *(row for plot in exhibit.plots for row in _plot(plot, said))]))
    if exhibit.images is not None:
        parts.append(_lines([("layer", "head", "query", "key", "mean weight"), *_images(exhibit.images, said)]))
    for table in exhibit.tables:
        heads = [said(column.title) for column in table.columns]
        parts.append(_lines([heads, *([said(words) for words in row] for row in table.rows)]))
    return "\r\n".join(parts)


def safe(entry: Entry) -> Entry:
    """A cell that no spreadsheet runs."""
    if isinstance(entry, str):
        return harmless(cell(entry))
    return None if entry is None or not math.isfinite(entry) else entry


def _lines(rows: Sequence[Sequence[Entry]]) -> str:
    buffer = io.StringIO()
    writer = csv.writer(buffer)
    writer.writerows([safe(entry) for entry in row] for row in rows)
    return buffer.getvalue()


def _plot(plot: Plot, said: Said) -> Iterator[Sequence[Entry]]:
    units = plot.x.unit, plot.y.unit
    for layer in plot.layers:
        match layer:
            case Curve():
                for i in range(len(layer.x)):
                    bounds = (None if a is None else float(a[i]) for a in (layer.low, layer.high))
                    yield plot.key, said(layer.label), float(layer.x[i]), float(layer.y[i]), *bounds, *units
            case Stack():
                for i, area in enumerate(layer.areas):
                    for x, y in zip(layer.x.tolist(), layer.values[:, i].tolist(), strict=True):
                        yield plot.key, said(area.label), x, y, None, None, *units
            case HeatMap():
                yield from _heat_map(plot, layer, said)
            case Bars():
                for label, start, end in zip(layer.labels, layer.starts.tolist(), layer.ends.tolist(), strict=True):
                    if end != start:
                        name = " · ".join(filter(None, (said(label), said(layer.label))))
                        yield plot.key, name, end - start, None, start, end, units[0], None
            case Line():
                yield plot.key, said(layer.label), None, layer.value, layer.low, layer.high, *units
            case Marker():
                yield plot.key, said(layer.label), layer.x, layer.y, None, None, *units
            case Span():
                yield plot.key, said(layer.label), None, None, layer.low, layer.high, *units


def _heat_map(plot: Plot, layer: HeatMap, said: Said) -> Iterator[Sequence[Entry]]:
    rows, columns = layer.values.shape
    edges = np.linspace(layer.x_low, layer.x_high, columns + 1)
    middles = ((edges[1:] + edges[:-1]) / 2).tolist()
    for row in range(rows):
        for x, value in zip(middles, np.asarray(layer.values[row], dtype=np.float64).tolist(), strict=True):
            yield plot.key, said(layer.row_names[row]), x, value, None, None, plot.x.unit, layer.unit


def _images(images: Images, said: Said) -> Iterator[Sequence[Entry]]:
    """The large map: its weights, or means of squares of them, by token."""
    name = said(images.layer_names[images.layer])
    for q, row in enumerate(np.asarray(images.large, dtype=np.float64).tolist()):
        for k, weight in enumerate(row):
            if weight:
                yield name, str(images.head + 1), str(q * images.large_pool), str(k * images.large_pool), weight
