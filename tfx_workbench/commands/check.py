"""`check CONFIG`: every problem of a configuration, those that only the techniques and the device know included."""

from __future__ import annotations

import argparse

from tfx_engine.client import Client
from tfx_engine.protocol.marker import tr_mark
from tfx_workbench.commands.configs import read_configs
from tfx_workbench.commands.output import DONE, emit, refuse


def check(args: argparse.Namespace) -> int:
    """Exit code 0 where the configuration can be run, 2 where it has problems."""
    (given,) = read_configs([args.config], args.set)
    with Client(on_disconnect="stop", warm=False) as client:
        problems = client.validate(given.data)
    if problems:
        return refuse(problems, args.json)
    if args.json:
        emit({"ok": True, "problems": []})
    else:
        print(tr_mark("{file}: nothing is wrong with it.").format(file=given.file))
    return DONE
