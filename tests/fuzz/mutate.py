"""Valid inputs made wrong: bytes turned, cut, repeated and moved, words of the format put where they do not belong."""

from __future__ import annotations

import copy
import json
import random
from collections.abc import Sequence
from typing import Any

# What has broken readers of such formats before.
WORDS = [
    b"", b"0", b"-1", b"1e999", b"-1e999", b"NaN", b"Infinity", b"null", b"true", b"[]", b"{}", b'""', b"[[[[[[[[",
    b"9" * 400, b"1" + b"0" * 5000, b"9223372036854775808", b"-9223372036854775809", b"0.1e-400", b"\\u0000",
    b"\\ud800", b"\xff\xfe", b"\xed\xa0\x80", b"\x00", b"\n", b"\r\n", b'"', b"'", b"{", b"}", b"[", b"]", b",", b":",
    b"=", b"..", b"../../x", b"%s", b"{0.__class__}", b"{x:>999999999}", b"\x1b[2J", "\u202e".encode(), b"a" * 70_000,
    b"[" * 3000, b'{"a":' * 3000,
]
_VALUES: list[Any] = [
    None, True, False, 0, -1, 1, 2**31, 2**63 - 1, -(2**63), 2**64, 10**400, 0.0, -0.5, 1e308, -1e-320, float("inf"),
    float("nan"), "", "x", "\0", "\ud800", "é" * 99, "{x:>999999999}", "<b>", "../..", [], {}, [[]], [None],
    {"": {}}, [1] * 50,
]


def mutated(data: bytes, draw: random.Random, others: Sequence[bytes] = ()) -> bytes:
    """Some changes to some bytes."""
    made = bytearray(data)
    for _ in range(draw.choice((1, 1, 1, 2, 3, 8))):
        _change(made, draw, others)
    return bytes(made)


def _change(made: bytearray, draw: random.Random, others: Sequence[bytes]) -> None:
    at = draw.randrange(len(made) + 1)
    end = min(len(made), at + draw.choice((1, 1, 2, 4, 8, 64, 1024)))
    match draw.randrange(9):
        case 0 if made:
            made[min(at, len(made) - 1)] ^= 1 << draw.randrange(8)
        case 1 if made:
            made[min(at, len(made) - 1)] = draw.choice((0, 1, 0x7F, 0x80, 0xFF, draw.randrange(256)))
        case 2:
            del made[at:end]
        case 3:
            made[at:at] = made[at:end] * draw.choice((1, 2, 50))
        case 4:
            made[at:at] = draw.choice(WORDS)
        case 5:
            made[at:end] = draw.choice(WORDS)
        case 6:
            del made[at:]
        case 7:
            made[at:end] = draw.randbytes(end - at)
        case _:
            other = draw.choice(others) if others else bytes(made)
            begin = draw.randrange(len(other) + 1)
            made[at:end] = other[begin : begin + draw.choice((4, 32, 512))]


def odd_value(draw: random.Random, depth: int = 0) -> Any:
    """A value that is seldom what is expected."""
    if depth < 2 and draw.random() < 0.1:
        return {draw.choice(("a", "", "name", "\x1b")): odd_value(draw, depth + 1)}
    if depth < 2 and draw.random() < 0.1:
        return [odd_value(draw, depth + 1) for _ in range(draw.randrange(4))]
    return copy.deepcopy(draw.choice(_VALUES))  # what is put in it later must not be in the next one


def reshaped(data: Any, draw: random.Random) -> Any:
    """Data like these, some of it replaced, removed, renamed or added: still JSON, no longer what is expected."""
    made = json.loads(json.dumps(data))
    for _ in range(draw.choice((1, 1, 2, 4))):
        place = made
        while isinstance(place, (dict, list)) and place:
            key = draw.choice(list(place) if isinstance(place, dict) else range(len(place)))
            inner = place[key]
            if isinstance(inner, (dict, list)) and inner and draw.random() < 0.7:
                place = inner
                continue
            _replace(place, key, draw)
            break
        else:
            made = odd_value(draw)
            break
    return made


def _replace(place: Any, key: Any, draw: random.Random) -> None:
    match draw.randrange(4):
        case 0:
            del place[key]
        case 1 if isinstance(place, dict):
            place[draw.choice(("x", "", "__class__", f"{key}s"))] = place.pop(key)
        case 2 if isinstance(place, dict):
            place[draw.choice(("x", "more", "\0"))] = odd_value(draw)
        case _:
            place[key] = odd_value(draw)


def as_json(value: Any) -> bytes:
    """As JSON, with what JSON does not know as Python writes it."""
    return json.dumps(value).encode()
