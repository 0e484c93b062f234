"""A stray print, from Python, C or a child, lands in the log and never in the protocol."""

from __future__ import annotations

import subprocess
import sys

import msgspec

from tfx_engine.protocol.launch import child_environment

_TALKER = """
import ctypes, os, subprocess, sys
print("printed before")
from tfx_engine.protocol.stdio import take_stdio
from tfx_engine.protocol.messages import Doctor
lines = take_stdio()
print("printed after")
os.write(1, b"written to descriptor 1\\n")
libc = ctypes.CDLL(None)
libc.puts(b"put by C"); libc.fflush(None)
subprocess.run([sys.executable, "-c", "print('by a child'); import sys; print(repr(sys.stdin.read()))"], check=True)
for i, line in enumerate(lines.receive()):
    lines.send(Doctor(id=i))
"""


def test_only_messages_reach_the_other_side(tmp_path: object) -> None:
    done = subprocess.run([sys.executable, "-c", _TALKER], input=b"one\ntwo\n", capture_output=True, timeout=30,
                          env=child_environment(), check=True)
    before, *lines = done.stdout.splitlines()
    assert before == b"printed before"  # what came before is still the old stdout's
    asked = [{"do": "doctor", "id": id, "measure": False} for id in (0, 1)]
    assert [msgspec.json.decode(line) for line in lines] == asked
    for words in (b"printed after", b"written to descriptor 1", b"put by C", b"by a child"):
        assert words in done.stderr
    assert b"''" in done.stderr  # a child that reads finds nothing, instead of eating the protocol


def test_megabytes_on_descriptor_1_do_no_harm() -> None:
    program = ("import os\nfrom tfx_engine.protocol.stdio import take_stdio\nlines = take_stdio()\n"
               "rest = memoryview(os.urandom(2**20))\nwhile rest: rest = rest[os.write(1, rest):]\n"
               "lines.send({'n': 1})")
    done = subprocess.run([sys.executable, "-c", program], stdin=subprocess.DEVNULL, capture_output=True, timeout=30,
                          env=child_environment(), check=True)
    assert done.stdout == b'{"n":1}\n' and len(done.stderr) >= 2**20
