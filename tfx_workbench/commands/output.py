"""What a command prints: one JSON object a line on stdout, or words; refusals as sentences on stderr."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from tfx_engine.protocol.problems import Problem

SCHEMA = 1
DONE, FAILED, REFUSED, INTERRUPTED = 0, 1, 2, 130


def emit(data: Mapping[str, Any]) -> None:
    """One object as one line of JSON on stdout, at once."""
    print(json.dumps({"schema": SCHEMA, **data}, separators=(",", ":"), allow_nan=False), flush=True)


def say(text: str) -> None:
    """A line for people, on stderr."""
    print(text, file=sys.stderr, flush=True)


def refuse(problems: Iterable[Problem], as_json: bool) -> int:
    """Say what was wrong with the request, every problem a line; the exit code for it."""
    if as_json:
        emit({"ok": False, "problems": [problem.as_dict() for problem in problems]})
    else:
        for problem in problems:
            say(problem.sentence())
    return REFUSED


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


def survive_any_encoding() -> None:
    """Let a terminal that has no such letter show a stand-in instead of ending the command."""
    for stream in (sys.stdout, sys.stderr):
        if stream is not None and hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
