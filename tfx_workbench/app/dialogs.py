"""Windows beside the window: files, help, settings, messages. None of them is modal; runs and keys go on."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, QProcess, Qt
from PySide6.QtGui import QKeyEvent
from PySide6.QtWidgets import (
    QDialog,
    QFileDialog,
    QFrame,
    QGridLayout,
    QLabel,
    QPlainTextEdit,
    QVBoxLayout,
    QWidget,
)

from tfx_engine.protocol.launch import module_argv
from tfx_engine.protocol.problems import ConfigError
from tfx_engine.protocol.toml import dumps
from tfx_engine.runfile.store import store_refusal
from tfx_workbench.app.importing import ModelImport
from tfx_workbench.widgets.message_bar import INFO, WARNING

if TYPE_CHECKING:
    from tfx_workbench.app.window import MainWindow


class Dialogs(QObject):
    """Belongs to one window; keeps at most one of each kind open."""

    def __init__(self, window: MainWindow) -> None:
        super().__init__(window)
        self._window = window
        self._open: dict[str, QDialog] = {}
        self._import = ModelImport(window)

    # ------------------------------------------------------------------ files

    def ask_open(self) -> None:
        """Choose configurations or runs to open."""
        dialog = QFileDialog(self._window, self.tr("Open"), str(self._window.session.store))
        dialog.setFileMode(QFileDialog.FileMode.ExistingFiles)
        kinds = self.tr("Configurations, runs and bundles (*.toml *.tfx *.tfxbundle)")
        dialog.setNameFilters([kinds, self.tr("All files (*)")])
        dialog.filesSelected.connect(self._window.session.open)
        self.show("open", dialog)

    def ask_import(self) -> None:
        """Choose the configuration or the checkpoint of a published model."""
        dialog = QFileDialog(self._window, self.tr("Import a model"))
        dialog.setFileMode(QFileDialog.FileMode.ExistingFile)
        dialog.setNameFilters([self.tr("Models (config.json *.safetensors)"), self.tr("All files (*)")])
        dialog.fileSelected.connect(self._import.start)
        self.show("import", dialog)

    def ask_save(self) -> None:
        """Choose where the edited configuration is saved."""
        name = self._window.session.draft.config.name.replace("/", "-") or "configuration"
        dialog = QFileDialog(self._window, self.tr("Save configuration"), f"{name}.toml")
        dialog.setAcceptMode(QFileDialog.AcceptMode.AcceptSave)
        dialog.setDefaultSuffix("toml")
        dialog.setNameFilters([self.tr("Configurations (*.toml)")])
        dialog.fileSelected.connect(self.save)
        self.show("save", dialog)

    def save(self, file: str) -> None:
        """Write the edited configuration."""
        from tfx_workbench.exporting.target import written  # not before the first paint

        data = {"format": 1, **self._window.session.draft.data}
        try:
            with written(file, force=True) as whole:  # over another one the dialog has asked
                whole.write(dumps(data).encode())
        except ConfigError as refused:
            self._window.say_problem(refused.problems[0])
            return
        self._window.messages.say(self.tr("Saved as {file}.").format(file=file), INFO)

    def ask_store(self) -> None:
        """Choose another folder for runs, where they cannot be kept in the usual one."""
        dialog = QFileDialog(self._window, self.tr("Keep runs in"), str(Path.home()))
        dialog.setFileMode(QFileDialog.FileMode.Directory)
        dialog.setOption(QFileDialog.Option.ShowDirsOnly)
        dialog.fileSelected.connect(self.go_on_in)
        self.show("store", dialog)

    def go_on_in(self, folder: str) -> None:
        """Open the window again, with its runs in that folder, in place of this one."""
        if refusal := store_refusal(folder):
            self._window.messages.say(refusal, WARNING, self.tr("Choose another folder…"), self.ask_store)
            return
        program, *arguments = module_argv("tfx_workbench", "--store", folder)
        started, _pid = QProcess.startDetached(program, arguments)
        if started:
            self._window.close()
        else:
            self._window.messages.say(self.tr("The program cannot be started again."), WARNING)

    # ------------------------------------------------------------------ words

    def show_help(self) -> None:
        """Where to begin, and every key."""
        self.show("help", HelpDialog(self._window, self._window.actions_.shortcuts()))

    def show_messages(self) -> None:
        """What the program said so far."""
        dialog = _Side(self._window, self.tr("Messages"))
        text = QPlainTextEdit("\n".join(words for _, words in self._window.messages.history) or self.tr("Nothing yet."))
        text.setReadOnly(True)
        dialog.column.addWidget(text)
        dialog.resize(560, 320)
        self.show("messages", dialog)

    def show_settings(self) -> None:
        """Theme, what happens to runs when the window is closed, where files are."""
        from tfx_workbench.app.settings_dialog import SettingsDialog  # too much for the first paint

        self.show("settings", SettingsDialog(self._window))

    def show_ablation(self) -> None:
        """The ablation designer, with what was ticked in it where it is open already."""
        from tfx_workbench.app.ablation_dialog import AblationDialog  # too much for the first paint

        dialog = self._open.get("ablation")
        if dialog is not None:
            dialog.raise_()
            dialog.activateWindow()
            return
        self.show("ablation", AblationDialog(self._window))

    def show_fair(self, keys: Sequence[str]) -> None:
        """What a fair comparison of these runs will take; of the form's configurations where there are none."""
        from tfx_workbench.app.fair_dialog import FairDialog  # too much for the first paint

        self.show("fair", FairDialog(self._window, keys))

    def show(self, name: str, dialog: QDialog) -> None:
        """Show a window beside the window; one of that name that is open is closed."""
        old = self._open.pop(name, None)
        if old is not None:
            old.close()
        dialog.setModal(False)
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        dialog.destroyed.connect(lambda: self._open.pop(name, None))
        self._open[name] = dialog
        dialog.show()
        dialog.raise_()


