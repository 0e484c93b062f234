"""Errors, settings, the latency meter, and the version of Qt's bindings."""

from __future__ import annotations

import logging
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from PySide6.QtCore import QByteArray, QCoreApplication, QObject, Signal
from PySide6.QtWidgets import QApplication, QWidget

from tests.helpers.watchdog import Watchdog
from tests.helpers.windows import wait
from tfx_workbench.app.errors import ErrorHook
from tfx_workbench.app.settings import Settings


def test_an_uncaught_error_is_said_and_logged_from_any_thread(qapp: QApplication, tmp_path: Path) -> None:
    before = (sys.excepthook, threading.excepthook)
    hook = ErrorHook(tmp_path / "window.log")
    hook.install()
    heard: list[str] = []
    hook.caught.connect(lambda line, _whole: heard.append(line))
    try:
        sys.excepthook(ValueError, ValueError("one"), None)
        thread = threading.Thread(target=lambda: 1 / 0)
        thread.start()
        thread.join()
        wait(lambda: len(heard) == 2)
    finally:
        hook.remove()
    assert heard == ["ValueError: one", "ZeroDivisionError: division by zero"]
    text = (tmp_path / "window.log").read_text()
    assert "ValueError: one" in text and "ZeroDivisionError" in text and "Traceback" in text
    assert (sys.excepthook, threading.excepthook) == before


def test_the_same_error_of_every_frame_is_said_once(qapp: QApplication) -> None:
    hook = ErrorHook()
    heard: list[str] = []
    hook.caught.connect(lambda line, _whole: heard.append(line))
    hook.install()
    logging.getLogger("tfx_workbench").setLevel(logging.CRITICAL)
    try:
        for _ in range(5):
            sys.excepthook(ValueError, ValueError("again"), None)
    finally:
        hook.remove()
        logging.getLogger("tfx_workbench").setLevel(logging.NOTSET)
    assert heard == ["ValueError: again"]


def test_settings_survive_and_an_older_layout_is_ignored(qapp: QApplication, tmp_path: Path) -> None:
    settings = Settings(tmp_path)
    settings.theme, settings.on_disconnect = "dark", "stop"
    settings.ticked = ["a", "b, with comma"]
    settings.keep_layout("docks", QByteArray(b"state"))
    settings.keep_panel_choices("loss", {"x": "t_s"})
    settings.sync()
    again = Settings(tmp_path)
    assert (again.theme, again.on_disconnect, again.ticked) == ("dark", "stop", ["a", "b, with comma"])
    assert again.layout("docks") == QByteArray(b"state")
    assert again.panel_choices("loss") == {"x": "t_s"}
    again._ini.setValue("layout/version", 0)
    assert again.layout("docks") is None


def test_settings_that_cannot_be_kept_stop_nobody(qapp: QApplication, tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("not a folder")
    settings = Settings(blocked / "settings")
    settings.keep_draft({"configs": []})
    settings.theme = "dark"
    settings.sync()
    assert settings.draft() == {}


def test_the_watchdog_sees_a_blocked_event_loop(qapp: QApplication) -> None:
    watchdog = Watchdog()
    watchdog.start()
    wait(lambda: watchdog.latency().count > 20, "some events")
    before = watchdog.latency().count
    time.sleep(0.25)  # what must never happen in the window's thread
    wait(lambda: watchdog.latency().count > before + 20, "some more")
    latency = watchdog.stop()
    assert latency.count > 40
    assert latency.max_ms >= 200
    assert 200 <= latency.own_max_ms <= latency.max_ms  # who sleeps waits for no processor
    assert latency.median_ms < 100


class _Emitter(QObject):
    told = Signal(bool)


def test_calls_and_signals_keep_the_reference_counts_of_true_and_none(qapp: QApplication) -> None:
    """PySide6 6.12.0 drops one with every call and every emission, until the interpreter aborts."""
    emitter, widget, heard = _Emitter(), QWidget(), [0]

    def listen(_on: bool) -> None:
        heard[0] += 1

    emitter.told.connect(listen)

    def work() -> None:
        for _ in range(100_000):
            emitter.told.emit(True)
            widget.setEnabled(True)

    before = [sys.getrefcount(x) for x in (None, True, False)]
    work()
    after = [sys.getrefcount(x) for x in (None, True, False)]
    assert heard[0] == 100_000
    if sys.version_info < (3, 12):  # from there on these are immortal, and the bug cannot bite
        assert all(abs(b - a) < 1000 for b, a in zip(before, after, strict=True)), (before, after)


@pytest.mark.parametrize("module", ["tfx_workbench.app.main", "tfx_workbench.app.window"])
def test_the_window_imports_neither_torch_nor_pyqtgraph(module: str) -> None:
    code = f"import sys, {module}; print(*sorted({{m.partition('.')[0] for m in sys.modules}}))"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert "PySide6" in loaded
    assert not {"torch", "pyqtgraph", "scipy", "pandas"} & set(loaded)


def test_posting_to_a_dead_watchdog_is_no_error(qapp: QApplication) -> None:
    watchdog = Watchdog()
    watchdog.start()
    watchdog.stop()
    assert watchdog.stop().max_ms >= 0
    QCoreApplication.processEvents()


class StoppedJustBefore(threading.Event):
    """Cleared in the very moment in which somebody else stops the measurement."""

    watchdog: Watchdog

    def clear(self) -> None:
        self.watchdog._end.set()
        self.set()
        super().clear()


@pytest.mark.usefixtures("qapp")
def test_the_watchdog_can_be_stopped_at_any_moment() -> None:
    watchdog = Watchdog()
    taken = StoppedJustBefore()
    taken.watchdog, watchdog._taken = watchdog, taken
    watchdog.start()
    assert watchdog._thread is not None
    watchdog._thread.join(30.0)
    assert not watchdog._thread.is_alive()
