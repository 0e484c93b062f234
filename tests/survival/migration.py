"""Run files of every released format, brought up to date by a process that is killed: old or new, never between.

    python -m tests.survival.migration
    python -m tests.survival.migration --every 5

`released.zip` holds files that the programs of their time wrote: queued, finished, and killed in the middle. Each is
opened by a writer (as a queued run's worker does, or an audit of an ended run), and annotated. The process is killed at
the beginning of every SQL statement; within them, every 20 instructions of SQLite's virtual machine; before every write
and sync, and in the middle of every write. Then what is there is read, looked at with sqlite3, and brought up to date
by somebody else.
"""

from __future__ import annotations

import dataclasses
import os
import shutil
import signal
import sqlite3
import sys
import zipfile
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np

from tests.helpers.synthetic_run import make_config
from tests.survival.children import Child, Tell, scratch, side_by_side
from tests.survival.preload import KILL, TORN_KILL, Faults, again_with_faults
from tests.survival.table import campaign_parser, tell
from tfx_engine.runfile.create import create
from tfx_engine.runfile.edit import annotate
from tfx_engine.runfile.reader import RunReader
from tfx_engine.runfile.seal import seal
from tfx_engine.runfile.tables import LAYER_COLUMNS, SCHEMA_VERSION
from tfx_engine.runfile.writer import RunWriter

RELEASED = Path(__file__).with_name("released.zip")
INSTRUCTIONS = 20


def _open(path: Path) -> None:
    RunWriter(path).close()


def _annotate(path: Path) -> None:
    annotate(path, note="seen")


WAYS: dict[str, Callable[[Path], None]] = {"writer": _open, "note": _annotate}
Columns = dict[str, list[tuple[str, str]]]


def unpack(folder: Path) -> list[str]:
    """The released files in a folder; the names of the run files among them."""
    with zipfile.ZipFile(RELEASED) as archive:
        archive.extractall(folder)
        return [name for name in archive.namelist() if name.endswith(".tfx")]


def put(files: Path, name: str, folder: Path) -> Path:
    """A copy of a released run file, with its log, in a new folder."""
    folder.mkdir()
    for suffix in ("", "-wal"):
        if (files / f"{name}{suffix}").exists():
            shutil.copy(files / f"{name}{suffix}", folder / f"{name}{suffix}")
    return folder / name


def content(path: Path) -> list[Any]:
    """What was measured, in a form that can be compared."""
    with RunReader(path) as reader, reader.snapshot():
        info = reader.info()
        found: list[Any] = [info.run_id, info.name, info.config, reader.predictions(), reader.missing()]
        found += [reader.steps(), [reader.layer_steps(name) for name in LAYER_COLUMNS], reader.rollup(1)]
        found += [reader.evaluations(), reader.device_samples(), reader.logs(), reader.audit(), reader.events()]
        found += [reader.memory_probes(), reader.attention_captures()]
        found += [reader.attention(c.capture, layer) for c in reader.attention_captures() for layer in c.layers]
    return found


def same(one: Any, other: Any) -> bool:
    """Whether two such contents are equal, NaN for NaN."""
    if isinstance(one, np.ndarray) and one.dtype != object:
        return bool(np.array_equal(one, other, equal_nan=one.dtype.kind == "f"))
    if isinstance(one, (list, tuple, np.ndarray)) and not hasattr(one, "_fields"):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if dataclasses.is_dataclass(one):
        return type(one) is type(other) and all(same(getattr(one, field.name), getattr(other, field.name))
                                                for field in dataclasses.fields(one))
    return bool(one == other or (one != one and other != other))


