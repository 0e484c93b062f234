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
picture = app.primaryScreen().grabWindow(0)
image = picture.toImage()
colours = {image.pixel(x, y) for x in range(0, image.width(), 7) for y in range(0, image.height(), 7)}
picture.save(sys.argv[1])
print(len(colours))
"""
_FEWEST_COLOURS = 40  # of a screen on which something is drawn


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

    def photograph(self, file: Path) -> None:
        """Save what can be seen. Raises AssertionError where that is one empty screen."""
        environment = {**os.environ, **self.variables()} | ({"QT_QPA_PLATFORM": "xcb"} if self._number else {})
        command = [sys.executable, "-c", _SHOOT, str(file)]
        done = subprocess.run(command, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        assert int(done.stdout.split()[-1]) >= _FEWEST_COLOURS, f"{file} shows nothing"
