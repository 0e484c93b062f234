"""The files of a live run are removed, moved or replaced by somebody: everything recorded is in its place again.

    python -m tests.survival.taken --times 700

Each writer records synthetic steps at 1,000 rows a second, with attention maps between them. After 20 to 400 ms one of
eight things is done to its files and to what lies beside them, half of the times while somebody is in the middle of
reading. Then it goes on for half a second at most and ends, or is killed with `kill -9`: a quarter of them after
everything was put back, a quarter within a fifth of a second, while that is done. What is found must be whole, by
itself, and hold every row that was acknowledged; a writer that was killed before it noticed can have put nothing back.
"""

from __future__ import annotations

import random
import shutil
import sqlite3
import statistics
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

from tests.helpers.synthetic_run import make_config
from tests.survival.checks import check_rows, check_sealed
from tests.survival.children import Child, scratch, side_by_side
from tests.survival.kills import record
from tests.survival.table import campaign_parser, tell
from tfx_engine.runfile.create import create
from tfx_engine.runfile.errors import RunFileError
from tfx_engine.runfile.lock import is_locked
from tfx_engine.runfile.reader import RunReader
from tfx_engine.runfile.store import beside

GOES_ON_S = 0.5
MEANWHILE_S = 0.2
PATIENCE_S = 10.0
MOVED, OTHER = "moved.tfx", "another run"


def _remove(path: Path) -> None:
    path.unlink()


def _remove_all(path: Path) -> None:
    for file in path.parent.glob("run.tfx*"):
        file.unlink(missing_ok=True)  # its writer makes and removes files there too


def _remove_log(path: Path) -> None:
    beside(path, "-wal").unlink()


def _remove_index(path: Path) -> None:
    beside(path, "-shm").unlink()


def _remove_lock(path: Path) -> None:
    beside(path, ".lock").unlink()


def _remove_folder(path: Path) -> None:
    path.parent.rename(path.parent.with_name(f"{path.parent.name} gone"))


def _move(path: Path) -> None:
    path.rename(path.with_name(MOVED))


def _replace(path: Path) -> None:
    other = path.with_name("other.tfx")
    create(other, make_config(OTHER), "")
    other.replace(path)


WAYS: dict[str, Callable[[Path], None]] = {
    "the file is removed": _remove, "all its files are removed": _remove_all, "its log is removed": _remove_log,
    "its log's index is removed": _remove_index, "its lock is removed": _remove_lock,
    "its folder is taken away": _remove_folder, "it is moved": _move,
    "another is put there": _replace,
}


def one_time(folder: Path, seed: int, number: int) -> dict[str, Any]:
    """Do one thing to the files of one writer; what was found. A fault is told under "fault"."""
    rng = random.Random(f"{seed} {number}")
    way, act = list(WAYS.items())[number % len(WAYS)]
    turn = number // len(WAYS)
    killed, is_read = ("", "", "afterwards", "meanwhile")[turn % 4], (turn + turn // 4) % 2 == 1
    path = folder / f"{number}" / "run.tfx"
    path.parent.mkdir()
    before_s = rng.uniform(0.02, 0.4)
    over, often_s = folder / f"{number} is over", rng.choice((0.01, 0.05))
    child = Child(lambda tell: record(path, tell, 1e6, often_s, over.exists))
    told = [child.next(), child.next()]
    time.sleep(before_s)
    found: dict[str, Any] = {"way": way, "killed": killed}
    try:
        with _somebody_reading(path, is_read):
            act(path)
            if killed == "meanwhile":
                time.sleep(rng.uniform(0.0, MEANWHILE_S))
            else:
                found["back_s"] = _seconds_until_back(path, lock_alone=act is _remove_lock)
        if killed != "meanwhile":
            time.sleep(rng.uniform(0.0, GOES_ON_S))
        if killed:
            child.kill()
        over.touch()
        more, _ = child.end()
        acknowledged = max([0, *(word for word in told + more if isinstance(word, int))])
        if killed == "meanwhile":
            return found | _check_meanwhile(path, acknowledged, act)
        return found | _check(path, acknowledged, act, is_read)
    except Exception as error:
        with suppress(ProcessLookupError):  # it has ended
            child.kill()
        return found | {"fault": f"{type(error).__name__}: {error}"}
    finally:
        over.unlink(missing_ok=True)
        for left in folder.glob(f"{number}*"):
            if left.name.split()[0] == f"{number}":
                shutil.rmtree(left)


@contextmanager
def _somebody_reading(path: Path, is_there: bool) -> Iterator[None]:
    """A reader in the middle of something, whom no checkpoint may pass."""
    if not is_there:
        yield
        return
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, isolation_level=None)) as connection:
        connection.execute("BEGIN")
        connection.execute("SELECT COUNT(*) FROM step").fetchone()
        yield
        connection.execute("COMMIT")


