"""A file that the system asks the running program to open: macOS tells a double click this way, not by arguments."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import QEvent, QObject
from PySide6.QtGui import QFileOpenEvent
from PySide6.QtWidgets import QApplication


class FileOpenEvents(QObject):
    """Calls `open_files` with the path of each file that the system hands over, as long as the program runs."""

    def __init__(self, app: QApplication, open_files: Callable[[list[str]], None]) -> None:
        super().__init__(app)
        self._open_files = open_files
        app.installEventFilter(self)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Take the event, where it names a local file; everything else goes its way."""
        if event.type() == QEvent.Type.FileOpen and isinstance(event, QFileOpenEvent) and event.file():
            self._open_files([event.file()])
            return True
        return super().eventFilter(watched, event)
