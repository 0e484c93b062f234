"""Compare fairly: which run is the baseline, how precise, how long at most, and what that will take."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import Qt
from PySide6.QtWidgets import (
    QComboBox,
    QDialog,
    QFormLayout,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QPushButton,
    QVBoxLayout,
)

from tfx_engine.protocol.problems import Problem
from tfx_workbench.app.wish_fields import WishFields
from tfx_workbench.exhibits.format import duration
from tfx_workbench.widgets.words import problem_words

if TYPE_CHECKING:
    from tfx_workbench.analysis.fair import Outlook, Standing
    from tfx_workbench.app.window import MainWindow


class FairDialog(QDialog):
    """Asks, starts, and says how far it is; stays beside the window, which goes on."""

    def __init__(self, window: MainWindow, keys: Sequence[str]) -> None:
        super().__init__(window)
        self.setWindowTitle(self.tr("Compare fairly"))
        self._window, self.fair = window, window.session.fair
        whole = QVBoxLayout(self)
        whole.setContentsMargins(16, 12, 16, 12)
        whole.setSpacing(10)
        whole.addWidget(_words(self.tr(
            "The configurations take turns of a few steps, in rounds of new processes, so that what changes on the "
            "machine meets all of them alike.")))
        whole.addLayout(self._fields())
        self.foretold = _words("")
        self.foretold.setMinimumHeight(52)
        whole.addWidget(self.foretold)
        whole.addLayout(self._foot())
        self.fair.changed.connect(self._show)
        self.fair.told.connect(self._say_told)
        self.fair.refused.connect(self._say_refused)
        self.fair.consider(keys)
        self.baseline.addItems([candidate.name for candidate in self.fair.candidates])
        marked = window.session.runs.baseline
        if marked in keys:
            self.baseline.setCurrentIndex(list(keys).index(marked))
        self._show()
        self.resize(520, self.sizeHint().height())

    # ------------------------------------------------------------------ building

    def _fields(self) -> QFormLayout:
        form = QFormLayout()
        form.setHorizontalSpacing(16)
        form.setVerticalSpacing(8)
        self.baseline = QComboBox()
        self.baseline.currentIndexChanged.connect(self._show)
        self._wishes = WishFields(self)
        self._wishes.changed.connect(self._show)
        self.precision, self.minutes, self.control = self._wishes.fields
        form.addRow(self.tr("Baseline"), self.baseline)
        form.addRow(self.tr("Precision ±"), _beside(self.precision, self.tr("%")))
        form.addRow(self.tr("At most"), _beside(self.minutes, self.tr("minutes")))
        form.addRow(self.tr("Noise"), self.control)
        return form

    def _foot(self) -> QHBoxLayout:
        row = QHBoxLayout()
        self.start = QPushButton(self.tr("Compare"))
        self.start.setObjectName("primary")
        self.start.setDefault(True)
        self.start.clicked.connect(self._start)
        close = QPushButton(self.tr("Close"))
        close.setAutoDefault(False)
        close.clicked.connect(self.close)
        row.addStretch(1)
        row.addWidget(close)
        row.addWidget(self.start)
        return row

    # ------------------------------------------------------------------ what it says

    def _show(self, *_: Any) -> None:
        count, control = len(self.fair.candidates), self.control.isChecked()
        enough = count + control >= 2
        self.start.setEnabled(enough)
        if not enough:
            self.foretold.setText(self.tr("Tick two runs or more, or run the baseline a second time."))
            return
        found = self.fair.outlook(max(0, self.baseline.currentIndex()), self._wishes.wish())
        self.foretold.setText(self.tr("Working out how long a step takes…") if found is None else self._in_words(found))

    def _in_words(self, found: Outlook) -> str:
        time = duration(1000 * found.seconds)
        if found.is_cut:
            text = self.tr(
                "In {time} 9 of 10 comparisons reach ±{reached} %: for ±{wanted} % give it more minutes.").format(
                time=time, reached=f"{found.reached_percent:.1f}", wanted=f"{self.precision.value():g}")
        else:
            text = self.tr("±{wanted} % take about {time} in {rounds} rounds, or less: in 9 of 10 comparisons.").format(
                wanted=f"{self.precision.value():g}", time=time, rounds=found.rounds)
        if not found.scatter.is_measured:
            text += " " + self.tr("Nothing is known of this machine's noise yet, so that is a guess from another one.")
        return text

    def _say_told(self, detail: dict[str, Any], found: Standing | None) -> None:
        text = self.tr("Round {round}, block {block}.").format(round=detail["round"], block=detail["block"])
        if found is not None and found.half_percent < 1000:
            text += " " + self.tr("The widest interval is ±{half} %.").format(half=f"{found.half_percent:.1f}")
        self.foretold.setText(text)

    def _say_refused(self, problem: Problem) -> None:
        self.start.setEnabled(True)
        self.foretold.setText(problem_words(problem))

    def _start(self) -> None:
        self.start.setEnabled(False)
        self.fair.start(max(0, self.baseline.currentIndex()), self._wishes.wish())
        self.foretold.setText(self.tr("Its processes are starting. The panel Effects shows what is found."))


def _words(text: str) -> QLabel:
    label = QLabel(text)
    label.setTextFormat(Qt.TextFormat.PlainText)
    label.setWordWrap(True)
    return label


def _beside(field: QLineEdit, unit: str) -> QHBoxLayout:
    row = QHBoxLayout()
    row.setSpacing(6)
    row.addWidget(field)
    row.addWidget(QLabel(unit))
    row.addStretch(1)
    return row
