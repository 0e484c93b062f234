"""The formats that a run can be exported in: one entry each, which the command line and the window both offer."""

from __future__ import annotations

import dataclasses
import gzip
import io
import zlib
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

from tfx_engine.protocol.marker import tr_mark
from tfx_engine.protocol.problems import ConfigError, Problem
from tfx_engine.protocol.status import ENDED
from tfx_engine.runfile.errors import failure, words
from tfx_engine.runfile.reader import RunReader
from tfx_engine.runfile.store import absolute
from tfx_workbench.exporting import csv_file, parquet, script, tensorboard
from tfx_workbench.exporting.bundle import SUFFIX, write_bundle
from tfx_workbench.exporting.json_file import write_json
from tfx_workbench.exporting.tables import TABLES
from tfx_workbench.exporting.target import STDOUT, not_written, refuse_existing, written
from tfx_workbench.runs.find import refuse_twice
from tfx_workbench.runs.rundata import RunData

EVERY_TABLE = "all"
_NOT_YET = tr_mark("the run has not ended; some steps are profiled after the measured ones.")
_CUT_OFF = tr_mark("it ended before a step was profiled.")
_RUN_AGAIN = tr_mark("Run it again with [run] probes and profile left on.")
_EVENTS = "tfevents"
_MOST_JSON_BYTES = 2**28  # of a trace; the worker keeps none that is larger


@dataclasses.dataclass(frozen=True)
class Ask:
    """What is to be written where.

    `table`: one of `TABLES`, or all of them into a folder. `more`: runs that go with it into a bundle.
    """

    run: Path
    output: str
    force: bool = False
    table: str = "steps"
    more: tuple[Path, ...] = ()


@dataclasses.dataclass(frozen=True)
class Format:
    """One format. `write` returns facts of what it wrote; `to_stdout`: whether "-" is a place for it."""

    name: str
    suffix: str
    title: str
    help: str
    write: Callable[[Ask], dict[str, Any]]
    to_stdout: bool = False


def export(name: str, ask: Ask) -> dict[str, Any]:
    """Write a run in a format; what was written. Raises ConfigError, RunFileError."""
    if ask.more and name != "bundle":
        raise ConfigError([Problem(
            code="one-run-only", path="--format", template="is {format}, which is of one run.",
            hint_template=tr_mark("Only a bundle holds several."), args={"format": name},
        )])
    if ask.output == STDOUT and not FORMATS[name].to_stdout:
        raise ConfigError([Problem(
            code="not-to-stdout", path="--output", template="is '-', but {format} is not for a terminal or a pipe.",
            hint_template=tr_mark("Name a file."), args={"format": name},
        )])
    return {"run": str(ask.run), "format": name, "path": ask.output, **FORMATS[name].write(ask)}


def _refuse_early(run: Path) -> None:
    """A run that has not begun has nothing to export."""
    with closing(RunReader(run)) as reader:
        if reader.info().status == "queued":
            raise ConfigError([Problem(code="not-begun", path=str(run), template=tr_mark("is queued: it has no step."),
                                       hint_template=tr_mark("Export it when it has ended."))])


def _tables(ask: Ask, suffix: str, write: Callable[..., int]) -> dict[str, Any]:
    """One table into a file, or every table into a folder."""
    _refuse_early(ask.run)
    with closing(RunReader(ask.run)) as reader:
        if ask.table != EVERY_TABLE:
            with written(ask.output, ask.force) as file:
                return {"table": ask.table, "rows": write(file, TABLES[ask.table], reader)}
        if ask.output == STDOUT:
            raise ConfigError([Problem(code="not-to-stdout", path="--table",
                                       template=tr_mark("is 'all', and every table is a file of its own."),
                                       hint_template=tr_mark("Name a folder with -o."))])
        folder = absolute(ask.output)
        targets = {table.name: folder / f"{table.name}{suffix}" for table in TABLES.values()}
        for target in targets.values():  # before the first is written
            refuse_existing(target, ask.force)
        _make_folder(folder)
        rows = {}
        for table in TABLES.values():
            with written(targets[table.name], ask.force) as file:
                rows[table.name] = write(file, table, reader)
        return {"table": EVERY_TABLE, "rows": rows}


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except (OSError, ValueError) as error:
        raise ConfigError([not_written(folder, getattr(error, "strerror", None) or str(error))]) from None


def _csv(ask: Ask) -> dict[str, Any]:
    return _tables(ask, ".csv", lambda file, table, reader: csv_file.write_csv(file, table.columns, table.rows(reader)))


