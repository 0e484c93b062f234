"""A claim bundle in the window: what the author measured, and beside it, once it was run here, what we did."""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QObject, Qt, Signal
from PySide6.QtGui import QKeyEvent
from PySide6.QtWidgets import (
    QDialog,
    QFrame,
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QScrollArea,
    QVBoxLayout,
    QWidget,
)
from shiboken6 import isValid

from tfx_engine.protocol.messages import Reply
from tfx_engine.protocol.problems import ConfigError, Problem
from tfx_engine.protocol.toml import dumps
from tfx_engine.runfile.errors import RunFileError
from tfx_workbench.analysis.reproduction import CLASSES, Metric, Reproduction, compare_with_author, verdict
from tfx_workbench.exhibits.format import number, percent, size
from tfx_workbench.exporting.bundle_file import Bundle, BundledRun
from tfx_workbench.exporting.reproducing import OTHER_DEVICE, config_to_reproduce
from tfx_workbench.runs.rundata import RunData
from tfx_workbench.session.engine import problems_of
from tfx_workbench.widgets.message_bar import INFO
from tfx_workbench.widgets.words import shown

if TYPE_CHECKING:
    from tfx_workbench.app.window import MainWindow


_TALLEST = 560  # pixels that the figures may take before they scroll


class Claims(QObject):
    """Belongs to one window. Reading is done on threads: a bundle may be gigabytes large."""

    opened = Signal(object)  # the dialog
    compared = Signal(object)  # Reproduction
    _heard = Signal(object, object)  # what to call in the window's thread, with what

    def __init__(self, window: MainWindow) -> None:
        super().__init__(window)
        self._window = window
        self._waiting: dict[str, tuple[ClaimDialog, int]] = {}  # run here -> whose it is
        self._heard.connect(lambda call, found: call(found))
        window.session.ended.connect(self._on_ended)

    def open(self, file: str | Path) -> None:
        """Verify a bundle, and show it."""
        self._window.messages.say(self.tr("Verifying {file} …").format(file=Path(file).name), INFO)
        self._do(functools.partial(_author_figures, Path(file)), lambda found: self._show(Path(file), found))

    def _show(self, file: Path, found: list[tuple[BundledRun, Reproduction]]) -> None:
        dialog = ClaimDialog(self._window, file, found)
        dialog.reproduce_asked.connect(lambda: self._reproduce(dialog))
        self._window.commands.show_dialog("claim", dialog)
        self.opened.emit(dialog)

    def _reproduce(self, dialog: ClaimDialog) -> None:
        self._do(functools.partial(_configs, dialog.file), lambda found: self._submit(dialog, *found),
                 dialog.show_refused)

    def _submit(self, dialog: ClaimDialog, configs: list[dict[str, Any]], notes: list[str]) -> None:
        for device in notes:
            self._window.messages.say(shown(OTHER_DEVICE).format(device=device), INFO)

        def answer(reply: Reply) -> None:
            if problems := problems_of(reply):
                self._refuse(problems)
                dialog.show_refused()
                return
            keys = [str(path) for path in reply.result["runs"]]
            self._waiting |= {key: (dialog, number) for number, key in enumerate(keys)}
            self._window.session.runs.add_submitted(keys)
            self._window.session.submitted.emit(keys)

        self._window.session.engine.submit(configs, [dumps(c) for c in configs], "", answer)

    def _on_ended(self, key: str, status: str, reason: str) -> None:
        found = self._waiting.pop(key, None)
        if found is None:
            return
        dialog, place = found
        if status != "finished":
            if isValid(dialog):  # it may have been closed
                dialog.show_failed(reason)
            return
        compare = functools.partial(_compare, dialog.file, place, Path(key))
        self._do(compare, lambda result: self._show_compared(dialog, place, result))

    def _show_compared(self, dialog: ClaimDialog, place: int, result: Reproduction) -> None:
        if isValid(dialog):
            dialog.show_compared(place, result)
        speed = next(metric for metric in result.metrics if metric.name == "throughput")
        words = self.tr("It was run here. Throughput: {verdict}.").format(verdict=verdict(speed))
        self._window.messages.say(words, INFO)
        self.compared.emit(result)

    def _do(self, work: Callable[[], Any], then: Callable[[Any], None], refused: Callable[[], None] | None = None
            ) -> None:
        """Do something on a thread, and then something in the window."""

        def refuse(problems: Sequence[Problem]) -> None:
            self._refuse(problems)
            if refused is not None:
                refused()

        def run() -> None:
            call: Callable[[Any], None]
            found: Any
            try:
                call, found = then, work()
            except ConfigError as error:
                call, found = refuse, error.problems
            except RunFileError as error:
                call, found = refuse, (error.problem,)
            try:
                self._heard.emit(call, found)
            except RuntimeError:
                return  # the window is gone

        threading.Thread(target=run, name="claim", daemon=True).start()

    def _refuse(self, problems: Sequence[Problem]) -> None:
        for problem in problems:
            self._window.say_problem(problem)


def _author_figures(file: Path) -> list[tuple[BundledRun, Reproduction]]:
    """The runs of a bundle with the author's own figures: compared with itself, so that they are the same ones."""
    with Bundle(file) as bundle:
        found = []
        for run in bundle.runs:
            with bundle.run_file(run) as path, closing(RunData(path).load()) as author:
                found.append((run, compare_with_author(author, author)))
        return found


