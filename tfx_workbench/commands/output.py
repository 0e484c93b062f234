"""What a command prints: one JSON object a line on stdout, or words; refusals as sentences on stderr."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from tfx_engine.protocol.marker import tr_mark
from tfx_engine.protocol.problems import ConfigError, Problem

SCHEMA = 1
ENGINE_GONE = "engine-gone"  # the code of the problem that a service ended while it was needed
DONE, FAILED, REFUSED, INTERRUPTED = 0, 1, 2, 130


def emit(data: Mapping[str, Any]) -> None:
    """One object as one line of JSON on stdout, at once."""
    print(json.dumps({"schema": SCHEMA, **data}, separators=(",", ":"), allow_nan=False), flush=True)


def say(text: str) -> None:
    """A line for people, on stderr."""
    print(text, file=sys.stderr, flush=True)


def refuse(problems: Iterable[Problem], as_json: bool) -> int:
    """Say what was wrong, every problem a line; the exit code: not that of a wrong request where the engine ended."""
    problems = tuple(problems)
    if as_json:
        emit({"ok": False, "problems": [problem.as_dict() for problem in problems]})
    else:
        for problem in problems:
            say(problem.sentence())
    return FAILED if any(problem.code == ENGINE_GONE for problem in problems) else REFUSED


def refuse_beside(other: str, given: Mapping[str, object]) -> None:
    """Raise `ConfigError` for the options that were given though they mean nothing beside the `other`."""
    if wrong := [name for name, value in given.items() if value]:
        raise ConfigError([Problem(
            code="bad-command-line", path=name, template=tr_mark("means nothing beside {other}."),
            hint_template=tr_mark("Leave out one of them."), args={"other": other},
        ) for name in wrong])


def print_table(headings: Sequence[str], rows: Sequence[Sequence[str]], right: Iterable[int] = ()) -> None:
    """Columns with two blanks between them; the columns in `right` are right-aligned."""
    lines = [headings, *rows]
    widths = [max(len(line[i]) for line in lines) for i in range(len(headings))]
    aligned_right = set(right)
    for line in lines:
        cells = (
            cell.rjust(width) if i in aligned_right else cell.ljust(width)
            for i, (cell, width) in enumerate(zip(line, widths, strict=True))
        )
        print("  ".join(cells).rstrip())


def have_streams() -> None:
    """Words that have nowhere to go (a program without a console, `2>&-`) go to the null device.

    A file that is opened later must not get the number of a closed stream: what C code says would land in it.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # gets the lowest number that is free, which is this one
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, Path(os.devnull).open("w", encoding="utf-8"))  # noqa: SIM115  as long as the program


def survive_any_encoding() -> None:
    """Let a terminal that has no such letter show a stand-in instead of ending the command."""
    for stream in (sys.stdout, sys.stderr):
        if stream is not None and hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
