"""The workers of a service: the one that runs, or those that take turns, and the warm one that will run next."""

from __future__ import annotations

import threading
import time
from pathlib import Path

from tfx_engine.protocol.worker_messages import RunFile
from tfx_engine.service.events import Events, TimeToWarm
from tfx_engine.service.worker_process import WorkerProcess

CRASHES_MAX = 3  # of the warm worker in a row, before the service stops trying by itself
PAUSE_S = 0.5  # after the first crash; doubled after each further one
STABLE_S = 10.0  # a warm worker that was ready for that long is not counted as the next crash in a row


class Workers:
    """Starts, hands out and counts workers. Used by the service's loop only."""

    def __init__(self, module: str, events: Events) -> None:
        self.warm: WorkerProcess | None = None
        self.running: WorkerProcess | None = None
        self.is_alone = True  # nothing else should be busy beside the run
        self.taking_turns: list[WorkerProcess] = []  # of an interleaved comparison
        self.crashes = 0
        self.crash_reason = ""
        self._module = module
        self._events = events
        self._pausing = False

    @property
    def alive(self) -> tuple[WorkerProcess, ...]:
        """Every worker process whose end has not been seen."""
        return tuple(w for w in (self.running, self.warm, *self.taking_turns) if w is not None)

    @property
    def at(self) -> tuple[Path, ...]:
        """The runs that have a worker."""
        return tuple(w.run for w in (self.running, *self.taking_turns) if w is not None and w.run is not None)

    @property
    def is_busy(self) -> bool:
        """Whether any run has a worker."""
        return bool(self.at)

    @property
    def ready(self) -> WorkerProcess | None:
        """The warm worker, where it can be given something to do."""
        return self.warm if self.warm is not None and self.warm.ready else None

    @property
    def must_be_quiet(self) -> bool:
        """Whether a run is under way that anything else on this machine would disturb."""
        return (self.running is not None and self.is_alone) or bool(self.taking_turns)

    @property
    def given_up(self) -> bool:
        """Whether the warm worker crashed so often in a row that starting another would be pointless."""
        return self.crashes >= CRASHES_MAX

    def start_warm(self) -> bool:
        """Start the warm worker unless there is one or it crashed just now; whether one was started."""
        if self.warm is not None or self._pausing or self.given_up:
            return False
        try:
            self.warm = WorkerProcess(self._module, self._events)
        except OSError as error:
            self.crashed(None, str(error))
            return False
        return True

    def hand_over(self, run: Path) -> None:
        """Make the warm worker, which must be ready, the worker of a run."""
        worker = self.ready
        assert worker is not None
        self.warm, self.running = None, worker
        self.is_alone = True  # until it says where it runs
        self.crashes = 0
        worker.run = run
        worker.send(RunFile(path=str(run)))

    def take_or_start(self, run: Path) -> WorkerProcess | None:
        """A worker for a run that takes turns with others, ready or on its way; None where none can be started."""
        worker, self.warm = self.warm, None
        if worker is None:
            try:
                worker = WorkerProcess(self._module, self._events)
            except OSError as error:
                self.crash_reason = str(error)
                return None
        worker.run = run
        self.taking_turns.append(worker)
        return worker

    def gone(self, worker: WorkerProcess) -> None:
        """A worker ended: forget it."""
        if worker is self.running:
            self.running = None
        elif worker is self.warm:
            self.warm = None
        elif worker in self.taking_turns:
            self.taking_turns.remove(worker)

    def crashed(self, worker: WorkerProcess | None, reason: str) -> None:
        """The warm worker ended by itself or could not be started: count it, and try again after a pause."""
        ready_at = worker.ready_at if worker else None
        stable = ready_at is not None and time.monotonic() - ready_at > STABLE_S
        self.crashes = 1 if stable else self.crashes + 1
        self.crash_reason = reason
        if not self.given_up:
            self._pausing = True
            timer = threading.Timer(PAUSE_S * 2 ** (self.crashes - 1), self._events.put, (TimeToWarm(),))
            timer.daemon = True
            timer.start()

    def pause_over(self) -> None:
        """The pause after a crash is over."""
        self._pausing = False

    def try_once_more(self) -> None:
        """After giving up: allow one more attempt, because somebody asked for something new."""
        self.crashes = min(self.crashes, CRASHES_MAX - 1)

    def end_all(self, grace_s: float) -> None:
        """Ask every worker to end and kill those that have not after `grace_s`."""
        for worker in self.alive:
            worker.end(grace_s)
