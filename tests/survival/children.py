"""Attempts in forked children of a warm, torch-free process: a pipe each, a time limit each, several side by side.

Forking costs a few milliseconds where starting an interpreter costs hundreds: that is what makes thousands affordable.
"""

from __future__ import annotations

import json
import os
import select
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

Tell = Callable[[Any], None]
LIMIT_S = 60.0  # far more than any attempt takes


class Child:
    """A forked process that does `work(tell)`; what it tells can be read here, one JSON value a line."""

    def __init__(self, work: Callable[[Tell], None], limit_s: float = LIMIT_S) -> None:
        sys.stdout.flush()
        sys.stderr.flush()
        self._end, theirs = os.pipe()
        self._rest = b""
        self._deadline = time.monotonic() + limit_s
        self.timed_out = False
        self.pid = os.fork()
        if self.pid == 0:
            os.close(self._end)
            _be_the_child(work, theirs)
        os.close(theirs)

    def next(self) -> Any:
        """The next thing it tells; None where it has ended. A child that takes too long is killed."""
        while b"\n" not in self._rest:
            ready, _, _ = select.select([self._end], [], [], max(0.0, self._deadline - time.monotonic()))
            if not ready:
                self.timed_out = True
                self.kill()
                return None
            data = os.read(self._end, 2**16)
            if not data:
                return None
            self._rest += data
        line, _, self._rest = self._rest.partition(b"\n")
        return json.loads(line)

    def kill(self) -> None:
        """SIGKILL; harmless where it has ended and was not waited for."""
        os.kill(self.pid, signal.SIGKILL)

    def end(self) -> tuple[list[Any], int]:
        """All that it still tells, and how it ended: its exit code, or minus the signal."""
        told = []
        while (found := self.next()) is not None:
            told.append(found)
        os.close(self._end)
        return told, os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])


def _be_the_child(work: Callable[[Tell], None], end: int) -> None:
    def tell(value: Any) -> None:
        os.write(end, json.dumps(value).encode() + b"\n")

    code = 1
    try:
        work(tell)
        code = 0
    except BaseException:
        tell({"traceback": traceback.format_exc()})
    finally:
        os._exit(code)


def side_by_side(attempt: Callable[[int], Any], numbers: Iterable[int], lanes: int) -> Iterator[tuple[int, Any]]:
    """(number, what `attempt(number)` returned) for each number, from several processes at once, in no order."""
    wanted = list(numbers)

    def lane(of: int) -> Callable[[Tell], None]:
        def work(tell: Tell) -> None:
            for number in wanted[of::lanes]:
                tell([number, attempt(number)])
        return work

    open_lanes = [Child(lane(of), limit_s=1e6) for of in range(min(lanes, len(wanted)))]
    try:
        while open_lanes:
            ready, _, _ = select.select([child._end for child in open_lanes], [], [])
            for child in [c for c in open_lanes if c._end in ready]:
                found = child.next()
                if isinstance(found, list):
                    yield found[0], found[1]
                    continue
                _, code = child.end()
                open_lanes.remove(child)
                if found is not None or code:
                    raise AssertionError(f"a lane ended with {code}: {(found or {}).get('traceback', '')}")
    finally:
        for child in open_lanes:  # where somebody stopped listening
            child.kill()


@contextmanager
def scratch() -> Iterator[Path]:
    """A folder for many small files, on a disk that fsync does not wear out where there is one."""
    memory = Path("/dev/shm")
    where = memory if memory.is_dir() and os.access(memory, os.W_OK) else None
    with tempfile.TemporaryDirectory(prefix="tfx-survival-", dir=where) as folder:
        yield Path(folder)
