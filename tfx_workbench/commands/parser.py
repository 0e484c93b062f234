"""The grammar of the command line. What is wrong with a command line is a `Problem` like any other."""

from __future__ import annotations

import argparse
from typing import NoReturn

from tfx_engine.protocol.marker import tr_mark
from tfx_engine.protocol.problems import ConfigError, Problem
from tfx_workbench import __version__
from tfx_workbench.commands.grammars import GRAMMARS

PROGRAM = "tfx-workbench"
COMMANDS = tuple(GRAMMARS)
_STORELESS = ("check", "estimate", "techniques", "import", "trust", "engine")


class Parser(argparse.ArgumentParser):
    """An `ArgumentParser` that raises `ConfigError` instead of ending the program."""

    def error(self, message: str) -> NoReturn:
        """What was wrong, and how to see what is right."""
        raise ConfigError([Problem(
            code="bad-command-line", path="", template="{message}.", args={"message": message, "program": self.prog},
            hint_template=tr_mark("`{program} --help` shows what can be typed."),
        )])


def window_parser() -> Parser:
    """`tfx-workbench [FILE...]`: the window."""
    parser = Parser(
        prog=PROGRAM, formatter_class=argparse.RawDescriptionHelpFormatter,
        description=tr_mark("Toggle techniques of a transformer, run real steps, see what each costs and buys."),
        epilog=_commands_help(), allow_abbrev=False,
    )
    parser.add_argument("files", nargs="*", metavar="FILE", help=tr_mark("configurations (.toml) or runs (.tfx)"))
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    parser.add_argument("--demo", action="store_true", help=tr_mark("run the five-technique comparison at once"))
    parser.add_argument("--headless", action="store_true",
                        help=tr_mark("no window; with --demo: run it, print the table, write a report and a picture"))
    _add_store(parser)
    parser.add_argument("--screenshot", metavar="PATH", help=tr_mark("save a picture of the window there, and end"))
    return parser


def _commands_help() -> str:
    lines = [f"  {PROGRAM} {name:11} {GRAMMARS[name][0]}" for name in COMMANDS]
    codes = tr_mark("Exit codes: 0 done, 1 a run failed, 2 the request was wrong, 130 interrupted.")
    return "\n".join([tr_mark("commands (each has its own --help):"), *lines, "", codes])


def command_parser(command: str) -> Parser:
    """The grammar of one command; the namespace has `command`."""
    purpose, add_arguments = GRAMMARS[command]
    parser = Parser(prog=f"{PROGRAM} {command}", description=purpose, allow_abbrev=False)
    parser.set_defaults(command=command)
    add_arguments(parser)
    if command not in _STORELESS:
        _add_store(parser)
    parser.add_argument("--json", action="store_true", help=tr_mark("one JSON object a line on stdout, nothing else"))
    return parser


def _add_store(parser: Parser) -> None:
    parser.add_argument("--store", metavar="DIR", help=tr_mark("folder of the run files"))
