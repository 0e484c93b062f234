"""The real program with a probe inside: a process that is started, measured and ended by `tests/bench/windows.py`.

    python -m tests.bench.window_probe SPAWNED_AT PART [OPTIONS AS JSON] -- [ARGUMENTS OF tfx-workbench]

It does what `python -m tfx_workbench ARGUMENTS` does. The probe comes in when the program enters its event loop; it
looks and presses keys, and prints one JSON object a line. Times are seconds since SPAWNED_AT, the parent's
`time.monotonic()` from before it started this process.
"""

from __future__ import annotations

import contextlib
import json
import os
import statistics
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QAbstractEventDispatcher, QEvent, QObject, Qt, QTimer
from PySide6.QtWidgets import QApplication

from tfx_workbench.app.window import MainWindow

if TYPE_CHECKING:
    from tfx_workbench.app.watchdog import Latency, Watchdog

DOUBLED = ("throughput", "loss")  # the docked panels that exist a second time, to make eight
CLOSE_AFTER_S = 280.0  # whatever happens, the process ends
REST_S = 5.0  # between one run and the next: the worker says that it is ready, and still starts what torch needs


def fatal(function: Callable[[], None]) -> Callable[[], None]:
    """End the process where the probe itself fails: the program would only log it, and the parent would wait."""

    def guarded() -> None:
        try:
            function()
        except BaseException:
            traceback.print_exc()
            os._exit(1)

    return guarded


class Probe(QObject):
    """Looks at one window from its first event on."""

    def __init__(self, window: MainWindow, spawned_at: float, options: dict[str, Any]) -> None:
        super().__init__(window)
        self.window, self.options, self._spawned_at = window, options, spawned_at
        self.painted_s = self.begun_s = 0.0
        self._paint_handlers: list[tuple[QObject, Callable[[], None]]] = []
        window.begun.connect(self._on_begun)
        window.installEventFilter(self)
        QTimer.singleShot(int(CLOSE_AFTER_S * 1000), window.close)

    def now_s(self) -> float:
        """Seconds since the process was started."""
        return time.monotonic() - self._spawned_at

    def say(self, what: str, **figures: Any) -> None:
        """Tell the parent."""
        print(json.dumps({"what": what, "at_s": self.now_s(), **figures}), flush=True)

    def rss_bytes(self) -> int:
        """Memory of this process that is in RAM."""
        import psutil  # here: it must not count as start-up

        return int(psutil.Process().memory_info().rss)

    def watch(self) -> Watchdog:
        """Begin to measure how long the event loop makes anybody wait."""
        from tfx_workbench.app.watchdog import Watchdog

        watchdog = Watchdog(self)
        watchdog.start()
        return watchdog

    def end(self) -> None:
        """Close the window; the program ends."""
        QTimer.singleShot(0, self.window.close)

    def _on_begun(self) -> None:
        self.begun_s = self.now_s()

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        if watched is self.window and event.type() == QEvent.Type.Paint and not self.painted_s:
            self.painted_s = self.now_s()
        return False

    def when_idle(self, then: Callable[[], None]) -> None:
        """Call `then` when the event loop, the window being painted and begun, first has nothing more to do."""
        dispatcher = QAbstractEventDispatcher.instance()

        @fatal
        def look() -> None:
            if self.painted_s and self.begun_s and self.window.windowHandle().isExposed():
                dispatcher.aboutToBlock.disconnect(look)
                then()

        dispatcher.aboutToBlock.connect(look)

    def wait_until(self, holds: Callable[[], bool], then: Callable[[], None], every_ms: int = 5) -> None:
        """Call `then` as soon as `holds()` is true."""
        timer = QTimer(self)

        @fatal
        def look() -> None:
            if holds():
                timer.stop()
                then()

        timer.timeout.connect(look)
        timer.start(every_ms)


# ------------------------------------------------------------------ up and usable


def start_up(probe: Probe) -> None:
    """When the window is painted, when panels and session are there, when a key press would find it idle."""

    def usable() -> None:
        window = probe.window
        assert window.actions_.run.isEnabled() and len(window.area.docks) == 6
        usable_s, cpu_s = probe.now_s(), time.process_time()
        probe.say("usable", painted_s=probe.painted_s, begun_s=probe.begun_s, usable_s=usable_s,
                  cpu_s=cpu_s, waited_s=waited_s(), rss_bytes=probe.rss_bytes())
        probe.end()

    probe.when_idle(usable)


