"""The service: one loop over typed events, one queue of runs, one run at a time.

After every event the loop *advances*: it looks at what there is (runs waiting, questions waiting, workers) and does
whatever can be done next. So no event needs to know what others are waiting for.
"""

from __future__ import annotations

import enum
import os
import threading
import time
from pathlib import Path

from tfx_engine import __version__
from tfx_engine.protocol.marker import tr_mark
from tfx_engine.protocol.messages import (
    PROTOCOL,
    AnyRequest,
    Audit,
    Conclude,
    Doctor,
    Estimate,
    Hello,
    Ping,
    Queue,
    Reply,
    Shutdown,
    Submit,
    Validate,
)
from tfx_engine.protocol.status import Status
from tfx_engine.protocol.stdio import Lines
from tfx_engine.protocol.worker_messages import Ended, FromWorker, Ready, WarmedUp
from tfx_engine.runfile.errors import RunFileError
from tfx_engine.service import refusals
from tfx_engine.service.events import (
    Asked,
    ClientGone,
    Event,
    Events,
    Found,
    Overdue,
    Terminated,
    TimeToWarm,
    Unanswered,
    Unreadable,
    WorkerGone,
    WorkerSaid,
    WorkerWrote,
)
from tfx_engine.service.listen import listen
from tfx_engine.service.outbox import Outbox
from tfx_engine.service.outcome import describe_exit
from tfx_engine.service.questions import Questions
from tfx_engine.service.requests import Requests
from tfx_engine.service.runs import RunQueue
from tfx_engine.service.under_way import UnderWay
from tfx_engine.service.worker_process import WorkerProcess
from tfx_engine.service.workers import Workers

END_GRACE_S = 3.5  # from end-of-file on the stdin of a worker, which ends itself within three seconds, to its kill

_CLIENT_ENDED = tr_mark("The program that had started the run ended.")
_TERMINATED = tr_mark("The engine was told to end by the operating system.")
_NEVER_STARTED = tr_mark("The command that had queued it ended before its turn came.")
_TOLD_TO_STOP = tr_mark("Removed from the queue: the engine was told to stop.")
_TOLD_TO_STOP_ASKING = tr_mark("The engine was told to stop.")
_NO_WORKER = tr_mark("No worker could be started. {reason}")


class Phase(enum.Enum):
    """What the service is up to."""

    SERVING = "serving"
    FINISHING = "finishing"  # what is queued, then the end
    STOPPING = "stopping"  # waiting for workers to end


