"""Export from the table of runs: every format in the context menu, written without the window waiting."""

from __future__ import annotations

import functools
import re
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QObject, Signal
from PySide6.QtWidgets import QFileDialog, QMenu

from tfx_engine.protocol.problems import ConfigError, Problem
from tfx_engine.runfile.errors import RunFileError
from tfx_workbench.widgets.message_bar import INFO, WARNING
from tfx_workbench.widgets.words import plain_tip, shown

if TYPE_CHECKING:
    from tfx_workbench.app.window import MainWindow

_IN_A_FOLDER = "tensorboard"


class RunExport(QObject):
    """Belongs to one window. One export at a time, on a thread: a script needs the engine, a bundle all of a run."""

    done = Signal(str)  # path
    _ended = Signal(object)  # path, or a list of Problem; from the thread

    def __init__(self, window: MainWindow) -> None:
        super().__init__(window)
        self._window = window
        self._thread: threading.Thread | None = None
        self._ended.connect(self._show)

    def fill(self, menu: QMenu, keys: Sequence[str]) -> None:
        """A submenu with the formats that these runs can be exported in."""
        from tfx_workbench.exporting.formats import FORMATS  # too much for the first paint

        inner = menu.addMenu(self.tr("Export"))
        inner.setToolTipsVisible(True)
        for each in FORMATS.values():
            if len(keys) == 1 or each.name == "bundle":
                action = inner.addAction(self.tr("{format}…").format(format=shown(each.title)))
                action.setToolTip(plain_tip(shown(each.help)))
                action.triggered.connect(functools.partial(self._triggered, each.name, tuple(keys)))

    def _triggered(self, name: str, keys: tuple[str, ...], checked: bool = False) -> None:
        self.ask(name, keys)

    def ask(self, name: str, keys: Sequence[str]) -> None:
        """Choose where to write, and write."""
        from tfx_workbench.exporting.formats import FORMATS

        each = FORMATS[name]
        suggested = str(Path.home() / f"{file_name(Path(keys[0]).stem)}{each.suffix}")
        dialog = QFileDialog(self._window, shown(each.title), suggested)
        if name == _IN_A_FOLDER:
            dialog.setFileMode(QFileDialog.FileMode.Directory)
        else:
            dialog.setAcceptMode(QFileDialog.AcceptMode.AcceptSave)  # it asks before something is overwritten
            dialog.setNameFilters([f"{shown(each.title)} (*{each.suffix})", self.tr("All files (*)")])
        dialog.fileSelected.connect(lambda file: self.start(name, keys, file))
        self._window.commands.show_dialog("export", dialog)

    def start(self, name: str, keys: Sequence[str], file: str) -> None:
        """Write these runs in a format; the user has agreed to overwrite what is there."""
        if self._thread is not None and self._thread.is_alive():
            self._window.messages.say(self.tr("Something is being exported already."), WARNING)
            return
        self._window.messages.say(self.tr("Exporting {file} …").format(file=Path(file).name), INFO)
        work = functools.partial(self._work, name, [Path(key) for key in keys], file)
        self._thread = threading.Thread(target=work, name="export", daemon=True)
        self._thread.start()

    def _work(self, name: str, runs: list[Path], file: str) -> None:
        from tfx_workbench.exporting.formats import Ask, export

        found: Any
        try:
            found = export(name, Ask(runs[0], file, force=True, more=tuple(runs[1:])))["path"]
        except ConfigError as error:
            found = list(error.problems)
        except RunFileError as error:
            found = [error.problem]
        try:
            self._ended.emit(found)
        except RuntimeError:
            return  # the window is gone

    def _show(self, found: str | list[Problem]) -> None:
        if isinstance(found, list):
            for problem in found:
                self._window.say_problem(problem)
            return
        self._window.messages.say(self.tr("Exported as {file}.").format(file=found), INFO)
        self.done.emit(found)


def file_name(name: str) -> str:
    """A name that any file system takes, whatever the run is called."""
    return re.sub(r"[^\w.-]+", "-", name).strip(".-")[:80] or "run"