def _check_meanwhile(path: Path, acknowledged: int, act: Callable[[Path], None]) -> dict[str, Any]:
    """Of a writer that was killed while it put something back: what is there is whole."""
    is_back = path.exists() and _says_that_it_is_back(path)
    if not is_back and act not in (_remove_lock, _remove_index):
        return {"status": "not put back yet", "rows": 0, "acknowledged": 0}
    status, rows, _ = check_sealed(path, 0 if act is _remove_log else acknowledged)
    return {"status": status, "rows": rows, "acknowledged": acknowledged}


def _seconds_until_back(path: Path, lock_alone: bool) -> float:
    begun = time.monotonic()
    while not (is_locked(path) if lock_alone else _says_that_it_is_back(path)):
        assert time.monotonic() - begun < PATIENCE_S, "it was not put back"
        time.sleep(0.005)
    return time.monotonic() - begun


def _says_that_it_is_back(path: Path) -> bool:
    try:
        with RunReader(path) as reader:
            return any(event.code == "put-back" for event in reader.events())
    except RunFileError:  # there is none yet
        return False


def _check(path: Path, acknowledged: int, act: Callable[[Path], None], was_read: bool) -> dict[str, Any]:
    status, rows, left = check_sealed(path, acknowledged)
    assert status in ("finished", "interrupted"), status
    assert not left, f"left beside it: {left}"
    if act is _move and not was_read:  # what a reader is in the middle of cannot be completed
        check_rows(path.with_name(MOVED), 0)
    names = [file for file in path.parent.iterdir() if file.name.startswith("run-found-")]
    assert len(names) == (act is _replace), names
    for name in names:
        with RunReader(name) as reader:
            assert reader.info().name == OTHER
    return {"status": status, "rows": rows, "acknowledged": acknowledged}


def table(found: list[dict[str, Any]]) -> str:
    """What came of them."""
    faults = [f for f in found if "fault" in f]
    killed = Counter(f["killed"] for f in found)
    early = sum(f.get("status") == "not put back yet" for f in found)
    rows = [f"{len(found)} times, {sum(f.get('acknowledged', 0) for f in found):,} rows acknowledged, "
            f"{sum(f.get('rows', 0) for f in found):,} found, {len(faults)} faults",
            f"  killed afterwards {killed['afterwards']}, meanwhile {killed['meanwhile']}, "
            f"of these before it was put back {early}"]
    for way in WAYS:
        times = [f["back_s"] for f in found if f["way"] == way and "back_s" in f]
        if times:
            rows.append(f"  {way:26} {len(times):4} times, back after {statistics.median(times):.2f} s, "
                        f"at most {max(times):.2f} s")
    return "\n".join(rows + [f"  FAULT {f['fault']} after {f['way']!r}, killed: {f['killed']!r}" for f in faults])


def main() -> int:
    """See the module's docstring."""
    parser = campaign_parser(__doc__, lanes=4)
    parser.add_argument("--times", type=int, default=800)
    parser.add_argument("--seed", type=int, default=6)
    options = parser.parse_args()
    with scratch() as folder:
        attempts = side_by_side(lambda n: one_time(folder, options.seed, n), range(options.times), options.lanes)
        found = [one for _, one in attempts]
    return tell(table(found), found)


if __name__ == "__main__":
    raise SystemExit(main())
