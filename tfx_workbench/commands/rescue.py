"""`rescue RUN`: what can still be read of a damaged run file, as a new one that is sound."""

from __future__ import annotations

import argparse
from pathlib import Path

from tfx_engine.protocol.marker import tr_mark
from tfx_engine.runfile.rescue import rescue
from tfx_workbench.commands import words
from tfx_workbench.commands.output import DONE, emit, print_table
from tfx_workbench.commands.runs import library_of
from tfx_workbench.runs.find import find_run


def rescue_run(args: argparse.Namespace) -> int:
    """Write the new file, and say of each table how many rows are in it."""
    path = find_run(args.run, library_of(args.store))
    target = Path(args.output) if args.output else path.with_name(f"{path.stem}-rescued{path.suffix}")
    found = rescue(path, target)
    if args.json:
        emit({"run": str(found.path), "rescued_from": str(path), "rows": found.rows, "damaged": list(found.damaged)})
        return DONE
    part, whole = tr_mark("not all could be read"), tr_mark("nothing was found to be missing")
    print_table(
        [tr_mark("table"), tr_mark("rows"), tr_mark("of the damaged file")],
        [[name, words.count(count), part if name in found.damaged else whole] for name, count in found.rows.items()
         if count or name in found.damaged],
        right=[1],
    )
    print(tr_mark("What is left of {run} is in {path}.").format(run=path, path=found.path))
    return DONE
