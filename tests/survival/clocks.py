"""The wall clock jumps by -1 h and +1 day in the middle of a run; the computer sleeps; everything is stopped together.

    python -m tests.survival.clocks                 with real workers

In children whose clocks are set by a file (`shifted`). What must hold: the times of steps and of everything else in a
run file go on evenly, durations are true, a run does not end before it began, and what was queued later runs later.
Steps during which the computer slept, or the process was stopped, count nowhere, and the run says so.
"""

from __future__ import annotations

import datetime
import os
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from tests.helpers.services import Listening, has_steps, info
from tests.survival.shifted import FILE, MODULE, shift
from tests.survival.table import Row, show
from tests.survival.windows import stopped
from tfx_engine.client import control
from tfx_engine.protocol.interleaving import Interleave
from tfx_engine.protocol.launch import module_argv
from tfx_engine.protocol.taint import STOPPED
from tfx_engine.runfile.reader import RunReader

HOUR_S, DAY_S = 3600.0, 86400.0
SLEPT_S = 8 * HOUR_S
UNEVEN_MS = 3000.0  # between two steps of some milliseconds, on a busy machine
WITHIN_S = 3.0
PATIENCE_S = 400.0  # far more than anything takes
TINY: dict[str, Any] = {"model": {"width": 16, "layers": 1, "heads": 2, "context": 16},
                        "run": {"batch": 2, "warmup_steps": 1, "device": "cpu", "threads": 1, "audit": False}}


def config(name: str, steps: int = 20) -> dict[str, Any]:
    """A small run. The stand-in does what the name says, the real worker so many steps."""
    return {**TINY, "name": name, "run": {**TINY["run"], "measure_steps": steps}}


def serving(home: Path) -> Listening:
    """A client of a service whose clock, and whose workers' clocks, a file in `home` sets."""
    os.environ[FILE] = str(home / "shift.json")
    shift(home / "shift.json")
    argv = module_argv(MODULE, "serve")
    return Listening(home / "runs", on_disconnect="stop", warm=False, argv=argv)


def jumps(home: Path) -> list[Row]:
    """The wall clock is set while a run goes on and others wait."""
    file = home / "shift.json"
    with serving(home) as client:
        (first,) = client.submit([config("endless", 10**8)])
        client.wait_for("started", first)
        _wait(lambda: has_steps(first, 20))
        later = client.submit([config("quick")])
        shift(file, wall_s=-HOUR_S)
        time.sleep(0.5)
        later += client.submit([config("quick")])
        shift(file, wall_s=DAY_S)
        time.sleep(0.5)
        later += client.submit([config("quick")])
        control(first, "stop")
        client.wait_for("ended", first)
        _wait(lambda: len(_told(client, "ended")) > len(later))
        order = [Path(run) for run in _told(client, "started")][1:]
        ended = list(_told(client, "ended").values())[1:]
    said, dates = info(first), [_seconds(run) for run in (first, *later)]
    t_ms, steps_ms = _times(first)
    events = [event.t_ms for event in _events(first)]
    took_s = events[-1] / 1000  # of the steady clock
    ages = [abs((datetime.datetime.now(datetime.UTC) - _date(info(run).created_at)).total_seconds()) for run in later]
    return [
        Row("longest time between two steps", f"{np.diff(t_ms).max():.0f} ms", f"0 to {UNEVEN_MS:g} ms",
            bool(np.diff(t_ms).min() >= 0 and np.diff(t_ms).max() < UNEVEN_MS)),
        Row("longest step", f"{steps_ms.max():.0f} ms", f"< {UNEVEN_MS:g} ms", bool(steps_ms.max() < UNEVEN_MS)),
        Row("events in order of time", "yes" if events == sorted(events) else "no", "yes", events == sorted(events)),
        Row("duration by its dates, and by the steady clock", f"{dates[0]:.1f} s, {took_s:.1f} s", f"+-{WITHIN_S:g} s",
            abs(dates[0] - took_s) < WITHIN_S),
        Row("no run ended before it began", ", ".join(f"{seconds:.1f} s" for seconds in dates), ">= 0",
            min(dates) >= 0),
        Row("what was queued first ran first", "yes" if order == later else "no", "yes", order == later),
        Row("how they ended", f"{said.status}, {', '.join(ended)}", "stopped, finished", said.status == "stopped"
            and set(ended) == {"finished"}),
        Row("dates of the files: those of the clock then", ", ".join(f"{age / HOUR_S:.1f} h" for age in ages),
            "0, 1, 24 h", [round(age / HOUR_S) for age in ages] == [0, 1, 24]),
    ]


