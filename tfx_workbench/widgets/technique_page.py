"""The page of a technique as text to read and select. Everything is put in as it is: nothing in it becomes markup.

A technique file's docstring is plain text with a few habits: paragraphs that begin with "What it is:" or "Formula",
indented lines of formulas. They become headings and set-off lines here; whatever else stands there stays as it is.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from PySide6.QtCore import Qt, QUrl, Signal
from PySide6.QtGui import (
    QColor,
    QDesktopServices,
    QFont,
    QFontDatabase,
    QTextBlockFormat,
    QTextCharFormat,
    QTextCursor,
    QTextDocument,
)
from PySide6.QtWidgets import QTextBrowser, QWidget

from tfx_engine.protocol.cards import SlotCard, TechniqueCard
from tfx_engine.protocol.experiment_files import experiments_about
from tfx_engine.protocol.options import OptionCard
from tfx_engine.protocol.tasks import TASKS
from tfx_workbench.exhibits.palette import LIGHT, Palette
from tfx_workbench.widgets.option_editors import as_text
from tfx_workbench.widgets.words import shown

# How the pages of technique files begin their paragraphs.
_HEADINGS = ("What it is", "Formula", "What it costs", "When to choose it", "When not", "Paper")
_HEADING = re.compile(rf"({'|'.join(_HEADINGS)})\s*([:,.])\s*")
_EXPERIMENT = "experiment"  # scheme of a link to one
_ARXIV = re.compile(r"arXiv:(\d{4}\.\d{4,5})")
_SMALL = re.compile(r"[a-z]{2,}\b|an?\b|x-transformers")  # a word, and no symbol of a formula


class TechniquePage(QTextBrowser):
    """Shows one page at a time, in the colours of the theme. Links lead to experiments, or to papers outside."""

    experiment_asked = Signal(str)  # its number

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("page")
        self.setOpenLinks(False)
        self.setTextInteractionFlags(
            Qt.TextInteractionFlag.TextBrowserInteraction | Qt.TextInteractionFlag.TextSelectableByKeyboard)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.anchorClicked.connect(self._follow)
        self._palette = LIGHT
        self._shown: tuple[SlotCard, TechniqueCard] | None = None

    def show_card(self, slot: SlotCard, card: TechniqueCard) -> None:
        """Show the page of a technique, from its beginning."""
        self._shown = slot, card
        self._write()

    def apply_theme(self, palette: Palette) -> None:
        """Take on these colours."""
        at = self.verticalScrollBar().value()
        self._palette = palette
        if self._shown:
            self._write()
            self.verticalScrollBar().setValue(at)

    def _follow(self, url: QUrl) -> None:
        if url.scheme() == _EXPERIMENT:
            self.experiment_asked.emit(url.path())
        elif url.scheme() == "https":
            QDesktopServices.openUrl(url)

    def _write(self) -> None:
        assert self._shown is not None
        self.setAccessibleName(shown(self._shown[1].title))
        document = self.document()
        document.clear()
        document.setDocumentMargin(0)
        _Writer(document, self.font(), self._palette).write(*self._shown, words=self)
        self.moveCursor(QTextCursor.MoveOperation.Start)


class _Writer:
    """Writes into a document, block by block."""

    def __init__(self, document: QTextDocument, font: QFont, palette: Palette) -> None:
        self._cursor = QTextCursor(document)
        self._palette = palette
        self._size = font.pointSizeF() if font.pointSizeF() > 0 else 9.0
        self._mono = QFontDatabase.systemFont(QFontDatabase.SystemFont.FixedFont)
        self._is_first = True

    def write(self, slot: SlotCard, card: TechniqueCard, words: QWidget) -> None:
        """The whole page; `words` translates."""
        tr = words.tr
        self._block(0, 0)
        self._say(shown(card.title), bold=True, larger=6)
        self._block(2, 0)
        self._say(f"{shown(slot.title)}  ·  {shown(slot.summary)}", "muted")
        if card.origin:
            self._block(2, 0)
            self._say(tr("Of your own: {place}").format(place=card.origin), "warning")
        self._block(8, 0)
        self._say(shown(card.summary), larger=1)
        for text, name, sign in ((card.guide.choose, "better", "✓"), (card.guide.avoid, "worse", "✗")):
            if text:
                self._block(6, 0, left=18, hang=-18)
                self._say(f"{sign}  ", name, bold=True)
                heading = tr("Choose it when {text}") if sign == "✓" else tr("Rather not when {text}")
                self._say(heading.format(text=shown(text)))
        for heading, lines in sections(_without_first_line(shown(card.doc))):
            if heading == "Paper":
                continue  # it comes last
            if heading:
                self._heading(heading)
            for line in lines:
                self._line(line, after_heading=bool(heading) and line is lines[0])
        self._effects(card, tr("What it changes"))
        self._options(card, words)
        self._rules(card, words)
        self._experiments(slot.name, card.name, tr("Tried in experiments"))
        paper = next((lines for heading, lines in sections(shown(card.doc)) if heading == "Paper"), [card.paper])
        if any(paper):
            self._heading(tr("Paper"))
        for line in filter(None, paper):
            self._line(line, after_heading=True)
        self._block(14, 0)
        self._say(f'[techniques.{slot.name}]  use = "{card.name}"', "muted", mono=True)

    def _effects(self, card: TechniqueCard, heading: str) -> None:
        if card.effects:
            self._heading(heading)
        for i, effect in enumerate(card.effects):
            self._block(2 if i else 4, 0, left=18, hang=-18)
            sign = {"+": "+", "-": "−", "0": "="}.get(effect.sign, effect.sign)
            self._say(f"{sign}  ", {"+": "worse", "-": "better"}.get(effect.sign, "muted"), bold=True)
            self._say("FLOPs" if effect.quantity == "flops" else shown(effect.quantity), bold=True)
            self._say(f"  {shown(effect.formula)}")

    def _options(self, card: TechniqueCard, words: QWidget) -> None:
        if card.options:
            self._heading(words.tr("Options"))
        labels = {o.name: shown(o.label) for o in card.options}
        for i, option in enumerate(card.options):
            self._block(8 if i else 4, 0)
            self._say(shown(option.label), bold=True)
            self._say(f"   {option.name}", "muted", mono=True)
            self._say(f"   {_facts(option, words)}", "muted")
            self._block(1, 0, left=16)
            self._say(shown(option.help))
            for name, values in option.only_when.items():
                which = ", ".join(map(as_text, values))
                self._say(" " + words.tr("Of effect while {option} is {values}.").format(
                    option=labels.get(name, name), values=which), "muted")

    def _rules(self, card: TechniqueCard, words: QWidget) -> None:
        if card.requires or card.excludes or card.kinds:
            self._heading(words.tr("What goes with it"))
        if card.kinds:
            titles = ", ".join(shown(task.title).lower() for task in TASKS.values() if task.kind in card.kinds)
            self._block(4, 0, left=18, hang=-18)
            self._say(words.tr("tasks: {names}").format(names=titles), bold=True)
        for kind, rules in ((words.tr("needs"), card.requires), (words.tr("not with"), card.excludes)):
            for rule in rules:
                self._block(4, 0, left=18, hang=-18)
                self._say(f"{rule.slot}: {kind} {', '.join(rule.names)}", bold=True)
                self._say(f"  {shown(rule.reason)}")

    def _experiments(self, slot: str, name: str, heading: str) -> None:
        found = experiments_about(slot, name)
        if found:
            self._heading(heading)
        for i, each in enumerate(found):
            self._block(2 if i else 4, 0)
            self._say(f"{each.number} {shown(each.title)}", "accent", link=f"{_EXPERIMENT}:{each.number}")
            self._say(f"  {shown(each.claim)}")

    # ------------------------------------------------------------------ pieces

    def _heading(self, text: str) -> None:
        self._block(14, 0)
        self._say(text, "accent", bold=True)

    def _line(self, line: str, after_heading: bool) -> None:
        """A paragraph, or an indented line that is kept as it is."""
        if line.startswith(" "):
            for formula in re.split(r" {8,}", line.strip()):  # several beside each other have wide gaps
                self._block(3, 0, left=12)
                self._say(formula, mono=True)
            return
        self._block(4 if after_heading else 8, 0)
        last = 0
        for found in _ARXIV.finditer(line):
            self._say(line[last : found.start()])
            self._say(found[0], "accent", link=f"https://arxiv.org/abs/{found[1]}")
            last = found.end()
        self._say(line[last:])

    def _block(self, above: float, below: float, left: float = 0, hang: float = 0) -> None:
        form = QTextBlockFormat()
        form.setTopMargin(0 if self._is_first else above)
        form.setBottomMargin(below)
        form.setLeftMargin(left)
        form.setTextIndent(hang)
        form.setLineHeight(122, QTextBlockFormat.LineHeightTypes.ProportionalHeight.value)
        if self._is_first:
            self._cursor.setBlockFormat(form)
        else:
            self._cursor.insertBlock(form)
        self._is_first = False

    def _say(
        self, text: str, colour: str = "text", *, bold: bool = False, mono: bool = False, larger: float = 0,
        link: str = "",
    ) -> None:
        form = QTextCharFormat()
        if mono:
            form.setFontFamilies(self._mono.families())
        form.setFontPointSize(self._size + larger)
        form.setFontWeight(QFont.Weight.DemiBold if bold else QFont.Weight.Normal)
        form.setForeground(QColor(self._palette.colour(colour)))
        if link:
            form.setAnchor(True)
            form.setAnchorHref(link)
            form.setFontUnderline(True)
        self._cursor.insertText(text, form)


def _without_first_line(doc: str) -> str:
    """The page without "Title: what it is in a sentence.", which title and summary say already."""
    first, _, rest = doc.strip().partition("\n\n")
    return rest if rest and "\n" not in first and ":" in first else doc


def sections(doc: str) -> Iterator[tuple[str, list[str]]]:
    """(heading, or "", and its lines) of a page: paragraphs as one line each, indented lines as they are."""
    for paragraph in doc.strip().split("\n\n"):
        lines = _lines(paragraph)
        found = _HEADING.match(lines[0]) if lines else None
        if found:
            rest = lines[0][found.end():]
            if rest and (found[1] != "Formula" or found[2] == ",") and _SMALL.match(rest):
                rest = rest[0].upper() + rest[1:]  # it begins the sentence now
            lines = [rest, *lines[1:]] if rest else lines[1:]
        if lines:
            heading = found[1] if found else "When to choose it" if lines[0].startswith("Choose it") else ""
            yield heading, lines


def _lines(paragraph: str) -> list[str]:
    lines: list[str] = []
    for line in paragraph.splitlines():
        if line.startswith(" ") or not lines or lines[-1].startswith(" "):
            lines.append(line)
        else:
            lines[-1] += f" {line}"
    return lines


def _facts(option: OptionCard, words: QWidget) -> str:
    """Default, limits or choices, unit."""
    if option.default is None:
        default = shown(option.automatic) or words.tr("automatic")
    else:
        default = as_text(option.default)
    limits = ", ".join(option.choices)
    if option.kind in ("int", "float") and option.low is not None and option.high is not None:
        limits = words.tr("{low} to {high}").format(low=f"{option.low:,.12g}", high=f"{option.high:,.12g}")
    unit = shown(option.unit)
    return "  ·  ".join(filter(None, [words.tr("default {value}").format(value=default), limits, unit]))

