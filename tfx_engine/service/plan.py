"""An interleaved comparison under way: whose turn it is, when workers are restarted, and how it ends.

`Plan` is driven by the service's loop as everything is: it hears what workers say, and `advance` does whatever can be
done next. What it does is written down in order, as one generator that gives way wherever it waits for a worker.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tfx_engine.protocol.interleaving import BASELINE, Interleave
from tfx_engine.protocol.marker import tr_mark
from tfx_engine.protocol.status import ENDED, Status
from tfx_engine.protocol.worker_messages import (
    FromWorker,
    InTurns,
    NoMoreTurns,
    RunFile,
    Stop,
    Turn,
    TurnOver,
    WarmedUp,
)
from tfx_engine.runfile.errors import RunFileError
from tfx_engine.runfile.lock import RunLock
from tfx_engine.service.outbox import Outbox
from tfx_engine.service.rounds import Order, Rounds
from tfx_engine.service.runs import Queued, RunQueue, read_info
from tfx_engine.service.worker_process import WorkerProcess
from tfx_engine.service.workers import Workers

if TYPE_CHECKING:
    from tfx_engine.service.room import Room

Waiting = Iterator[None]

_CUT = tr_mark("The comparison was stopped in round {round}; the run's own steps were done by then.")
_IN_ROUND = tr_mark("In round {round} of the comparison: {reason} Its own steps were done by then.")
_ROUNDS = tr_mark("Compared in {rounds} rounds.")
_ONE_ROUND = tr_mark("Compared in 1 round.")
_NO_WORKER = tr_mark("No worker could be started. {reason}")
_WITHOUT_BASELINE = tr_mark("The baseline has ended, so there is nothing more to compare with.")
_ALONE = tr_mark("No other run is left to compare.")


class Member:
    """One run of the comparison."""

    def __init__(self, queued: Queued) -> None:
        self.path: Path = queued.path
        self.role = queued.part.role if queued.part else ""
        self.lock: RunLock | None = queued.lock  # while no worker has it
        self.worker: WorkerProcess | None = None
        self.is_ready = self.is_turn_over = False
        self.is_done = False  # no step of its own is left
        self.is_over = False  # its outcome is recorded
        self.process = 0  # of the next worker
        self.rounds = 0  # that were completed


class Plan:
    """One comparison, from its first worker to the outcome of its last run."""

    def __init__(
        self, runs: Sequence[Queued], comparison: str, asked: Interleave, workers: Workers, queue: RunQueue,
        outbox: Outbox, room: Room,
    ) -> None:
        self.comparison = comparison
        self.is_over = False
        self._members = [Member(run) for run in runs]
        self._asked, self._workers, self._queue, self._outbox, self._room = asked, workers, queue, outbox, room
        seed = f"{asked.seed} {comparison}"  # no place in the order belongs to the baseline, over many comparisons
        self._order: Order[Member] = Order(seed)
        self._starting_order: Order[Member] = Order(f"{seed} start")
        self._rounds = Rounds(asked)
        self._is_stopping = False
        self._script = self._all()

    # ------------------------------------------------------------------------------------------ what it hears

    def advance(self) -> None:
        """Do what can be done now."""
        if not self.is_over and not self._is_stopping:
            next(self._script, None)

    def heard(self, worker: WorkerProcess, message: FromWorker) -> bool:
        """What a worker said; False where it concerns no turn of this comparison."""
        member = self._member_of(worker)
        if member is None:
            return False
        match message:
            case WarmedUp():
                member.is_ready = True
            case TurnOver():
                member.is_turn_over = True
                member.is_done = member.is_done or message.is_done
            case _:
                return False
        return True

    def _member_of(self, worker: WorkerProcess) -> Member | None:
        return next((m for m in self._members if m.worker is worker), None)

    def conclude(self, reason: str) -> None:
        """No further block; the runs do their own steps to the end."""
        self._rounds.conclude(reason)

    def gone(self, worker: WorkerProcess, reason: str) -> bool:
        """A worker ended; `reason` is what it died of, where it did not say. False where it was none of these."""
        member = self._member_of(worker)
        if member is None:
            return False
        member.worker = None
        member.process += 1
        if member.is_over:
            return True
        try:
            self._settle(member, worker, reason)
        except RunFileError as error:
            self._outbox.problem(error.problem, member.path)
            self._ended(member, "interrupted", error.problem.sentence())
        return True

    def stop(self) -> list[WorkerProcess]:
        """End everything; the workers that are in the middle of a run's own steps, to be asked politely."""
        self._is_stopping = True
        polite = []
        for member in self._members:
            if member.lock is not None:  # no worker has the run
                if member.worker is not None:
                    member.worker.kill()
                self._record_unless_over(member, *self._stopped(member))
            elif member.worker is None:
                continue
            elif member.process:
                member.worker.send(Stop())
            else:
                polite.append(member.worker)
        return polite

    def interrupt(self, reason: str) -> None:
        """Everything is to be over within seconds, and workers end by themselves."""
        self._is_stopping = True
        for member in self._members:
            if member.lock is not None:
                self._record_unless_over(member, "interrupted", reason)

    # ------------------------------------------------------------------------------------------ what it does

    def _all(self) -> Waiting:
        yield from self._room.ask([m.path for m in self._members])
        for number in range(1, self._asked.rounds + 1):
            if number > 1 and not self._is_worth_another():
                break
            self._rounds.number = number
            for group in self._groups():
                begun_s = time.monotonic()
                yield from self._start(group)
                self._rounds.start_s = time.monotonic() - begun_s
                yield from self._blocks(group)
                for member in group:
                    yield from self._finish(member)
        for member in self._members:
            self._record_unless_over(member, "finished", self._how_it_ended(member))
        self.is_over = True

    def _groups(self) -> list[list[Member]]:
        """Who is there at the same time: all, or where memory does not allow that, one after the other."""
        members = [m for m in self._starting_order.of(self._members) if not m.is_over]
        return [members] if self._room.is_enough else [[m] for m in members]

    def _start(self, group: list[Member]) -> Waiting:
        """All of them load together, as none of them measures yet; each is built and warmed up alone."""
        for member in group:
            member.worker = self._workers.take_or_start(member.path)
            member.is_ready = member.is_turn_over = False
            if member.worker is None:
                self._record_unless_over(member, "failed", _NO_WORKER.format(reason=self._workers.crash_reason))
        for member in group:
            while member.worker is not None and not member.worker.ready:
                yield
            if member.worker is not None:
                self._hand_over(member, member.worker)
            while member.worker is not None and not member.is_ready:
                yield

    def _hand_over(self, member: Member, worker: WorkerProcess) -> None:
        assert member.lock is not None
        member.lock.hand_over(worker.pid)
        member.lock = None
        number, heir = self._rounds.number, os.getpid()
        turns = InTurns(process=member.process, round=number, heir=heir, resident=self._room.is_enough)
        worker.send(RunFile(path=str(member.path), turns=turns))
        if not member.process:
            self._outbox.notice("started", member.path, pid=worker.pid)

    def _blocks(self, group: list[Member]) -> Waiting:
        for member in self._order.of(group):
            if self._can_step(member):  # the first steps of a process are not like those that follow
                yield from self._turn(member, Turn(round=self._rounds.number, block=0, steps=1, ms=0.0))
        block, asked = 0, self._asked
        while self._has_another_block(group, block):
            block, begun_s = block + 1, time.monotonic()
            for member in self._order.of(group):
                if self._can_step(member):
                    turn = Turn(round=self._rounds.number, block=block, steps=asked.turn_steps, ms=asked.turn_ms)
                    yield from self._turn(member, turn)
            self._rounds.block_s = time.monotonic() - begun_s
            self._outbox.notice("turns", comparison=self.comparison, **self._rounds.progress(block))

    def _turn(self, member: Member, turn: Turn) -> Waiting:
        member.is_turn_over = False
        assert member.worker is not None
        member.worker.send(turn)
        while member.worker is not None and not member.is_turn_over:
            yield

    def _finish(self, member: Member) -> Waiting:
        """What comes after the measured steps is for one worker at a time, too."""
        if member.worker is not None:
            member.worker.send(NoMoreTurns())
        while member.worker is not None:
            yield

    # ------------------------------------------------------------------------------------------ whether to go on

    def _can_step(self, member: Member) -> bool:
        return member.worker is not None and not (self._rounds.number == 1 and member.is_done)

    def _has_another_block(self, group: list[Member], done: int) -> bool:
        return any(map(self._can_step, group)) and self._rounds.has_another_block(done)

    def _is_worth_another(self) -> bool:
        """Whether a further round has a purpose, and the time for a block."""
        if not self._rounds.has_time_for_another():
            return False
        left = [m for m in self._members if not m.is_over]
        if not any(m.role == BASELINE for m in left):
            self.conclude(_WITHOUT_BASELINE)
        elif len(left) < 2:
            self.conclude(_ALONE)
        return self._rounds.reason is None

    # ------------------------------------------------------------------------------------------ outcomes

    def _settle(self, member: Member, worker: WorkerProcess, reason: str) -> None:
        said, is_first = worker.said, member.process == 1
        if member.lock is not None:  # it never got the run
            self._record_unless_over(member, "failed", _NO_WORKER.format(reason=reason))
            return
        if said is None:  # killed, or crashed
            words = reason if is_first else _IN_ROUND.format(round=self._rounds.number, reason=reason)
            self._ended(member, *self._queue.settle(member.path, words))
            return
        info = read_info(member.path)
        if info.recorded_status in ENDED:
            self._ended(member, info.recorded_status, info.reason)
            return
        member.lock = RunLock(member.path)  # it was left to this process
        if self._is_stopping:
            self._record_unless_over(member, *self._stopped(member))
        elif said.status == "finished":
            member.rounds = self._rounds.number
        else:
            self._record_unless_over(member, said.status, said.reason)

    def _stopped(self, member: Member) -> tuple[Status, str]:
        """Of a run without a worker. Where none of its steps was done it never began."""
        return ("finished", _CUT.format(round=self._rounds.number)) if member.process else ("stopped", "")

    def _how_it_ended(self, member: Member) -> str:
        template = _ONE_ROUND if member.rounds == 1 else _ROUNDS
        return " ".join(filter(None, (template.format(rounds=member.rounds), self._rounds.reason)))

    def _record_unless_over(self, member: Member, status: Status, reason: str) -> None:
        if member.is_over:
            return
        lock, member.lock = member.lock, None
        try:
            self._queue.record(member.path, status, reason, lock)
        except RunFileError as error:
            self._outbox.problem(error.problem, member.path)
        self._ended(member, status, reason)

    def _ended(self, member: Member, status: str, reason: str) -> None:
        member.is_over = True
        self._outbox.notice("ended", member.path, status=status, reason=reason)
