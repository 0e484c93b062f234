"""`export RUN --format trace -o PATH`: a run in a format that other programs read."""

from __future__ import annotations

import argparse
import gzip
from contextlib import closing
from pathlib import Path

from tfx_engine.protocol.marker import tr_mark
from tfx_engine.protocol.problems import ConfigError, Problem
from tfx_engine.protocol.status import ENDED
from tfx_engine.runfile.reader import RunReader
from tfx_workbench.commands import words
from tfx_workbench.commands.output import DONE, emit
from tfx_workbench.commands.runs import library_of
from tfx_workbench.runs.find import find_run

_NOT_YET = tr_mark("the run has not ended; some steps are profiled after the measured ones.")
_CUT_OFF = tr_mark("it ended before a step was profiled.")
_HINT = tr_mark("Run it again with [run] probes and profile left on.")


def export(args: argparse.Namespace) -> int:
    """Write the trace of a profiled step, for ui.perfetto.dev and chrome://tracing; compressed where PATH says .gz."""
    run, target = find_run(args.run, library_of(args.store)), Path(args.output)
    with closing(RunReader(run)) as reader:
        found = reader.trace()
        if found is None:
            raise ConfigError([_no_trace(run, reader)])
    step, packed = found
    data = packed if target.suffix == ".gz" else gzip.decompress(packed)
    try:
        target.write_bytes(data)
    except OSError as error:
        raise ConfigError([Problem(
            code="not-written", path=str(target), template="cannot be written: {error}.",
            args={"error": error.strerror or str(error)},
        )]) from None
    if args.json:
        emit({"run": str(run), "format": "trace", "path": str(target), "bytes": len(data), "step": step})
    else:
        print(tr_mark("Step {step} of {run}, {size}: {path}\nOpen it in https://ui.perfetto.dev or chrome://tracing.")
              .format(step=step, run=run.stem, size=words.size(len(data)), path=target))
    return DONE


def _no_trace(run: Path, reader: RunReader) -> Problem:
    missing = reader.missing()
    recorded = missing.get("trace") or missing.get("time_ms")
    reason = recorded or (_CUT_OFF if reader.info().status in ENDED else _NOT_YET)
    return Problem(code="no-trace", path=str(run), template="has no trace of a step: {reason}", hint_template=_HINT,
                   args={"reason": reason})
