"""What leaves the window as a file: one exhibit as a picture or table, the ticked runs as a report."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, QUrl, Signal
from PySide6.QtGui import QDesktopServices, QGuiApplication, QImage
from PySide6.QtWidgets import QFileDialog

from tfx_engine.protocol.problems import ConfigError, Problem
from tfx_workbench.app.report_dialog import ReportDialog
from tfx_workbench.exhibits.exhibit import Exhibit
from tfx_workbench.exporting.target import written
from tfx_workbench.report.names import file_name
from tfx_workbench.report.pdf import exhibit_pdf, exhibit_png
from tfx_workbench.report.single import exhibit_bytes
from tfx_workbench.report.spreadsheet import exhibit_csv
from tfx_workbench.widgets.exhibit_words import said
from tfx_workbench.widgets.export_menu import COPY_PICTURE, COPY_VALUES
from tfx_workbench.widgets.message_bar import INFO

if TYPE_CHECKING:
    from tfx_workbench.app.window import MainWindow


class Reports(QObject):
    """Belongs to one window. Pictures are made beside the window's thread, reports in a process of their own."""

    saved = Signal(str)  # the file
    refused = Signal(object)  # Problem
    _copied = Signal(bytes)  # as PNG

    def __init__(self, window: MainWindow) -> None:
        super().__init__(window)
        self._window = window
        self._dialog: ReportDialog | None = None
        self._asking: QFileDialog | None = None
        self._work: list[threading.Thread] = []
        self.saved.connect(self._on_saved)
        self.refused.connect(window.say_problem)
        self._copied.connect(self._on_copied)

    # ------------------------------------------------------------------ one exhibit

    def export(self, exhibit: Exhibit, what: str) -> None:
        """Save or copy an exhibit as it is now, whatever its runs do meanwhile."""
        if what == COPY_VALUES:
            QGuiApplication.clipboard().setText(exhibit_csv(exhibit, said))
            self._window.messages.say(self.tr("The values are in the clipboard."), INFO)
        elif what == COPY_PICTURE:
            palette = self._window.theme.palette
            self._beside(lambda: self._copied.emit(exhibit_png(exhibit, said, palette)))
        else:
            self._ask(exhibit, f".{what}")

    def _ask(self, exhibit: Exhibit, suffix: str) -> None:
        title = self.tr("Save {exhibit}").format(exhibit=said(exhibit.title))
        dialog = QFileDialog(self._window, title, file_name(said(exhibit.title), suffix))
        dialog.setAcceptMode(QFileDialog.AcceptMode.AcceptSave)  # which asks before it replaces
        dialog.setDefaultSuffix(suffix[1:])
        dialog.setNameFilters([f"{suffix[1:].upper()} (*{suffix})"])
        dialog.fileSelected.connect(lambda file: self.save(exhibit, Path(file)))
        dialog.setModal(False)
        self._asking = dialog
        dialog.show()

    def save(self, exhibit: Exhibit, path: Path) -> None:
        """Write the exhibit in the format that the path's ending names; a file that is there was asked about."""
        make = {".pdf": exhibit_pdf, ".png": exhibit_png}.get(path.suffix.lower())

        def write() -> None:
            data = make(exhibit, said) if make else exhibit_bytes(exhibit, path.suffix.lower(), said)
            with written(path, force=True) as file:
                file.write(data)
            self.saved.emit(str(path))

        self._beside(write)

    def _beside(self, do: Callable[[], None]) -> None:
        """Do something in a thread; what a user can mend is said."""

        def work() -> None:
            try:
                do()
            except ConfigError as error:
                self.refused.emit(error.problems[0])
            except OSError as error:
                self.refused.emit(Problem(code="not-written", path="", template="cannot be written: {error}.",
                                          args={"error": error.strerror or str(error)}))

        self._work = [thread for thread in self._work if thread.is_alive()]
        thread = threading.Thread(target=work, name="exhibit to file")
        self._work.append(thread)
        thread.start()

    def _on_saved(self, file: str) -> None:
        def show_folder() -> None:
            QDesktopServices.openUrl(QUrl.fromLocalFile(str(Path(file).parent)))

        words = self.tr("Saved as {file}.").format(file=file)
        self._window.messages.say(words, INFO, self.tr("Show folder"), show_folder)

    def _on_copied(self, picture: bytes) -> None:
        # A QMimeData that was made here, with SVG in it too, would end the program with a segmentation fault when it is
        # closed: the clipboard lets go of it when there is no Python any more (PySide6 6.11.3, offscreen).
        QGuiApplication.clipboard().setImage(QImage.fromData(picture))
        self._window.messages.say(self.tr("The picture is in the clipboard."), INFO)

    # ------------------------------------------------------------------ the ticked runs

    def open(self) -> None:
        """Ask what the report is to hold."""
        runs = self._window.session.runs
        views = sorted(runs.views(), key=lambda view: not view.baseline)
        if not views:
            self._window.messages.say(self.tr("Tick the runs that the report is to be about in the table."), INFO)
            return
        if self._dialog is not None:
            self._dialog.close()
        self._dialog = ReportDialog(self._window, views)
        self._dialog.show()

    @property
    def dialog(self) -> ReportDialog | None:
        """The dialog that was opened last."""
        return self._dialog

    def close(self) -> None:
        """End what is still going on; files that are being written are finished."""
        if self._dialog is not None:
            self._dialog.cancel()
            self._dialog.close()
        for thread in self._work:
            thread.join()
