"""Techniques of the user's own: which folders are trusted, and having a process of the engine look at them.

This process reads what that one wrote down, and never loads any of the code.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, cast

import msgspec
from PySide6.QtCore import QObject, QProcess, QProcessEnvironment, Qt, Signal
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import (
    QFileDialog,
    QHBoxLayout,
    QLabel,
    QListWidget,
    QMessageBox,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from tfx_engine.client.own import OwnFound
from tfx_engine.protocol.cards import load_catalogue
from tfx_engine.protocol.launch import child_environment, module_argv
from tfx_engine.protocol.trust import (
    Trusted,
    is_written_down,
    load_trusted,
    save_trusted,
    stamp,
    technique_files,
)
from tfx_workbench.widgets.message_bar import WARNING

if TYPE_CHECKING:
    from tfx_workbench.app.window import MainWindow


class OwnTechniques(QObject):
    """`changed` says that the list or what was found changed; `found` is what was found last."""

    changed = Signal()

    def __init__(self, window: MainWindow) -> None:
        super().__init__(window)
        self._window = window
        self._process: QProcess | None = None
        self._looked_at = ""  # the state of the sources
        self.found = OwnFound()
        cast(QGuiApplication, QGuiApplication.instance()).applicationStateChanged.connect(self._came_back)

    @property
    def is_looking(self) -> bool:
        """Whether a process is at it."""
        return self._process is not None

    def begin(self) -> None:
        """Have them looked at again where their files changed since the last time."""
        if not is_written_down() and self._looked_at != stamp(load_trusted()):
            self.look()

    def _came_back(self, state: Qt.ApplicationState) -> None:
        """Somebody may have been in an editor meanwhile."""
        if state == Qt.ApplicationState.ApplicationActive and not self.is_looking:
            self.begin()

    def add(self, folder: Path) -> None:
        """Trust a folder. The user has been asked."""
        trusted = load_trusted()
        self._keep(Trusted(tuple(dict.fromkeys((*trusted.folders, str(folder.resolve())))), trusted.packages))

    def forget(self, place: str) -> None:
        """Trust a folder or package no more."""
        trusted = load_trusted()
        self._keep(Trusted(tuple(f for f in trusted.folders if f != place),
                           tuple(p for p in trusted.packages if p != place)))  # fmt: skip

    def _keep(self, trusted: Trusted) -> None:
        try:
            save_trusted(trusted)
        except OSError as error:
            self._say(self.tr("The list of own techniques cannot be kept: {error}.").format(error=error.strerror))
            return
        self._give_up()
        if trusted:
            self.look()
        else:
            self.found = OwnFound()
            self._window.take_catalogue(load_catalogue())
        self.changed.emit()

    def look(self) -> None:
        """Start a process that loads what is trusted and writes down what it is; the window goes on meanwhile."""
        self._give_up()
        self._looked_at = stamp(load_trusted())
        program, *arguments = module_argv("tfx_engine")
        process = self._process = QProcess(self)
        environment = QProcessEnvironment()
        for name, value in child_environment().items():
            environment.insert(name, value)
        process.setProcessEnvironment(environment)
        process.finished.connect(self._looked)
        process.errorOccurred.connect(self._failed)
        process.start(program, [*arguments, "own", "--json"])
        self.changed.emit()

    def _give_up(self) -> None:
        """What is looked at no more may hang in somebody's code."""
        process, self._process = self._process, None
        if process is not None:
            process.finished.disconnect()
            process.kill()

    def _failed(self, error: QProcess.ProcessError) -> None:
        if error == QProcess.ProcessError.FailedToStart:
            self._looked()

    def _looked(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        lines = bytes(process.readAllStandardOutput().data()).splitlines()
        process.deleteLater()
        try:
            self.found = msgspec.json.decode(lines[-1] if lines else b"", type=OwnFound)
        except msgspec.DecodeError:
            self.found = OwnFound(faults=(self.tr("Your techniques could not be loaded: the engine said nothing."),))
        self._window.take_catalogue(load_catalogue())
        for fault in self.found.faults:
            self._say(fault)
        self.changed.emit()

    def _say(self, text: str) -> None:
        self._window.messages.say(text, WARNING)


class OwnTechniquesBox(QWidget):
    """The list of trusted places with what was found in them, and buttons to add and remove one."""

    def __init__(self, own: OwnTechniques, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._own = own
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(6)
        self.places = QListWidget()
        self.places.setAccessibleName(self.tr("Folders and packages with techniques of your own"))
        self.places.setFixedHeight(72)
        self.places.currentRowChanged.connect(self._show_button)
        self.status = QLabel()
        self.status.setObjectName("muted")
        self.status.setWordWrap(True)
        self.status.setTextFormat(Qt.TextFormat.PlainText)
        row = QHBoxLayout()
        self.add_button = QPushButton(self.tr("Add a folder …"))
        self.add_button.clicked.connect(self._choose)
        self.forget_button = QPushButton(self.tr("Remove"))
        self.forget_button.clicked.connect(self._forget)
        row.addWidget(self.add_button)
        row.addWidget(self.forget_button)
        row.addStretch(1)
        column.addWidget(self.places)
        column.addLayout(row)
        column.addWidget(self.status)
        own.changed.connect(self._show)
        self._show()

    def _show(self) -> None:
        trusted = load_trusted()
        self.places.clear()
        self.places.addItems([*trusted.folders, *trusted.packages])
        self.places.setVisible(bool(trusted))
        self._show_button()
        if self._own.is_looking:
            words = self.tr("Loading …")
        elif not trusted:
            words = self.tr("Files in a folder of yours can add toggles. They are code, and run in the engine.")
        else:
            cards = [card for card in load_catalogue().techniques if card.origin]
            names = ", ".join(f"{card.slot} = {card.name}" for card in cards) or self.tr("no techniques found")
            words = "\n".join([names, *self._own.found.faults])
        self.status.setText(words)

    def _show_button(self) -> None:
        self.forget_button.setVisible(self.places.count() > 0)
        self.forget_button.setEnabled(self.places.currentRow() >= 0)

    def _choose(self) -> None:
        name = QFileDialog.getExistingDirectory(self, self.tr("Folder with technique files"))
        if name and self.confirmed(Path(name)):
            self._own.add(Path(name))

    def confirmed(self, folder: Path) -> bool:
        """Show what would run, and ask."""
        files = [path.name for path in technique_files(folder)]
        box = QMessageBox(self)
        box.setIcon(QMessageBox.Icon.Warning)
        box.setTextFormat(Qt.TextFormat.PlainText)
        box.setWindowTitle(self.tr("Own techniques"))
        box.setText(self.tr("Load the Python files in {folder}?").format(folder=folder))
        box.setInformativeText("\n".join([
            self.tr("They are code, and will run with your rights whenever the engine runs."), "",
            *(files[:12] or [self.tr("There is no Python file in it yet.")]), *(["…"] if len(files) > 12 else []),
        ]))
        load = box.addButton(self.tr("Load"), QMessageBox.ButtonRole.AcceptRole)
        box.addButton(QMessageBox.StandardButton.Cancel)
        box.exec()
        return box.clickedButton() is load

    def _forget(self) -> None:
        item = self.places.currentItem()
        if item is not None:
            self._own.forget(item.text())
