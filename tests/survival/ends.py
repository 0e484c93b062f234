"""`kill -9` of worker, service, window or command line, with real training, at random moments, end to end.

    python -m tests.survival.ends --kills 50

Which of the four, and when, is drawn anew each time: a moment after it was started, after the run file was made, after
a worker took the run, or, half of the time, after some steps. What must
hold then is the table of DESIGN section 2, "what ends what": a killed worker costs its own run alone; a killed service
takes its workers with it within 5 s and leaves its queue to the next; a killed window stops nothing; a killed command
takes everything with it within 5 s. No process is left over, every run file opens, and every step that was ever seen
in one is there.

TFX_DEVICE=cuda trains on a GPU. Where there is no PySide6, windows are left out.
"""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import psutil

from tests.helpers.commandline import write_config
from tests.helpers.services import Listening, info, steps, until
from tests.survival.checks import check_bare
from tests.survival.children import scratch, side_by_side
from tests.survival.table import campaign_parser, tell
from tfx_engine.client import control
from tfx_engine.protocol.launch import child_environment
from tfx_engine.runfile.errors import RunFileError
from tfx_engine.runfile.seal import seal

MARK = "TFX_SURVIVAL"  # in the environment of every process of an attempt
ENDS_WITHIN_S = 5.0
PATIENCE_S = 120.0
TINY = {"model": {"width": 16, "layers": 1, "heads": 2, "context": 16},
        "run": {"batch": 2, "measure_steps": 5, "warmup_steps": 1, "device": os.environ.get("TFX_DEVICE", "cpu"),
                "threads": 1}}


def tiny(name: str, count: int = 5) -> dict[str, Any]:
    """A configuration that takes a fraction of a second, or as long as it has steps."""
    return {**TINY, "name": name, "run": {**TINY["run"], "measure_steps": count}}


ENDLESS = 10**8


def alive() -> list[psutil.Process]:
    """The processes of this attempt, but this one."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.pid != os.getpid() and process.environ().get(MARK) == os.environ[MARK] \
                    and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except psutil.Error:
            continue  # gone meanwhile, or somebody else's
    return found


def seconds_until(condition: Callable[[], Any], limit_s: float) -> float:
    """How long it takes; raises where it takes longer."""
    start = time.monotonic()
    until(condition, limit_s)
    return time.monotonic() - start


def seen(run: Path) -> int:
    """Steps that are in a run file now; 0 where it is only being made."""
    try:
        return len(steps(run))
    except RunFileError:
        return 0


class Moment(NamedTuple):
    """How far things are to be, and how long after that somebody is killed."""

    stage: str
    steps: int
    after_s: float

    def wait(self, store: Path, run: Path | None = None) -> None:
        """Until then, as seen in a run file; where it is not known, the first of the store."""
        def is_there() -> bool:
            run_ = run or min(store.glob("*.tfx"), default=None)
            if self.stage == "started" or (self.stage == "queued" and run_ is not None):
                return True
            return run_ is not None and seen(run_) >= self.steps and info(run_).status != "queued"

        until(is_there, PATIENCE_S)
        time.sleep(self.after_s)


def drawn(rng: random.Random) -> Moment:
    """A moment at random."""
    stage = rng.choice(("started", "queued", "running", "steps", "steps", "steps"))
    return Moment(stage, rng.randrange(1, 100) if stage == "steps" else 0, rng.uniform(0.0, 0.5))


def intact(run: Path, count: int) -> str:
    """The recorded state of a run once it is sealed: sound, at least so many steps without a gap, nothing beside it."""
    seal(run)
    found = steps(run)
    assert found == list(range(1, len(found) + 1)) and len(found) >= count, f"{len(found)} steps of {count}"
    status = info(run).recorded_status
    left = check_bare(run, status)
    assert not left, left
    return status


# ---------------------------------------------------------------------------------------------- the four

def kill_worker(store: Path, moment: Moment) -> dict[str, Any]:
    """Its run is interrupted with everything committed; the queue goes on."""
    with Listening(store, on_disconnect="stop", warm=False) as client:
        victim, other = client.submit([tiny("victim", ENDLESS), tiny("other")])
        worker = client.wait_for("started", victim).detail["pid"]
        moment.wait(store, victim)
        had = seen(victim)
        os.kill(worker, signal.SIGKILL)
        ended = client.wait_for("ended", victim).detail
        assert ended["status"] == "interrupted" and "SIGKILL" in ended["reason"], ended
        assert client.wait_for("ended", other).detail["status"] == "finished"
    assert intact(victim, had) == "interrupted" and intact(other, 6) == "finished"
    return {"steps": had, "states": ["interrupted", "finished"]}


def kill_service(store: Path, moment: Moment) -> dict[str, Any]:
    """Its worker ends within 5 s; the queue is still there, and done by the next one."""
    client = Listening(store, warm=False)
    victim, *queued = client.submit([tiny("victim", ENDLESS), tiny("second")])
    moment.wait(store, victim)
    had = seen(victim)
    os.kill(client.pid or 0, signal.SIGKILL)
    gone_s = seconds_until(lambda: not alive(), ENDS_WITHIN_S)
    client.wait_for("gone")
    state = info(victim).status
    assert state in ("interrupted", "queued"), state
    assert [info(run).status for run in queued] == ["queued"]
    with Listening(store, warm=False) as heir:
        if state == "queued":  # killed before a worker took it: it is run now
            until(lambda: seen(victim) > 3)
            control(victim, "stop")
        for run in queued:
            heir.wait_for("ended", run, status="finished")
    client.close()
    until(lambda: not alive())
    recorded = intact(victim, had)
    assert recorded == ("stopped" if state == "queued" else "interrupted"), recorded
    assert [intact(run, 6) for run in queued] == ["finished"]
    return {"steps": had, "gone_s": gone_s, "states": [state, "queued"]}


WINDOW = """
import json, os, sys
os.environ["QT_QPA_PLATFORM"] = "offscreen"
from pathlib import Path
from PySide6.QtWidgets import QApplication
app = QApplication([])
from tests.helpers.windows import window
with window(Path(sys.argv[1]), engine=True) as made:
    made.session.draft.load(json.loads(sys.argv[2]), "survival")
    made.session.run()
    app.exec()
