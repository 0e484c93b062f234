"""What a report is to hold: its title, format, exhibits and their order; then its progress, and the way to open it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import Qt, QUrl
from PySide6.QtGui import QDesktopServices, QKeyEvent
from PySide6.QtWidgets import (
    QCheckBox,
    QDialog,
    QFileDialog,
    QFormLayout,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QListWidget,
    QListWidgetItem,
    QProgressBar,
    QPushButton,
    QVBoxLayout,
)

from tfx_workbench.app.report_job import ReportJob
from tfx_workbench.exhibits.kind import all_exhibits
from tfx_workbench.exhibits.runview import RunView
from tfx_workbench.report.names import file_name
from tfx_workbench.widgets.segmented import Segment, Segmented
from tfx_workbench.widgets.words import shown

if TYPE_CHECKING:
    from tfx_workbench.app.window import MainWindow

_MOST_NAMES = 6


class ReportDialog(QDialog):
    """Not modal: the window goes on. `runs` are those of the report, the baseline first."""

    def __init__(self, window: MainWindow, runs: Sequence[RunView]) -> None:
        super().__init__(window)
        self.setWindowTitle(self.tr("Report"))
        self._runs = [(str(view.data.path), view.colour) for view in runs]
        self._names = [view.label for view in runs]
        self._folder = window.session.store
        self.job = ReportJob(self)
        self.job.progressed.connect(self._on_progress)
        self.job.finished.connect(self._on_finished)
        self.job.failed.connect(self._on_failed)
        self._file = ""
        self._build()
        self._show_state()
        self.resize(480, 620)

    # ------------------------------------------------------------------ building

    def _build(self) -> None:
        column = QVBoxLayout(self)
        column.setContentsMargins(16, 16, 16, 16)
        column.setSpacing(12)
        form = QFormLayout()
        form.setVerticalSpacing(8)
        form.setHorizontalSpacing(16)
        column.addLayout(form)
        runs = QLabel(self._said_runs())
        runs.setTextFormat(Qt.TextFormat.PlainText)
        runs.setWordWrap(True)
        form.addRow(self.tr("Runs"), runs)
        self.title = QLineEdit()
        self.title.setPlaceholderText(self.tr("by the names of the runs"))
        form.addRow(self.tr("Title"), self.title)
        self.format = Segmented([Segment(".html", "HTML"), Segment(".pdf", "PDF")], self.tr("Format"))
        self.format.set_value(".html")
        self.format.chosen.connect(self.format.set_value)
        form.addRow(self.tr("Format"), self.format)
        self.each = QCheckBox(self.tr("exhibits about a single run for every run"))
        self.each.setToolTip(self.tr("Otherwise they are about the baseline alone."))
        form.addRow("", self.each)
        column.addWidget(QLabel(self.tr("Exhibits; drag them into another order")))
        column.addWidget(self._exhibits(), 1)
        column.addLayout(self._ticking())
        self.progress = QProgressBar()
        self.progress.setTextVisible(False)
        self.progress.setAccessibleName(self.tr("Progress of the report"))
        column.addWidget(self.progress)
        self.state = QLabel()
        self.state.setTextFormat(Qt.TextFormat.PlainText)
        self.state.setWordWrap(True)
        column.addWidget(self.state)
        column.addLayout(self._buttons())

    def _said_runs(self) -> str:
        names = ", ".join(self._names[:_MOST_NAMES])
        more = len(self._names) - _MOST_NAMES
        return self.tr("{names} and {count} more").format(names=names, count=more) if more > 0 else names

    def _exhibits(self) -> QListWidget:
        self.list = QListWidget()
        self.list.setAccessibleName(self.tr("Exhibits of the report"))
        self.list.setDragDropMode(QListWidget.DragDropMode.InternalMove)
        self.list.setSpacing(1)
        for kind in (kind for kind in all_exhibits() if kind.needs):  # others are not about runs
            item = QListWidgetItem(shown(kind.title))
            item.setData(Qt.ItemDataRole.UserRole, kind.name)
            item.setFlags(item.flags() | Qt.ItemFlag.ItemIsUserCheckable)
            item.setFlags(item.flags() & ~Qt.ItemFlag.ItemIsDropEnabled)
            item.setCheckState(Qt.CheckState.Checked)
            self.list.addItem(item)
        self.list.itemChanged.connect(self._show_state)
        return self.list

    def _ticking(self) -> QHBoxLayout:
        row = QHBoxLayout()
        for text, state in ((self.tr("All"), Qt.CheckState.Checked), (self.tr("None"), Qt.CheckState.Unchecked)):
            button = QPushButton(text)
            button.clicked.connect(lambda _=False, state=state: self._tick(state))
            row.addWidget(button)
        row.addStretch(1)
        return row

    def _buttons(self) -> QHBoxLayout:
        row = QHBoxLayout()
        self.open_button = QPushButton(self.tr("Open"))
        self.open_button.clicked.connect(self.open_file)
        self.folder_button = QPushButton(self.tr("Show folder"))
        self.folder_button.clicked.connect(self.show_folder)
        self.cancel_button = QPushButton(self.tr("Cancel"))
        self.cancel_button.clicked.connect(self.cancel)
        self.make_button = QPushButton(self.tr("Make report…"))
        self.make_button.setObjectName("primary")
        self.make_button.setDefault(True)
        self.make_button.clicked.connect(self.ask)
        row.addWidget(self.open_button)
        row.addWidget(self.folder_button)
        row.addStretch(1)
        row.addWidget(self.cancel_button)
        row.addWidget(self.make_button)
        return row

    # ------------------------------------------------------------------ what was chosen

    def chosen(self) -> list[str]:
        """The names of the ticked exhibits, in their order."""
        items = [self.list.item(i) for i in range(self.list.count())]
        return [item.data(Qt.ItemDataRole.UserRole) for item in items if item.checkState() == Qt.CheckState.Checked]

    def arguments(self, file: str) -> list[str]:
        """What `report` is told; the file dialog has asked before a file is replaced."""
        paths = [path for path, _ in self._runs]
        colours = ",".join(str(colour) for _, colour in self._runs)
        told = [*paths, "-o", file, "--force", "--colours", colours, "--exhibits", ",".join(self.chosen())]
        if self.title.text().strip():
            told += ["--title=" + self.title.text().strip()]  # it may begin with a dash
        return [*told, "--each-run"] if self.each.isChecked() else told

    def _tick(self, state: Qt.CheckState) -> None:
        for i in range(self.list.count()):
            self.list.item(i).setCheckState(state)

    # ------------------------------------------------------------------ making it

    def ask(self) -> None:
        """Ask where it is to be saved, then make it."""
        suffix = self.format.value
        name = file_name(self.title.text() or self._names[0], suffix)
        dialog = QFileDialog(self, self.tr("Save the report"), str(Path(self._folder) / name))
        dialog.setAcceptMode(QFileDialog.AcceptMode.AcceptSave)
        dialog.setDefaultSuffix(suffix[1:])
        dialog.setNameFilters([f"{suffix[1:].upper()} (*{suffix})"])
        dialog.fileSelected.connect(self.make)
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        dialog.show()

    def make(self, file: str) -> None:
        """Make the report."""
        self._file = ""
        self.state.setText(self.tr("The report is being made…"))
        self.progress.setRange(0, 0)
        self.job.start(self.arguments(file))
        self._show_state()

    def cancel(self) -> None:
        """End the making; without any, the dialog."""
        if not self.job.is_going:
            self.close()
            return
        self.job.cancel()
        self.state.setText(self.tr("Cancelled; nothing was written."))
        self._show_state()

    def _on_progress(self, done: int, of: int, title: str) -> None:
        self.progress.setRange(0, of)
        self.progress.setValue(done)
        self.state.setText(self.tr("{done} of {of}: {title}").format(done=done, of=of, title=shown(title)))

    def _on_finished(self, path: str) -> None:
        self._file = path
        self._folder = Path(path).parent
        self.state.setText(self.tr("Saved as {path}.").format(path=path))
        self._show_state()
        self.open_button.setFocus()

    def _on_failed(self, words: str) -> None:
        self.state.setText(words)
        self._show_state()

    def _show_state(self) -> None:
        going = self.job.is_going
        self.progress.setVisible(going)
        self.make_button.setEnabled(not going and bool(self.chosen()))
        self.cancel_button.setText(self.tr("Cancel") if going else self.tr("Close"))
        for button in (self.open_button, self.folder_button):
            button.setVisible(bool(self._file) and not going)

    # ------------------------------------------------------------------ afterwards

    def open_file(self) -> None:
        """Open it with what the system opens such files with."""
        QDesktopServices.openUrl(QUrl.fromLocalFile(self._file))

    def show_folder(self) -> None:
        """Show where it is."""
        QDesktopServices.openUrl(QUrl.fromLocalFile(str(Path(self._file).parent)))

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if event.key() == Qt.Key.Key_Escape:
            self.cancel()
            return
        super().keyPressEvent(event)