def _configs(file: Path) -> tuple[list[dict[str, Any]], list[str]]:
    with Bundle(file) as bundle:
        found = [config_to_reproduce(bundle, run) for run in bundle.runs]
    return [data for data, _ in found], sorted({device for _, device in found if device})


def _compare(file: Path, place: int, run: Path) -> Reproduction:
    with Bundle(file) as bundle, bundle.run_file(bundle.runs[place]) as theirs, \
            closing(RunData(theirs).load()) as author, closing(RunData(run).load()) as here:
        return compare_with_author(author, here)


class ClaimDialog(QDialog):
    """The figures of one run of a bundle after the other; "Reproduce" runs them here."""

    reproduce_asked = Signal()

    def __init__(self, parent: QWidget, file: Path, found: list[tuple[BundledRun, Reproduction]]) -> None:
        super().__init__(parent)
        self.file = file
        self.setWindowTitle(self.tr("Claim bundle: {name}").format(name=file.name))
        self._cells: list[list[tuple[QLabel, QLabel]]] = []
        self._devices: list[QLabel] = []
        column = QVBoxLayout(self)
        column.setContentsMargins(16, 16, 16, 16)
        column.setSpacing(12)
        whole = self.tr("Every file is what the manifest says. A hash says that it is whole, not who made it.")
        self._state = _words(whole, "muted")
        column.addWidget(self._state)
        inner = QWidget()
        cards = QVBoxLayout(inner)
        cards.setContentsMargins(0, 0, 0, 0)
        for run, author in found:
            cards.addWidget(self._card(run, author))
        cards.addStretch(1)
        scroll = QScrollArea()
        scroll.setWidgetResizable(True)
        scroll.setFrameShape(QFrame.Shape.NoFrame)
        scroll.setWidget(inner)
        scroll.setMinimumHeight(min(inner.sizeHint().height(), _TALLEST))
        column.addWidget(scroll, 1)
        self.button = QPushButton(self.tr("Reproduce"))
        self.button.setObjectName("primary")
        self.button.setToolTip(self.tr("Run the author's configuration on this device, and compare every figure"))
        self.button.clicked.connect(self._ask)
        row = QHBoxLayout()
        row.addStretch(1)
        row.addWidget(self.button)
        column.addLayout(row)
        self.resize(720, self.sizeHint().height())

    def _card(self, run: BundledRun, author: Reproduction) -> QFrame:
        card = QFrame()
        card.setObjectName("raised")
        grid = QGridLayout(card)
        grid.setContentsMargins(12, 8, 12, 8)
        grid.setHorizontalSpacing(24)
        grid.addWidget(_words(run.name, "cardTitle"), 0, 0, 1, 4)
        device = _words(self.tr("Author's device: {device}.").format(device=author.author_device), "muted")
        grid.addWidget(device, 1, 0, 1, 4)
        heads = ("", self.tr("author"), self.tr("here"), "")
        for place, head in enumerate(heads):
            grid.addWidget(_words(head, "muted", is_number=place in (1, 2)), 2, place)
        cells = []
        for line, metric in enumerate(author.metrics, start=3):
            here, said = _words("–", is_number=True), _words("")
            for place, label in enumerate((
                _words(shown(metric.name)), _words(_figure(metric, metric.author), is_number=True), here, said,
            )):
                grid.addWidget(label, line, place)
            cells.append((here, said))
        grid.setColumnStretch(3, 1)
        self._cells.append(cells)
        self._devices.append(device)
        return card

    def _ask(self) -> None:
        self.button.setEnabled(False)
        self._state.setText(self.tr("Running here. The figures come when it has ended; this window may be closed."))
        self.reproduce_asked.emit()

    def show_refused(self) -> None:
        """It cannot be run here; the window says why."""
        self.button.setEnabled(True)
        self._state.setText(self.tr("It cannot be run here: the line at the bottom of the window says why."))

    def show_failed(self, reason: str) -> None:
        """A run here came to no end."""
        self.button.setEnabled(True)
        self._state.setText(self.tr("It did not finish here. {reason}").format(reason=reason))

    def show_compared(self, place: int, found: Reproduction) -> None:
        """The figures of the run here, and how far they are apart."""
        words = self.tr("Author's device: {author}. Here: {here} ({kind}).")
        self._devices[place].setText(words.format(
            author=found.author_device, here=found.here_device, kind=shown(CLASSES[found.device_class])))
        for metric, (here, said) in zip(found.metrics, self._cells[place], strict=True):
            here.setText(_figure(metric, metric.here))
            said.setText(verdict(metric))
            said.setObjectName("worse" if metric.agrees is False else "")
            said.style().polish(said)
        self.button.setEnabled(True)
        self._state.setText(self.tr("It was run here.") if found.agrees is not False else
                            self.tr("It was run here, and not every figure agrees."))

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if event.key() == Qt.Key.Key_Escape:
            self.close()
            return
        super().keyPressEvent(event)


def _words(text: str, name: str = "", is_number: bool = False) -> QLabel:
    label = QLabel(text)
    label.setTextFormat(Qt.TextFormat.PlainText)
    label.setObjectName(name)
    label.setWordWrap(name == "muted" and not is_number)
    if is_number:
        label.setAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
    return label


def _figure(metric: Metric, value: float | None) -> str:
    if value is None:
        return "–"
    if metric.unit == "bytes":
        return size(value)
    if metric.unit == "share":
        return percent(100 * value)
    return f"{number(value)} {metric.unit}".rstrip()
