"""A report, or one exhibit, as PDF by QPdfWriter, and an exhibit as PNG: QtGui alone, no widget.

Lines stay lines and text stays text: fonts are embedded, and what is written can be searched and copied.
"""

from __future__ import annotations

import dataclasses

from PySide6.QtCore import QBuffer, QIODevice, QMarginsF, QSizeF
from PySide6.QtGui import QImage, QPageLayout, QPageSize, QPainter, QPdfWriter

from tfx_engine.protocol.marker import tr_mark
from tfx_workbench import __version__
from tfx_workbench.exhibits.exhibit import Exhibit
from tfx_workbench.exhibits.palette import LIGHT, Palette
from tfx_workbench.exhibits.text import Words, say
from tfx_workbench.report.axes import Said
from tfx_workbench.report.document import Code, Figure, Grid, Paragraph, Points, Report, Section, Terms, Title
from tfx_workbench.report.drawing import Area, Box, Drawing
from tfx_workbench.report.figure import draw, draw_whole
from tfx_workbench.report.grids import as_grid
from tfx_workbench.report.lettering import harmless, harmless_lines, shortened
from tfx_workbench.report.painting import Canvas, ensure_application, measure, style, without_glyph
from tfx_workbench.report.paper import (
    HEIGHT,
    INNER,
    MARGIN,
    SCALE,
    TOP,
    WIDTH,
    Act,
    Paper,
    draw_line,
    lay_out,
)

_FIGURE = 580.0  # points of a figure before it is made as wide as the text: letters of 7 to 8 points
_PNG_SCALE = 3.0  # pixels to a point
_EXHIBIT_WIDTH = 560.0
_CONTENTS = 13.0  # points of a line of the contents


@dataclasses.dataclass(frozen=True)
class Printed:
    """A PDF, and the letters in it for which no font of this machine has a shape."""

    data: bytes
    without_glyph: str


def report_pdf(report: Report, said: Said = str) -> Printed:
    """The whole report, A4."""
    ensure_application()
    paper, letters = Paper(), set[str]()

    def noted(words: Words) -> str:
        text = said(words)
        letters.update(text)
        return text

    _Writer(paper, noted).write(report)
    return Printed(_printed(paper, _text(said(report.title)), _text(said(report.made))), without_glyph(letters))


def exhibit_pdf(exhibit: Exhibit, said: Said = str) -> bytes:
    """One exhibit on a page of its own size."""
    ensure_application()
    drawing = draw_whole(exhibit, style(said), _EXHIBIT_WIDTH)
    buffer, writer = _writer(_text(said(exhibit.title)), QSizeF(drawing.width, drawing.height))
    painter = QPainter(writer)
    Canvas(painter, SCALE).draw(drawing)
    painter.end()
    return bytes(buffer.data().data())


def exhibit_png(exhibit: Exhibit, said: Said = str, palette: Palette = LIGHT) -> bytes:
    """One exhibit as pixels, for slides."""
    ensure_application()
    drawing = draw_whole(exhibit, style(said), _EXHIBIT_WIDTH)
    return drawing_png(drawing, palette)


def drawing_png(drawing: Drawing, palette: Palette = LIGHT, scale: float = _PNG_SCALE) -> bytes:
    """A drawing on a card of the palette."""
    image = QImage(round(drawing.width * scale), round(drawing.height * scale), QImage.Format.Format_ARGB32)
    painter = QPainter(image)
    card = Area(Box(0, 0, drawing.width, drawing.height), "card")
    Canvas(painter, scale, palette).draw(Drawing(drawing.width, drawing.height, (card, *drawing.shapes)))
    painter.end()
    buffer = QBuffer()
    buffer.open(QIODevice.OpenModeFlag.WriteOnly)
    image.save(buffer, "PNG")  # type: ignore[call-overload]
    return bytes(buffer.data().data())


# ---------------------------------------------------------------------------------------- pages


def _writer(title: str, size: QSizeF) -> tuple[QBuffer, QPdfWriter]:
    buffer = QBuffer()
    buffer.open(QIODevice.OpenModeFlag.WriteOnly)
    writer = QPdfWriter(buffer)
    writer.setResolution(round(SCALE * 72))
    page = QPageSize(size, QPageSize.Unit.Point, "", QPageSize.SizeMatchPolicy.ExactMatch)
    writer.setPageLayout(QPageLayout(page, QPageLayout.Orientation.Portrait, QMarginsF(0, 0, 0, 0)))
    writer.setTitle(title)
    writer.setCreator(f"TFX Workbench {__version__}")
    return buffer, writer


def _printed(paper: Paper, title: str, made: str) -> bytes:
    """Paint every page, with what could not be known before: how many there are."""
    buffer, writer = _writer(title, QSizeF(WIDTH, HEIGHT))
    painter = QPainter(writer)
    canvas = Canvas(painter, SCALE)
    for number, acts in enumerate(paper.pages, start=1):
        if number > 1:
            writer.newPage()
            _line(canvas, title, MARGIN, 34.0)
            canvas.line(MARGIN, 48.0, WIDTH - MARGIN, 48.0, "line")
        _line(canvas, made, MARGIN, HEIGHT - 36.0)
        _line(canvas, f"{number} / {len(paper.pages)}", MARGIN, HEIGHT - 36.0, right=True)
        for act in acts:
            act(canvas)
    painter.end()
    return bytes(buffer.data().data())