def waited_s() -> float:
    """How long this thread could have gone on but other processes had the processor; NaN where nobody counts that."""
    try:
        return int(Path("/proc/self/schedstat").read_text(encoding="ascii").split()[1]) / 1e9
    except OSError:
        return float("nan")


# ------------------------------------------------------------------ from F5 to the first measured step


def first_step(probe: Probe) -> None:
    """F5 as soon as the window is usable (`cold`), or each time that the warm worker is ready and nothing runs."""
    from PySide6.QtTest import QTest

    from tfx_workbench.session.engine import State

    window, session = probe.window, probe.window.session
    left, ready_since_s = int(probe.options["presses"]), probe.now_s()
    window.resize(1680, 1010)
    session.refused.connect(lambda _index, problem: probe.say("refused", problem=problem.sentence()))

    def has_rested() -> bool:
        nonlocal ready_since_s
        if session.going() or session.waiting() or session.engine.state is not State.READY:
            ready_since_s = probe.now_s()
        return probe.now_s() - ready_since_s > REST_S

    def press() -> None:
        session.runs.show_only([])
        stages: dict[str, float] = {}
        engine, pressed_s = session.engine.state.value, probe.now_s()

        def on_submitted(keys: list[str]) -> None:
            session.submitted.disconnect(on_submitted)
            stages["submitted"] = probe.now_s() - pressed_s
            probe.wait_until(
                lambda: _shows_measured_step(probe, keys[0], stages, pressed_s), lambda: shown(keys[0]))

        def shown(key: str) -> None:
            nonlocal left
            shown_s = probe.now_s() - pressed_s
            run = session.runs.run(key)
            worker_s, step_s = (float(run.measured(column)[0]) / 1000 for column in ("t_ms", "step_ms"))
            probe.say("first step", engine=engine, shown_s=shown_s, worker_s=worker_s, step_s=step_s, stages=stages)
            window.actions_.stop.trigger()
            left -= 1
            if left:
                probe.wait_until(has_rested, press)
            else:
                probe.wait_until(lambda: not session.going(), probe.end)

        session.submitted.connect(on_submitted)
        QTest.keyClick(window, Qt.Key.Key_F5)

    probe.when_idle(lambda: press() if probe.options["cold"] else probe.wait_until(has_rested, press))


def _shows_measured_step(probe: Probe, key: str, stages: dict[str, float], pressed_s: float) -> bool:
    """Whether the throughput panel shows a median, which only steps that count have; notes what came before."""
    run = probe.window.session.runs.run(key)
    if run is None:
        return False
    now_s = probe.now_s() - pressed_s
    stages.setdefault("file open", now_s)
    for event in run.events:
        if event.kind == "phase":
            stages.setdefault(event.code, now_s)
    if len(run.steps):
        stages.setdefault("first step", now_s)
    canvas = probe.window.area.docks["throughput"].panel.view.canvas
    plots = [frame.plot for frame in canvas.frames.values()] if canvas is not None else []
    return any(layer.key == f"run {key} median" for plot in plots for layer in plot.layers)


# ------------------------------------------------------------------ four live runs in eight panels


def live_runs(probe: Probe) -> None:
    """Tick every run of the library, show eight panels, then measure one stretch after the other."""
    window, runs = probe.window, probe.window.session.runs
    count, stretches = int(probe.options["runs"]), list(probe.options["stretches_s"])
    window.resize(1680, 1010)

    def arrange() -> None:
        _add_panels(window)
        runs.show_only(list(runs.rows))
        draws = Draws(window)
        probe.wait_until(lambda: len(runs.views()) == count, lambda: QTimer.singleShot(3000, probe, lambda: measure(draws)))

    def measure(draws: Draws) -> None:
        stretch_s, before, before_s, watchdog = stretches.pop(0), _steps(window), waited_s(), probe.watch()
        draws.take()

        def done() -> None:
            figures = latency_figures(watchdog.stop())
            probe.say("stretch", seconds=stretch_s, steps=_steps(window), rss_bytes=probe.rss_bytes(),
                      steps_per_s=(_steps(window) - before) / stretch_s, drawn=draws.take(), seen=_seen(window),
                      waited_percent=100 * (waited_s() - before_s) / stretch_s, **figures)
            if stretches:
                measure(draws)
            else:
                probe.end()

        QTimer.singleShot(int(stretch_s * 1000), probe, done)

    probe.when_idle(lambda: probe.wait_until(lambda: len(runs.rows) == count, arrange))


