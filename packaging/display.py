"""A screen for the smoke test: on Linux one of its own that nobody sees, elsewhere the one that is there."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

_SIZE = "1680x1010x24"
_SHOOT = """
import sys
from PySide6.QtGui import QGuiApplication
app = QGuiApplication([])
app.primaryScreen().grabWindow(0).save(sys.argv[1])
"""
_COUNT = """
import sys
from PySide6.QtGui import QImage
image = QImage(sys.argv[1])
print(len({image.pixel(x, y) for x in range(0, image.width(), 7) for y in range(0, image.height(), 7)}))
"""
_FEWEST_COLOURS = 40  # of a picture on which something is drawn


class Display:
    """As a context: a server that is there until the end."""

    def __init__(self) -> None:
        self._server: subprocess.Popen[bytes] | None = None
        self._number = ""

    def __enter__(self) -> Display:
        if sys.platform.startswith("linux"):
            reader, writer = os.pipe()
            # Without -noreset it begins anew when xdotool leaves, also under a window that is just coming.
            command = ["Xvfb", "-displayfd", str(writer), "-screen", "0", _SIZE, "-nolisten", "tcp", "-noreset"]
            self._server = subprocess.Popen(command, pass_fds=(writer,), stderr=subprocess.DEVNULL)
            os.close(writer)
            with os.fdopen(reader) as pipe:
                self._number = pipe.readline().strip()
        return self

    def __exit__(self, *_: object) -> None:
        if self._server is not None:
            self._server.terminate()
            self._server.wait(10)

    def variables(self) -> dict[str, str]:
        """What a program must be told to draw here."""
        return {"DISPLAY": f":{self._number}"} if self._number else {}

    def wait_for_window(self, timeout_s: float, process: subprocess.Popen[bytes]) -> None:
        """Until a window of the process can be seen. Raises TimeoutError; AssertionError where it ended."""
        if not self._number:
            time.sleep(timeout_s / 3)  # the picture tells
            return
        deadline = time.monotonic() + timeout_s
        command = ["xdotool", "search", "--onlyvisible", "--name", "TFX Workbench"]
        while time.monotonic() < deadline:
            assert process.poll() is None, f"it ended with {process.poll()} before there was a window"
            if subprocess.run(command, env={**os.environ, **self.variables()}, capture_output=True).stdout.strip():
                return
            time.sleep(0.03)
        raise TimeoutError(f"no window within {timeout_s:.0f} s")

    @property
    def can_be_photographed(self) -> bool:
        """macOS shows other programs' windows to nobody without leave, and an empty desktop instead."""
        return sys.platform != "darwin"

    def photograph(self, file: Path) -> None:
        """Save what can be seen. Raises AssertionError where that is one empty screen."""
        environment = {**os.environ, **self.variables()} | ({"QT_QPA_PLATFORM": "xcb"} if self._number else {})
        _python(_SHOOT, file, environment)
        shows_something(file)


def shows_something(picture: Path) -> None:
    """Raises AssertionError where a picture is not there, or empty."""
    assert int(_python(_COUNT, picture, dict(os.environ)).split()[-1]) >= _FEWEST_COLOURS, f"{picture} shows nothing"


def _python(code: str, file: Path, environment: dict[str, str]) -> str:
    done = subprocess.run([sys.executable, "-c", code, str(file)], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout
