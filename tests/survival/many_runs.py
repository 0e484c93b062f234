"""Many short runs, one after the other, in one service and one window: what each process holds more in the end.

    python -m tests.survival.many_runs              50 runs with real workers, a window
    python -m tests.survival.many_runs --runs 200 --standin
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import psutil

from tests.helpers.services import Listening
from tests.survival.table import Row, campaign_parser, mib, show
from tests.survival.windows import RemoteWindow

RUNS, WARM = 50, 10  # runs; of these before what is held is noted
PATIENCE_S = 20.0
STANDIN = "tests.helpers.standin_worker"
MOST_BYTES = {"service": 50_000.0, "window": 400_000.0}  # more for each run
QUICK: dict[str, Any] = {
    "name": "quick", "model": {"width": 16, "layers": 1, "heads": 2, "context": 16},
    "run": {"batch": 2, "warmup_steps": 1, "measure_steps": 20, "device": "cpu", "threads": 1, "audit": False,
            "profile": False},
}
Held = dict[str, float]


def held(pid: int) -> Held:
    """What a process holds."""
    process = psutil.Process(pid)
    return {"rss_bytes": process.memory_info().rss, "threads": process.num_threads(), "files": process.num_fds()}


def settled(pid: int, before: Held) -> Held:
    """The same once threads of the last run have ended, or had time enough to."""
    deadline = time.monotonic() + PATIENCE_S
    while (found := held(pid))["threads"] > before["threads"] + 3 and time.monotonic() < deadline:
        time.sleep(0.1)
    return found


def compare(what: str, before: Held, after: Held, runs: int) -> list[Row]:
    """In words."""
    each = (after["rss_bytes"] - before["rss_bytes"]) / runs
    sizes = f"{mib(before['rss_bytes'])} -> {mib(after['rss_bytes'])}"
    more = {name: round(after[name] - before[name]) for name in ("threads", "files")}
    return [
        Row(f"memory of the {what}", f"{sizes}, {each / 1000:+.1f} kB a run",
            f"< {MOST_BYTES[what] / 1000:g} kB a run", each < MOST_BYTES[what]),
        Row(f"threads and open files of the {what}", f"{more['threads']:+d}, {more['files']:+d}", "+-3, +-3",
            all(abs(number) <= 3 for number in more.values())),
    ]


def in_a_service(store: Path, runs: int, warm: int) -> list[Row]:
    """Runs of the stand-in worker (TFX_WORKER_MODULE) that a client asks for."""
    with Listening(store, on_disconnect="stop", warm=False) as client:
        def do(count: int) -> None:
            for _ in range(count):
                (run,) = client.submit([QUICK])
                client.wait_for("ended", run)
            time.sleep(0.5)  # threads of the last worker

        return _measured("service", do, lambda: int(client.pid or 0), runs, warm)


def _measured(what: str, do: Callable[[int], None], pid: Callable[[], int], runs: int, warm: int) -> list[Row]:
    do(warm)
    before = held(pid())
    do(runs - warm)
    return compare(what, before, settled(pid(), before), runs - warm)


def in_a_window(home: Path, runs: int, warm: int, worker: str = "") -> list[Row]:
    """Runs that a window asks for, each as the one before has ended; it shows the newest eight."""
    with RemoteWindow(home, worker=worker) as window:
        done: list[int] = []

        def all_ended(state: dict[str, Any]) -> bool:
            return sum(run["status"] == "finished" for run in state["runs"].values()) == len(done)

        def do(count: int) -> None:
            for number in range(count):
                window.ask("submit", configs=[QUICK])
                done.append(number)
                window.until(all_ended)
            time.sleep(3.0)  # figures, and what is shown no longer

        do(warm)
        service = int(window.ask("state")["engine_pid"])
        before = held(service), held(window.pid)
        do(runs - warm)
        after = held(service), held(window.pid)
        wrong = window.ask("state")["said"]
    return [
        *compare("service", before[0], after[0], runs - warm), *compare("window", before[1], after[1], runs - warm),
        Row("problems that were said", str(len(wrong)), "0", not wrong),
    ]


def main(arguments: Sequence[str] | None = None) -> int:
    """See the module's docstring."""
    parser = campaign_parser(__doc__)
    parser.add_argument("--runs", type=int, default=RUNS)
    parser.add_argument("--standin", action="store_true", help="with the stand-in worker, which needs no torch")
    asked = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        rows = in_a_window(Path(folder) / "home", asked.runs, WARM, STANDIN if asked.standin else "")
        good = show(f"{asked.runs} runs in one service and one window", rows)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