def _parquet(ask: Ask) -> dict[str, Any]:
    parquet.pyarrow()  # first: where it is missing, no folder is made
    about = {"tfx_run": ask.run.stem, "tfx_missing": "NULL is a reading that is missing"}
    return _tables(ask, ".parquet", lambda file, table, reader: parquet.write_parquet(file, table, reader, about))


def _json(ask: Ask) -> dict[str, Any]:
    _refuse_early(ask.run)
    with closing(RunReader(ask.run)) as reader, closing(RunData(ask.run).load()) as run, \
            written(ask.output, ask.force) as file:
        write_json(file, run, reader)
    return {}


def _trace(ask: Ask) -> dict[str, Any]:
    """For ui.perfetto.dev and chrome://tracing; compressed where the path ends in .gz."""
    with closing(RunReader(ask.run)) as reader:
        found = reader.trace()
        if found is None:
            raise ConfigError([_no_trace(ask.run, reader)])
    step, packed = found
    size = 0
    with written(ask.output, ask.force) as file:
        for piece in _unpacked(packed, ask.run):
            size += 0 if ask.output.endswith(".gz") else file.write(piece)
        if ask.output.endswith(".gz"):
            size = file.write(packed)
    return {"step": step, "bytes": size}


def _unpacked(packed: bytes, run: Path) -> Iterator[bytes]:
    """A trace in pieces. Raises RunFileError where it is none, or has grown without end in being packed."""
    size = 0
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(packed)) as file:
            while piece := file.read(2**20):
                size += len(piece)
                if size > _MOST_JSON_BYTES:
                    raise EOFError(f"it has more than {_MOST_JSON_BYTES >> 20} MiB")
                yield piece
    except (OSError, EOFError, zlib.error) as error:
        raise failure("damaged", run, error=f"its trace cannot be unpacked: {words(error)}") from None


def _no_trace(run: Path, reader: RunReader) -> Problem:
    missing = reader.missing()
    recorded = missing.get("trace") or missing.get("time_ms")
    reason = recorded or (_CUT_OFF if reader.info().status in ENDED else _NOT_YET)
    return Problem(code="no-trace", path=str(run), template="has no trace of a step: {reason}",
                   hint_template=_RUN_AGAIN, args={"reason": reason})


def _tensorboard(ask: Ask) -> dict[str, Any]:
    """TensorBoard knows its files by their names: a path without that name is a folder."""
    _refuse_early(ask.run)
    path = absolute(ask.output)
    with closing(RunReader(ask.run)) as reader:
        info = reader.info()
        if _EVENTS not in path.name:
            _make_folder(path)
            path = path / f"events.out.{_EVENTS}.{info.run_id[:12]}.tfx"
        with written(path, ask.force) as file:
            return {"events": tensorboard.write_events(file, reader, info), "path": str(path)}


def _script(ask: Ask) -> dict[str, Any]:
    text = script.script_of(ask.run).encode()
    with written(ask.output, ask.force) as file:
        file.write(text)
    return {"bytes": len(text), "lines": text.count(b"\n")}


def _bundle(ask: Ask) -> dict[str, Any]:
    refuse_twice([ask.run, *ask.more])
    with written(ask.output, ask.force) as file:
        manifest = write_bundle(file, [ask.run, *ask.more])
    return {"runs": [entry["name"] for entry in manifest["runs"]], "files": len(manifest["files"])}


FORMATS: dict[str, Format] = {f.name: f for f in (
    Format("csv", ".csv", tr_mark("Table (CSV)"), tr_mark("a table for spreadsheets and pandas"), _csv, True),
    Format("parquet", ".parquet", tr_mark("Table (Parquet)"), tr_mark("a table for DuckDB, pandas, Spark"), _parquet),
    Format("json", ".json", tr_mark("Everything (JSON)"), tr_mark("the whole run, for programs"), _json, True),
    Format("trace", ".trace.json.gz", tr_mark("Trace of a step"),
           tr_mark("operators and kernels of one profiled step, for Perfetto and Chrome"), _trace),
    Format("tensorboard", "", tr_mark("TensorBoard"), tr_mark("scalars in an event file, in a folder"), _tensorboard),
    Format("script", ".py", tr_mark("PyTorch program"),
           tr_mark("model and training in one file that needs PyTorch alone and repeats the losses"), _script, True),
    Format("bundle", SUFFIX, tr_mark("Claim bundle"),
           tr_mark("all that somebody else needs to repeat the run and compare"), _bundle),
)}