"""


def kill_window(store: Path, moment: Moment) -> dict[str, Any]:
    """Runs go on to their end, and the service with the last of them."""
    configs = json.dumps([tiny("first", 150), tiny("second")])
    program = subprocess.Popen([sys.executable, "-c", WINDOW, str(store.parent), configs], env=child_environment(),
                               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    moment.wait(store)
    program.kill()
    program.wait()
    runs = sorted(store.glob("*.tfx"))
    gone_s = seconds_until(lambda: not alive(), PATIENCE_S)
    runs += sorted(set(store.glob("*.tfx")) - set(runs))  # submitted, and not made yet when it was killed
    states = [intact(run, count) for run, count in zip(runs, (151, 6), strict=False)]
    assert states == ["finished"] * len(runs) and len(runs) in (0, 2), states
    return {"steps": 151 if runs else 0, "gone_s": gone_s, "states": states}


def kill_command(store: Path, moment: Moment) -> dict[str, Any]:
    """Everything goes with it, and says so."""
    run = {"measure_steps": ENDLESS, "device": TINY["run"]["device"]}
    configs = [write_config(store.parent, name, run=run) for name in ("first", "second")]
    program = subprocess.Popen(
        [sys.executable, "-m", "tfx_workbench", "run", *map(str, configs), "--store", str(store)],
        env=child_environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    moment.wait(store)
    had = [seen(run) for run in sorted(store.glob("*.tfx"))]
    program.kill()
    program.wait()
    gone_s = seconds_until(lambda: not alive(), ENDS_WITHIN_S)
    runs = sorted(store.glob("*.tfx"))
    recorded = [info(run).recorded_status for run in runs]
    assert set(recorded) <= {"interrupted"}, recorded
    states = [intact(run, had[i] if i < len(had) else 0) for i, run in enumerate(runs)]
    return {"steps": sum(had), "gone_s": gone_s, "states": states}


KILLS = {"worker": kill_worker, "service": kill_service, "window": kill_window, "command": kill_command}
if importlib.util.find_spec("PySide6") is None:
    del KILLS["window"]


def one_kill(folder: Path, seed: int, number: int) -> dict[str, Any]:
    """Kill one of the four at some moment; a fault is told under "fault"."""
    rng = random.Random(f"{seed} {number}")
    who, moment = rng.choice(list(KILLS)), drawn(rng)
    os.environ[MARK] = f"{os.getpid()}-{number}"
    store = folder / f"{number}" / "runs"
    store.mkdir(parents=True)
    found: dict[str, Any] = {"who": who, "moment": moment}
    try:
        found |= KILLS[who](store, moment)
    except Exception as error:
        found |= {"fault": f"{type(error).__name__}: {error}"}
    orphans = alive()
    for process in orphans:
        process.kill()
    if orphans and "fault" not in found:
        found["fault"] = f"{len(orphans)} processes are left over"
    return found


def table(found: list[dict[str, Any]]) -> str:
    """What came of them."""
    lines = [f"{len(found)} kills end to end, {sum('fault' in f for f in found)} faults"]
    for who in KILLS:
        of_it = [f for f in found if f["who"] == who]
        states = Counter(", ".join(f["states"]) or "no run yet" for f in of_it if "states" in f)
        gone = max((f["gone_s"] for f in of_it if "gone_s" in f), default=0.0)
        words = "; ".join(f"{state} {count}" for state, count in states.most_common())
        lines.append(f"  {who:8} {len(of_it):3}: {words}; {sum(f.get('steps', 0) for f in of_it)} steps seen before, "
                     f"all kept; everything gone after {gone:.1f} s at most")
    stages = Counter(f["moment"].stage if isinstance(f["moment"], Moment) else f["moment"][0] for f in found)
    lines.append(f"  killed after: {dict(stages)}")
    lines += [f"  FAULT {f['who']} at {f['moment']}: {f['fault']}" for f in found if "fault" in f]
    return "\n".join(lines)


def main() -> int:
    """See the module's docstring."""
    parser = campaign_parser(__doc__, lanes=1)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=6)
    options = parser.parse_args()
    found: list[dict[str, Any]] = []
    with scratch() as folder, contextlib.suppress(KeyboardInterrupt):  # what was found until then is told
        for _, one in side_by_side(lambda n: one_kill(folder, options.seed, n), range(options.kills), options.lanes):
            found.append(one)
    return tell(table(found), found)


if __name__ == "__main__":
    raise SystemExit(main())
