"""A report as data: sections of blocks, which HTML and PDF render alike; words are translated there."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Literal

from tfx_workbench.exhibits.exhibit import Exhibit
from tfx_workbench.exhibits.text import Words

Tone = Literal["", "muted", "better", "worse", "warning"]


@dataclasses.dataclass(frozen=True)
class Cell:
    """One entry of a table. `value` is the exact number behind the words, `why` the reason of what is not known.

    `under` stands below the words, smaller: the interval of a number.
    """

    words: Words
    under: Words = ""
    value: float | int | str | None = None
    tone: Tone = ""
    why: Words = ""
    colour: str = ""  # of a mark before the words


@dataclasses.dataclass(frozen=True)
class Head:
    """The head of a column; numbers stand right."""

    words: Words
    number: bool = True


@dataclasses.dataclass(frozen=True)
class Paragraph:
    """Running text."""

    words: Words
    tone: Tone = ""


@dataclasses.dataclass(frozen=True)
class Points:
    """A list; each point may have a heading, with the mark of a run before it."""

    items: tuple[Point, ...]


@dataclasses.dataclass(frozen=True)
class Point:
    """One point of a list."""

    words: Words
    heading: Words = ""
    colour: str = ""


@dataclasses.dataclass(frozen=True)
class Grid:
    """A table; the first cell of each row is its head. `notes` stand below."""

    caption: Words
    heads: tuple[Head, ...]
    rows: tuple[tuple[Cell, ...], ...]
    notes: tuple[Words, ...] = ()


@dataclasses.dataclass(frozen=True, eq=False)
class Figure:
    """An exhibit with its number in the report."""

    exhibit: Exhibit
    number: int


@dataclasses.dataclass(frozen=True)
class Code:
    """A text to copy, as it stands."""

    caption: Words
    text: str


@dataclasses.dataclass(frozen=True)
class Terms:
    """Words and what they mean."""

    items: tuple[tuple[Words, Words], ...]


@dataclasses.dataclass(frozen=True)
class Title:
    """A heading within a section."""

    words: Words
    remark: Words = ""


Block = Paragraph | Points | Grid | Figure | Code | Terms | Title


@dataclasses.dataclass(frozen=True, eq=False)
class Section:
    """A part of the report; `key` names it in links."""

    key: str
    title: Words
    blocks: tuple[Block, ...]


@dataclasses.dataclass(frozen=True, eq=False)
class Report:
    """The whole. `made` says when and by what."""

    title: Words
    subtitle: Words
    made: Words
    sections: tuple[Section, ...]

    def figures(self) -> Iterator[Figure]:
        """Every figure, in order."""
        return (block for section in self.sections for block in section.blocks if isinstance(block, Figure))
