"""`stop`, `pause`, `resume RUN`: an order for a run, whoever started it, through its mailbox."""

from __future__ import annotations

import argparse
import time

from tfx_engine.client import control
from tfx_engine.protocol.marker import tr_mark
from tfx_engine.protocol.problems import ConfigError, Problem
from tfx_engine.protocol.status import ENDED
from tfx_workbench.commands import words
from tfx_workbench.commands.output import DONE, emit
from tfx_workbench.commands.runs import library_of
from tfx_workbench.runs.find import find_run
from tfx_workbench.runs.rundata import RunData

HEARD_S = 3.0  # a worker looks into its mailbox ten times a second, also within a step
POLL_S = 0.05


def order(args: argparse.Namespace) -> int:
    """Put the order into the mailbox and wait until the worker has acknowledged it."""
    path = find_run(args.run, library_of(args.store))
    run = RunData(path)
    try:
        run.load()
        if run.info.status in ENDED:
            raise ConfigError([_has_ended(args.run, args.command, run.info.status)])
        number = control(path, args.command)
        heard = run.info.status == "running" and _is_heard(run, number)
    finally:
        run.close()
    if args.json:
        emit({"run": str(path), "action": args.command, "acknowledged": heard})
    elif heard:
        print(tr_mark("{name}: {action} was heard.").format(name=words.title(run.info.name), action=args.command))
    else:
        print(tr_mark("{name}: {action} is in its mailbox and counts when its worker looks.").format(
            name=words.title(run.info.name), action=args.command))
    return DONE


def _is_heard(run: RunData, number: str) -> bool:
    deadline = time.monotonic() + HEARD_S
    while time.monotonic() < deadline:
        run.refresh()
        if any(event.kind == "control" and event.args.get("id") == number for event in run.events):
            return True
        if run.info.status in ENDED:
            return True
        time.sleep(POLL_S)
    return False


def _has_ended(text: str, action: str, status: str) -> Problem:
    return Problem(code="run-has-ended", path=text, template=tr_mark("is {status}: there is nothing to {action}."),
                   args={"status": status, "action": action})