def _draw_contents(canvas: Canvas, titles: list[str], pages: list[int], y: float) -> None:
    """Two columns of titles with the page on which each begins."""
    rows, width = -(-len(titles) // 2), (INNER - 24) / 2
    for i, (title, page) in enumerate(zip(titles, pages, strict=True)):
        column, row = divmod(i, rows)
        x, top = MARGIN + column * (width + 24), y + row * _CONTENTS
        _line(canvas, title, x, top, size=9.0, colour="text", width=width)
        _line(canvas, str(page), x, top, size=9.0, right=True, width=width)


def _line(
    canvas: Canvas, words: str, x: float, y: float, *, size: float = 7.5, right: bool = False, colour: str = "muted",
    width: float = INNER,
) -> None:
    text = words if right else shortened(words, width - 50, size, measure)
    layout = lay_out(text, size, width, right=right)
    canvas.painter.setPen(canvas.palette.colour(colour))
    draw_line(canvas, layout, 0, x, y)


class _Writer:
    """Puts the blocks of a report on paper."""

    def __init__(self, paper: Paper, said: Said) -> None:
        self._paper, self._said = paper, said
        self._style = style(said)

    def write(self, report: Report) -> None:
        """All sections, and after the summary where each is."""
        paper = self._paper
        paper.y = TOP - 10
        paper.text(self._words(report.title), size=20, bold=True, after=3)
        paper.text(self._words(report.subtitle), size=10.5, colour="muted", after=12)
        self._section(report.sections[0])
        contents = [self._words(section.title) for section in report.sections[1:]]
        height = _CONTENTS * -(-len(contents) // 2)
        paper.need(20 + height)
        paper.text(self._words(say(tr_mark("Contents"))), size=11, bold=True, after=4)
        page, y = len(paper.pages), paper.y
        paper.y += height + 6
        starts: list[int] = []
        for section in report.sections[1:]:
            self._section(section)
            starts.append(self._began)
        paper.pages[page - 1].append(lambda canvas: _draw_contents(canvas, contents, starts, y))

    def _section(self, section: Section) -> None:
        paper = self._paper
        paper.skip(14)
        paper.need(self._least(section))
        self._began = len(paper.pages)
        paper.text(self._words(section.title), size=14, bold=True, after=6)
        for block, following in zip(section.blocks, [*section.blocks[1:], None], strict=True):
            self._block(block, keep=30.0 if isinstance(following, Points) else 0.0)

    def _least(self, section: Section) -> float:
        """What must stand below a heading on the same page."""
        first = section.blocks[0] if section.blocks else None
        return 26 + (self._figure_height(first) if isinstance(first, Figure) else 60)

    def _words(self, words: Words) -> str:
        return _text(self._said(words))

    def _block(self, block: object, keep: float = 0.0) -> None:
        paper = self._paper
        match block:
            case Paragraph():
                paper.text(self._words(block.words), colour=block.tone or "text", keep=keep)
            case Title():
                paper.skip(6)
                paper.text(self._words(block.remark), lead=self._words(block.words), size=10.5, after=3, keep=30)
            case Points():
                self._points(block)
            case Grid():
                paper.grid(block, self._said)  # type: ignore[arg-type]
            case Figure():
                self._figure(block)
            case Code():
                self._code(block)
            case Terms():
                for title, text in block.items:
                    paper.text(self._words(text), lead=self._words(title), size=8.5, after=3)

    def _points(self, block: Points) -> None:
        for point in block.items:
            paper = self._paper
            paper.need(28)
            page, y = len(paper.pages), paper.y
            if point.colour:
                paper.pages[page - 1].append(_mark(Box(MARGIN, y + 3, 7, 7), point.colour))
            paper.text(self._words(point.words), lead=self._words(point.heading), x=MARGIN + 13, width=INNER - 13)

    def _code(self, block: Code) -> None:
        paper = self._paper
        paper.text(self._words(block.caption), size=9, bold=True, after=2, keep=24)
        for line in harmless_lines(self._said(block.text)).split("\n"):
            paper.text(line or " ", size=7.6, mono=True, x=MARGIN + 6, width=INNER - 12, after=0)
        paper.y += 9

    # ------------------------------------------------------------------ figures

    def _drawn(self, block: Figure) -> Drawing | None:
        return draw(block.exhibit, self._style, _FIGURE)

    def _caption(self, block: Figure) -> tuple[str, str]:
        number = self._words(say(tr_mark("Figure {number}."), number=block.number))
        sentence = self._words(block.exhibit.sentence) or self._words(block.exhibit.title)
        return number, sentence

    def _figure_height(self, block: Figure) -> float:
        drawing = self._drawn(block)
        height = drawing.height * INNER / drawing.width if drawing is not None else 60.0
        return min(height + 20 + 12 * len(block.exhibit.notes), HEIGHT - TOP - 140)

    def _figure(self, block: Figure) -> None:
        paper = self._paper
        paper.need(self._figure_height(block))
        lead, sentence = self._caption(block)
        paper.text(sentence, lead=lead, size=9, after=5, keep=40)
        drawing = self._drawn(block)
        if drawing is not None:
            paper.drawing(drawing)
            paper.y += 4
        for table in block.exhibit.tables:
            paper.grid(as_grid(table), self._said)  # type: ignore[arg-type]
        for note in block.exhibit.notes:
            paper.text(self._words(note), size=7.5, colour="muted", after=2)
        paper.y += 10


def _mark(box: Box, colour: str) -> Act:
    return lambda canvas: canvas.fill(box, colour)


def _text(text: str) -> str:
    return harmless(text)
