"""`engine [PYTHON]`: in which Python runs are done; one of the user's own may have a torch for their GPU."""

from __future__ import annotations

import argparse
import os

from tfx_engine.client.own_python import OwnPython, examine
from tfx_engine.protocol.engine_python import VARIABLE, chosen_python, keep_choice
from tfx_engine.protocol.marker import tr_mark
from tfx_engine.protocol.problems import ConfigError, Problem
from tfx_workbench.commands.output import DONE, emit, refuse_beside


def engine(args: argparse.Namespace) -> int:
    """Say which it is, choose another after having asked it whether it can, or go back to the one that came along."""
    if args.built_in:
        refuse_beside("--built-in", {"PYTHON": args.python})
        _keep(None)
    found = examine(args.python) if args.python else None
    if found is not None:
        _keep(found.path)
    chosen = chosen_python()
    if found is None and chosen is not None:
        found = examine(chosen)
    if args.json:
        emit({"ok": True, "python": chosen, "version": found and found.version, "torch": found and found.torch,
              "devices": list(found.devices) if found else []})
    else:
        print(_in_words(found))
    if args.python and os.environ.get(VARIABLE):
        print(tr_mark("${variable} comes before this choice as long as it is set.").format(variable=VARIABLE))
    return DONE


def _in_words(found: OwnPython | None) -> str:
    if found is None:
        return tr_mark("Runs are done in the Python that this program brings.")
    devices = ", ".join(found.devices) or tr_mark("no GPU")
    return tr_mark("Runs are done in {path}: Python {version}, torch {torch}, {devices}.").format(
        path=found.path, version=found.version, torch=found.torch, devices=devices)


def _keep(python: str | None) -> None:
    try:
        keep_choice(python)
    except OSError as error:
        raise ConfigError([Problem(
            code="not-kept", path="engine", template="cannot keep which Python was chosen: {error}.",
            args={"error": error.strerror or str(error)},
        )]) from error