def jumps_between_processes(home: Path) -> list[Row]:
    """The wall clock is set between the processes of a comparison in turns: its times go on from one to the next."""
    file = home / "shift.json"
    configs = [config("baseline", 4), config("other", 4)]
    with serving(home) as client:
        asked = Interleave(rounds=3, blocks=2, turn_steps=2, control=False)
        runs, _ = client.compare(configs, ["", ""], "jumps", asked)
        for round_, ahead_s in ((1, -HOUR_S), (2, DAY_S)):
            _wait(lambda round_=round_: any(n.kind == "turns" and n.detail.get("round", 0) > round_
                                            for n in client.notices))
            shift(file, wall_s=ahead_s)
        for run in runs:
            client.wait_for("ended", run)
    times = [_all_times(run) for run in runs]
    longest_s = max(float(np.diff(t_ms).max()) / 1000 for t_ms in times)
    return [
        Row("longest time between two steps, over all processes", f"{longest_s:.1f} s", "0 to 60 s",
            all(float(np.diff(t_ms).min()) >= 0 for t_ms in times) and longest_s < 60.0),
        Row("how they ended", ", ".join(info(run).status for run in runs), "finished",
            {info(run).status for run in runs} == {"finished"}),
    ]


def sleeps(home: Path) -> list[Row]:
    """The computer sleeps for hours (only the clock that counts that goes on), in a run."""
    return _gap(home, lambda client, run: shift(home / "shift.json", wall_s=SLEPT_S, slept_s=SLEPT_S), SLEPT_S)


def all_stopped(home: Path, seconds: float) -> list[Row]:
    """Service and worker are stopped together for a while, as by a container that is paused."""
    def stop(client: Listening, run: Path) -> None:
        assert client.pid is not None
        family = [client.pid, *(p.pid for p in psutil.Process(client.pid).children(recursive=True))]
        with stopped(*family):
            time.sleep(seconds)

    return _gap(home, stop, seconds)


def _gap(home: Path, happen: Callable[[Listening, Path], None], seconds: float) -> list[Row]:
    with serving(home) as client:
        (run,) = client.submit([config("endless", 10**8)])
        _wait(lambda: has_steps(run, 20))
        happen(client, run)
        held = _count(run)
        _wait(lambda: has_steps(run, held + 100))
        client.hello(10.0)
        control(run, "stop")
        client.wait_for("ended", run)
    events = [event for event in _events(run)
              if event.code == "stopped-meanwhile" and event.args["seconds"] > seconds / 2]
    with closing(RunReader(run)) as reader:
        taints = list(reader.steps(columns=["taint"])["taint"])
    marked = sum(taint == STOPPED for taint in taints)
    said_s = float(events[0].args["seconds"]) if events else 0.0
    near = abs(said_s - seconds) < max(WITHIN_S, 0.01 * seconds)
    return [
        Row("the run says for how long it did not run", f"{said_s:.1f} s", f"{seconds:.1f} s",
            len(events) == 1 and near),
        Row("steps marked, and so left out", f"{marked} of {len(taints)}", "1 to 100", 0 < marked <= 100),
        Row("steps go on and the service answers", info(run).status, "stopped", info(run).status == "stopped"),
    ]


def _told(client: Listening, kind: str) -> dict[str, str]:
    """The runs of which something was said, in order, and what became of each."""
    return {n.run: n.detail.get("status", "") for n in client.notices if n.kind == kind}


def _wait(holds: Callable[[], Any]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not holds():
        assert time.monotonic() < deadline, "not in time"
        time.sleep(0.02)


def _count(run: Path) -> int:
    with closing(RunReader(run)) as reader:
        return reader.count_steps()


def _times(run: Path) -> tuple[Any, Any]:
    with closing(RunReader(run)) as reader:
        rows = reader.steps(columns=["t_ms", "step_ms"])
    return rows["t_ms"], rows["step_ms"]


def _all_times(run: Path) -> Any:
    """When each step ended, of all the processes of a comparison, in the order of writing."""
    import sqlite3

    with closing(sqlite3.connect(run)) as connection:
        return np.array([row[0] for row in connection.execute("SELECT t_ms FROM step ORDER BY seq")])


def _events(run: Path) -> list[Any]:
    with closing(RunReader(run)) as reader:
        return list(reader.events())


def _date(text: str | None) -> datetime.datetime:
    assert text is not None
    return datetime.datetime.fromisoformat(text)


def _seconds(run: Path) -> float:
    said = info(run)
    return (_date(said.ended_at) - _date(said.started_at)).total_seconds()


def main() -> int:
    """See the module's docstring."""
    os.environ["TFX_SHIFTED_REAL"] = "1"
    good = True
    with tempfile.TemporaryDirectory() as folder:
        for title, part in (
            ("the wall clock jumps by -1 h and +1 day in a run", jumps),
            ("the same between the processes of a comparison in turns", jumps_between_processes),
            ("the computer sleeps for 8 hours (the clocks of a child say so)", sleeps),
            ("service and worker are stopped together for 10 s", lambda home: all_stopped(home, 10.0)),
        ):
            home = Path(folder) / str(len(os.listdir(folder)))  # noqa: PTH208
            home.mkdir()
            good &= show(title, part(home))
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
