"""Two windows on one library: both list it, each changes what the other shows, both run.

    python -m tests.survival.two_windows            with real workers

What is defined (docs/reliability.md): the library is the folder; a window shows within three seconds what another did.
Names, notes, tags: the last word counts. A run that another window throws away leaves the table and the panels, and
comes back when it is restored. A run that is being written cannot be thrown away, by whichever window. Each window has
an engine of its own: their runs go on at the same time, disturb each other, and are marked so. Any window stops any
run.
"""

from __future__ import annotations

import contextlib
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.helpers.synthetic_run import write_run
from tests.survival.table import Row, show
from tests.survival.windows import RemoteWindow
from tfx_engine.client import control
from tfx_engine.runfile.store import make_store

SEEN_WITHIN_S = 3.0
NEW_NAMES = {"first", "second"}  # that both windows give to one run at once
ENDLESS: dict[str, Any] = {
    "name": "endless", "model": {"width": 16, "layers": 1, "heads": 2, "context": 16},
    "run": {"batch": 2, "warmup_steps": 1, "measure_steps": 10**8, "device": "cpu", "threads": 1},
}


def seen(window: RemoteWindow, holds: Callable[[dict[str, Any]], Any], patience_s: float = 60.0) -> float:
    """How long it takes until a window shows that; infinite where it never does."""
    begun_s = time.monotonic()
    with contextlib.suppress(AssertionError):
        window.until(holds, patience_s)
        return time.monotonic() - begun_s
    return float("inf")


def agreement(one: RemoteWindow, other: RemoteWindow, run: str, patience_s: float = 60.0) -> tuple[float, set[str]]:
    """When both began to show one name of a run, and went on to for two seconds; the names that they show then."""
    begun_s = since_s = time.monotonic()
    names: set[str] = set()
    while time.monotonic() - since_s < 2.0 and time.monotonic() - begun_s < patience_s:
        time.sleep(0.05)
        now = {str(window.ask("state")["runs"][run]["name"]) for window in (one, other)}
        if now != names or not now < NEW_NAMES:
            names, since_s = now, time.monotonic()
    return since_s - begun_s, names


def soon(what: str, seconds: float) -> Row:
    """It is seen in time."""
    return Row(what, f"{seconds:.1f} s", f"< {SEEN_WITHIN_S:g} s", seconds < SEEN_WITHIN_S)


def changing(one: RemoteWindow, other: RemoteWindow, run: Path) -> list[Row]:
    """Rename, annotate, throw away and bring back what the other window shows."""
    name, key = run.name, str(run)
    other.ask("show", keys=[key])
    rows = [soon("both list a run that was there", max(seen(w, lambda s: name in s["runs"]) for w in (one, other)))]
    one.ask("rename", key=key, name="another name")
    rows.append(soon("a new name is seen in the other window",
                     seen(other, lambda s: s["runs"][name]["name"] == "another name")))
    other.ask("note", key=key, note="a note of the other window")
    other.ask("tag", key=key, tags=["both"])
    rows.append(soon("a note and tags are seen in the first", seen(one, lambda s: s["runs"][name]["tags"] == ["both"]
                     and s["runs"][name]["note"] == "a note of the other window")))
    one.ask("rename", key=key, name="first")
    other.ask("rename", key=key, name="second")
    agreed_s, names = agreement(one, other, name)
    rows.append(Row("both rename it at once: they agree", ", ".join(sorted(names)), "one of the two",
                    names < NEW_NAMES and agreed_s < SEEN_WITHIN_S))
    one.ask("delete", key=key)
    rows.append(soon("thrown away, it leaves the other window", seen(other, lambda s: name not in s["runs"])))
    one.ask("restore")
    rows.append(soon("restored, it is back in the other window", seen(other, lambda s: name in s["runs"])))
    return rows


def running(one: RemoteWindow, other: RemoteWindow) -> list[Row]:
    """Both start runs; each sees both, neither can throw one away, each stops that of the other."""
    windows, keys = (one, other), []
    for window in windows:
        before = {*window.ask("state")["runs"], *(key.name for key in keys)}
        window.ask("submit", configs=[ENDLESS])
        state = window.until(lambda s, before=before: set(s["runs"]) - before)
        (fresh,) = set(state["runs"]) - before
        keys.append(Path(state["store"]) / fresh)
    names = [key.name for key in keys]

    def both_run(state: dict[str, Any]) -> bool:
        return all(state["runs"].get(n, {}).get("status") == "running" and state["runs"][n]["steps"] > 3 for n in names)

    longest_s = max(seen(w, both_run) for w in windows)
    rows = [Row("both runs go on at once, seen by both, after", f"{longest_s:.1f} s", "", longest_s < float("inf"))]
    for window, key in ((one, keys[0]), (other, keys[0])):
        window.ask("delete", key=str(key))
        said = window.until(lambda s: s["said"])["said"]
        rows.append(Row("a run that is being written is not thrown away", said[-1][-40:], "a sentence",
                        key.exists() and bool(said)))
    one.ask("control", key=str(keys[1]), action="stop")
    control(keys[0], "stop")
    ended = [seen(w, lambda s: all(s["runs"][n]["status"] == "stopped" for n in names)) for w in windows]
    rows.append(soon("each run stopped from elsewhere is stopped in both", max(ended)))
    return rows


def both(home: Path, worker: str = "") -> list[Row]:
    """Two windows over one home, from their start to their end."""
    home.mkdir(exist_ok=True)
    run = write_run(make_store(home / "runs") / "old.tfx", steps=40)
    with RemoteWindow(home, worker=worker) as one, RemoteWindow(home, worker=worker) as other:
        rows = changing(one, other, run)
        before = [len(w.ask("state")["said"]) for w in (one, other)]
        rows += running(one, other)
    ends = [w.process.returncode for w in (one, other)]
    rows.append(Row("sentences said before anything was refused", ", ".join(map(str, before)), "0, 0", not any(before)))
    rows.append(Row("how the windows ended", ", ".join(map(str, ends)), "0, 0", ends == [0, 0]))
    return rows


def main() -> int:
    """See the module's docstring."""
    with tempfile.TemporaryDirectory() as folder:
        good = show("two windows on one library", both(Path(folder) / "home"))
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
