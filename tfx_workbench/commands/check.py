"""`check CONFIG`: every problem of a configuration, those that only the techniques and the device know included."""

from __future__ import annotations

import argparse

from tfx_engine.client import Client, ServiceGone
from tfx_engine.protocol.codec import problem_from_data
from tfx_engine.protocol.marker import tr_mark
from tfx_engine.protocol.messages import Reply, Validate
from tfx_workbench.commands.configs import read_configs
from tfx_workbench.commands.engine import engine_gone
from tfx_workbench.commands.output import DONE, emit, refuse, say


def check(args: argparse.Namespace) -> int:
    """Exit code 0 where the configuration can be run, 2 where it has problems."""
    (given,) = read_configs([args.config], args.set)
    try:
        with Client(on_disconnect="stop", warm=False) as client:
            reply = client.call(Validate(id=0, config=given.data, deep=True))
    except ServiceGone as error:
        raise engine_gone(error) from error
    problems = [problem_from_data(problem) for problem in reply.problems]
    if not reply.ok:
        return refuse(problems, args.json)
    missing = _not_asked(reply)
    if args.json:
        emit({"ok": True, "problems": [problem.as_dict() for problem in problems], "missing": missing})
    else:
        print(tr_mark("{file}: nothing is wrong with it.").format(file=given.file))
        for reason in (*(problem.sentence() for problem in problems), *missing.values()):
            say(reason)
    return DONE


def _not_asked(reply: Reply) -> dict[str, str]:
    """Without torch only the catalogue can be asked: what then has not been checked."""
    if reply.result.get("deep"):
        return {}
    template = tr_mark("Data, device and the techniques' own rules were not checked: {reason}")
    return {"deep": template.format(reason=reply.result.get("reason", ""))}
