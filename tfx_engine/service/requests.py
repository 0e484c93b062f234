"""What a client may ask for, one method a request: submit, validate, estimate, audit, the queue, the doctor."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from tfx_engine.protocol.config import parse_config
from tfx_engine.protocol.marker import tr_mark
from tfx_engine.protocol.messages import Audit, Doctor, Estimate, Queue, Reply, Submit, Validate
from tfx_engine.protocol.problems import Problem
from tfx_engine.protocol.trust import is_written_down
from tfx_engine.runfile.errors import RunFileError
from tfx_engine.service import refusals
from tfx_engine.service.doctor import examine
from tfx_engine.service.events import Events
from tfx_engine.service.outbox import Outbox
from tfx_engine.service.questions import Answer, Questions
from tfx_engine.service.runs import RunQueue
from tfx_engine.service.submission import Submission
from tfx_engine.service.workers import Workers

_REMOVED = tr_mark("Removed from the queue.")


class Requests:
    """Answers requests, at once or when a worker has answered. Used by the service's loop only."""

    def __init__(self, outbox: Outbox, queue: RunQueue, questions: Questions, workers: Workers, events: Events) -> None:
        self._outbox = outbox
        self._queue = queue
        self._questions = questions
        self._workers = workers
        self._events = events

    def submit(self, request: Submit) -> None:
        """Queue runs; refused whole when one configuration is wrong."""
        # Where a run is under way and no worker is warm, its steps are not disturbed for a check that the run's own
        # worker makes again before it starts.
        deep = not self._workers.is_busy or self._workers.warm is not None
        self._workers.try_once_more()
        Submission(request, self._queue, self._questions if deep else None, self._outbox).begin()

    def validate(self, request: Validate) -> None:
        """Every problem of a configuration. `result["deep"]` says whether a worker was asked, `reason` why not."""
        config, problems = parse_config(request.config)
        if not request.deep or (problems and is_written_down()):
            self._outbox.refuse(request.id, problems, deep=False)
            return

        def answer(reply: Reply | None, reason: str) -> None:
            if reply is None:
                self._outbox.reply(request.id, deep=False, reason=reason)
                return
            result = {**reply.result, "deep": True}
            self._outbox.put(Reply(id=request.id, ok=reply.ok, problems=reply.problems, result=result))

        self._workers.try_once_more()
        self._questions.check(request.config if problems else config.as_dict(), answer)

    def estimate(self, request: Estimate) -> None:
        """What a configuration will cost; refused where it has problems, and where there is no worker to ask.

        A step's time is not predicted beside a run that the prediction would disturb.
        """
        if request.level == "time" and self._workers.must_be_quiet:
            self._outbox.refuse(request.id, [refusals.run_under_way()])
            return
        self._ask(request, refusals.nobody_to_ask, lambda config, then: self._questions.predict(request, config, then))

    def audit(self, request: Audit) -> None:
        """Whether techniques do what they claim; refused as an estimate is."""
        self._ask(
            request, refusals.nobody_to_audit, lambda config, then: self._questions.prove(config, request.run, then)
        )

    def _ask(
        self, request: Estimate | Audit, nobody: Callable[[str], Problem], ask: Callable[[dict[str, Any], Answer], None]
    ) -> None:
        """Have a worker answer; `nobody` makes a problem of the reason why there is none."""
        config, problems = parse_config(request.config)
        if problems:
            self._outbox.refuse(request.id, problems)
            return

        def answer(reply: Reply | None, reason: str) -> None:
            if reply is None:
                self._outbox.refuse(request.id, [nobody(reason)])
                return
            self._outbox.put(Reply(id=request.id, ok=reply.ok, problems=reply.problems, result=reply.result))

        self._workers.try_once_more()
        ask(config.as_dict(), answer)

    def change_queue(self, request: Queue) -> None:
        """Remove a run from the queue, adopt runs that nobody cares for, or just say how the queue is."""
        match request.action:
            case "adopt":
                self._queue.look_for_orphans(self._events)
            case "remove":
                if request.run in map(str, self._workers.at):
                    self._outbox.refuse(request.id, [refusals.is_running(request.run)])
                    return
                try:
                    self._queue.drop(Path(request.run), "stopped", _REMOVED)
                except RunFileError as error:
                    self._outbox.refuse(request.id, [error.problem])
                    return
        self._outbox.reply(request.id, **self.queue_state())

    def examine(self, request: Doctor) -> None:
        """What works on this machine."""
        def answer(reply: Reply | None, reason: str) -> None:
            result = examine(self._queue.home)
            if reply is None:
                result["missing"] = {"torch": reason}
            else:
                result |= reply.result
            self._outbox.reply(request.id, **result)

        self._workers.try_once_more()
        self._questions.examine(answer, request.measure)

    def queue_state(self) -> dict[str, Any]:
        """{"queue": paths in order, "running": path or null}"""
        at = self._workers.at
        return {"queue": [str(p) for p in self._queue.paths], "running": str(at[0]) if at else None}
