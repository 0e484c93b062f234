"""One experiment in the guide: what follows from it, the verdict, what was measured, and a button."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QGridLayout, QHBoxLayout, QLabel, QPushButton, QVBoxLayout, QWidget

from tfx_workbench.analysis.findings import (
    UNKNOWN,
    VERDICTS,
    expected,
    in_unit,
    interval,
    seeds_of,
    what_is_measured,
    with_spread,
)
from tfx_workbench.analysis.goals import Ranking
from tfx_workbench.analysis.guide import Evidence
from tfx_workbench.widgets.restyling import restyle
from tfx_workbench.widgets.words import plain_tip, shown

SIGNS = {"holds": "✓", "fails": "✗", "unclear": "~", "unmeasured": "?"}
_NO_BREAK = "\N{NO-BREAK SPACE}"
_COLOURS = {"holds": "better", "fails": "worse", "unclear": "warning", "unmeasured": "muted"}


class GuideRow(QWidget):
    """Leads with the advice where the claim holds, and with the claim where it does not, or was not tried yet."""

    asked = Signal()

    def __init__(self, evidence: Evidence) -> None:
        super().__init__()
        self.is_going = False
        self._one = evidence
        each = evidence.experiment
        line = QHBoxLayout(self)
        line.setContentsMargins(8, 4, 0, 4)
        line.setSpacing(10)
        self._sign = QLabel()
        self._sign.setFixedWidth(12)
        self._head, self._claim = text_label(""), text_label(shown(each.claim), "muted")
        for label in (self._head, self._claim):
            label.setToolTip(plain_tip(shown(each.tests), *map(shown, each.caveats), each.paper))
        self._verdict, self._found = QLabel(), text_label("")
        self.button = QPushButton()
        self.button.clicked.connect(lambda _=False: self.asked.emit())
        self._words = QVBoxLayout()
        self._words.setSpacing(2)
        said = QHBoxLayout()
        said.setSpacing(10)
        said.addWidget(self._verdict)
        self._goals: QWidget | None = None
        self._figures: QWidget | None = None
        self.more = QPushButton()
        self.more.setObjectName("disclosure")
        self.more.setCheckable(True)
        self.more.toggled.connect(self._show_figures)
        said.addWidget(self.more)
        said.addStretch(1)
        self._words.addWidget(self._head)
        self._words.addWidget(self._claim)
        self._words.addLayout(said)
        self._words.addWidget(self._found)
        line.addWidget(self._sign, 0, Qt.AlignmentFlag.AlignTop)
        line.addLayout(self._words, 1)
        line.addWidget(self.button, 0, Qt.AlignmentFlag.AlignTop)

    def show_evidence(self, one: Evidence, going: str) -> None:
        """Write what is known now. `going`: the number of the experiment that is being measured."""
        each, verdict, changed = one.experiment, one.judgement.verdict, one != self._one
        self._one, self.is_going = one, going == each.number
        for label, text in ((self._sign, SIGNS[verdict]), (self._verdict, self._verdict_words(one))):
            label.setText(text)
            _paint(label, _COLOURS[verdict])
        is_advice = verdict == "holds"
        self._head.setText(shown(each.advice if is_advice else each.claim))
        _paint(self._head, "cardTitle" if is_advice else "")
        self._claim.setVisible(is_advice)
        self._found.setText(self._findings(one))
        self._found.setVisible(bool(self._found.text()))
        self._show_goals(one.rankings, changed)
        self.more.setVisible(bool(self._found.text()))
        self._show_figures(self.more.isChecked(), changed)
        self.button.setVisible(self.is_going or one.done < one.jobs)
        self.button.setText(self.tr("Stop") if self.is_going else self.tr("Run (about {seconds})").format(
            seconds=seconds_words(self, one.left_s)))
        self.button.setEnabled(self.is_going or not going)
        self.button.setAccessibleName(f"{each.number} {shown(each.title)}: {self.button.text()}")

    def _verdict_words(self, one: Evidence) -> str:
        number, verdict = one.experiment.number, shown(VERDICTS[one.judgement.verdict])
        if self.is_going:
            return self.tr("{number}: measuring, {done} of {jobs} done").format(
                number=number, done=one.done, jobs=one.jobs)
        if one.judgement.verdict == "unmeasured":
            return self.tr("{number}: not yet measured here").format(number=number)
        said = self.tr("{number}: {verdict} here").format(number=number, verdict=verdict)
        seeds = max((f.seeds for f, e in zip(one.judgement.findings, one.experiment.expect, strict=True)
                     if not e.exact), default=0)  # fmt: skip
        return said if not seeds else self.tr("{said}, by {seeds} seeds").format(said=said, seeds=seeds)

    def _findings(self, one: Evidence) -> str:
        """What was measured, in sentences."""
        pairs = zip(one.experiment.expect, one.judgement.findings, strict=True)
        return " ".join(
            self.tr("{what} is not compared: {reason}.").format(what=what_is_measured(e), reason=shown(f.reason))
            if f.reason else with_spread(shown(e.says), e, f)
            for e, f in pairs if f.reason or f.value is not None
        )

    def _show_goals(self, rankings: Sequence[Ranking], changed: bool) -> None:
        if self._goals is not None and not changed:
            return
        if self._goals is not None:
            _drop(self._goals)
            self._goals = None
        if rankings:
            self._goals = _table([self.tr("goal"), self.tr("take"), self.tr("measured"), self.tr("rather than")],
                                 [self._goal(ranking) for ranking in rankings], numbers=(2,))
            self._words.insertWidget(self._words.indexOf(self._found) + 1, self._goals)

    def _goal(self, ranking: Ranking) -> list[str]:
        first, *others = ranking.standings
        if not first.fits:
            return [shown(ranking.goal.title), self.tr("nothing fits"), "–", ""]
        names = {name: name.replace("_", " ") for name in (s.candidate for s in ranking.standings)}
        rest = [
            self.tr("{name} {figure}").format(name=names[s.candidate], figure=in_unit(s.measured, ranking.cost.unit))
            if s.fits else self.tr("{name} (does not fit)").format(name=names[s.candidate])
            for s in others
        ]
        figure = in_unit(first.measured, ranking.cost.unit)
        return [shown(ranking.goal.title), names[first.candidate], figure,
                ", ".join(each.replace(" ", _NO_BREAK) for each in rest)]  # fmt: skip

    def _show_figures(self, on: bool, changed: bool = True) -> None:
        self.more.setText(self.tr("figures ▾") if not on else self.tr("figures ▴"))
        if self._figures is not None and (changed or not on):
            _drop(self._figures)
            self._figures = None
        if on and self._figures is None:
            self._figures = self._made_figures()
            self._words.addWidget(self._figures)

    def _made_figures(self) -> QWidget:
        """What was measured, held against what is expected and published."""
        pairs = zip(self._one.experiment.expect, self._one.judgement.findings, strict=True)
        rows = [[what_is_measured(e), interval(f, e.unit), shown(seeds_of(e, f)), expected(e), e.published or UNKNOWN,
                 shown(VERDICTS[f.verdict])] for e, f in pairs]
        return _table([self.tr("measured is"), self.tr("here [95 %]"), self.tr("seeds"), self.tr("expected"),
                       self.tr("paper"), ""], rows, numbers=(1, 2, 3, 4), last=0)  # fmt: skip


def seconds_words(widget: QWidget, seconds: float) -> str:
    """A duration in the guide's own words."""
    if seconds < 120:
        return widget.tr("{seconds} s").format(seconds=max(1, round(seconds)))
    return widget.tr("{minutes} min").format(minutes=round(seconds / 60))


