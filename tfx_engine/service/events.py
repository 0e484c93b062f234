"""Everything that can happen to the service, as types: its one loop takes them in order and matches on them.

Reader threads, the signal handler and timers only ever post one of these; nothing but the loop changes any state.
"""

from __future__ import annotations

import queue
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tfx_engine.protocol.messages import AnyRequest
from tfx_engine.protocol.problems import Problem
from tfx_engine.protocol.worker_messages import FromWorker

if TYPE_CHECKING:
    from tfx_engine.service.runs import Queued
    from tfx_engine.service.worker_process import WorkerProcess


@dataclass(frozen=True)
class Asked:
    """The client sent a request."""

    request: AnyRequest


@dataclass(frozen=True)
class Unreadable:
    """The client sent a line that is no request; `id` where it could be made out."""

    problem: Problem
    id: int | None


@dataclass(frozen=True)
class ClientGone:
    """End-of-file on the service's stdin."""


@dataclass(frozen=True)
class WorkerSaid:
    """A worker sent a message."""

    worker: WorkerProcess
    message: FromWorker


@dataclass(frozen=True)
class WorkerWrote:
    """A worker wrote a line to its stderr (or something that is no message to its stdout)."""

    worker: WorkerProcess
    text: str


@dataclass(frozen=True)
class WorkerGone:
    """A worker process ended and everything that it said has been posted before this."""

    worker: WorkerProcess
    exit_code: int


@dataclass(frozen=True)
class Unanswered:
    """A worker has had its time for a question, that of this number."""

    number: int


@dataclass(frozen=True)
class TimeToWarm:
    """The pause after a crash of the warm worker is over."""


@dataclass(frozen=True)
class Found:
    """Queued runs that a dead service left in the store, now locked by this one."""

    runs: tuple[Queued, ...]


@dataclass(frozen=True)
class Overdue:
    """A run that was asked to stop has not done so in time."""


@dataclass(frozen=True)
class Terminated:
    """The operating system asked the service to end (SIGTERM)."""


Event = (
    Asked | Unreadable | ClientGone | WorkerSaid | WorkerWrote | WorkerGone | Unanswered | TimeToWarm | Found | Overdue
    | Terminated
)
Events = queue.SimpleQueue[Event]  # its `put` may be called from a signal handler, unlike that of `queue.Queue`
