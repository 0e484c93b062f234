"""The `tfx-workbench` command: what was typed goes to the command that it means, and every fault becomes a sentence.

No Qt is loaded until a window is asked for, and no numpy until a run is read.
"""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tfx_engine.protocol.marker import tr_mark
from tfx_engine.protocol.problems import ConfigError, Problem, nearest
from tfx_engine.protocol.trust import load_trusted
from tfx_engine.runfile.errors import RunFileError
from tfx_workbench.commands.output import FAILED, INTERRUPTED, have_streams, refuse, say, survive_any_encoding
from tfx_workbench.commands.parser import COMMANDS, command_parser, window_parser
from tfx_workbench.commands.terminal import plain_streams

# Command -> module and function: imported when it is asked for.
FUNCTIONS = {
    "run": ("run", "run"), "estimate": ("estimate", "estimate"), "check": ("check", "check"),
    "audit": ("audit", "audit"),
    "techniques": ("techniques", "techniques"),
    "list": ("runs", "list_runs"), "annotate": ("runs", "annotate_run"),
    "show": ("runs", "show"), "rescue": ("rescue", "rescue_run"), "compare": ("compare", "compare"),
    "export": ("export", "export"), "report": ("report", "report"), "reproduce": ("reproduce", "reproduce"),
    "stop": ("control", "order"), "pause": ("control", "order"), "resume": ("control", "order"),
    "doctor": ("doctor", "doctor"), "import": ("importing", "import_model"),
    "engine": ("engine_python", "engine"),
    "trust": ("trust", "trust"), "frontier": ("frontier", "frontier"),
    "experiment": ("experiment", "experiment"), "guide": ("guide", "guide"),
    "ablate": ("ablate", "ablate"),
}
_NEED_THE_CATALOGUE = ("run", "estimate", "check", "audit", "techniques", "frontier", "ablate")


def main(argv: Sequence[str] | None = None) -> int:
    """Do what the arguments say; the exit code: 0 done, 1 a run failed, 2 the request was wrong, 130 interrupted."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    have_streams()
    survive_any_encoding()
    with plain_streams():
        return _answered(arguments)


def _answered(arguments: list[str]) -> int:
    as_json = "--json" in arguments
    try:
        return _dispatch(arguments)
    except ConfigError as error:
        return refuse(error.problems, as_json)
    except RunFileError as error:
        return refuse([error.problem], as_json)
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:  # whoever read our output has left
        return _give_up_output()
    except OSError as error:
        if error.filename is not None:
            raise
        say(tr_mark("The output cannot be written: {error}.").format(error=error.strerror or error))
        return _give_up_output()


def _give_up_output() -> int:
    """What is still buffered must not fail again at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return FAILED


def main_gui() -> int:
    """The same without a console, on Windows."""
    return main()


def _dispatch(arguments: list[str]) -> int:
    _refuse_a_folder_that_is_gone()
    if arguments and arguments[0] in COMMANDS:
        args = command_parser(arguments[0]).parse_args(arguments[1:])
        module, function = FUNCTIONS[arguments[0]]
        if arguments[0] in _NEED_THE_CATALOGUE and load_trusted():
            importlib.import_module("tfx_workbench.commands.trust").refresh()
        command: Any = getattr(importlib.import_module(f"tfx_workbench.commands.{module}"), function)
        return int(command(args))
    if arguments and not arguments[0].startswith("-"):  # before its options, which the window does not have
        _refuse_missing_files(arguments[:1])
    args = window_parser().parse_args(arguments)
    if args.demo and args.headless:
        from tfx_workbench.commands.demo import demo

        return demo(args)
    _refuse_missing_files(args.files)
    return _open_window(args)


def _refuse_a_folder_that_is_gone() -> None:
    """Neither a relative path nor torch's own libraries are found from there."""
    try:
        os.getcwd()  # noqa: PTH109
    except OSError as error:
        raise ConfigError([Problem(
            code="no-such-folder", path="", template=tr_mark("The folder in which this was typed is gone: {error}."),
            hint_template=tr_mark("Go to another one: cd"), args={"error": error.strerror or str(error)},
        )]) from None


def _refuse_missing_files(files: Sequence[str]) -> None:
    """A misspelt command looks like a file that is not there."""
    problems = []
    for file in files:
        if os.path.exists(file):  # noqa: PTH110  unlike Path, it says no to what is too long to be a path
            continue
        near = nearest(file, COMMANDS) if file == files[0] else None
        hint = tr_mark("Did you mean {near!r}?") if near else tr_mark("`tfx-workbench --help` lists the commands.")
        template = tr_mark("is neither a command nor a file that is there.")
        args = {"near": near}
        problems.append(Problem(code="no-such-file", path=file, template=template, hint_template=hint, args=args))
    if problems:
        raise ConfigError(problems)


def _open_window(args: argparse.Namespace) -> int:
    if args.headless:
        os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
    # PySide6 reads the source of whatever is imported after it, so what has nothing to do with Qt comes first.
    importlib.import_module("tfx_engine.runfile.reader")
    from tfx_engine.runfile.store import absolute, default_store, refuse_what_is_no_text

    refuse_what_is_no_text(absolute(args.store) if args.store else default_store())
    try:
        from tfx_workbench.app.main import main as open_window
    except ImportError as error:
        if (error.name or "").startswith("tfx_"):
            raise
        raise ConfigError([_no_window(error)]) from None
    return int(open_window(
        files=tuple(args.files), store=args.store, demo=args.demo, headless=args.headless, screenshot=args.screenshot,
    ))


def _no_window(error: ImportError) -> Problem:
    """PySide6 is an extra, and on Linux it needs libraries of the system."""
    from tfx_workbench.commands.window_libraries import install_line, missing_libraries

    missing = missing_libraries()
    hint = f"{install_line(missing)}" if missing else f'{Path(sys.executable).name} -m pip install "tfx-workbench[app]"'
    return Problem(code="no-window", path="", template=tr_mark("The window cannot be opened: {error}."),
                   hint_template=tr_mark("Type: {hint}"), args={"error": str(error).rstrip("."), "hint": hint})
