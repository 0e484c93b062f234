"""What service and worker say to each other: one JSON object a line, tagged by `do` (to) or `say` (from the worker).

A worker says `ready` once torch is imported. It then answers questions, one after the other, until it is given a run;
that for a step's time is answered beside the others, as the last. It does that one run, which `stop` may cut
short, says `ended` and exits. End-of-file on its stdin ends it, a run under way as `interrupted`.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from tfx_engine.protocol.messages import Reply
from tfx_engine.protocol.status import Status


class ToDo(msgspec.Struct, frozen=True, kw_only=True, tag_field="do"):
    """What the service asks of a worker."""


class InTurns(msgspec.Struct, frozen=True, kw_only=True):
    """That a run takes turns with others (`protocol.interleaving`).

    `process`: 0 does the run, later ones measure time again. `heir`: the process that gets the lock of the run file at
    the end, to go on with it. `resident`: whether the others are there meanwhile.
    """

    process: int
    round: int
    heir: int
    resident: bool = True


class RunFile(ToDo, frozen=True, kw_only=True, tag="run", omit_defaults=True):
    """Take this queued run file and do its run; `turns`: where it takes turns with others."""

    path: str
    turns: InTurns | None = None


class Turn(ToDo, frozen=True, kw_only=True, tag="turn"):
    """Do at least so many steps that count, for at least so long, and say `turn-over`."""

    round: int
    block: int
    steps: int
    ms: float


class NoMoreTurns(ToDo, frozen=True, kw_only=True, tag="no-more-turns"):
    """There is no further turn: do what comes after the measured steps, and end."""


class Stop(ToDo, frozen=True, kw_only=True, tag="stop"):
    """End the run after the step under way, as its mailbox would say it: for a disk without room for a letter."""


class Check(ToDo, frozen=True, kw_only=True, tag="validate"):
    """Every problem of a configuration, techniques' own checks, data and device included."""

    id: int
    config: dict[str, Any]


class Predict(ToDo, frozen=True, kw_only=True, tag="estimate"):
    """What a configuration will cost; see `messages.Estimate`."""

    id: int
    config: dict[str, Any]
    level: Literal["instant", "traced", "time"]
    device_memory: int | None = None


class Prove(ToDo, frozen=True, kw_only=True, tag="audit"):
    """Audit a configuration; see `messages.Audit`. The worker says `ended` and ends after its reply."""

    id: int
    config: dict[str, Any]
    run: str = ""


class Examine(ToDo, frozen=True, kw_only=True, tag="doctor"):
    """What torch and the devices of this machine can do; `measure`: measured now."""

    id: int
    measure: bool = False


class Said(msgspec.Struct, frozen=True, kw_only=True, tag_field="say"):
    """What a worker says unasked."""


class Ready(Said, frozen=True, kw_only=True, tag="ready"):
    """Torch is imported, nothing is allocated."""

    torch: str = ""


class WarmedUp(Said, frozen=True, kw_only=True, tag="warmed-up"):
    """The run's warm-up phase is over. `device` is the kind it runs on: beside "cpu" nothing else should be busy."""

    device: str = ""


class TurnOver(Said, frozen=True, kw_only=True, tag="turn-over"):
    """A turn was taken and everything of it is recorded. `is_done`: no step of the run's own is left."""

    round: int
    block: int
    steps: int
    ms: float
    is_done: bool = False


class Ended(Said, frozen=True, kw_only=True, tag="ended"):
    """The run is over and its file says so; or the audit is, whose reply follows."""

    status: Status
    reason: str = ""


ToWorker = RunFile | Turn | NoMoreTurns | Stop | Check | Predict | Prove | Examine
FromWorker = Ready | Reply | WarmedUp | TurnOver | Ended
