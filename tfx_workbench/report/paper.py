"""Pages that are filled from the top: what does not fit goes on the next, and nothing is painted before all is placed.

A page is a list of things to do with a canvas, so that contents and page numbers can be written when they are known.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from PySide6.QtCore import Qt
from PySide6.QtGui import QTextCharFormat, QTextLayout, QTextOption

from tfx_workbench.report.document import Cell, Grid
from tfx_workbench.report.drawing import Box, Drawing
from tfx_workbench.report.lettering import harmless
from tfx_workbench.report.painting import Canvas, font

WIDTH, HEIGHT = 595.0, 842.0  # points of A4
MARGIN, TOP, BOTTOM = 50.0, 62.0, 58.0
INNER = WIDTH - 2 * MARGIN
TEXT = 9.5
SCALE = 1200 / 72  # device units to a point
_LEADING = 1.38
_PAD = 9.0  # between columns
_ROW = 5.0  # points of air in a row
_SMALLEST = 6.0
_BREAK = "\N{LINE SEPARATOR}"
_WORD = re.compile(rf"[ {_BREAK}]+")  # a no-break space keeps what it says
Act = Callable[[Canvas], None]
Words = Callable[[object], str]


class Paper:
    """The pages so far, and where the next thing goes."""

    def __init__(self) -> None:
        self.pages: list[list[Act]] = [[]]
        self.y = TOP

    @property
    def room(self) -> float:
        """Points to the end of the page."""
        return HEIGHT - BOTTOM - self.y

    def act(self, act: Act) -> None:
        """Something to paint on this page."""
        self.pages[-1].append(act)

    def new_page(self) -> None:
        """Go on at the top of the next page, unless this one is empty."""
        if self.y > TOP:
            self.pages.append([])
            self.y = TOP

    def need(self, height: float) -> None:
        """A new page where so much does not fit, and would on a new one."""
        if height > self.room:
            self.new_page()

    def skip(self, height: float) -> None:
        """Some air, but none at the top of a page."""
        if self.y > TOP:
            self.y += height

    # ------------------------------------------------------------------ text

    def text(
        self, words: str, *, size: float = TEXT, colour: str = "text", bold: bool = False, mono: bool = False,
        x: float = MARGIN, width: float = INNER, lead: str = "", after: float = 5.0, keep: float = 0.0,
    ) -> None:
        """A paragraph that may go over pages; `lead` begins it in bold; `keep` points must follow on the same page."""
        layout = lay_out(f"{lead} {words}" if lead else words, size, width, bold, mono, len(lead))
        height = size * _LEADING
        lines = layout.lineCount()
        self.need(min(lines, 2) * height + keep)
        first = 0
        while first < lines:
            fitting = max(1, int(self.room / height + 1e-6))
            shown = range(first, min(lines, first + fitting))
            self._lines(layout, shown, x, colour, size)
            first = shown.stop
            self.y += len(shown) * height
            if first < lines:
                self.new_page()
        self.y += after

    def _lines(self, layout: QTextLayout, shown: range, x: float, colour: str, size: float) -> None:
        y = self.y

        def act(canvas: Canvas) -> None:
            canvas.painter.setPen(canvas.palette.colour(colour))
            for i, n in enumerate(shown):
                draw_line(canvas, layout, n, x, y + i * size * _LEADING)

        self.act(act)

    # ------------------------------------------------------------------ figures

    def drawing(self, drawing: Drawing, x: float = MARGIN, width: float = INNER) -> None:
        """A figure, never split; made smaller where a page is too low for it."""
        zoom = min(width / drawing.width, (HEIGHT - TOP - BOTTOM) / drawing.height)
        self.need(drawing.height * zoom)
        y = self.y
        self.act(lambda canvas: canvas.draw(drawing, x, y, zoom))
        self.y += drawing.height * zoom

    # ------------------------------------------------------------------ tables

    def grid(self, grid: Grid, said: Words, size: float = 8.0) -> None:
        """A table; its head stands again on every page that it goes over."""
        _Table(self, grid, said, size).put()


class _Table:
    """One table on its way to the paper."""

    def __init__(self, paper: Paper, grid: Grid, said: Words, size: float) -> None:
        self._paper, self._grid, self._said = paper, grid, said
        rows = [[_cell_text(cell, said) for cell in row] for row in grid.rows]
        heads = [harmless(said(head.words)) for head in grid.heads]
        self._size, self._widths = _fitted([heads, *rows], size)
        self._heads = self._laid(heads)
        self._rows = [self._laid(row) for row in rows]

    def _laid(self, row: Sequence[str]) -> list[QTextLayout]:
        return [
            lay_out(text, self._size, width, right=head.number and c > 0)
            for c, (text, width, head) in enumerate(zip(row, self._widths, self._grid.heads, strict=True))
        ]

    def _height(self, row: Sequence[QTextLayout]) -> float:
        return max((cell.lineCount() for cell in row), default=1) * self._size * 1.25 + _ROW

    def put(self) -> None:
        """Caption, head, rows, notes."""
        paper, said = self._paper, self._said
        head = self._height(self._heads)
        first = self._height(self._rows[0]) if self._rows else 0.0
        if self._grid.caption:
            paper.text(harmless(said(self._grid.caption)), size=self._size + 0.5, bold=True, after=3,
                       keep=head + first)
        paper.need(head + first)
        self._row(self._heads, head, None)
        for cells, row in zip(self._grid.rows, self._rows, strict=True):
            height = self._height(row)
            if height > paper.room:
                paper.new_page()
                self._row(self._heads, head, None)
            self._row(row, height, cells)
        paper.y += 4
        for note in self._grid.notes:
            paper.text(harmless(said(note)), size=7.5, colour="muted", after=2)
        paper.y += 8

    def _row(self, row: Sequence[QTextLayout], height: float, cells: Sequence[Cell] | None) -> None:
        paper, size, widths = self._paper, self._size, self._widths
        y = paper.y

        def act(canvas: Canvas) -> None:
            x = MARGIN
            for c, (layout, width) in enumerate(zip(row, widths, strict=True)):
                tone = "muted" if cells is None else cells[c].tone or "text"
                mark = cells[c].colour if cells is not None else ""
                if mark:
                    canvas.fill(Box(x, y + _ROW / 2 + size * 0.22, size * 0.75, size * 0.75), mark)
                canvas.painter.setPen(canvas.palette.colour(tone))
                for n in range(layout.lineCount()):
                    draw_line(canvas, layout, n, x + (size * 1.25 if mark else 0.0), y + _ROW / 2 + n * size * 1.25)
                x += width + _PAD
            canvas.line(MARGIN, y + height, MARGIN + sum(widths) + _PAD * (len(widths) - 1), y + height, "line",
                        1.0 if cells is None else 0.5)

        paper.act(act)
        paper.y += height


def _cell_text(cell: Cell, said: Words) -> str:
    words = harmless(said(cell.words))
    return f"{words}{_BREAK}{harmless(said(cell.under))}" if cell.under else words


def _fitted(rows: Sequence[Sequence[str]], size: float) -> tuple[float, list[float]]:
    """A size of letters and widths of columns at which the table fits the page.

    Somewhat smaller letters come before lines that are broken, and those before words that are.
    """
    columns = list(zip(*rows, strict=True))
    room = INNER - _PAD * (len(columns) - 1)
    for smaller in (size, size - 0.5, size - 1):
        natural = _widths([[line for text in column for line in text.split(_BREAK)] for column in columns], smaller)
        if sum(natural) <= room:
            return smaller, natural
    while True:
        natural = _widths([[line for text in column for line in text.split(_BREAK)] for column in columns], size)
        words = _widths([[word for text in column for word in _WORD.split(text)] for column in columns], size)
        words = [min(w, 0.4 * room) for w in words]
        if sum(words) <= room or size <= _SMALLEST:
            return size, _shared(natural, words, room)
        size -= 0.5


def _widths(columns: Sequence[Sequence[str]], size: float) -> list[float]:
    found = [_widest(column, size) for column in columns]
    return [found[0] + size * 1.25, *found[1:]]  # a mark may stand in the first


def _shared(natural: Sequence[float], least: Sequence[float], room: float) -> list[float]:
    """What is left after the least that each column needs goes to those that want more, in proportion."""
    if sum(least) > room:
        return [w * room / sum(least) for w in least]
    spare, wanting = room - sum(least), [n - w for n, w in zip(natural, least, strict=True)]
    return [w + spare * want / max(sum(wanting), 1e-9) for w, want in zip(least, wanting, strict=True)]


def _widest(texts: Sequence[str], size: float) -> float:
    from tfx_workbench.report.painting import measure

    return max((measure(text, size) for text in texts), default=0.0) + 1.0


# ---------------------------------------------------------------------------------------- lines


def lay_out(
    text: str, size: float, width: float, bold: bool = False, mono: bool = False, bold_until: int = 0,
    right: bool = False,
) -> QTextLayout:
    """A text in lines of `width` points, in device units; the first `bold_until` letters are bold."""
    layout = QTextLayout(text, font(size, SCALE, bold, mono))
    option = QTextOption(Qt.AlignmentFlag.AlignRight if right else Qt.AlignmentFlag.AlignLeft)
    option.setWrapMode(QTextOption.WrapMode.WrapAtWordBoundaryOrAnywhere)
    layout.setTextOption(option)
    if bold_until:
        made = QTextCharFormat()
        made.setFont(font(size, SCALE, True, mono))
        part = QTextLayout.FormatRange()
        part.start, part.length, part.format = 0, bold_until, made  # type: ignore[misc,assignment]
        layout.setFormats([part])
    layout.beginLayout()
    while (line := layout.createLine()).isValid():
        line.setLineWidth(width * SCALE)
    layout.endLayout()
    layout.setCacheEnabled(True)
    return layout


def draw_line(canvas: Canvas, layout: QTextLayout, number: int, x: float, y: float) -> None:
    """One line of a text with its upper left corner at (x, y) points."""
    from PySide6.QtCore import QPointF

    line = layout.lineAt(number)
    line.draw(canvas.painter, QPointF(x * SCALE, y * SCALE) - QPointF(0.0, line.y()))
