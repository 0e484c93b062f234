"""`python -m tfx_engine`: the engine without a window.

    serve                           speak JSON lines over stdin and stdout (what a client starts)
    run CONFIG... [--store DIR]     do the runs here, one after the other, in this process
    check CONFIG                    every problem of a configuration
    estimate CONFIG                 what a configuration will cost
    script RUN                      a recorded run as one PyTorch program, on stdout
    own                             load the trusted techniques of one's own, and write down what they are
    measure                         jobs for the instruments of experiments: JSON lines over stdin and stdout

Exit codes: 0 done, 1 a run failed, 2 the request was wrong, 130 interrupted.
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NoReturn

if TYPE_CHECKING:
    from tfx_engine.protocol.problems import Problem

_SCHEMA = 1  # of the JSON that is printed
DONE, FAILED, WRONG, INTERRUPTED = 0, 1, 2, 130


def main(argv: Sequence[str] | None = None) -> int:
    """Do what the arguments say; the exit code."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    if arguments == ["serve"]:  # before argparse and everything else: a service is up at once
        try:
            from tfx_engine.service.main import serve
        except ModuleNotFoundError as error:  # a Python of the user's own
            print(f"{sys.executable} has no module {error.name}, which the engine needs. "
                  f"Type: tfx-workbench engine {sys.executable}", file=sys.stderr)
            return FAILED
        return serve()
    parsed = _parser().parse_args(arguments)
    try:
        return int(parsed.command(parsed))
    except KeyboardInterrupt:
        return INTERRUPTED


