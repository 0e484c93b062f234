"""What is under way: one run, or an interleaved comparison whose runs take turns, from its start to its outcome."""

from __future__ import annotations

import threading
import uuid
from pathlib import Path

from tfx_engine.protocol.messages import Conclude, Control
from tfx_engine.protocol.worker_messages import FromWorker, Stop
from tfx_engine.runfile.errors import RunFileError
from tfx_engine.runfile.mailbox import post
from tfx_engine.service import refusals
from tfx_engine.service.events import Events, Overdue
from tfx_engine.service.outbox import Outbox
from tfx_engine.service.plan import Plan
from tfx_engine.service.questions import Questions
from tfx_engine.service.room import Room
from tfx_engine.service.runs import RunQueue
from tfx_engine.service.worker_process import WorkerProcess
from tfx_engine.service.workers import Workers

STOP_GRACE_S = 20.0  # from a polite stop until end-of-file: a step of a large model takes its time


class UnderWay:
    """At most one at a time; true while there is one. Used by the service's loop only."""

    def __init__(
        self, workers: Workers, queue: RunQueue, questions: Questions, outbox: Outbox, events: Events
    ) -> None:
        self._workers, self._queue, self._questions = workers, queue, questions
        self._outbox, self._events = outbox, events
        self._plan: Plan | None = None  # of the comparison

    def __bool__(self) -> bool:
        return self._workers.running is not None or self._plan is not None

    def start_next(self, worker: WorkerProcess) -> None:
        """Begin with what the queue has next; `worker` is ready for it."""
        runs = self._queue.take_comparison()
        if runs and runs[0].part is not None:
            self._plan = Plan(runs, runs[0].comparison, runs[0].part.asked, self._workers, self._queue, self._outbox,
                              Room(self._questions))
            return
        run = self._queue.take(worker.pid)
        self._workers.hand_over(run)
        self._outbox.notice("started", run, pid=worker.pid)

    def advance(self) -> bool:
        """Do what can be done now; whether a comparison came to its end, so that the next one can begin."""
        if self._plan is None:
            return False
        self._plan.advance()
        if not self._plan.is_over:
            return False
        self._plan = None
        return True

    def heard(self, worker: WorkerProcess, message: FromWorker) -> bool:
        """What a worker said; False where it concerns no turn of a comparison."""
        return self._plan is not None and self._plan.heard(worker, message)

    def gone(self, worker: WorkerProcess, reason: str) -> bool:
        """A worker ended; `reason` is why, where it recorded no outcome. False where it had no run."""
        if self._plan is not None and self._plan.gone(worker, reason):
            return True
        if worker.run is None:
            return False
        try:
            status, words = self._queue.settle(worker.run, reason)
        except RunFileError as error:
            self._outbox.problem(error.problem, worker.run)
            status, words = "interrupted", error.problem.sentence()
        self._outbox.notice("ended", worker.run, status=status, reason=words)
        return True

    def conclude(self, request: Conclude) -> None:
        """Begin no further block of a comparison; refused where it is not under way."""
        if self._plan is None or self._plan.comparison != request.comparison:
            self._outbox.refuse(request.id, [refusals.no_such_comparison(request.comparison)])
            return
        self._plan.conclude(request.reason)
        self._outbox.reply(request.id)

    def stop(self) -> None:
        """Politely, so that runs end as `stopped` with everything measured."""
        polite = self._plan.stop() if self._plan else [w for w in (self._workers.running,) if w is not None]
        for worker in polite:
            self._ask_to_stop(worker)

    def _ask_to_stop(self, worker: WorkerProcess) -> None:
        try:
            post(Path(str(worker.run)), Control(id=uuid.uuid4().hex, action="stop"))
        except (OSError, RunFileError):
            worker.send(Stop())  # no room for a letter
        timer = threading.Timer(STOP_GRACE_S, self._events.put, (Overdue(),))
        timer.daemon = True
        timer.start()

    def interrupt(self, reason: str) -> None:
        """Workers are about to be ended: record it of runs that none of them has."""
        if self._plan is not None:
            self._plan.interrupt(reason)
