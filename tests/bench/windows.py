"""Real window processes with a probe inside, started and listened to from here."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

PATIENCE_S = 300.0
ROOT = Path(__file__).resolve().parent.parent.parent


@contextlib.contextmanager
def x_server() -> Iterator[str]:
    """A real X server without a screen, 1920 x 1200; the name of its display."""
    with subprocess.Popen(
        ["Xvfb", "-displayfd", "1", "-screen", "0", "1920x1200x24", "-nolisten", "tcp", "-noreset"],
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
    ) as server:
        assert server.stdout is not None
        try:
            yield f":{server.stdout.readline().strip()}"
        finally:
            server.terminate()


def has_x_server() -> bool:
    """Whether `x_server` can be had here."""
    return shutil.which("Xvfb") is not None


def window_says(
    home: Path, part: str, *, display: str = "", arguments: Sequence[str | Path] = (), **options: Any
) -> list[dict[str, Any]]:
    """Start a window, let the probe of that part measure it (see `window_probe`), and return all that it said.

    `home` is where the window finds runs and keeps settings; without a `display` it is offscreen. Fails where the
    program ends with anything but 0.
    """
    environment = {
        **os.environ, "TFX_HOME": str(home), "PYTHONPATH": str(ROOT), "PYTHONPYCACHEPREFIX": str(home / "bytecode"),
        "QT_QPA_PLATFORM": "xcb" if display else "offscreen", **({"DISPLAY": display} if display else {}),
    }
    environment.pop("PYTHONDONTWRITEBYTECODE", None)  # an installed program has its byte code beside it
    home.mkdir(exist_ok=True)
    # Whatever happens to the window, nothing may go on that would be measured along next time.
    (home / "window.ini").write_text("[General]\non_disconnect=stop\n", encoding="ascii")
    module = [sys.executable, "-m", "tests.bench.window_probe"]
    spawned_at = time.monotonic()  # the same clock in every process
    done = subprocess.run(
        [*module, repr(spawned_at), part, json.dumps(options), "--", *map(str, arguments)], env=environment, text=True,
        stdout=subprocess.PIPE, timeout=PATIENCE_S, check=True,
    )
    return [json.loads(line) for line in done.stdout.splitlines()]
