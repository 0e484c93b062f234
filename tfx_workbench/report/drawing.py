"""A figure as a list of shapes, which SVG writes and QPainter paints: sizes and places in points, y downwards.

Colours are names that a palette resolves ("run:2", "muted"), so that one drawing serves light, dark and paper.
"""

from __future__ import annotations

import dataclasses
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from tfx_workbench.exhibits.exhibit import LineStyle

Floats = NDArray[np.floating[Any]]
Anchor = Literal["start", "middle", "end"]


@dataclasses.dataclass(frozen=True)
class Box:
    """A rectangle on the paper."""

    x: float
    y: float
    width: float
    height: float

    @property
    def right(self) -> float:
        """Its right edge."""
        return self.x + self.width

    @property
    def bottom(self) -> float:
        """Its lower edge."""
        return self.y + self.height

    def meets(self, other: Box) -> bool:
        """Whether they overlap."""
        return (self.x < other.right and other.x < self.right
                and self.y < other.bottom and other.y < self.bottom)


@dataclasses.dataclass(frozen=True)
class Area:
    """A filled rectangle, or its outline alone; `title` is what hovering over it says."""

    box: Box
    fill: str
    opacity: float = 1.0
    title: str = ""
    hollow: bool = False


@dataclasses.dataclass(frozen=True, eq=False)
class Stroke:
    """A line through `points` float [n, 2]."""

    points: Floats
    colour: str
    width: float = 1.0
    style: LineStyle = "solid"


@dataclasses.dataclass(frozen=True, eq=False)
class Shape:
    """A filled polygon through `points` float [n, 2]."""

    points: Floats
    fill: str
    opacity: float = 1.0


@dataclasses.dataclass(frozen=True)
class Dot:
    """A filled circle, or a ring that shows what is under it."""

    x: float
    y: float
    radius: float
    fill: str
    title: str = ""
    hollow: bool = False


@dataclasses.dataclass(frozen=True)
class Label:
    """One line of text; `y` is its baseline. `whole` is the text before it was shortened, "" where it was not."""

    x: float
    y: float
    text: str
    size: float
    colour: str = "text"
    anchor: Anchor = "start"
    bold: bool = False
    whole: str = ""
    upright: bool = False  # read from below, turned by 90 degrees about its place


@dataclasses.dataclass(frozen=True, eq=False)
class Picture:
    """Pixels, uint8 [rows, columns, 4], row 0 at the top; `dark` are those for a dark page where they differ."""

    box: Box
    pixels: NDArray[np.uint8]
    dark: NDArray[np.uint8] | None = None
    title: str = ""


@dataclasses.dataclass(frozen=True)
class Reading:
    """A place that nobody sees and that says its values when the mouse rests there.

    `lines`: of each the colour of its mark ("" for none) and its words, the heading first; shown within `within`.
    """

    box: Box
    lines: tuple[tuple[str, str], ...]
    within: Box


@dataclasses.dataclass(frozen=True)
class Clip:
    """Shapes of which only what lies within the box is seen."""

    box: Box
    shapes: tuple[Any, ...]


AnyShape = Area | Stroke | Shape | Dot | Label | Picture | Reading | Clip


@dataclasses.dataclass(frozen=True, eq=False)
class Drawing:
    """A finished figure."""

    width: float
    height: float
    shapes: tuple[AnyShape, ...]
