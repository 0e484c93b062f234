"""JSON lines: one message a line, UTF-8; a line that cannot be read is a `Problem`, never a crash."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import msgspec

from tfx_engine.protocol.marker import tr_mark
from tfx_engine.protocol.messages import Reply, Request
from tfx_engine.protocol.problems import Problem

T = TypeVar("T")
_encoder = msgspec.json.Encoder()
MAX_LINE = 16 * 2**20  # bytes; a longer line is refused, so that a runaway sender cannot fill the memory


def encode_line(message: Any) -> bytes:
    """The message as one line, newline included."""
    return _encoder.encode(message) + b"\n"


def decode(data: bytes, kind: type[T], hook: Callable[[type, Any], Any] | None = None) -> T:
    """What JSON holds. Raises `msgspec.DecodeError` (or its `ValidationError`) where it is none of `kind`, and nothing
    else, whatever the bytes are."""
    try:
        return msgspec.json.decode(data, type=kind, dec_hook=hook)
    except (UnicodeDecodeError, RecursionError) as error:  # bytes that are not UTF-8; thousands of brackets
        raise msgspec.DecodeError(str(error)) from None


def decode_line(line: bytes, kind: Any) -> Any:
    """The message in a line. Raises `msgspec.DecodeError` (or its `ValidationError`) where it is none of `kind`."""
    if len(line) > MAX_LINE:
        raise msgspec.DecodeError(f"a line of {len(line)} bytes is longer than {MAX_LINE}")
    return decode(line, kind)


def numbered(request: Request, number: int) -> Request:
    """The same request with another `id`."""
    return msgspec.structs.replace(request, id=number)


def problem_to_data(problem: Problem) -> dict[str, Any]:
    """A problem as JSON-able data."""
    return msgspec.to_builtins(problem)  # type: ignore[no-any-return]


def problem_from_data(data: dict[str, Any]) -> Problem:
    """The problem that `problem_to_data` made."""
    return msgspec.convert(data, Problem)


def superseded(number: int) -> Reply:
    """The answer to a question for a step's time that was broken off."""
    problem = Problem(code="superseded", path="", template=tr_mark("Something else was asked of the engine meanwhile."))
    return Reply(id=number, ok=False, problems=[problem_to_data(problem)])
