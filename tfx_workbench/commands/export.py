"""`export RUN --format FORMAT -o PATH`: a run in a format that other programs read."""

from __future__ import annotations

import argparse
from typing import Any

from tfx_engine.protocol.marker import tr_mark
from tfx_workbench.commands import words
from tfx_workbench.commands.output import DONE, emit, refuse_beside, say
from tfx_workbench.commands.runs import library_of
from tfx_workbench.exporting.formats import Ask
from tfx_workbench.exporting.formats import export as write
from tfx_workbench.exporting.target import STDOUT
from tfx_workbench.runs.find import find_run

_OF_TABLES = ("csv", "parquet")
_WHAT_NOW = {
    "trace": tr_mark("Open it in https://ui.perfetto.dev or chrome://tracing."),
    "tensorboard": tr_mark("Type: tensorboard --logdir {folder}"),
    "script": tr_mark("Type: python {path}"),
    "bundle": tr_mark("Whoever gets it types: tfx-workbench reproduce {name}"),
}


def export(args: argparse.Namespace) -> int:
    """Write the run; say where, and what to do with it."""
    if args.format not in _OF_TABLES:
        refuse_beside(f"--format {args.format}", {"--table": args.table})
    if args.output == STDOUT:
        refuse_beside("-o -", {"--json": args.json})
    library = library_of(args.store)
    run, *more = [find_run(text, library) for text in args.runs]
    done = write(args.format, Ask(run, args.output, args.force, args.table or "steps", tuple(more)))
    if args.output == STDOUT:
        return DONE
    if args.json:
        emit(done)
    else:
        _say(done)
    return DONE


def _say(done: dict[str, Any]) -> None:
    from pathlib import Path

    path = Path(done["path"])
    if not (path.is_file() or path.is_dir()):  # a pipe, which may be our own stdout: its reader wants the data alone
        return
    size = words.size(path.stat().st_size) if path.is_file() else tr_mark("a folder")
    print(tr_mark("{path}, {size}.").format(path=path, size=size))
    if hint := _WHAT_NOW.get(done["format"]):
        say(hint.format(path=path, folder=path.parent, name=path.name))
