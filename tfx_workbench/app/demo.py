"""The demonstration: five techniques run by themselves; and a picture of the window for whoever has no display."""

from __future__ import annotations

import contextlib
import logging
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import QBuffer, QIODevice, QObject, QTimer
from PySide6.QtWidgets import QApplication

from tfx_engine.protocol.problems import ConfigError
from tfx_workbench.exporting.target import not_written, written

if TYPE_CHECKING:
    from tfx_workbench.app.window import MainWindow

PRESET = "five_techniques"
SETTLE_MS = 3000  # from the end of the last run until every figure is read and every panel has drawn it
_log = logging.getLogger("tfx_workbench")


class Demo(QObject):
    """Waits until the window has begun, does its part, and ends the program where it is asked to."""

    def __init__(self, window: MainWindow, *, demo: bool, screenshot: str, ends: bool) -> None:
        super().__init__(window)
        self._window, self._demo, self._screenshot, self._ends = window, demo, screenshot, ends
        self._keys: list[str] = []
        self._failed = False
        window.begun.connect(self._begin)

    def _begin(self) -> None:
        session = self._window.session
        if not self._demo:
            QTimer.singleShot(SETTLE_MS, self, self._finish)
            return
        preset = next((p for p in self._window.commands.presets if p.name == PRESET), None)
        if preset is None:
            self._give_up(self.tr("The preset of the demonstration is missing."))
            return
        session.submitted.connect(self._on_submitted)
        session.refused.connect(lambda _index, problem: self._give_up(problem.sentence()))
        session.ended.connect(self._on_ended)
        self._window.commands.load_preset(preset)
        session.run()

    def _on_submitted(self, keys: list[str]) -> None:
        self._keys = list(keys)

    def _on_ended(self, key: str, status: str, reason: str) -> None:
        if key not in self._keys:
            return
        self._keys.remove(key)
        if status != "finished":
            self._failed = True
            _complain(f"{Path(key).name}: {reason}")
        if not self._keys:
            QTimer.singleShot(SETTLE_MS, self, self._finish)

    def _finish(self) -> None:
        if self._screenshot:
            self._take_pictures()
        if self._ends:
            QApplication.exit(1 if self._failed else 0)

    def _take_pictures(self) -> None:
        theme = self._window.theme
        before = theme.name
        themes = ("light", "dark") if "{theme}" in self._screenshot else (before,)
        for name in themes:
            theme.choose(name)
            path = Path(self._screenshot.replace("{theme}", name))
            try:
                take_picture(self._window, path)
            except ConfigError as error:
                self._failed = True
                _complain(f"{self.tr('The picture cannot be saved as {path}.').format(path=path)} {error}")
        theme.choose(before)

    def _give_up(self, reason: str) -> None:
        _complain(reason)
        self._window.messages.say(reason, "bad")
        self._failed = True
        if self._ends:
            QApplication.exit(1)


def _complain(words: str) -> None:
    """Into the log, and to whoever waits for the program to end: there may be no window to be seen."""
    _log.error("%s", words)
    print(words, file=sys.stderr, flush=True)


def take_picture(window: MainWindow, path: Path) -> None:
    """Save what the window shows now, every visible panel drawn anew. Raises ConfigError; a run is never replaced."""
    window.frames.mark_all()
    for _ in range(40):  # one panel a frame at worst
        window.frames.draw()
        QApplication.processEvents()
    buffer = QBuffer()
    buffer.open(QIODevice.OpenModeFlag.WriteOnly)
    if not window.grab().save(buffer, path.suffix.lstrip(".").upper()):  # type: ignore[call-overload]
        raise ConfigError([not_written(path, window.tr("its name must end in .png or .jpg"))])
    with contextlib.suppress(OSError):  # `written` says what is wrong with the folder
        path.parent.mkdir(parents=True, exist_ok=True)
    with written(path, force=True) as file:
        file.write(bytes(buffer.data().data()))
