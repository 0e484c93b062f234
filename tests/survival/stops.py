"""Worker, service and window stopped (SIGSTOP) in turn: the others say so and go on, and all goes on after SIGCONT.

    python -m tests.survival.stops                  60 s each
    python -m tests.survival.stops --seconds 20 --pairs 5

A real window starts a real run that does not end. Then, one after the other:

worker    the window says "not responding"; afterwards steps go on, the one around the stop counts nowhere;
service   the window says that the engine does not respond; steps go on meanwhile; afterwards it answers;
window    steps go on, no slower: medians of the step time in stretches with the window stopped and running, in turn;
          the service's memory does not grow.

Other programs on this machine disturb the times; the processor time of a step is printed beside them.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats

from tests.survival.table import Row, campaign_parser, mib, show
from tests.survival.windows import RemoteWindow, cpu_s, rss_bytes, stopped
from tfx_engine.protocol.taint import STOPPED
from tfx_engine.runfile.reader import RunReader

ENDLESS: dict[str, Any] = {
    "name": "endless", "model": {"width": 48, "layers": 2, "heads": 2, "context": 48},
    "run": {"batch": 2, "warmup_steps": 2, "measure_steps": 10**8, "device": "cpu", "threads": 1},
}
PATIENCE_S = 120.0
MOST_SLOWER = 1  # per cent: a window that draws takes some of the processor, so steps beside a stopped one are faster
TELLING = 4  # pairs; fewer say nothing of a per cent
MOST_GROWTH_BYTES = 4 * 2**20  # of the service beside a stopped window
SAID_AFTER_S = 20.0  # a stop goes on until it is said, or that long: a machine may have no time for the window
LONG_AFTER_S = 5.0  # within which everything goes on after a stop


class Running:
    """A window whose run is under way."""

    def __init__(self, window: RemoteWindow, config: dict[str, Any] = ENDLESS) -> None:
        self.window = window
        window.ask("submit", configs=[config])
        state = window.until(lambda s: s["shown_steps"] > 20, PATIENCE_S)
        (name,) = state["runs"]
        self.name, self.service = name, int(state["engine_pid"])
        self.path = Path(state["store"]) / name
        with closing(RunReader(self.path)) as reader:
            self.worker = int(reader.info().pid or 0)

    def steps(self) -> int:
        """How many are in the file."""
        with closing(RunReader(self.path)) as reader:
            return reader.count_steps()

    def rows(self, after: int, until: int) -> dict[str, Any]:
        """Step times and taints."""
        with closing(RunReader(self.path)) as reader:
            return reader.steps(after, until - after, ["step_ms", "taint"])

    def said(self) -> tuple[str, str]:
        """What the window says of the engine and of the run."""
        state = self.window.ask("state")
        return str(state["engine"]), str(state["runs"][self.name]["words"])

    def events(self, code: str) -> list[Any]:
        """Events of that code."""
        with closing(RunReader(self.path)) as reader:
            return [event for event in reader.events() if event.code == code]


def until(holds: Any, patience_s: float = PATIENCE_S) -> float:
    """Wait until that holds; how long it took, infinite where it did not in time."""
    begun_s = time.monotonic()
    while not holds():
        if time.monotonic() - begun_s > patience_s:
            return float("inf")
        time.sleep(0.05)
    return time.monotonic() - begun_s


def stop_worker(running: Running, seconds: float) -> list[Row]:
    """See the module's docstring."""
    before, promised_s = running.steps(), max(seconds, SAID_AFTER_S)
    with stopped(running.worker):
        begun_s = time.monotonic()
        said_s = until(lambda: "not responding" in running.said()[1], promised_s)
        held = running.steps()
        time.sleep(max(0.0, seconds - (time.monotonic() - begun_s)))
        meanwhile = running.steps() - held
    goes_on_s = until(lambda: running.steps() > held + meanwhile + 5)
    heard_s = until(lambda: "not responding" not in running.said()[1], LONG_AFTER_S)
    rows = running.rows(before, running.steps())
    long = np.asarray(rows["step_ms"]) > 0.5 * seconds * 1000
    taints = [taint for taint, is_long in zip(rows["taint"], long, strict=True) if is_long]
    events = [event for event in running.events("stopped-meanwhile") if event.args["seconds"] > seconds / 2]
    return [
        Row("the window says that the run does not respond, after", f"{said_s:.1f} s", f"< {promised_s:g} s",
            said_s < promised_s),
        Row("steps written meanwhile", f"{meanwhile}", "0", meanwhile == 0),
        Row("after SIGCONT steps go on within", f"{goes_on_s:.1f} s", f"< {LONG_AFTER_S:g} s",
            goes_on_s < LONG_AFTER_S),
        Row("and the window takes it back within", f"{heard_s:.1f} s", f"< {LONG_AFTER_S:g} s",
            heard_s < LONG_AFTER_S),
        Row("steps around the stop that count", f"{sum(t != STOPPED for t in taints)} of {len(taints)}", "0",
            all(t == STOPPED for t in taints)),
        Row("the run file says so", f"{len(events)} event(s)", "1", len(events) == 1),
    ]


