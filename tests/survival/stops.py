"""Worker, service and window stopped (SIGSTOP) in turn: the others say so and go on, and all goes on after SIGCONT.

    python -m tests.survival.stops                  60 s each, then 400 pairs of short stretches: 11 minutes
    python -m tests.survival.stops --seconds 20 --pairs 200
    python -m tests.survival.stops --parts pace --stretch 2 --pairs 100

A real window starts a real run that does not end. Then, one after the other:

worker    the window says "not responding"; afterwards steps go on, the one around the stop counts nowhere;
service   the window says that the engine does not respond; steps go on meanwhile; afterwards it answers;
window    steps go on, the service's memory does not grow; afterwards the window shows them all at once;
pace      no step takes longer beside a stopped window: short stretches with it stopped and running, in turn (`pace`).

The last is judged by its interval: where the promise lies within, it cannot be told here, which is said and is no
fault. Worker and window have processors of their own in it, so that a window that draws takes none of the worker's:
without that, steps beside a stopped window were faster for this alone. What is left of drawing still slows steps beside
a running one: memory, caches and clocks that processors share, and other programs that it drives to the worker's. The
promise is that no step is slower beside a stopped one. How long the worker waited for its processor is printed.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np

from tests.survival.pace import Pace, Stopwatch, apart, changes, is_second
from tests.survival.table import Row, below, campaign_parser, mib, show
from tests.survival.windows import RemoteWindow, rss_bytes, stopped
from tfx_engine.protocol.taint import STOPPED
from tfx_engine.runfile.reader import RunReader

ENDLESS: dict[str, Any] = {
    "name": "endless", "model": {"width": 48, "layers": 2, "heads": 2, "context": 48},
    "run": {"batch": 2, "warmup_steps": 2, "measure_steps": 10**8, "device": "cpu", "threads": 1},
}
PATIENCE_S = 120.0
MOST_SLOWER = 1  # per cent
SETTLE_S = 0.25  # after a stop or SIGCONT: a window draws at once what it missed
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


def stop_window_once(running: Running, seconds: float) -> list[Row]:
    """See the module's docstring."""
    first, rss, grown, counts = running.steps(), rss_bytes(running.service), [0], [0]
    with stopped(running.window.pid):
        begun_s = time.monotonic()
        while (left_s := seconds - (time.monotonic() - begun_s)) > 0:
            time.sleep(min(left_s, 1.0))
            grown.append(rss_bytes(running.service) - rss)
            counts.append(running.steps() - first)
    shown = running.steps()
    caught_up_s = until(lambda: running.window.ask("state")["shown_steps"] >= shown, LONG_AFTER_S * 4)
    if caught_up_s == float("inf"):
        print(shown, running.window.ask("state"))  # what it is that the window does instead
    grown.append(rss_bytes(running.service) - rss)
    late = counts[-1] - counts[len(counts) // 2]
    medians = [float(np.median(running.rows(after, after + counts[-1])["step_ms"]))
               for after in (max(0, first - counts[-1]), first)]
    return [
        Row("steps written meanwhile, in the second half of it", f"{counts[-1]:,}, {late:,}", "> 0", late > 0),
        Row("median of their time, and of as many before", f"{medians[1]:.2f} ms, {medians[0]:.2f} ms"),
        Row("the service's memory grew at the most by", mib(max(grown)), f"< {mib(MOST_GROWTH_BYTES)}",
            max(grown) < MOST_GROWTH_BYTES),
        Row("after SIGCONT the window shows all steps within", f"{caught_up_s:.1f} s", f"< {LONG_AFTER_S:g} s",
            caught_up_s < LONG_AFTER_S),
        Row("and says of engine and run", ", ".join(running.said())),
    ]


def pace_beside_window(running: Running, seconds: float, pairs: int) -> list[Row]:
    """Stretches with the window running and stopped, in turn."""
    window, rss, grown, marks = running.window.pid, rss_bytes(running.service), [0], []
    with (apart(running.worker, [window, running.service]) as where,
          closing(Stopwatch(running.path, running.worker)) as watch):
        for number in range(2 * pairs):
            with stopped(*([window] if is_second(number) else [])):
                time.sleep(SETTLE_S)
                begin = watch.mark()
                time.sleep(seconds)
                marks.append((begin, watch.mark()))
                grown.append(rss_bytes(running.service) - rss)
        paces = watch.between(marks)
    return [
        Row("the worker had for itself", where),
        *_pace_rows(paces),
        Row("the service's memory grew at the most by", mib(max(grown)), f"< {mib(MOST_GROWTH_BYTES)}",
            max(grown) < MOST_GROWTH_BYTES),
    ]


def _pace_rows(paces: Sequence[Pace]) -> list[Row]:
    time_, nothing = changes([one.step_ms for one in paces])
    (quick, _), (cpu, _) = (changes([getattr(one, name) for one in paces]) for name in ("quick_ms", "cpu_ms"))
    waited = [100 * float(np.nanmean([one.waited for i, one in enumerate(paces) if is_second(i) is stopped_] or [0]))
              for stopped_ in (True, False)]
    return [
        Row("step time, median of the stretches", f"{np.nanmedian([one.step_ms for one in paces]):.2f} ms"),
        Row("step time while the window is stopped, against running", str(time_), f"< +{MOST_SLOWER} %",
            below(time_.low, time_.high, MOST_SLOWER)),
        Row("the same between neighbours that were both stopped or running", str(nothing)),
        Row("lower quartile of the step time, stopped against running", str(quick)),
        Row("processor time of a step, stopped against running", str(cpu)),
        Row("the worker waited for a processor, stopped and running", f"{waited[0]:.1f} %, {waited[1]:.1f} %"),
    ]


PARTS = ("worker", "service", "window", "pace")


def main(arguments: Sequence[str] | None = None) -> int:
    """See the module's docstring."""
    parser = campaign_parser(__doc__)
    parser.add_argument("--seconds", type=float, default=60.0, help="how long each is stopped (60)")
    parser.add_argument("--pairs", type=int, default=400, help="stretches with the window stopped and running (400)")
    parser.add_argument("--stretch", type=float, default=0.25, help="seconds of each of these (0.25)")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS, help="only these")
    asked = parser.parse_args(arguments)
    good = True
    with tempfile.TemporaryDirectory() as folder, RemoteWindow(Path(folder) / "home") as window:
        running = Running(window)
        for name, stop in (("worker", stop_worker), ("service", stop_service), ("window", stop_window_once)):
            if name in asked.parts:
                good &= show(f"the {name} stopped for {asked.seconds:g} s", stop(running, asked.seconds))
        if "pace" in asked.parts:
            good &= show(f"the window stopped {asked.pairs} times for {asked.stretch:g} s",
                         pace_beside_window(running, asked.stretch, asked.pairs))
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