class Service:
    """One service for one client. `serve` returns when the service is to end."""

    def __init__(self, client: Lines, worker_module: str = "tfx_engine.worker") -> None:
        self.events: Events = Events()
        self._client = client
        self._outbox = Outbox(client)
        self._workers = Workers(worker_module, self.events)
        self._queue = RunQueue()
        self._questions = Questions(self.events)
        self._under_way = UnderWay(self._workers, self._queue, self._questions, self._outbox, self.events)
        self._requests = Requests(self._outbox, self._queue, self._questions, self._workers, self.events)
        self._hello: Hello | None = None
        self._phase = Phase.SERVING
        self._why_stopping = ""

    def serve(self) -> None:
        """Take events until the service is to end. On Linux workers end with the thread that calls this."""
        threading.Thread(target=listen, args=(self._client, self.events), name="client", daemon=True).start()
        while not (self._phase is Phase.STOPPING and not self._workers.alive):
            self._take(self.events.get())
            self._advance()
        self._queue.release()
        self._outbox.close()

    # ------------------------------------------------------------------------------------------ events

    def _take(self, event: Event) -> None:
        match event:
            case Asked(request):
                self._answer(request)
            case Unreadable(problem, None):
                self._outbox.problem(problem)
            case Unreadable(problem, int(number)):
                self._outbox.refuse(number, [problem])
            case ClientGone():
                self._client_gone()
            case WorkerSaid(worker, message):
                self._worker_said(worker, message)
            case WorkerWrote(worker, text):
                self._outbox.log(text, worker.run)
            case WorkerGone(worker, exit_code):
                self._worker_gone(worker, exit_code)
            case Unanswered(number):
                self._end_thinking(number)
            case TimeToWarm():
                self._workers.pause_over()
            case Found(runs):
                self._queue.add(runs)
            case Terminated():
                self._stop(_TERMINATED)
            case Overdue():
                self._workers.end_all(END_GRACE_S)

    def _answer(self, request: AnyRequest) -> None:
        match request:
            case Hello():
                self._greet(request)
            case _ if self._hello is None:
                self._outbox.refuse(request.id, [refusals.hello_first()])
            case _ if self._phase is not Phase.SERVING:
                self._outbox.refuse(request.id, [refusals.ending()])
            case Submit():
                self._requests.submit(request)
            case Conclude():
                self._under_way.conclude(request)
            case Validate():
                self._requests.validate(request)
            case Estimate():
                self._requests.estimate(request)
            case Audit():
                self._requests.audit(request)
            case Queue():
                self._requests.change_queue(request)
            case Doctor():
                self._requests.examine(request)
            case Ping():
                self._outbox.reply(request.id)
            case Shutdown():
                self._outbox.reply(request.id)
                self._shut_down(request.stop)

    def _greet(self, hello: Hello) -> None:
        if hello.protocol != PROTOCOL:
            self._outbox.refuse(hello.id, [refusals.protocol(hello.protocol)])
            return
        self._hello = hello
        self._queue.store = Path(hello.store) if hello.store else None
        store = str(self._queue.home)
        self._outbox.reply(hello.id, engine=__version__, protocol=PROTOCOL, pid=os.getpid(), store=store)
        if hello.on_disconnect == "finish":  # a window; a command runs what it was given and no more
            self._queue.look_for_orphans(self.events)

    def _worker_said(self, worker: WorkerProcess, message: FromWorker) -> None:
        if self._under_way.heard(worker, message):
            return
        match message:
            case Ready(torch=torch):
                worker.ready_at = time.monotonic()
                self._outbox.notice("warm", state="ready", pid=worker.pid, torch=torch)
            case Reply():
                self._questions.answered(worker, message)
            case WarmedUp(device=device):
                # On the CPU importing torch for the next run would slow this one's measured steps.
                self._workers.is_alone = device == "cpu"
            case Ended():
                worker.said = message

    def _worker_gone(self, worker: WorkerProcess, exit_code: int) -> None:
        reason = describe_exit(exit_code, worker.last_lines)
        self._workers.gone(worker)
        self._questions.worker_gone(worker, reason)
        if self._under_way.gone(worker, self._why_stopping or reason):
            return
        if self._phase is not Phase.STOPPING and worker.said is None:  # else it has audited
            self._workers.crashed(worker, reason)
            state = "given-up" if self._workers.given_up else "died"
            self._outbox.notice("warm", state=state, pid=worker.pid, reason=reason, crashes=self._workers.crashes)

    def _end_thinking(self, number: int) -> None:
        """A worker that thinks for ever about a question is of no use for another, nor for a run."""
        worker = self._questions.unanswered(number)
        if worker is not None:
            worker.ready_at = None
            worker.kill()

    # ------------------------------------------------------------------------------------------ what next

    def _advance(self) -> None:
        if self._phase is Phase.STOPPING:
            return
        warm = self._workers.ready
        if warm is not None and not self._questions and self._queue and not self._under_way:
            self._under_way.start_next(warm)
        if self._under_way.advance():
            self._advance()  # to what comes after it
        if self._worker_wanted() and self._workers.start_warm():
            self._outbox.notice("warm", state="starting")
        if self._workers.given_up:
            self._do_without_worker(_NO_WORKER.format(reason=self._workers.crash_reason))
        if self._workers.ready is not None:
            self._questions.ask(self._workers.ready)
        if self._queue.changed():
            self._outbox.notice("queue", **self._requests.queue_state())
        if self._phase is Phase.FINISHING and not (self._queue or self._under_way or self._questions):
            self._phase = Phase.STOPPING
            self._workers.end_all(END_GRACE_S)

    def _worker_wanted(self) -> bool:
        if self._questions or (self._queue and not self._under_way):
            return True
        if self._hello is None or not self._hello.warm or self._workers.must_be_quiet:
            return False
        return self._phase is Phase.SERVING or bool(self._queue)

    def _do_without_worker(self, reason: str) -> None:
        """No worker starts: say so to everyone who asked, and fail the next run with that reason."""
        self._questions.give_up(reason)
        if self._queue and not self._under_way:
            run = self._queue.paths[0]
            try:
                self._queue.drop(run, "failed", reason)
            except RunFileError as error:
                self._outbox.problem(error.problem, run)
            self._outbox.notice("ended", run, status="failed", reason=reason)
            self._workers.try_once_more()  # for the run after it
            self.events.put(TimeToWarm())

    # ------------------------------------------------------------------------------------------ the end

    def _client_gone(self) -> None:
        if self._hello is not None and self._hello.on_disconnect == "stop":
            self._stop(_CLIENT_ENDED)
        elif self._phase is Phase.SERVING:
            self._phase = Phase.FINISHING

    def _shut_down(self, stop: bool) -> None:
        if not stop:
            self._phase = Phase.FINISHING
            return
        self._phase = Phase.STOPPING
        self._questions.give_up(_TOLD_TO_STOP_ASKING)  # a check that ends now would queue runs for nobody
        self._drop_queue("stopped", _TOLD_TO_STOP)
        if self._workers.warm is not None:
            self._workers.warm.end(END_GRACE_S)
        self._under_way.stop()

    def _stop(self, reason: str) -> None:
        """End everything within seconds, whatever it is doing. The queue of a window stays for the next service."""
        self._phase = Phase.STOPPING
        self._why_stopping = reason
        self._questions.give_up(reason)  # a check that ends now would queue runs for nobody
        if self._hello is not None and self._hello.on_disconnect == "stop":
            self._drop_queue("interrupted", _NEVER_STARTED)
        self._under_way.interrupt(reason)
        self._workers.end_all(END_GRACE_S)

    def _drop_queue(self, status: Status, reason: str) -> None:
        for run in self._queue.paths:
            try:
                self._queue.drop(run, status, reason)
            except RunFileError as error:
                self._outbox.problem(error.problem, run)
