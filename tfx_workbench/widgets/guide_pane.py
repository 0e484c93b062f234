"""The guide as a card over the panels: questions, what to choose by what was measured here, what is known besides."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from PySide6.QtCore import QCoreApplication, QEvent, Qt, Signal
from PySide6.QtWidgets import (
    QHBoxLayout,
    QLabel,
    QProgressBar,
    QPushButton,
    QScrollArea,
    QVBoxLayout,
    QWidget,
)

from tfx_workbench.analysis.guide import Evidence, Section
from tfx_workbench.widgets.flow_box import FlowBox
from tfx_workbench.widgets.guide_row import GuideRow, seconds_words, text_label
from tfx_workbench.widgets.over_card import OverCard
from tfx_workbench.widgets.words import shown

_WIDTH = 680


class GuidePane(OverCard):
    """Emits `run_asked(number)` where somebody wants an experiment ("" for all), `stop_asked` where that is enough."""

    run_asked = Signal(str)
    stop_asked = Signal()

    def __init__(self, beside: QWidget, parent: QWidget) -> None:
        super().__init__(beside, parent, _WIDTH)
        self.buttons: dict[str, QPushButton] = {}  # experiment's number -> its button
        self.rows: dict[str, GuideRow] = {}
        self._titles: dict[str, QLabel] = {}  # name of a topic -> where it begins
        self._is_going = False
        head = QHBoxLayout()
        title = QLabel(self.tr("Guide: when to choose what"))
        title.setObjectName("cardTitle")
        head.addWidget(title)
        head.addStretch(1)
        head.addWidget(self.small_button("×", self.tr("Close (Esc)"), self.close_page))
        self.column.addLayout(head)
        self._make_summary()
        self.area = QScrollArea()
        self.area.setWidgetResizable(True)
        self.area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.area.viewport().setAutoFillBackground(False)
        self.column.addWidget(self.area, 1)

    def _make_summary(self) -> None:
        line = QHBoxLayout()
        line.setContentsMargins(0, 0, 12, 0)
        self.summary = text_label("", "muted")
        self.all_button = QPushButton()
        self.all_button.clicked.connect(lambda _=False: self._ask_all())
        line.addWidget(self.summary, 1)
        line.addWidget(self.all_button, 0, Qt.AlignmentFlag.AlignTop)
        self.bar = QProgressBar()
        self.bar.setTextVisible(False)
        self.bar.setFixedHeight(4)
        self.bar.hide()
        self.contents = FlowBox(spacing=2, row_spacing=0)
        self.column.addLayout(line)
        self.column.addWidget(self.bar)
        self.column.addWidget(self.contents)

    def show_guide(self, sections: Sequence[Section], going: str, left_s: float | None = None) -> None:
        """Show it; where the experiments are the same as before, only what came of them is written anew.

        `going`: the number of the experiment that is being measured; `left_s`: what is left of all, in case all are.
        """
        found = [one for section in sections for one in section.evidence]
        if list(self.rows) != [one.experiment.number for one in found]:
            self._build(sections)
        for one in found:
            self.rows[one.experiment.number].show_evidence(one, going)
        self._sum_up(found, going, left_s)

    def take_focus(self) -> None:
        """Put the keyboard on the page."""
        self.area.setFocus(Qt.FocusReason.ShortcutFocusReason)

    def go_to(self, number: str) -> None:
        """Scroll to an experiment."""
        row = self.rows.get(number)
        if row is not None:
            self._scroll_to(row)

    def _scroll_to(self, widget: QWidget) -> None:
        QCoreApplication.sendPostedEvents(None, QEvent.Type.LayoutRequest)  # it may have been made this moment
        self.area.verticalScrollBar().setValue(widget.y())

    def _build(self, sections: Sequence[Section]) -> None:
        page = QWidget()
        column = QVBoxLayout(page)
        column.setContentsMargins(0, 0, 10, 0)
        column.setSpacing(6)
        self.rows.clear()
        self.buttons.clear()
        self._show_contents(sections)
        for section in sections:
            title = self._titles[section.topic.name] = text_label(shown(section.topic.title), "sectionTitle")
            column.addSpacing(8)
            column.addWidget(title)
            for one in section.evidence:
                row = GuideRow(one)
                row.asked.connect(lambda number=one.experiment.number: self._ask(number))
                self.rows[one.experiment.number] = row
                self.buttons[one.experiment.number] = row.button
                column.addWidget(row)
            known = [text_label(f"•  {shown(line)}", "muted") for line in section.topic.advice]
            for label in (text_label(self.tr("What is known besides:"), "muted"), *known):
                label.setContentsMargins(30, 0, 0, 0)
                column.addWidget(label)
        column.addStretch(1)
        self.area.setWidget(page)
        page.setAutoFillBackground(False)  # which setWidget has switched on: the card's colour is to be seen

    def _show_contents(self, sections: Sequence[Section]) -> None:
        """One small button for each question, which leads to it; the questions are always the same."""
        if self._titles:
            return
        for topic in (section.topic for section in sections):
            button = QPushButton(shown(topic.short))
            button.setObjectName("disclosure")
            button.clicked.connect(lambda _=False, name=topic.name: self._scroll_to(self._titles[name]))
            self.contents.add(button)

    def _sum_up(self, found: Sequence[Evidence], going: str, left_s: float | None) -> None:
        """The line above: what came of all of them, and a button for what is left."""
        count = Counter(one.judgement.verdict for one in found)
        self._is_going = bool(going)
        rest_s = sum(one.left_s for one in found)
        self.summary.setText(self.tr(
            "What textbooks claim, tried on this machine with small models: of {all} claims {holds} hold, {fails} do "
            "not, {unclear} cannot be told, {unmeasured} are not yet measured.").format(all=len(found), **{
                name: count[name] for name in ("holds", "fails", "unclear", "unmeasured")}))
        self.bar.setVisible(self._is_going)
        self.bar.setRange(0, sum(one.jobs for one in found))
        self.bar.setValue(sum(one.done for one in found))
        self.all_button.setVisible(self._is_going or rest_s > 0)
        if going and left_s is not None:
            self.all_button.setText(self.tr("Stop ({left} left)").format(left=seconds_words(self, left_s)))
        elif going:
            self.all_button.setText(self.tr("Stop"))
        else:
            self.all_button.setText(self.tr("Run all (about {seconds})").format(seconds=seconds_words(self, rest_s)))

    def _ask_all(self) -> None:
        if self._is_going:
            self.stop_asked.emit()
        else:
            self.run_asked.emit("")

    def _ask(self, number: str) -> None:
        if self.rows[number].is_going:
            self.stop_asked.emit()
        else:
            self.run_asked.emit(number)
