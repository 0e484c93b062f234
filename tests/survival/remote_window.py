"""The real program, told by its parent what to do: a process that `tests/survival/windows.py` starts.

    python -m tests.survival.remote_window OPTIONS_AS_JSON -- [ARGUMENTS OF tfx-workbench]

It does what `python -m tfx_workbench ARGUMENTS` does. Once the window is up it reads one JSON object a line from stdin,
`{"do": name, ...}`, does it in the window's thread, and answers with one JSON object a line on stdout.
"""

from __future__ import annotations

import dataclasses
import json
import os
import sys
import threading
import time
import traceback
from pathlib import Path
from typing import Any

import psutil

import tfx_engine.runfile.reader  # noqa: F401  what the command imports before Qt

# isort: split
from PySide6.QtCore import QObject, Qt, QTimer, Signal
from PySide6.QtWidgets import QApplication

from tests.helpers.watchdog import Watchdog
from tfx_workbench.app.window import MainWindow


class Remote(QObject):
    """What can be asked of a window: every method without an underscore."""

    _came = Signal(dict)

    def __init__(self, window: MainWindow, options: dict[str, Any]) -> None:
        super().__init__(window)
        self.window, self.session = window, window.session
        self._watchdog = Watchdog(self)
        self._process = psutil.Process()
        self._said: list[str] = []
        self._trash: list[Any] = []
        self._extra: list[Any] = []  # whatever another module wants to keep alive
        self.session.problem_found.connect(lambda problem, _level: self._said.append(problem.sentence()))
        self.session.removed.connect(self._trash.extend)
        self._hurry(options)
        self._came.connect(self._obey)
        threading.Thread(target=self._listen, name="remote", daemon=True).start()

    def _hurry(self, options: dict[str, Any]) -> None:
        """Say sooner that something does not respond, for a test that has no time."""
        from tfx_engine.runfile import pulse
        from tfx_workbench.session import engine

        pulse.SILENT_S = float(options.get("silent_s", pulse.SILENT_S))
        if "look_ms" in options:
            self.session.engine._looks.setInterval(int(options["look_ms"]))
        assert engine.SILENT_LOOKS

    def _listen(self) -> None:
        for line in sys.stdin:
            self._came.emit(json.loads(line))
        os._exit(0)  # the parent is gone

    def _obey(self, asked: dict[str, Any]) -> None:
        action = asked.pop("do")
        try:
            print(json.dumps({"did": action, "answer": getattr(self, action)(**asked)}), flush=True)
        except Exception:
            print(json.dumps({"did": action, "error": traceback.format_exc()}), flush=True)

    # ------------------------------------------------------------------ what can be asked

    def state(self) -> dict[str, Any]:
        """What the window shows and takes."""
        from tfx_workbench.widgets.run_words import RunWords

        words = RunWords()
        lines = {Path(line.key).name: {
            "name": line.name, "status": line.status, "words": words.status(line), "ticked": line.ticked,
            "note": line.note, "tags": list(line.tags), "steps": line.steps,
        } for line in self.session.runs.lines()}
        engine = self.session.engine
        return {
            "engine": engine.state.value, "engine_pid": engine.pid, "runs": lines, "said": list(self._said),
            "shown_steps": self.shown_steps(), "pid": self._process.pid, "store": str(self.session.store),
            "selected": self.session.runs.focus, "panels": list(self.window.area.docks),
            **self.taken(),
        }

    def taken(self) -> dict[str, float]:
        """What the process takes."""
        times = self._process.cpu_times()
        return {"rss_bytes": self._process.memory_info().rss, "cpu_s": times.user + times.system,
                "threads": self._process.num_threads(), "files": self._process.num_fds()}

    def shown_steps(self) -> int:
        """The newest step that panels have, over all ticked runs."""
        return max((view.data.steps.seq for view in self.session.runs.views()), default=0)

    def submit(self, configs: list[dict[str, Any]]) -> None:
        """Queue runs as the Run button does."""
        self.session._submit(configs)

    def show(self, keys: list[str]) -> None:
        """Tick these runs alone."""
        self.session.runs.show_only(keys)

    def rename(self, key: str, name: str) -> None:
        """F2."""
        self.session.rename(key, name)

    def note(self, key: str, note: str) -> None:
        """Annotate."""
        self.session.set_note(key, note)

    def tag(self, key: str, tags: list[str]) -> None:
        """Tag."""
        self.session.set_tags({key: tags})

    def delete(self, key: str) -> None:
        """Delete: into the trash."""
        self.session.delete([key])

    def restore(self) -> None:
        """Undo every deletion."""
        self.session.restore(self._trash)
        self._trash.clear()

    def control(self, key: str, action: str) -> None:
        """Pause, resume, stop."""
        self.session.control([key], action)  # type: ignore[arg-type]

    def watch(self) -> None:
        """Begin to measure how long the event loop makes anybody wait."""
        self._watchdog.start()

    def waits(self) -> dict[str, float]:
        """End that: milliseconds."""
        found = self._watchdog.stop()
        return dataclasses.asdict(found)

    def all_panels(self, count: int) -> list[str]:
        """Have so many panels in sight: those that there are, and second copies of them."""
        from tests.survival.many_panels import arrange

        self.window.resize(1900, 1180)
        return arrange(self.window, count)

    def traced(self, on: bool) -> list[str]:
        """Begin to trace allocations, or say which lines hold more than when it began."""
        from tests.survival import allocations

        return allocations.begin() if on else allocations.growth()

    def end(self) -> None:
        """Close the window; the program ends."""
        QTimer.singleShot(0, self.window.close)


def main() -> int:
    """See the module's docstring."""
    cut = sys.argv.index("--")
    options = json.loads(sys.argv[cut - 1])
    application: Any = QApplication
    original = application.exec

    def exec_() -> int:
        window = next(w for w in QApplication.topLevelWidgets() if isinstance(w, MainWindow))
        remote = Remote(window, options)

        def tell() -> None:
            if window.is_whole:
                timer.stop()
                print(json.dumps({"did": "begin", "answer": time.monotonic()}), flush=True)

        timer = QTimer(remote)
        timer.setTimerType(Qt.TimerType.CoarseTimer)
        timer.timeout.connect(tell)
        timer.start(50)
        return int(original())

    application.exec = staticmethod(exec_)
    from tfx_workbench.cli import main as workbench

    return workbench(sys.argv[cut + 1 :])


if __name__ == "__main__":
    sys.exit(main())