def _parser() -> argparse.ArgumentParser:
    prog = "tfx-engine" if getattr(sys, "frozen", False) else "python -m tfx_engine"
    parser = argparse.ArgumentParser(prog=prog, description="The engine of TFX Workbench, without a window.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    commands.add_parser("serve", help="speak JSON lines over stdin and stdout").set_defaults(command=_serve)
    run = commands.add_parser("run", help="do runs in this process")
    run.add_argument("configs", nargs="+", metavar="CONFIG", help="a TOML file")
    run.add_argument("--store", metavar="DIR", help="folder of the run files")
    run.set_defaults(command=_run)
    for name, command, words in (("check", _check, "every problem of a configuration"),
                                 ("estimate", _estimate, "what a configuration will cost")):
        single = commands.add_parser(name, help=words)
        single.add_argument("config", metavar="CONFIG", help="a TOML file")
        single.set_defaults(command=command)
        if name == "estimate":
            single.add_argument("--device-memory", metavar="SIZE", help="whether it fits there, such as 24GiB")
            single.add_argument("--instant", action="store_true", help="closed forms alone")
    script = commands.add_parser("script", help="a recorded run as one PyTorch program, on stdout")
    script.add_argument("run", metavar="RUN", help="a run file")
    script.set_defaults(command=_script)
    own = commands.add_parser("own", help="load the trusted techniques of one's own, and write down what they are")
    own.add_argument("--load", action="store_true", help=argparse.SUPPRESS)  # in this very process
    own.set_defaults(command=_own)
    measure = commands.add_parser("measure", help="jobs for the instruments of experiments, as JSON lines")
    measure.set_defaults(command=_measure)
    for sub in commands.choices.values():
        sub.add_argument("--json", action="store_true", help="one JSON object a line on stdout, nothing else")
    return parser


def _serve(arguments: argparse.Namespace) -> int:
    from tfx_engine.service.main import serve

    return serve()


def _run(arguments: argparse.Namespace) -> int:
    from tfx_engine import api
    from tfx_engine.protocol.problems import ConfigError
    from tfx_engine.runfile.errors import RunFileError
    from tfx_engine.runfile.reader import RunReader

    try:
        configs = [api.load_config(path) for path in arguments.configs]
        worst = DONE
        for config in configs:
            path = api.run(config, store=arguments.store)
            reader = RunReader(path)
            info = reader.info()
            reader.close()
            _print(arguments, {"run": str(path), "name": info.name, "status": info.status, "reason": info.reason},
                   f"{info.name}: {info.status} {info.reason}".rstrip() + f"\n{path}")
            worst = worst if info.status == "finished" else FAILED
        return worst
    except ConfigError as error:
        return _refuse(arguments, error.problems)
    except RunFileError as error:
        return _refuse(arguments, [error.problem])


def _check(arguments: argparse.Namespace) -> int:
    from tfx_engine.protocol.problems import errors_among

    problems = _problems(arguments.config)
    if errors_among(problems):
        return _refuse(arguments, problems)
    words = "\n".join(p.sentence() for p in problems) or "No problems."
    _print(arguments, {"ok": True, "problems": [p.as_dict() for p in problems]}, words)
    return DONE


def _problems(path: str) -> Sequence[Problem]:
    from tfx_engine.client.own import keep_up
    from tfx_engine.protocol.config import parse_config
    from tfx_engine.protocol.problems import ConfigError
    from tfx_engine.protocol.toml import read_toml

    for fault in keep_up():
        print(fault, file=sys.stderr)
    try:
        config, problems = parse_config(read_toml(path))
    except ConfigError as error:
        return error.problems
    if problems:
        return problems
    from tfx_engine.model.validate import validate  # imports torch, so only for what is right so far

    return list(validate(config))


def _estimate(arguments: argparse.Namespace) -> int:
    from tfx_engine import api
    from tfx_engine.protocol.problems import ConfigError

    try:
        level = "instant" if arguments.instant else "traced"
        figures = api.estimate(api.load_config(arguments.config), level, arguments.device_memory)
    except ConfigError as error:
        return _refuse(arguments, error.problems)
    _print(arguments, figures, "\n".join(f"{key}: {value}" for key, value in figures.items()))
    return DONE


def _script(arguments: argparse.Namespace) -> int:
    from tfx_engine.protocol.problems import ConfigError
    from tfx_engine.runfile.errors import RunFileError
    from tfx_engine.script.of_run import script_of_run

    try:
        text = script_of_run(arguments.run)
    except ConfigError as error:
        return _refuse(arguments, error.problems)
    except RunFileError as error:
        return _refuse(arguments, [error.problem])
    _print(arguments, {"run": arguments.run, "script": text}, text)
    return DONE


def _own(arguments: argparse.Namespace) -> int:
    from tfx_engine.client.own import write_down
    from tfx_engine.protocol.launch import end_with_parent

    end_with_parent(getattr(signal, "SIGKILL", signal.SIGTERM))  # somebody's file may never end, nor heed another
    if arguments.load:
        _load_own()
    found = write_down()
    names = [{"name": t.name, "slot": t.slot, "title": t.title, "origin": t.origin} for t in found.techniques]
    words = [*(f"{t.slot}/{t.name}: {t.title} ({t.origin})" for t in found.techniques), *found.faults]
    _print(arguments, {"ok": not found.faults, "techniques": names, "faults": list(found.faults)}, "\n".join(words))
    return FAILED if found.faults else DONE


def _measure(arguments: argparse.Namespace) -> int:
    from tfx_engine.protocol.launch import end_with_parent
    from tfx_engine.protocol.stdio import take_stdio

    lines = take_stdio()
    end_with_parent()
    from tfx_engine.instruments.answering import answer_all

    answer_all(lines)
    return DONE


def _load_own() -> NoReturn:
    """For `client/own.py`, which says what to leave out: says what is being loaded, and in the end what was found."""
    import faulthandler
    import os

    from tfx_engine.protocol.stdio import take_stdio

    lines = take_stdio()  # what the files print is no answer of ours
    asked = json.loads(next(lines.receive()))
    from tfx_engine.techniques.own import write_own_catalogue

    def on_loading(origin: str) -> None:
        lines.send({"loading": origin})
        faulthandler.dump_traceback_later(asked["seconds"], exit=True)  # also where it never lets go of the interpreter

    try:
        found = write_own_catalogue(asked["left_out"], on_loading)
    except OSError as error:
        print(f"The catalogue cannot be written: {error}", file=sys.stderr)
        os._exit(FAILED)
    cards = [card for card in found.catalogue.techniques if card.origin]
    names = [{"name": c.name, "slot": c.slot, "title": c.title, "origin": c.origin} for c in cards]
    lines.send({"found": {"techniques": names, "faults": list(found.faults)}})
    os._exit(DONE)  # whatever threads the files have started


def _refuse(arguments: argparse.Namespace, problems: Sequence[Problem]) -> int:
    if arguments.json:
        _print(arguments, {"ok": False, "problems": [p.as_dict() for p in problems]}, "")
    else:
        print("\n".join(p.sentence() for p in problems), file=sys.stderr)
    return WRONG


def _print(arguments: argparse.Namespace, data: dict[str, Any], words: str) -> None:
    print(json.dumps({"schema": _SCHEMA, **data}, separators=(",", ":")) if arguments.json else words, flush=True)


if __name__ == "__main__":
    sys.exit(main())