class _Side(QDialog):
    """A plain window beside the window; Escape closes it."""

    def __init__(self, parent: QWidget, title: str) -> None:
        super().__init__(parent)
        self.setWindowTitle(title)
        self.column = QVBoxLayout(self)
        self.column.setContentsMargins(16, 16, 16, 16)
        self.column.setSpacing(12)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if event.key() == Qt.Key.Key_Escape:
            self.close()
            return
        super().keyPressEvent(event)


class HelpDialog(_Side):
    """Where to begin, and the keys."""

    def __init__(self, parent: QWidget, shortcuts: list[tuple[str, str]]) -> None:
        super().__init__(parent, self.tr("Keyboard and help"))
        for text in (
            self.tr("Choose a preset, or toggle techniques at the left. Press Run: a real transformer is built and "
                    "trained on this device, and every step is measured."),
            self.tr("Tick runs in the table to see them together, each in its colour. Choose a baseline with a right "
                    "click: then differences appear, with their 95 % intervals."),
            self.tr("Rest the mouse on anything to read what it is. Everything measured is in one file per run and "
                    "stays, whatever happens to this window."),
        ):
            label = QLabel(text)
            label.setWordWrap(True)
            self.column.addWidget(label)
        frame = QFrame()
        frame.setObjectName("raised")
        grid = QGridLayout(frame)
        grid.setContentsMargins(12, 8, 12, 8)
        grid.setHorizontalSpacing(24)
        own = [
            (self.tr("Left, Right"), self.tr("Choose within a toggle")),
            (self.tr("Down"), self.tr("At a toggle: the list of all choices, each with a line about it")),
            (self.tr("Ctrl+D"), self.tr("At a toggle: make the slot a favourite, or no longer")),
            (self.tr("Ctrl+Backspace"), self.tr("At a toggle: the slot back to its default")),
            (self.tr("Alt+Left, Alt+Right"), self.tr("On a page: the technique before, the next one")),
            (self.tr("Up, Down"), self.tr("Change a number")),
            (self.tr("Space"), self.tr("Show the selected runs in the panels, or no longer")),
            (self.tr("Enter"), self.tr("Show the selected run alone")),
            (self.tr("F2, Del"), self.tr("Rename, delete the selected run")),
        ]
        for row, (keys, words) in enumerate([*shortcuts, *own]):
            left = QLabel(keys)
            left.setObjectName("cardTitle")
            grid.addWidget(left, row, 0)
            grid.addWidget(QLabel(words), row, 1)
        grid.setColumnStretch(1, 1)
        self.column.addWidget(frame)
        self.resize(560, self.sizeHint().height())