def schema(path: Path) -> tuple[int, Columns]:
    """Version and columns of a file, as SQLite itself finds them."""
    with closing(sqlite3.connect(path)) as connection:
        version = connection.execute("PRAGMA user_version").fetchone()[0]
        names = [row[0] for row in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")]
        return version, {
            name: sorted((row[1], row[2]) for row in connection.execute(f"PRAGMA table_xinfo({name})"))
            for name in sorted(names)
        }


def current_schema(folder: Path) -> tuple[int, Columns]:
    """The same of a file that is new."""
    create(folder / "new.tfx", make_config(), "")
    return schema(folder / "new.tfx")


# ---------------------------------------------------------------------------------------------- killing

Hooked = Callable[[sqlite3.Connection, Callable[[], None]], None]


def _at_statements(connection: sqlite3.Connection, count: Callable[[], None]) -> None:
    connection.set_trace_callback(lambda statement: count())


def _within_statements(connection: sqlite3.Connection, count: Callable[[], None]) -> None:
    connection.set_progress_handler(count, INSTRUCTIONS)


HOOKS: dict[str, Hooked] = {"statement": _at_statements, "within a statement": _within_statements}
CALLS = {"write": KILL, "half a write": TORN_KILL}
MOMENTS = (*HOOKS, *CALLS)


def migrate(path: Path, way: str, moment: str, nth: int, tell: Tell) -> None:
    """Bring a file up to date, and be killed at the nth moment of a kind; tells how many there were if it was not."""
    counted = 0

    def count() -> None:
        nonlocal counted
        counted += 1
        if counted == nth:
            os.kill(os.getpid(), signal.SIGKILL)

    faults = Faults() if moment in CALLS else None
    if faults is not None:
        faults.arm(path.parent, nth, CALLS[moment])
    else:
        connect = sqlite3.connect

        def hooked(*arguments: Any, **options: Any) -> sqlite3.Connection:
            connection = connect(*arguments, **options)
            HOOKS[moment](connection, count)
            return connection

        sqlite3.connect = hooked  # type: ignore[assignment]
    WAYS[way](path)
    tell(faults.struck().calls if faults else counted)


def one_kill(files: Path, name: str, way: str, moment: str, nth: int, current: tuple[int, Columns]) -> dict[str, Any]:
    """Kill one migration; what was found then. A fault is told under "fault"."""
    folder = files / f"{way}-{moment}-{nth}-{name}".replace(" ", "-")
    path = put(files, name, folder)
    before, old = content(files / name), schema(put(files, name, folder / "untouched"))
    shutil.rmtree(folder / "untouched")
    told, code = Child(lambda tell: migrate(path, way, moment, nth, tell)).end()
    found = {"file": name, "way": way, "moment": moment, "n": nth, "is_killed": not told}
    try:
        assert code == (0 if told else -9), f"ended with {code}: {told}"
        assert same(content(path), before), "what was measured reads otherwise as it lies there"
        found |= {"found": _old_or_new(path, old, current)}
        WAYS[way](path)
        seal(path)
        assert same(content(path), before), "what was measured reads otherwise once it is up to date"
        assert schema(path) == current, "it is not of this version now"
        with closing(sqlite3.connect(path)) as connection:
            assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert [file.name for file in folder.iterdir()] == [name], sorted(file.name for file in folder.iterdir())
    except Exception as error:
        found |= {"fault": f"{type(error).__name__}: {error}"}
    shutil.rmtree(folder)
    return found


def _old_or_new(path: Path, old: tuple[int, Columns], current: tuple[int, Columns]) -> str:
    """Of a copy: looking with sqlite3 would take back what was cut off."""
    copy = path.parent / "copy"
    copy.mkdir()
    for suffix in ("", "-wal", "-journal"):
        if path.with_name(path.name + suffix).exists():
            shutil.copy(path.with_name(path.name + suffix), copy / (path.name + suffix))
    found = schema(copy / path.name)
    shutil.rmtree(copy)
    assert found in (old, current), f"between: version {found[0]}"
    return "new" if found == current else "old"


def plan(files: Path, names: list[str], moments: list[str], every: int) -> list[tuple[str, str, str, int]]:
    """(file, way, moment, nth) of every kill."""
    wanted = []
    for name in names:
        for way in WAYS:
            for moment in moments:
                path = put(files, name, files / "counted")
                told, _ = Child(lambda tell: migrate(path, way, moment, 10**9, tell)).end()  # noqa: B023
                shutil.rmtree(files / "counted")
                assert isinstance(told[0], int), told
                wanted += [(name, way, moment, n) for n in range(1, told[0] + 1, every)]
    return wanted


def campaign(moments: list[str], every: int, lanes: int) -> list[dict[str, Any]]:
    """All of them."""
    with scratch() as files:
        names, current = unpack(files), current_schema(files)
        wanted = plan(files, names, moments, every)

        def attempt(number: int) -> dict[str, Any]:
            return one_kill(files, *wanted[number], current)

        return [found for _, found in side_by_side(attempt, range(len(wanted)), lanes)]


def table(found: list[dict[str, Any]]) -> str:
    """What came of them."""
    faults = [f for f in found if "fault" in f]
    lines = [f"{len(found)} migrations to schema {SCHEMA_VERSION} killed, {len(faults)} faults"]
    for name in dict.fromkeys(f["file"] for f in found):
        for way in WAYS:
            of_it = [f for f in found if (f["file"], f["way"]) == (name, way)]
            counts = Counter((f["moment"], f.get("found", "FAULT")) for f in of_it)
            words = ", ".join(f"{moment}: {state} {n}" for (moment, state), n in sorted(counts.items()))
            lines.append(f"  {name} by {way}: {words}")
    grouped = Counter((f["file"], f["way"], f["moment"], f["fault"]) for f in faults)
    lines += [f"  FAULT {count} x {' '.join(words[:3])}: {words[3]}" for words, count in grouped.items()]
    return "\n".join(lines)


def main() -> int:
    """See the module's docstring."""
    code = again_with_faults("tests.survival.migration", sys.argv[1:])
    if code is not None:
        return code
    parser = campaign_parser(__doc__, lanes=2)
    parser.add_argument("--moments", nargs="+", choices=MOMENTS, default=list(MOMENTS))
    parser.add_argument("--every", type=int, default=1, help="only every so manieth moment")
    options = parser.parse_args()
    found = campaign(options.moments, options.every, options.lanes)
    return tell(table(found), found)


if __name__ == "__main__":
    raise SystemExit(main())
