"""In the settings: in which Python runs are done. One of the user's own may have a torch for their GPU."""

from __future__ import annotations

import threading

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QFileDialog, QHBoxLayout, QLabel, QMessageBox, QPushButton, QVBoxLayout, QWidget

from tfx_engine.client.own_python import OwnPython, examine
from tfx_engine.protocol.engine_python import chosen_python, keep_choice
from tfx_engine.protocol.problems import ConfigError


class EngineBox(QWidget):
    """What was chosen, and buttons to choose another or to go back to the one that came along."""

    _answered = Signal(object)  # OwnPython, or words; from the thread that asked

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(6)
        self.status = QLabel()
        self.status.setWordWrap(True)
        self.status.setTextFormat(Qt.TextFormat.PlainText)
        self.status.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.choose_button = QPushButton(self.tr("Choose a Python …"))
        self.choose_button.clicked.connect(self._choose)
        self.built_in_button = QPushButton(self.tr("Use the built-in one"))
        self.built_in_button.clicked.connect(self._use_built_in)
        row = QHBoxLayout()
        row.addWidget(self.choose_button)
        row.addWidget(self.built_in_button)
        row.addStretch(1)
        column.addWidget(self.status)
        column.addLayout(row)
        self._answered.connect(self._take)
        self._show()

    def _show(self) -> None:
        python = chosen_python()
        self.status.setText(python or self.tr("the Python that this program brings"))
        self.built_in_button.setVisible(python is not None)

    def _choose(self) -> None:
        path, _ = QFileDialog.getOpenFileName(self, self.tr("A Python with torch, such as venv/bin/python"))
        if path and self.confirmed(path):
            self.ask(path)

    def confirmed(self, path: str) -> bool:
        """A Python is code: say so, and ask."""
        box = QMessageBox(self)
        box.setIcon(QMessageBox.Icon.Warning)
        box.setTextFormat(Qt.TextFormat.PlainText)
        box.setWindowTitle(self.tr("Engine"))
        box.setText(self.tr("Do runs in {path}?").format(path=path))
        box.setInformativeText(self.tr("It will run with your rights whenever the engine runs."))
        use = box.addButton(self.tr("Use it"), QMessageBox.ButtonRole.AcceptRole)
        box.addButton(QMessageBox.StandardButton.Cancel)
        box.exec()
        return box.clickedButton() is use

    def ask(self, path: str) -> None:
        """Ask that Python whether it can; it is kept where it can. Importing torch may take it a while."""
        self.choose_button.setEnabled(False)
        self.status.setText(self.tr("Asking {path} …").format(path=path))
        threading.Thread(target=self._examine, args=(path,), daemon=True).start()

    def _examine(self, path: str) -> None:
        try:
            answer: object = examine(path)
        except ConfigError as error:
            answer = error.problems[0].sentence()
        try:
            self._answered.emit(answer)
        except RuntimeError:
            return  # the settings were closed meanwhile

    def _take(self, answer: object) -> None:
        self.choose_button.setEnabled(True)
        if not isinstance(answer, OwnPython):
            self.status.setText(str(answer))
            return
        self._keep(answer.path)
        devices = ", ".join(answer.devices) or self.tr("no GPU")
        words = self.tr("{path}\nPython {version}, torch {torch}, {devices}. From the next start on.")
        self.status.setText(words.format(path=answer.path, version=answer.version, torch=answer.torch, devices=devices))

    def _use_built_in(self) -> None:
        self._keep(None)

    def _keep(self, path: str | None) -> None:
        try:
            keep_choice(path)
            self._show()
        except OSError as error:
            self.status.setText(self.tr("The choice cannot be kept: {error}.").format(error=error.strerror))
