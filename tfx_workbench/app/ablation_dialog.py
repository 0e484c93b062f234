"""The ablation designer: tick what is varied, see what that means in runs and minutes, start, follow, stop the rest."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import Qt
from PySide6.QtGui import QCloseEvent
from PySide6.QtWidgets import (
    QComboBox,
    QCompleter,
    QDialog,
    QFrame,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QPushButton,
    QSplitter,
    QStackedWidget,
    QVBoxLayout,
    QWidget,
)

from tfx_engine.protocol.config import parse_config
from tfx_engine.protocol.problems import ConfigError, Problem
from tfx_workbench.analysis.factors import option_paths, parse_over
from tfx_workbench.app.ablation_view import PlanView
from tfx_workbench.app.turns_row import TurnsRow
from tfx_workbench.session.legality import blocked_choices
from tfx_workbench.widgets.level_tree import LevelTree
from tfx_workbench.widgets.muted_label import muted_label
from tfx_workbench.widgets.segmented import Segment, Segmented
from tfx_workbench.widgets.words import plain_tip, problem_words

if TYPE_CHECKING:
    from tfx_workbench.app.window import MainWindow

_SEEDS = (1, 2, 3, 5, 10)


class AblationDialog(QDialog):
    """Designs about the configuration that is in the form; stays beside the window, which goes on."""

    def __init__(self, window: MainWindow) -> None:
        super().__init__(window)
        self.setWindowTitle(self.tr("Ablation"))
        self._window, self.ablation = window, window.session.ablation
        whole = QVBoxLayout(self)
        whole.setContentsMargins(16, 12, 16, 12)
        whole.setSpacing(8)
        whole.addLayout(self._head())
        self.turns = TurnsRow()
        self.turns.changed.connect(self._ask)
        whole.addWidget(self.turns)
        columns = QSplitter(Qt.Orientation.Horizontal)
        columns.setChildrenCollapsible(False)
        columns.addWidget(self._left())
        columns.addWidget(self._right())
        columns.setStretchFactor(1, 1)
        columns.setSizes([300, 600])
        whole.addWidget(columns, 1)
        whole.addLayout(self._foot())
        self.tree.changed.connect(self._ask)
        self._left_already = False
        self._heard = (
            (self.ablation.changed, self._show), (self.ablation.progressed, self._show),
            (self.ablation.refused, self._say_refused), (window.session.draft.changed, self._take_base),
            (window.theme.changed, self.view.apply_theme), (window.closed, self.leave),
        )
        for signal, slot in self._heard:
            signal.connect(slot)
        self.view.apply_theme(window.theme.palette)
        self._refusal = ""
        self._take_base()
        self.resize(960, 620)
        self.tree.setFocus()

    def done(self, result: int) -> None:
        """Closed: nothing is drawn any more, and plots are taken down."""
        self.leave()
        super().done(result)

    def closeEvent(self, event: QCloseEvent) -> None:
        self.leave()
        super().closeEvent(event)

    def leave(self) -> None:
        """Let go of what goes on; may be called twice."""
        if self._left_already:
            return
        self._left_already = True
        for signal, slot in self._heard:
            signal.disconnect(slot)
        self.view.close_view()

    # ------------------------------------------------------------------ building

    def _head(self) -> QHBoxLayout:
        row = QHBoxLayout()
        self.designs = Segmented([
            Segment("one-at-a-time", self.tr("one at a time")), Segment("leave-one-out", self.tr("leave one out")),
            Segment("factorial", self.tr("every combination")), Segment("sweep", self.tr("sweep of options")),
        ], self.tr("Design"))
        self.designs.chosen.connect(lambda _value: self._take_base())
        self.designs.setMinimumWidth(460)
        self.seeds = QComboBox()
        self.seeds.addItems([str(count) for count in _SEEDS])
        self.seeds.setAccessibleName(self.tr("Seeds"))
        self.seeds.setToolTip(plain_tip(self.tr(
            "Runs of each configuration, each with a seed of its own. With two or more the loss has an interval, and "
            "the intervals of time cover what a new process changes.")))
        self.seeds.currentTextChanged.connect(lambda _text: self._ask())
        label = muted_label(self.tr("seeds"))
        label.setBuddy(self.seeds)
        row.addWidget(self.designs, 1)
        row.addSpacing(12)
        row.addWidget(label)
        row.addWidget(self.seeds)
        return row

    def _left(self) -> QWidget:
        side = QWidget()
        column = QVBoxLayout(side)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(6)
        self.search = QLineEdit()
        self.search.setPlaceholderText(self.tr("Find a technique"))
        self.search.setAccessibleName(self.tr("Find a technique"))
        self.tree = LevelTree()
        self.search.textChanged.connect(self.tree.show_found)
        column.addWidget(self.search)
        column.addWidget(self.tree, 1)
        column.addLayout(self._option_row())
        self.wrong = muted_label("")
        self.wrong.setObjectName("problem")
        self.wrong.setWordWrap(True)
        self.wrong.hide()
        column.addWidget(self.wrong)
        return side

    def _option_row(self) -> QHBoxLayout:
        row = QHBoxLayout()
        self.option = QComboBox()
        self.option.setEditable(True)
        self.option.setInsertPolicy(QComboBox.InsertPolicy.NoInsert)
        self.option.setAccessibleName(self.tr("Option"))
        paths = option_paths(self._window.session.draft.catalogue)
        self.option.addItems([path.removeprefix("techniques.") for path in paths])
        completer = QCompleter([self.option.itemText(i) for i in range(self.option.count())], self.option)
        completer.setFilterMode(Qt.MatchFlag.MatchContains)
        self.option.setCompleter(completer)
        self.option.setCurrentText("model.layers")
        self.option.setMinimumContentsLength(12)
        self.values = QLineEdit()
        self.values.setPlaceholderText(self.tr("2, 4, 8 or 64..512:log:4"))
        self.values.setAccessibleName(self.tr("Values of the option"))
        self.values.setToolTip(plain_tip(self.tr(
            "Values with commas, or low..high:count for even steps, or low..high:log:count for equal ratios.")))
        self.values.returnPressed.connect(self._add_option)
        add = QPushButton(self.tr("Add"))
        add.setAutoDefault(False)
        add.clicked.connect(self._add_option)
        row.addWidget(self.option, 3)
        row.addWidget(self.values, 3)
        row.addWidget(add)
        return row

    def _right(self) -> QWidget:
        card = QFrame()
        card.setObjectName("card")
        column = QVBoxLayout(card)
        column.setContentsMargins(12, 8, 12, 8)
        column.setSpacing(6)
        self.summary = QLabel()
        self.summary.setObjectName("cardTitle")
        self.summary.setTextFormat(Qt.TextFormat.PlainText)
        self.summary.setWordWrap(True)
        self.detail = muted_label("")
        self.detail.setWordWrap(True)
        self.empty = muted_label("")
        self.empty.setObjectName("empty")
        self.empty.setWordWrap(True)
        self.empty.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self.view = PlanView(self.ablation)
        self.pages = QStackedWidget()
        self.pages.addWidget(self.empty)
        self.pages.addWidget(self.view)
        column.addWidget(self.summary)
        column.addWidget(self.detail)
        column.addWidget(self.pages, 1)
        return card

    def _foot(self) -> QHBoxLayout:
        row = QHBoxLayout()
        self.progress = muted_label("")
        self.clear = QPushButton(self.tr("Untick all"))
        self.shown = QPushButton(self.tr("Show its runs"))
        self.stop = QPushButton(self.tr("Stop the rest"))
        self.start = QPushButton(self.tr("Start"))
        self.start.setObjectName("primary")
        self.clear.clicked.connect(self.tree.clear_ticks)
        self.shown.clicked.connect(self.ablation.show_runs)
        self.stop.clicked.connect(self.ablation.stop_rest)
        self.start.clicked.connect(self._start)
        row.addWidget(self.clear)
        row.addWidget(self.progress, 1)
        for button in (self.shown, self.stop, self.start):
            row.addWidget(button)
        for button in (self.clear, self.shown, self.stop, self.start):
            button.setAutoDefault(False)  # Enter belongs to the field it is pressed in
        return row

    # ------------------------------------------------------------------ what is asked for

    def _take_base(self) -> None:
        """The form changed, or the design: other techniques are greyed."""
        draft = self._window.session.draft
        base = parse_config(draft.data, draft.catalogue)[0]
        blocked = blocked_choices(draft.catalogue, base.techniques, base.data.task)
        self.tree.show_catalogue(draft.catalogue, base, blocked, self.designs.value)
        self.tree.show_found(self.search.text())
        self._ask()

    def _ask(self) -> None:
        self._refusal = ""
        data = self._window.session.draft.data
        wish = self.turns.wish()
        self.seeds.setEnabled(wish is None)  # rounds are new processes already
        seeds = int(self.seeds.currentText()) if wish is None else 1
        self.ablation.design(data, self.designs.value, self.tree.factors(), seeds)
        self.ablation.take_turns(wish)
        self._show()

    def _add_option(self) -> None:
        text = f"{self.option.currentText()}={self.values.text()}"
        try:
            factor = parse_over(text, self._window.session.draft.catalogue)
        except ConfigError as error:
            self.wrong.setText(problem_words(error.problems[0]))
            self.wrong.show()
            return
        self.wrong.hide()
        self.values.clear()
        if factor.is_slot:
            self.tree.tick(factor.path.partition(".")[2], [level["use"] for level in factor.levels])
        else:
            self.tree.add_option(factor)

    def _start(self) -> None:
        self._refusal = ""
        if self.ablation.start():
            self.progress.setText(self.tr("Queued."))
        self._show()

    def _say_refused(self, problem: Problem) -> None:
        self._refusal = problem_words(problem)
        self._show()

    # ------------------------------------------------------------------ showing

    def _show(self) -> None:
        ablation = self.ablation
        plan = ablation.legal_plan() if ablation.request.factors else None
        words = self.view.summary_words()
        self.summary.setText(words[0])
        self.detail.setText(words[1])
        self.detail.setVisible(bool(words[1]))
        if self._refusal or (ablation.problems and ablation.request.factors):
            self.empty.setText(self._refusal or "\n".join(problem_words(p) for p in ablation.problems))
        else:
            self.empty.setText(self.tr(
                "Tick techniques at the left, or add an option with its values. Each is then tried on the "
                "configuration in the form; how many runs that makes, how long they take and what does not fit is said "
                "here."))
        self.pages.setCurrentWidget(self.view if plan is not None and not self._refusal else self.empty)
        self.view.show_plan(plan)
        left = len(ablation.to_run()) if plan is not None else 0
        self.start.setEnabled(left > 0)
        self.start.setText(self.tr("Start {count} runs").format(count=left) if left > 1 else self.tr("Start"))
        course = ablation.progress() if plan is not None else None
        self.stop.setEnabled(course is not None and course.going > 0)
        self.shown.setEnabled(course is not None)
        self.progress.setText(self.view.progress_words(course))