def stop_service(running: Running, seconds: float) -> list[Row]:
    """See the module's docstring."""
    before, rss, promised_s = running.steps(), rss_bytes(running.service), max(seconds, SAID_AFTER_S)
    with stopped(running.service):
        begun_s = time.monotonic()
        said_s = until(lambda: running.said()[0] == "silent", promised_s)
        time.sleep(max(0.0, seconds - (time.monotonic() - begun_s)))
        meanwhile = running.steps() - before
    heard_s = until(lambda: running.said()[0] != "silent", LONG_AFTER_S)
    grown = rss_bytes(running.service) - rss
    return [
        Row("the window says that the engine does not respond, after", f"{said_s:.1f} s", f"< {promised_s:g} s",
            said_s < promised_s),
        Row("steps written meanwhile", f"{meanwhile}", "> 0", meanwhile > 0),
        Row("after SIGCONT the window takes it back within", f"{heard_s:.1f} s", f"< {LONG_AFTER_S:g} s",
            heard_s < LONG_AFTER_S),
        Row("the service's memory grew by", mib(grown), f"< {mib(MOST_GROWTH_BYTES)}", grown < MOST_GROWTH_BYTES),
    ]


class Stretch:
    """The steps between `begin` and `end`: their median time, and the processor time of each."""

    def __init__(self, running: Running) -> None:
        self._running, self._from, self._cpu_s = running, running.steps(), cpu_s(running.worker)

    def end(self) -> tuple[float, float]:
        """(median milliseconds of a step, milliseconds of processor of a step)."""
        until_, used_s = self._running.steps(), cpu_s(self._running.worker) - self._cpu_s
        rows = self._running.rows(self._from, until_)
        times = [ms for ms, taint in zip(rows["step_ms"], rows["taint"], strict=True)
                 if taint not in (STOPPED, "memory probe")]
        return float(np.median(times)), 1000 * used_s / max(1, until_ - self._from)


def change(stopped_: Sequence[float], running: Sequence[float]) -> tuple[float, float, float]:
    """Per cent by which the first are larger, pair by pair: the mean of the logarithms and its 95 % interval."""
    pairs = np.log(np.asarray(stopped_) / np.asarray(running))
    half = stats.t.ppf(0.975, len(pairs) - 1) * stats.sem(pairs) if len(pairs) > 1 else np.inf
    low, mean, high = 100 * np.expm1(pairs.mean() + np.array([-half, 0.0, half]))
    return float(mean), float(low), float(high)


def stop_window(running: Running, seconds: float, pairs: int) -> list[Row]:
    """Stretches with the window stopped and running, in turn: ABBA."""
    process, rss, grown = running.window.pid, rss_bytes(running.service), []
    found: dict[bool, list[tuple[float, float]]] = {True: [], False: []}
    for number in range(2 * pairs):
        is_stopped = number % 4 in (1, 2)
        with stopped(*([process] if is_stopped else [])):
            time.sleep(0.5)
            stretch = Stretch(running)
            time.sleep(seconds)
            found[is_stopped].append(stretch.end())
            grown.append(rss_bytes(running.service) - rss)
    shown = running.steps()
    caught_up_s = until(lambda: running.window.ask("state")["shown_steps"] >= shown, LONG_AFTER_S * 4)
    if caught_up_s > LONG_AFTER_S * 4:
        print(shown, running.window.ask("state"))  # what it is that the window does instead
    wall, cpu = (change([a[i] for a in found[True]], [b[i] for b in found[False]]) for i in range(2))
    steps_ms = statistics.median(ms for pair in found.values() for ms, _ in pair)
    return [
        Row("step time, median over all", f"{steps_ms:.2f} ms"),
        Row("step time while the window is stopped, against running",
            "{:+.2f} % [{:+.2f}, {:+.2f}]".format(*wall), f"< +{MOST_SLOWER} %",
            wall[0] < MOST_SLOWER if pairs >= TELLING else None),
        Row("processor time of a step, likewise", "{:+.2f} % [{:+.2f}, {:+.2f}]".format(*cpu)),
        Row("the service's memory grew at the most by", mib(max(grown)), f"< {mib(MOST_GROWTH_BYTES)}",
            max(grown) < MOST_GROWTH_BYTES),
        Row("after SIGCONT the window shows all steps within", f"{caught_up_s:.1f} s",
            f"< {LONG_AFTER_S * 4:g} s", caught_up_s < LONG_AFTER_S * 4),
    ]


def main(arguments: Sequence[str] | None = None) -> int:
    """See the module's docstring."""
    parser = campaign_parser(__doc__)
    parser.add_argument("--seconds", type=float, default=60.0, help="how long each is stopped (60)")
    parser.add_argument("--pairs", type=int, default=4, help="stretches with the window stopped and running (4)")
    asked = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder, RemoteWindow(Path(folder) / "home") as window:
        running = Running(window)
        good = show(f"the worker stopped for {asked.seconds:g} s", stop_worker(running, asked.seconds))
        good &= show(f"the service stopped for {asked.seconds:g} s", stop_service(running, asked.seconds))
        good &= show(f"the window stopped {asked.pairs} times for {asked.seconds:g} s",
                     stop_window(running, asked.seconds, asked.pairs))
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
