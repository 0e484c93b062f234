"""Services to test: a client that remembers every notice, processes that must be gone, run files at a glance."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import psutil

from tfx_engine.client import Client
from tfx_engine.protocol.messages import Notice
from tfx_engine.runfile.errors import RunFileError
from tfx_engine.runfile.reader import RunReader
from tfx_engine.runfile.rows import RunInfo

PATIENCE_S = 120.0  # far more than anything takes; a test that waits that long has failed
GONE_S = 30.0  # likewise, of processes that nobody promised to be gone at once


class Listening(Client):
    """A client that keeps its notices and can wait for one."""

    def __init__(self, store: Path, **arguments: Any) -> None:
        self.notices: list[Notice] = []
        self._arrived: queue.SimpleQueue[Notice] = queue.SimpleQueue()
        super().__init__(store, on_notice=self._keep, **arguments)

    def _keep(self, notice: Notice) -> None:
        self.notices.append(notice)
        self._arrived.put(notice)

    def wait_for(self, kind: str, run: Path | None = None, **detail: Any) -> Notice:
        """The next notice of that kind (about that run, with those details) that was not waited for before."""
        deadline = time.monotonic() + PATIENCE_S
        while True:
            notice = self._arrived.get(timeout=max(0.0, deadline - time.monotonic()))
            about = run is None or notice.run == str(run)
            if notice.kind == kind and about and detail.items() <= notice.detail.items():
                return notice


def until(condition: Callable[[], Any], timeout_s: float = PATIENCE_S) -> Any:
    """Wait until the condition gives something true, and return that."""
    deadline = time.monotonic() + timeout_s
    while True:
        found = condition()
        if found:
            return found
        assert time.monotonic() < deadline, f"not within {timeout_s:g} s: {condition}"
        time.sleep(0.01)


def info(run: Path) -> RunInfo:
    """What the run file says."""
    with closing(RunReader(run)) as reader:
        return reader.info()


def steps(run: Path) -> list[int]:
    """The numbers of the steps in the run file."""
    with closing(RunReader(run)) as reader:
        return [int(step) for step in reader.steps()["step"]]


def has_steps(run: Path, count: int = 1) -> bool:
    """Whether that many steps are committed; False also while the file is being made."""
    try:
        return len(steps(run)) >= count
    except RunFileError:
        return False


def family(pid: int) -> list[psutil.Process]:
    """A process and everything that it started, directly or not."""
    process = psutil.Process(pid)
    return [process, *process.children(recursive=True)]


def gone(processes: list[psutil.Process], within_s: float = GONE_S) -> bool:
    """Whether all of them end in time. A zombie, which only its parent can take away, has ended."""
    deadline = time.monotonic() + within_s
    while any(_alive(p) for p in processes):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def _alive(process: psutil.Process) -> bool:
    try:
        if not process.is_running():
            return False
        # A zombie's other threads may still be on their way out, and only the last one lets go of its files.
        return process.status() != psutil.STATUS_ZOMBIE or process.num_threads() > 1
    except psutil.NoSuchProcess:
        return False


def own_threads() -> Iterator[str]:
    """The names of the threads that clients and services have in this process."""
    return (t.name for t in threading.enumerate() if t.name.startswith(("engine ", "worker ")))
