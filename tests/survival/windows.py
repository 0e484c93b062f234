"""Windows in processes of their own, told from here what to do; see `remote_window`."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import psutil

PATIENCE_S = 120.0  # far more than anything takes
ROOT = Path(__file__).resolve().parent.parent.parent


class RemoteWindow:
    """A running window over the library `home/runs`. A context manager: its processes are gone afterwards."""

    def __init__(
        self, home: Path, *, display: str = "", worker: str = "", environment: Mapping[str, str] | None = None,
        ends: str = "stop", **options: Any,
    ) -> None:
        """`worker`: the module of another worker. `ends`: what becomes of runs when the window is closed."""
        home.mkdir(exist_ok=True)
        (home / "window.ini").write_text(f"[General]\non_disconnect={ends}\n", encoding="ascii")
        surroundings = {
            **os.environ, "TFX_HOME": str(home), "PYTHONPATH": str(ROOT),
            "QT_QPA_PLATFORM": "xcb" if display else "offscreen", **({"DISPLAY": display} if display else {}),
            **({"TFX_WORKER_MODULE": worker} if worker else {}), **(environment or {}),
        }
        module = [sys.executable, "-m", "tests.survival.remote_window", json.dumps(options), "--"]
        self.process = subprocess.Popen(
            module, env=surroundings, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT)
        assert self._hear()["did"] == "begin"

    @property
    def pid(self) -> int:
        """The process of the window."""
        return self.process.pid

    def ask(self, what: str, **arguments: Any) -> Any:
        """Have the window do it, and its answer."""
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps({"do": what, **arguments}) + "\n")
        self.process.stdin.flush()
        answer = self._hear()
        assert answer["did"] == what and "error" not in answer, answer.get("error")
        return answer["answer"]

    def until(self, holds: Callable[[dict[str, Any]], Any], patience_s: float = PATIENCE_S) -> dict[str, Any]:
        """Look at its state until that holds; the state."""
        deadline = time.monotonic() + patience_s
        while not holds(state := self.ask("state")):
            assert time.monotonic() < deadline, f"not within {patience_s:g} s: {state}"
            time.sleep(0.05)
        return state

    def _hear(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, "the window ended"
        found: dict[str, Any] = json.loads(line)
        return found

    def __enter__(self) -> RemoteWindow:
        return self

    def __exit__(self, *error: object) -> None:
        family: list[psutil.Process] = []
        with contextlib.suppress(psutil.Error):
            family = psutil.Process(self.pid).children(recursive=True)
        for stream in (self.process.stdin, self.process.stdout):
            assert stream is not None
        with contextlib.suppress(OSError, AssertionError, subprocess.TimeoutExpired):
            self.ask("end")
            self.process.wait(10)
        for process in [*family, psutil.Process(self.pid)] if self.process.poll() is None else family:
            with contextlib.suppress(psutil.Error):
                process.kill()
        with contextlib.suppress(OSError):
            self.process.communicate()


@contextlib.contextmanager
def stopped(*pids: int) -> Iterator[None]:
    """These processes are stopped while the block lasts."""
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)


def rss_bytes(pid: int) -> int:
    """Memory of a process that is in RAM."""
    return int(psutil.Process(pid).memory_info().rss)


def own_bytes(pid: int) -> int:
    """Of that what is the process's own; the rest are pages of files, which the kernel reads and drops as it pleases.

    Where the kernel does not tell them apart, both.
    """
    try:
        status = Path(f"/proc/{pid}/status").read_text(encoding="ascii", errors="replace")
    except OSError:
        return rss_bytes(pid)
    told = status.partition("RssAnon:")[2].split()
    return 1024 * int(told[0]) if told else rss_bytes(pid)


def cpu_s(pid: int) -> float:
    """Processor time that a process has taken."""
    times = psutil.Process(pid).cpu_times()
    return float(times.user + times.system)