def text_label(text: str, name: str = "") -> QLabel:
    """Plain text that wraps."""
    label = QLabel(text)
    label.setTextFormat(Qt.TextFormat.PlainText)
    label.setWordWrap(True)
    label.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
    if name:
        label.setObjectName(name)
    return label


def _table(headings: Sequence[str], rows: Sequence[Sequence[str]], numbers: Sequence[int], last: int = 2) -> QWidget:
    """A small table; the columns in `numbers` are right-aligned, the first and last may wrap.

    `last`: the share of the last column in what width is left, where the first has one.
    """
    made = QWidget()
    grid = QGridLayout(made)
    grid.setContentsMargins(0, 2, 0, 4)
    grid.setHorizontalSpacing(12)
    grid.setVerticalSpacing(2)
    for row, cells in enumerate([headings, *rows]):
        for column, cell in enumerate(cells):
            label = text_label(cell, "muted" if row == 0 else "")
            label.setWordWrap(column in (0, len(headings) - 1))
            side = Qt.AlignmentFlag.AlignRight if column in numbers else Qt.AlignmentFlag.AlignLeft
            label.setAlignment(side | Qt.AlignmentFlag.AlignTop)
            grid.addWidget(label, row, column)
    grid.setColumnStretch(0, 1)
    grid.setColumnStretch(len(headings) - 1, last)
    return made


def _drop(widget: QWidget) -> None:
    """Away with it at once: it would else take room until the event loop comes to delete it."""
    widget.setParent(None)
    widget.deleteLater()


def _paint(label: QLabel, name: str) -> None:
    """The style sheet names what a label looks like."""
    if label.objectName() != name:
        label.setObjectName(name)
        restyle(label)
