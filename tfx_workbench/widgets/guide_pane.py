"""The guide as a card over the panels: questions, what is known to answer them, and what was measured here."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import QCoreApplication, QEvent, Qt, Signal
from PySide6.QtWidgets import QHBoxLayout, QLabel, QPushButton, QScrollArea, QVBoxLayout, QWidget

from tfx_workbench.analysis.findings import VERDICTS, sentence_arguments, what_is_measured
from tfx_workbench.analysis.guide import Evidence, Section
from tfx_workbench.widgets.over_card import OverCard
from tfx_workbench.widgets.words import plain_tip, shown

_WIDTH = 680
_SIGNS = {"holds": "✓", "fails": "✗", "unclear": "~", "unmeasured": "?"}
_COLOURS = {"holds": "better", "fails": "worse", "unclear": "warning", "unmeasured": "muted"}


class GuidePane(OverCard):
    """Emits `run_asked(number)` where somebody wants an experiment, `stop_asked` where that is enough."""

    run_asked = Signal(str)
    stop_asked = Signal()

    def __init__(self, beside: QWidget, parent: QWidget) -> None:
        super().__init__(beside, parent, _WIDTH)
        self.buttons: dict[str, QPushButton] = {}  # experiment's number -> its button
        self._rows: dict[str, _Row] = {}
        head = QHBoxLayout()
        title = QLabel(self.tr("Guide: when to choose what"))
        title.setObjectName("cardTitle")
        head.addWidget(title)
        head.addStretch(1)
        head.addWidget(self.small_button("×", self.tr("Close (Esc)"), self.close_page))
        self.column.addLayout(head)
        self.area = QScrollArea()
        self.area.setWidgetResizable(True)
        self.area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.area.viewport().setAutoFillBackground(False)
        self.column.addWidget(self.area, 1)

    def show_guide(self, sections: Sequence[Section], going: str) -> None:
        """Show it; where the experiments are the same as before, only what came of them is written anew.

        `going`: the number of the experiment that is being measured.
        """
        numbers = [one.experiment.number for section in sections for one in section.evidence]
        if list(self._rows) != numbers:
            self._build(sections)
        for section in sections:
            for one in section.evidence:
                self._rows[one.experiment.number].show_evidence(one, going)

    def take_focus(self) -> None:
        """Put the keyboard on the page."""
        self.area.setFocus(Qt.FocusReason.ShortcutFocusReason)

    def go_to(self, number: str) -> None:
        """Scroll to an experiment."""
        row = self._rows.get(number)
        if row is not None:
            QCoreApplication.sendPostedEvents(None, QEvent.Type.LayoutRequest)  # it may have been made this moment
            self.area.verticalScrollBar().setValue(row.y())

    def _build(self, sections: Sequence[Section]) -> None:
        page = QWidget()
        column = QVBoxLayout(page)
        column.setContentsMargins(0, 0, 10, 0)
        column.setSpacing(6)
        self._rows.clear()
        self.buttons.clear()
        column.addWidget(text_label(self.tr(
            "What textbooks claim, and what of it holds on this machine. Each experiment trains small models; its runs "
            "stay in the library."), "muted"))
        for section in sections:
            title = text_label(shown(section.topic.title), "sectionTitle")
            column.addSpacing(8)
            column.addWidget(title)
            for line in section.topic.advice:
                column.addWidget(text_label(f"•  {shown(line)}"))
            for one in section.evidence:
                row = _Row(one)
                row.button.clicked.connect(lambda _=False, number=one.experiment.number: self._ask(number))
                self._rows[one.experiment.number] = row
                self.buttons[one.experiment.number] = row.button
                column.addWidget(row)
        column.addStretch(1)
        self.area.setWidget(page)
        page.setAutoFillBackground(False)  # which setWidget has switched on: the card's colour is to be seen

    def _ask(self, number: str) -> None:
        if self._rows[number].is_going:
            self.stop_asked.emit()
        else:
            self.run_asked.emit(number)


class _Row(QWidget):
    """One experiment: its claim, the verdict, what was measured, and a button."""

    def __init__(self, evidence: Evidence) -> None:
        super().__init__()
        self.is_going = False
        each = evidence.experiment
        line = QHBoxLayout(self)
        line.setContentsMargins(8, 4, 0, 4)
        line.setSpacing(10)
        self._sign = QLabel()
        self._sign.setFixedWidth(12)
        self._claim = text_label(shown(each.claim))
        self._claim.setToolTip(plain_tip(shown(each.tests), *map(shown, each.caveats), each.paper))
        self._verdict, self._found = QLabel(), text_label("", "muted")
        self._advice = text_label("")
        self.button = QPushButton()
        words = QVBoxLayout()
        words.setSpacing(2)
        for label in (self._claim, self._verdict, self._found, self._advice):
            words.addWidget(label)
        line.addWidget(self._sign, 0, Qt.AlignmentFlag.AlignTop)
        line.addLayout(words, 1)
        line.addWidget(self.button, 0, Qt.AlignmentFlag.AlignTop)

    def show_evidence(self, one: Evidence, going: str) -> None:
        """Write what is known now."""
        each, verdict = one.experiment, one.judgement.verdict
        self.is_going = going == each.number
        for label, text in ((self._sign, _SIGNS[verdict]), (self._verdict, self._verdict_words(one))):
            label.setText(text)
            if label.objectName() != _COLOURS[verdict]:
                label.setObjectName(_COLOURS[verdict])
                label.style().unpolish(label)
                label.style().polish(label)
        pairs = zip(each.expect, one.judgement.findings, strict=True)
        said = [
            self.tr("{what} is not compared: {reason}.").format(what=what_is_measured(e), reason=shown(f.reason))
            if f.reason else shown(e.says).format_map(sentence_arguments(e, f))
            for e, f in pairs if f.reason or f.value is not None
        ]
        self._found.setText(" ".join(said))
        self._found.setVisible(bool(said))
        self._advice.setText(f"→  {shown(each.advice)}")
        self._advice.setVisible(verdict == "holds")
        self.button.setVisible(self.is_going or one.done < one.jobs)
        self.button.setText(self.tr("Stop") if self.is_going else self.tr("Run (about {seconds})").format(
            seconds=self._seconds(each.seconds * (1 - one.done / one.jobs))))
        self.button.setEnabled(self.is_going or not going)
        self.button.setAccessibleName(f"{each.number} {shown(each.title)}: {self.button.text()}")

    def _verdict_words(self, one: Evidence) -> str:
        number, verdict = one.experiment.number, shown(VERDICTS[one.judgement.verdict])
        if self.is_going:
            return self.tr("{number}: measuring, {done} of {jobs} done").format(
                number=number, done=one.done, jobs=one.jobs)
        if one.judgement.verdict == "unmeasured":
            return self.tr("{number}: not yet measured here").format(number=number)
        return self.tr("{number}: {verdict} here").format(number=number, verdict=verdict)

    def _seconds(self, seconds: float) -> str:
        if seconds < 120:
            return self.tr("{seconds} s").format(seconds=max(1, round(seconds)))
        return self.tr("{minutes} min").format(minutes=round(seconds / 60))


def text_label(text: str, name: str = "") -> QLabel:
    """Plain text that wraps."""
    label = QLabel(text)
    label.setTextFormat(Qt.TextFormat.PlainText)
    label.setWordWrap(True)
    label.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
    if name:
        label.setObjectName(name)
    return label
