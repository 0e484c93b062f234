"""What can be shown, as plain data: axes, curves, stacks, heat maps, bars, tables, images, notes.

The window paints an `Exhibit` with pyqtgraph, the report prints the same object. All values are in the unit that the
axis names. Every layer has a `key` that stays the same from frame to frame, so that a painter can update what it drew
instead of drawing it again. Colours are names that a palette resolves: "run:2", "category:activations", "muted".
"""

from __future__ import annotations

import dataclasses
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from tfx_workbench.exhibits.text import Text, Words, join

Floats = NDArray[np.floating[Any]]
LineStyle = Literal["solid", "dashed", "dotted"]
ColourMap = Literal["viridis", "attention", "diverging"]


@dataclasses.dataclass(frozen=True)
class Axis:
    """One axis. `unit` is written once, beside the title; `low` and `high` are None where the data decides."""

    title: Words = ""
    unit: str = ""
    log: bool = False  # values are as measured; the painter takes the logarithm
    whole: bool = False  # only whole numbers have ticks (steps)
    low: float | None = None
    high: float | None = None
    ticks: tuple[tuple[float, Words], ...] = ()  # named places instead of numbers (layers)


@dataclasses.dataclass(frozen=True, eq=False)
class Curve:
    """A line through (x, y), both float [n], x ascending; NaN is a gap. `low` and `high` [n] are a band about it."""

    key: str
    label: Words
    x: Floats
    y: Floats
    colour: str
    low: Floats | None = None
    high: Floats | None = None
    style: LineStyle = "solid"
    points: bool = False  # mark each value: for few of them
    line: bool = True  # False: points alone
    steps: bool = False  # a value holds until the next x
    sets_range: bool = True  # False: may lie outside of what the axes show


@dataclasses.dataclass(frozen=True, eq=False)
class Area:
    """One band of a stack."""

    label: Words
    colour: str


@dataclasses.dataclass(frozen=True, eq=False)
class Stack:
    """Bands on top of each other: `values` float [n, bands], each from its x to the next; the last only ends them."""

    key: str
    x: Floats
    values: Floats
    areas: tuple[Area, ...]


@dataclasses.dataclass(frozen=True, eq=False)
class HeatMap:
    """`values` float [rows, columns], row 0 at the bottom; columns are spread evenly from `x_low` to `x_high`."""

    key: str
    values: Floats
    x_low: float
    x_high: float
    row_names: tuple[Words, ...]
    label: Words
    unit: str = ""
    log: bool = False
    colour_map: ColourMap = "viridis"


@dataclasses.dataclass(frozen=True, eq=False)
class Bars:
    """Horizontal bars from `starts` to `ends`, one row a label; `texts` stand at their ends.

    `label` is what the length of each means, where it can be read off: several of them make a divided bar. `hollow`:
    only thought to be so, and drawn as an outline.
    """

    key: str
    labels: tuple[Words, ...]
    starts: Floats
    ends: Floats
    colours: tuple[str, ...]
    texts: tuple[Words, ...] = ()
    label: Words = ""
    hollow: bool = False


@dataclasses.dataclass(frozen=True)
class Marker:
    """One point with words beside it, such as the peak.

    Where points are told apart, `name` is what the mouse reads off, with `details` (what, value) beside the place.
    `hollow`: expected, not measured. A click on it chooses `choice` for what `chooses` names.
    """

    key: str
    x: float
    y: float
    label: Words
    colour: str = "text"
    hollow: bool = False
    name: Words = ""
    details: tuple[tuple[Words, str], ...] = ()
    chooses: str = ""
    choice: str = ""


@dataclasses.dataclass(frozen=True)
class Line:
    """A straight line across the plot, such as a capacity or a median; `low` to `high` is its interval."""

    key: str
    value: float
    label: Words = ""
    colour: str = "muted"
    style: LineStyle = "dotted"
    upright: bool = False
    low: float | None = None
    high: float | None = None


@dataclasses.dataclass(frozen=True)
class Span:
    """A named stretch of the x axis, such as the backward pass."""

    key: str
    low: float
    high: float
    label: Words


@dataclasses.dataclass(frozen=True, eq=False)
class Images:
    """Attention maps: `maps` holds one array [heads, queries, keys] per layer; `tokens` are the texts of the T tokens.

    `pool` is the side of the square of weights that one shown number is the mean of. `large` [queries, keys] is the
    chosen head, in full resolution (`large_pool` 1) where that was captured.
    """

    key: str
    maps: tuple[Floats, ...]
    layer_names: tuple[Words, ...]
    layer: int
    head: int
    large: Floats
    tokens: tuple[str, ...]
    pool: int = 1
    large_pool: int = 1


@dataclasses.dataclass(frozen=True)
class Column:
    """A column of a table; numbers stand right."""

    title: Words
    number: bool = True


@dataclasses.dataclass(frozen=True)
class Table:
    """Rows of words, already formatted for humans.

    Where a click on a row shows more of it, it chooses that of `keys`, one for each row, for the choice `chooses`.
    `colours`: of the first word of each row, where they mean something.
    """

    key: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Words, ...], ...]
    chooses: str = ""
    keys: tuple[str, ...] = ()
    colours: tuple[str, ...] = ()


Layer = Curve | Stack | HeatMap | Bars | Marker | Line | Span


@dataclasses.dataclass(frozen=True, eq=False)
class Plot:
    """One pair of axes with what is drawn over them, the first layer lowest."""

    key: str
    x: Axis
    y: Axis
    layers: tuple[Layer, ...]
    missing: Words = ""  # why there is nothing to draw


@dataclasses.dataclass(frozen=True)
class LegendEntry:
    """A colour and what it stands for."""

    label: Words
    colour: str
    style: LineStyle | Literal["area", "outline"] = "solid"


@dataclasses.dataclass(frozen=True)
class Definition:
    """What a word on the exhibit means: shown when the mouse rests on it."""

    title: Words
    text: Words


@dataclasses.dataclass(frozen=True, eq=False)
class Exhibit:
    """One thing to show. `sentence` says the one thing that matters, `empty` what to do when there is nothing yet."""

    name: str
    title: Words
    sentence: Words = ""
    plots: tuple[Plot, ...] = ()
    images: Images | None = None
    tables: tuple[Table, ...] = ()
    legend: tuple[LegendEntry, ...] = ()
    notes: tuple[Words, ...] = ()
    empty: Words = ""
    definitions: tuple[Definition, ...] = ()

    def summary(self) -> Text:
        """The exhibit in words, for those who do not see it and for paper."""
        if self.empty:
            return join([self.title, self.empty], ": ")
        return join([w for w in (self.title, self.sentence, *self.notes) if w], ". ")
