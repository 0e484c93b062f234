"""What no configuration holds, refused before anything else touches it: copying or showing it would end in an error."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from tfx_engine.protocol.problems import Problem

DEEPEST = 32  # tables and lists in one another; a configuration has three
_BITS = 4096  # of a whole number; Python refuses to write one of more than 4300 digits


def unfit(data: Any) -> Problem | None:
    """Why a table cannot be looked at further: nested too deep, or a number of thousands of digits in it."""
    waiting: list[tuple[Any, str, int]] = [(data, "", 0)]
    while waiting:
        value, path, depth = waiting.pop()
        if isinstance(value, int) and value.bit_length() > _BITS:
            return Problem(code="out-of-range", path=path, template="is too large a number.")
        if depth > DEEPEST:
            return Problem(code="too-deep", path=path.split(".")[0], template="is nested more than {deepest} deep.",
                           args={"deepest": DEEPEST})
        waiting += ((inner, f"{path}.{key}".lstrip("."), depth + 1) for key, inner in _inside(value))
    return None


def _inside(value: Any) -> Iterator[tuple[Any, Any]]:
    if isinstance(value, Mapping):
        yield from value.items()
    elif isinstance(value, (list, tuple)):
        yield from enumerate(value)
