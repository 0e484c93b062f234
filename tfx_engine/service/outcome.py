"""How the end of a worker process reads in words."""

from __future__ import annotations

import signal
from collections.abc import Iterable

from tfx_engine.protocol.marker import tr_mark

_KILLED = tr_mark("The worker was killed ({signal}). The system does that when memory runs out; or somebody ended it.")
_CRASHED = tr_mark("The worker crashed ({signal}) in native code.")
_NO_PAGE = tr_mark(
    "The worker was ended by the system ({signal}): a file that it had in its memory could not be read or written. A "
    "full disk or a quota does that on file systems that copy what is written (btrfs)."
)
_SIGNALLED = tr_mark("The worker was ended by the signal {signal}.")
_EXITED = tr_mark("The worker ended early with exit code {code}.")
_SILENT = tr_mark("The worker ended early without saying why.")
_LAST_LINES = tr_mark("Its last lines: {lines}")
_WORDS = {"SIGBUS": _NO_PAGE, **dict.fromkeys(("SIGSEGV", "SIGILL", "SIGFPE", "SIGABRT", "SIGTRAP"), _CRASHED)}
_TAIL_CHARACTERS = 600


def describe_exit(exit_code: int, last_lines: Iterable[str] = ()) -> str:
    """The end of a worker that did not say `ended`: what ended it, and its last lines on stderr.

    `exit_code` is as `subprocess` gives it: minus the number of a signal where one ended the process.
    """
    if exit_code < 0:
        name = signal_name(-exit_code)
        if name == "SIGKILL":
            return _KILLED.format(signal=name)  # no time for last words: what it wrote before is about other things
        words = _WORDS.get(name, _SIGNALLED).format(signal=name)
    elif exit_code:
        # Windows reports an access violation and its like as a number above 2**31, known by its hexadecimal form.
        words = _EXITED.format(code=exit_code if exit_code < 2**31 else hex(exit_code))
    else:
        words = _SILENT
    tail = "\n".join(line for line in last_lines if line.strip())[-_TAIL_CHARACTERS:]
    return f"{words} {_LAST_LINES.format(lines=tail)}" if tail else words


def signal_name(number: int) -> str:
    """SIGKILL for 9; "signal 99" for one without a name here."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
