"""What a badly behaved library may print from C in the middle of a training step."""

from __future__ import annotations

import ctypes
import os
import random

MARKS = ("MARK-ONE", "MARK-TWO", "MARK-THREE", "MARK-FOUR")  # in what is printed, to be found in the log
MEGABYTE = 10**6
HELD_BYTES = 500_000  # printed by C code that keeps Python from running meanwhile


def make_noise(size: int = MEGABYTE, seed: int = 6) -> None:
    """`size` random bytes on stdout and some on stderr, half lines, NULs, lines that look like our own protocol."""
    draw = random.Random(seed).randbytes
    libc = ctypes.CDLL(None)
    write(libc, 1, draw(size))
    write(libc, 1, f"\n{MARKS[0]} half a line".encode())
    write(libc, 2, draw(size // 16) + b"\0\0\0\n\0" + f"\n{MARKS[1]}\0after a NUL\n".encode())
    write(libc, 1, b'\n{"say":"ended","status":"failed","reason":"made up"}\n{"say":"ready","torch":"none"}\n')
    write(libc, 1, b'{"say":"reply","id":1,"ok":true}\n\xff\xfe{"say":\n' + b"\x1b[31m\x07\x08" + b"\n")
    if os.name == "posix" and hasattr(os, "sched_getaffinity"):  # Linux: there the pipe holds as much
        write(ctypes.PyDLL(None), 1, b"x" * HELD_BYTES + b"\n")
    write(libc, 1, f"{MARKS[2]}\n".encode())
    write(libc, 2, MARKS[3].encode())  # the last line has no end


def write(libc: ctypes.CDLL, descriptor: int, text: bytes) -> None:
    """As a C function does it, past everything that Python knows of."""
    while text:
        taken = libc.write(descriptor, text, len(text))
        assert taken > 0
        text = text[taken:]
