"""The real program with a probe inside: a process that is started, measured and ended by `tests/bench/windows.py`.

    python -m tests.bench.window_probe SPAWNED_AT PART [OPTIONS AS JSON] -- [ARGUMENTS OF tfx-workbench]

It does what `python -m tfx_workbench ARGUMENTS` does. The probe comes in when the program enters its event loop; it
looks and presses keys, and prints one JSON object a line. Times are seconds since SPAWNED_AT, the parent's
`time.monotonic()` from before it started this process.
"""

from __future__ import annotations

import contextlib
import json
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import tfx_engine.runfile.reader  # noqa: F401  what the command imports before Qt

# isort: split
from PySide6.QtCore import Qt, QTimer
from PySide6.QtWidgets import QApplication

from tests.bench.probe import Probe, figures_of, waited_s
from tfx_workbench.app.window import MainWindow

DOUBLED = ("throughput", "loss")  # the docked panels that exist a second time, to make eight
SETTLE_MS = 3000  # from the choice of runs until everything that is done once is done
REST_S = 5.0  # between one run and the next: the worker says that it is ready, and still starts what torch needs


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
            assert run is not None
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
    panel: Any = probe.window.area.docks["throughput"].panel
    canvas = panel.view.canvas
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
        probe.wait_until(lambda: len(runs.views()) == count, lambda: settle(draws))

    def settle(draws: Draws) -> None:
        QTimer.singleShot(SETTLE_MS, probe, lambda: measure(draws))

    def measure(draws: Draws) -> None:
        stretch_s, before, before_s, watchdog = stretches.pop(0), _steps(window), waited_s(), probe.watch()
        draws.take()

        def done() -> None:
            figures = figures_of(watchdog)
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
    """Two more panels, so that there are eight; all of them in sight, in two rows of four. None behind them."""
    from tfx_workbench.panels import all_panels

    window._behind.clear()
    for name in list(window.area.docks)[6:]:
        dock = window.area.docks.pop(name)
        dock.panel.close_panel()
        window.area.removeDockWidget(dock)
        dock.deleteLater()
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
            panel: Any = dock.panel
            panel.update_runs = self._timed(name, panel.update_runs)

    def _timed(self, name: str, update: Callable[..., None]) -> Callable[..., None]:
        def update_runs(*arguments: Any) -> None:
            start = time.perf_counter()
            update(*arguments)
            self._times_ms.setdefault(name, []).append((time.perf_counter() - start) * 1000)

        return update_runs

    def take(self) -> dict[str, tuple[int, float, float]]:
        """By panel: how often, the median and the longest time in milliseconds."""
        import statistics  # here: it must not count as start-up

        taken = {name: (len(t), statistics.median(t), max(t)) for name, t in self._times_ms.items()}
        self._times_ms.clear()
        return taken


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
            figures = figures_of(watchdog)
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
    application: Any = QApplication
    original = application.exec

    def exec_() -> int:
        window = next(w for w in QApplication.topLevelWidgets() if isinstance(w, MainWindow))
        PARTS[part](Probe(window, spawned_at, options))
        return original()

    application.exec = staticmethod(exec_)
    try:
        yield
    finally:
        application.exec = original


def main() -> int:
    """See the module's docstring."""
    cut = sys.argv.index("--")
    spawned_at, part, options = sys.argv[1:cut]
    from tfx_workbench.cli import main as workbench

    with probed(float(spawned_at), part, json.loads(options)):
        return workbench(sys.argv[cut + 1 :])


if __name__ == "__main__":
    sys.exit(main())
