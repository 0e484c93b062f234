"""Has other processes load the user's techniques and write down what they are: this one loads no code of theirs.

A file may do anything: end the process that loads it, or never come back. Then it is left out, and the others are
loaded without it.
"""

from __future__ import annotations

import contextlib
import functools
import json
import signal
import subprocess
import threading
from collections.abc import Mapping
from typing import IO, Any

import msgspec

from tfx_engine.protocol.launch import child_environment, module_argv
from tfx_engine.protocol.marker import tr_mark
from tfx_engine.protocol.trust import is_written_down, load_trusted, stamp

LOADING_S = 30  # for one file or package
TIMED_OUT = "Timeout ("  # how Python's faulthandler begins when that is over
_PATIENCE_S = 300  # for all: importing torch from a cold disk takes its time
_TAIL_BYTES = 1 << 16  # of what the files print
_NOT_LOADED = tr_mark("Your techniques could not be loaded: {reason}")
_TOO_LONG = tr_mark("was not loaded within {seconds} s, and is left out until a file changes.")
_ENDED = tr_mark("ended the process that loaded it ({how}), and is left out until a file changes.")
_BROKE_OFF = tr_mark("the process that loads them ended ({how}). {last}")


class OwnTechnique(msgspec.Struct, frozen=True):
    """One technique of the user's own."""

    name: str
    slot: str
    title: str
    origin: str


class OwnFound(msgspec.Struct, frozen=True):
    """What was loaded, and what could not be, in words."""

    techniques: tuple[OwnTechnique, ...] = ()
    faults: tuple[str, ...] = ()


def keep_up() -> tuple[str, ...]:
    """Where sources have changed since they were loaded, have them loaded and written down; the faults found."""
    return () if is_written_down() else _written_down(stamp(load_trusted())).faults


@functools.lru_cache(maxsize=1)
def _written_down(stamp_of_sources: str) -> OwnFound:
    return write_down()  # once for each state of them, also where nothing can be written down


def write_down() -> OwnFound:
    """Load what is trusted, in another process, and wait for what it found."""
    left_out: dict[str, str] = {}
    while True:
        found, suspect, reason = _attempt(left_out)
        if found is not None:
            return found
        if not suspect or suspect in left_out:
            return OwnFound(faults=(_NOT_LOADED.format(reason=reason),))
        left_out[suspect] = reason


def _attempt(left_out: Mapping[str, str]) -> tuple[OwnFound | None, str, str]:
    """(what was found; or None, what was being loaded when the process ended, how it ended)."""
    argv = [*module_argv("tfx_engine"), "own", "--load"]
    asked = json.dumps({"left_out": left_out, "seconds": LOADING_S}).encode()
    pipe = subprocess.PIPE
    try:
        process = subprocess.Popen(argv, stdin=pipe, stdout=pipe, stderr=pipe, env=child_environment())
    except OSError as error:
        return None, "", str(error)
    assert process.stdin and process.stdout and process.stderr
    words = _Tail(process.stderr)
    timer = threading.Timer(_PATIENCE_S, process.kill)
    timer.daemon = True
    timer.start()
    try:
        with contextlib.suppress(OSError), process.stdin:  # it may have ended already
            process.stdin.write(asked + b"\n")
        with process.stdout:
            output = process.stdout.read()
        code = process.wait()
    finally:
        timer.cancel()
        process.kill()  # where the waiting was interrupted
    lines = output.splitlines()
    try:
        return msgspec.json.decode(lines[-1] if lines else b"", type=_Found).found, "", ""
    except msgspec.DecodeError:
        return None, *_how_it_ended(_last_loading(output), code, words.text())


def _how_it_ended(suspect: str, code: int, said: str) -> tuple[str, str]:
    """(what was being loaded, why it is at fault)."""
    if TIMED_OUT in said:
        return suspect, _TOO_LONG.format(seconds=LOADING_S)
    try:
        how = signal.Signals(-code).name if code < 0 else tr_mark("exit code {code}").format(code=code)
    except ValueError:
        how = str(code)
    last = "".join(said.strip().splitlines()[-1:])
    return suspect, (_ENDED.format(how=how) if suspect else _BROKE_OFF.format(how=how, last=last).rstrip())


def _last_loading(output: bytes) -> str:
    """What the process said last that it was about to load."""
    last = ""
    for line in output.splitlines():
        try:
            said: Any = json.loads(line)
        except ValueError:
            continue
        last = said.get("loading", last) if isinstance(said, dict) else last
    return last


class _Tail:
    """The end of what is printed, read as it comes; what a process left behind holds open is not waited for."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream, self._last = stream, b""
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        with self._stream:
            while more := self._stream.read1(_TAIL_BYTES):  # type: ignore[attr-defined]
                self._last = (self._last + more)[-_TAIL_BYTES:]

    def text(self) -> str:
        """What there is."""
        self._thread.join(1.0)
        return self._last.decode(errors="replace")


class _Found(msgspec.Struct, frozen=True):
    found: OwnFound
