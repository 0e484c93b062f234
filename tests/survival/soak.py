"""A run at 1,000 rows a second in a window with twelve panels, for as long as one likes.

    python -m tests.survival.soak --minutes 60              offscreen
    python -m tests.survival.soak --minutes 10 --xvfb       on a real X server
    python -m tests.survival.soak --minutes 5 --trace       and which lines hold more memory at the end

Every ten seconds: the memory of the window (its own, without pages of files that are in RAM), and the longest time that
its event loop made an event wait, in all and without the time in which its thread could have gone on but others had the
processor, programs or other machines (`tests/helpers/watchdog.py`). Memory: a straight line through what was measured
after the warm-up, with the 95 % interval of its slope from blocks of neighbours, since it goes in steps. Waits: of all
stretches but the first, in which the window opens.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from tests.bench.windows import x_server
from tests.survival.table import Row, campaign_parser, mib, show
from tests.survival.windows import ROOT, RemoteWindow, cpu_s, own_bytes
from tfx_engine.client import control
from tfx_engine.runfile.reader import RunReader
from tfx_engine.runfile.store import make_store

RATE, PANELS = 1000, 12
LOOK_S = 10.0
WARM_UP = 0.25  # of the time, ten minutes at most: the newest 240 splits of memory, one in two seconds, take eight
MOST_SLOPE_MB = 2.0  # an hour
MOST_STALL_MS = 100.0
PATIENCE_S = 300.0  # of a stream that is hurried
MOST_EACH = 150.0  # bytes of memory for a row of a stream that is hurried: a row that was kept takes 300 and more
BLOCKS, RESAMPLES = 8, 2000


class Look(NamedTuple):
    """One look at the window."""

    at_s: float
    own_bytes: int
    longest_ms: float
    own_ms: float  # the longest without what others took of the processor meanwhile
    shown: int
    writer_bytes: int
    cpu_s: float


@contextlib.contextmanager
def writing(path: Path, rate: float, rows: int | None = None) -> Iterator[subprocess.Popen[str]]:
    """A process that writes the run; stopped and waited for at the end."""
    words = [str(path), str(rate), *([str(rows)] if rows else [])]
    process = subprocess.Popen([sys.executable, "-m", "tests.survival.soak_writer", *words], cwd=ROOT, text=True,
                               stdout=subprocess.PIPE)
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def produced(process: subprocess.Popen[str], path: Path) -> int:
    """Stop the writer; how many rows it says that it wrote."""
    if process.poll() is None:
        control(path, "stop")
    return int(json.loads(process.communicate(timeout=60)[0])["produced"])


def look(window: RemoteWindow, writer: subprocess.Popen[str], seconds: float, begun_s: float) -> Look:
    """One stretch of that length."""
    window.ask("watch")
    time.sleep(seconds)
    waits = window.ask("waits")
    return Look(time.monotonic() - begun_s, own_bytes(window.pid), waits["max_ms"], waits["own_max_ms"],
                int(window.ask("shown_steps")), own_bytes(writer.pid), cpu_s(window.pid))


def slope(looks: Sequence[Look], column: str) -> tuple[float, float, float]:
    """MB an hour: of a straight line, and its 95 % interval from resampled residuals of blocks of neighbours."""
    hours = np.array([one.at_s for one in looks]) / 3600
    size = np.array([float(getattr(one, column)) for one in looks]) / 1e6
    fit = np.polyfit(hours, size, 1)
    rest, draw = size - np.polyval(fit, hours), np.random.default_rng(6)
    blocks = np.array_split(np.arange(len(rest)), min(BLOCKS, len(rest)))
    found = []
    for _ in range(RESAMPLES):
        order = np.concatenate([blocks[i] for i in draw.integers(0, len(blocks), len(blocks))])
        found.append(np.polyfit(hours, np.polyval(fit, hours) + np.resize(rest[order], len(rest)), 1)[0])
    low, high = np.quantile(found, [0.025, 0.975])
    return float(fit[0]), float(low), float(high)


def soak(
    home: Path, minutes: float, rate: float = RATE, panels: int = PANELS, display: str = "", trace: bool = False
) -> list[Row]:
    """See the module's docstring."""
    path = make_store(home / "runs") / "soak.tfx"
    with writing(path, rate) as writer, RemoteWindow(home, display=display) as window:
        names = window.ask("all_panels", count=panels)
        window.until(lambda s: s["shown_steps"] > 0)
        begun_s, looks, traced = time.monotonic(), [], False
        warm_s = min(600.0, WARM_UP * minutes * 60)
        while (passed_s := time.monotonic() - begun_s) < minutes * 60:
            if trace and not traced and passed_s > warm_s:
                traced = True
                window.ask("traced", on=True)
            looks.append(look(window, writer, min(LOOK_S, minutes * 6), begun_s))
            last = looks[-1]
            print(f"{last.at_s:7.0f} s  {mib(last.own_bytes):>11}  longest {last.longest_ms:6.1f} ms  "
                  f"own {last.own_ms:6.1f} ms  {last.shown:>9} rows", flush=True)
        lines = window.ask("traced", on=False) if traced else []
        count = produced(writer, path)
        window.until(lambda s: s["runs"][path.name]["status"] == "stopped" and s["shown_steps"] >= count)
        shown = int(window.ask("shown_steps"))
    print(*lines, sep="\n")
    return _rows(path, looks, warm_s, count, shown, names)