def _add_panels(window: MainWindow) -> None:
    """Two more panels, so that there are eight; all of them in sight, in two rows of four."""
    from tfx_workbench.panels import all_panels

    more = [factory(window.area) for factory in all_panels() if factory.name in DOUBLED]
    for panel in more:
        panel.name += " 2"
    window.area.add_panels(more)
    window.area.apply_theme(window.theme.palette)
    docks = list(window.area.docks.values())
    for beside, dock in zip((docks[2], docks[5]), docks[6:], strict=True):
        window.area.removeDockWidget(dock)
        window.area.splitDockWidget(beside, dock, Qt.Orientation.Horizontal)
        dock.show()
    for row in (docks[:3] + docks[6:7], docks[3:6] + docks[7:]):
        window.area.resizeDocks(row, [window.area.width() // len(row)] * len(row), Qt.Orientation.Horizontal)


class Draws:
    """How often each panel was drawn and how long that took, since the last `take`."""

    def __init__(self, window: MainWindow) -> None:
        self._times_ms: dict[str, list[float]] = {}
        for name, dock in window.area.docks.items():
            dock.panel.update_runs = self._timed(name, dock.panel.update_runs)

    def _timed(self, name: str, update: Callable[..., None]) -> Callable[..., None]:
        def update_runs(*arguments: Any) -> None:
            start = time.perf_counter()
            update(*arguments)
            self._times_ms.setdefault(name, []).append((time.perf_counter() - start) * 1000)

        return update_runs

    def take(self) -> dict[str, tuple[int, float, float]]:
        """By panel: how often, the median and the longest time in milliseconds."""
        taken = {name: (len(t), statistics.median(t), max(t)) for name, t in self._times_ms.items()}
        self._times_ms.clear()
        return taken


def latency_figures(latency: Latency) -> dict[str, float]:
    """What `Probe.say` says of the event loop."""
    return {"samples": latency.count, "median_ms": latency.median_ms, "p99_ms": latency.p99_ms, "max_ms": latency.max_ms}


def _steps(window: MainWindow) -> int:
    return sum(view.data.steps.seq for view in window.session.runs.views())


def _seen(window: MainWindow) -> int:
    return sum(not dock.panel.visibleRegion().isEmpty() for dock in window.area.docks.values())


# ------------------------------------------------------------------ a run of a million steps


def long_run(probe: Probe) -> None:
    """Open the run given in the options: how long until every panel shows it, and how long anything waited."""
    window, path = probe.window, str(probe.options["path"])
    window.resize(1680, 1010)

    def open_run() -> None:
        watchdog, opened_s = probe.watch(), probe.now_s()
        window.session.open([path])

        def shown() -> None:
            shown_s = probe.now_s() - opened_s
            QTimer.singleShot(2000, probe, lambda: done(shown_s))

        def done(shown_s: float) -> None:
            figures = latency_figures(watchdog.stop())
            probe.say("long run", shown_s=shown_s, steps=_steps(window), rss_bytes=probe.rss_bytes(), **figures)
            probe.end()

        probe.wait_until(lambda: not any(_is_empty(dock.panel) for dock in window.area.docks.values()), shown)

    probe.when_idle(lambda: QTimer.singleShot(2000, probe, open_run))


def _is_empty(panel: Any) -> bool:
    return bool(panel.view.empty_text)


# ------------------------------------------------------------------ the process

PARTS = {"start_up": start_up, "first_step": first_step, "live_runs": live_runs, "long_run": long_run}


@contextlib.contextmanager
def probed(spawned_at: float, part: str, options: dict[str, Any]) -> Iterator[None]:
    """While it lasts, a program that enters Qt's event loop is probed from there on."""
    original = QApplication.exec

    def exec_() -> int:
        window = next(w for w in QApplication.topLevelWidgets() if isinstance(w, MainWindow))
        PARTS[part](Probe(window, spawned_at, options))
        return original()

    QApplication.exec = staticmethod(exec_)
    try:
        yield
    finally:
        QApplication.exec = original


def main() -> int:
    """See the module's docstring."""
    cut = sys.argv.index("--")
    spawned_at, part, options = sys.argv[1:cut]
    from tfx_workbench.cli import main as workbench

    with probed(float(spawned_at), part, json.loads(options)):
        return workbench(sys.argv[cut + 1 :])


if __name__ == "__main__":
    sys.exit(main())