def hurried(home: Path, rows: int, panels: int = PANELS) -> list[Row]:
    """So many rows as fast as they can be written, in the same window: none is dropped, and it holds no more of them.

    What a row takes in memory is told from the second half of the stream: in the first everything fills that holds the
    newest ones. Nothing is promised of time.
    """
    path = make_store(home / "runs") / "soak.tfx"
    with RemoteWindow(home) as window:
        names = window.ask("all_panels", count=panels)
        looks: list[Look] = []
        with writing(path, RATE, rows) as writer:
            window.until(lambda s: path.name in s["runs"])
            window.ask("show", keys=[str(path)])  # what another program runs is listed, and not shown unasked
            begun_s = time.monotonic()
            while not looks or looks[-1].shown < rows:
                looks.append(look(window, writer, 0.25, begun_s))
                assert looks[-1].at_s < PATIENCE_S, looks[-1]
            count = produced(writer, path)
        shown = int(window.ask("shown_steps"))
    half = next(one for one in looks if one.shown >= rows / 2)
    each = (looks[-1].own_bytes - half.own_bytes) / max(1, looks[-1].shown - half.shown)
    with closing(RunReader(path)) as reader:
        kept = reader.count_steps()
    return [
        Row("panels in sight", str(len(names)), str(panels), len(names) == panels),
        Row("rows produced, in the file, taken in by the window", f"{count:,}, {kept:,}, {shown:,}", "equal",
            rows == count == kept == shown),
        Row("memory of the window for each row of the second half", f"{each:.0f} bytes", f"< {MOST_EACH:g}",
            each < MOST_EACH),
        Row("longest wait of an event", f"{max(one.longest_ms for one in looks):.0f} ms"),
    ]


def _rows(path: Path, looks: list[Look], warm_s: float, count: int, shown: int, names: list[str]) -> list[Row]:
    warm = [one for one in looks if one.at_s > warm_s]
    with closing(RunReader(path)) as reader:
        kept = reader.count_steps()
        seqs = _numbers(reader)
    used = 100 * (warm[-1].cpu_s - warm[0].cpu_s) / (warm[-1].at_s - warm[0].at_s) if len(warm) > 1 else float("nan")
    rows = [
        Row("panels in sight", str(len(names))),
        Row("rows produced, in the file, taken in by the window", f"{count:,}, {kept:,}, {shown:,}", "equal",
            count == kept == shown),
        Row("their numbers are 1, 2, 3, ...", "yes" if seqs else "no", "yes", seqs),
        Row("processor of the window", f"{used:.0f} %"),
        Row(f"memory of the window after {looks[0].at_s:.0f} s, {warm[0].at_s:.0f} s, and at the end",
            ", ".join(mib(one.own_bytes) for one in (looks[0], warm[0], warm[-1]))),
    ]
    for what, column, promised in (("window", "own_bytes", MOST_SLOPE_MB), ("writer", "writer_bytes", None)):
        mean, low, high = slope(warm, column)
        rows.append(Row(f"memory slope of the {what}", f"{mean:+.2f} MB/h [{low:+.2f}, {high:+.2f}]",
                        f"< {promised:g} MB/h" if promised else "", mean < promised if promised else None))
    open_ = looks[1:]
    longest, own = max(one.longest_ms for one in open_), max(one.own_ms for one in open_)
    stalls = sum(one.longest_ms > MOST_STALL_MS for one in open_)
    return [
        *rows,
        Row("longest wait of an event; stretches with one over 100 ms", f"{longest:.0f} ms; {stalls} of {len(open_)}"),
        Row("longest wait, without what others took of the processor", f"{own:.0f} ms", f"< {MOST_STALL_MS:g} ms",
            own < MOST_STALL_MS),
    ]


def _numbers(reader: Any) -> bool:
    after = 0
    while len(steps := reader.steps(after, columns=["step"])["step"]):
        if list(steps) != list(range(after + 1, after + len(steps) + 1)):
            return False
        after += len(steps)
    return after > 0


def main(arguments: Sequence[str] | None = None) -> int:
    """See the module's docstring."""
    parser = campaign_parser(__doc__)
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--rate", type=float, default=RATE)
    parser.add_argument("--panels", type=int, default=PANELS)
    parser.add_argument("--xvfb", action="store_true")
    parser.add_argument("--trace", action="store_true")
    asked = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        display = stack.enter_context(x_server()) if asked.xvfb else ""
        where = "on an X server" if asked.xvfb else "offscreen"
        rows = soak(Path(folder) / "home", asked.minutes, asked.rate, asked.panels, display, asked.trace)
        good = show(f"{asked.minutes:g} minutes at {asked.rate:g} rows/s, {asked.panels} panels, {where}", rows)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
