"""The queue of runs: queued run files, locked by this service until a worker takes them over.

A queue is nothing but run files with the state `queued` in the store. So it outlives the service: the locks of a dead
service are free, and the next one adopts what it left.
"""

from __future__ import annotations

import bisect
import datetime
import threading
import time
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from tfx_engine.protocol.config import Config
from tfx_engine.protocol.interleaving import FACT, Part, part_of
from tfx_engine.protocol.problems import Problem
from tfx_engine.protocol.status import ENDED, Status
from tfx_engine.runfile.create import create
from tfx_engine.runfile.errors import RunFileError
from tfx_engine.runfile.lock import RunLock, is_locked
from tfx_engine.runfile.store import default_store, new_run_path, run_files, side_files
from tfx_engine.service import refusals
from tfx_engine.service.events import Events, Found, Unreadable

if TYPE_CHECKING:
    from tfx_engine.runfile.rows import RunInfo


@dataclass(frozen=True)
class Queued:
    """One queued run and the lock that this service holds on it."""

    position: float
    path: Path
    lock: RunLock
    comparison: str = ""
    part: Part | None = None  # in an interleaved comparison

    def discard(self) -> None:
        """Take back a run file that was made a moment ago."""
        for file in (self.path, *side_files(self.path)):
            file.unlink(missing_ok=True)
        self.lock.release()


class RunQueue:
    """Runs in the order of their `queue_position`, and how their files change on the way.

    `store` is where runs go unless their configuration says otherwise; None is the user's library.
    """

    def __init__(self) -> None:
        self.store: Path | None = None
        self._runs: list[Queued] = []
        self._last_position = 0.0
        self._changed = False

    def __len__(self) -> int:
        return len(self._runs)

    @property
    def home(self) -> Path:
        """The folder where runs go unless their configuration says otherwise."""
        return self.store or default_store()

    @property
    def paths(self) -> tuple[Path, ...]:
        """The queued run files, the next one first."""
        return tuple(run.path for run in self._runs)

    def changed(self) -> bool:
        """Whether the queue is another than when this was last asked."""
        changed, self._changed = self._changed, False
        return changed

    def new_path(self, config: Config) -> Path:
        """Where the run of a configuration goes; no file has that path yet. Raises `RunFileError`."""
        return new_run_path(config.run.store or self.home, config.name, datetime.datetime.now())

    def create(
        self, config: Config, toml: str, comparison: str, facts: Mapping[str, Any] | None = None,
        part: Part | None = None, path: Path | None = None,
    ) -> Queued:
        """A new run file, locked; `add` puts it into the queue. Raises `RunFileError`."""
        path = path or self.new_path(config)
        # Seconds since the epoch: the queues of several services merge in the order in which they were asked. A clock
        # that is set back puts nothing before what waits here already.
        self._last_position = max(time.time(), self._last_position + 1e-3)
        lock = RunLock(path)  # before there is a file, so that nobody else ever sees it queued and free
        try:
            known = dict(facts or {}) if part is None else {**(facts or {}), FACT: msgspec.to_builtins(part)}
            create(path, config, toml, comparison, queue_position=self._last_position, facts=known)
        except BaseException:
            lock.release()
            raise
        return Queued(self._last_position, path, lock, comparison, part)

    def add(self, runs: list[Queued] | tuple[Queued, ...]) -> None:
        """Put runs where their position says."""
        for run in runs:
            bisect.insort(self._runs, run, key=lambda r: r.position)
            self._last_position = max(self._last_position, run.position)
            self._changed = True

    def take(self, worker: int) -> Path:
        """The next run, out of the queue, its lock handed over to the process of that number."""
        run = self._runs.pop(0)
        run.lock.hand_over(worker)
        self._changed = True
        return run.path

    def take_comparison(self) -> list[Queued]:
        """The runs that take turns with the next one, which is the first of them, out of the queue with their locks.

        Empty where the next one takes turns with none.
        """
        first = self._runs[0]
        if first.part is None or not first.comparison:
            return []
        taken = [run for run in self._runs if run.part is not None and run.comparison == first.comparison]
        if len(taken) < 2:
            return []
        self._runs = [run for run in self._runs if run not in taken]
        self._changed = True
        return taken

    def drop(self, path: Path, status: Status, reason: str) -> None:
        """Take a run out of the queue and record why. Raises `RunFileError`, also where it is not queued here."""
        run = next((r for r in self._runs if r.path == path), None)
        if run is None:
            raise RunFileError(refusals.not_queued(str(path)))
        self._runs.remove(run)
        self._changed = True
        self.record(path, status, reason, run.lock)

    def release(self) -> None:
        """Let go of every queued run, for another service to adopt."""
        for run in self._runs:
            run.lock.release()
        self._runs.clear()

    def record(self, path: Path, status: Status, reason: str, lock: RunLock | None = None) -> None:
        """Write the outcome of a run that no worker will write; releases `lock`. Raises `RunFileError`."""
        # Here, not above: it takes numpy, which a service that only starts does not need.
        from tfx_engine.runfile.writer import RunWriter

        writer = RunWriter(path, lock=lock, hurried=lambda: True)  # the service waits for no full disk
        try:
            writer.state(status, reason)
        finally:
            writer.close()

    def settle(self, path: Path, reason: str) -> tuple[str, str]:
        """Status and reason of a run whose worker is gone; where it recorded none: interrupted, for `reason`.

        Raises `RunFileError`.
        """
        info = read_info(path)
        if info.recorded_status in ENDED:
            return info.recorded_status, info.reason
        self.record(path, "interrupted", reason)
        return "interrupted", reason

    def look_for_orphans(self, events: Events) -> None:
        """Lock the queued runs of the store that nobody holds, and post them as `Found`, some time later."""
        def look() -> None:
            found, problems = find_orphans(store)
            for problem in problems:
                events.put(Unreadable(problem, None))
            if found:
                events.put(Found(tuple(found)))

        store = self.home
        threading.Thread(target=look, name="look for orphans", daemon=True).start()


def read_info(path: Path) -> RunInfo:
    """What a run file says about itself. Raises `RunFileError`."""
    from tfx_engine.runfile.reader import RunReader

    with closing(RunReader(path)) as reader:
        return reader.info()


def read_part(path: Path) -> Part | None:
    """The part of a run in an interleaved comparison. Raises `RunFileError`."""
    from tfx_engine.runfile.reader import RunReader

    with closing(RunReader(path)) as reader:
        return part_of(reader.facts())


def find_orphans(store: Path) -> tuple[list[Queued], list[Problem]]:
    """The queued runs of a store that nobody held, now locked, and what is wrong with files that could not be judged.

    One file that cannot be judged never keeps the others from being found: their locks would be held for nothing.
    """
    found: list[Queued] = []
    problems: list[Problem] = []
    try:
        files = run_files(store)
    except RunFileError:
        return found, problems  # a store that cannot be read has nothing to adopt; the first run says why
    for path in files:
        try:
            queued = adopt(path)
        except RunFileError:
            continue  # damaged, foreign, or taken by another service just now
        except Exception as error:
            problems.append(refusals.not_adopted(path, error))
            continue
        if queued is not None:
            found.append(queued)
    return found, problems


def adopt(path: Path) -> Queued | None:
    """The run, locked, where it is queued and free. Raises `RunFileError`."""
    if is_locked(path) or read_info(path).recorded_status != "queued":
        return None
    lock = RunLock(path)
    try:
        info, part = read_info(path), read_part(path)  # once more: between the two it may have been run
    except BaseException:
        lock.release()
        raise
    if info.recorded_status == "queued":
        return Queued(info.queue_position, path, lock, info.comparison, part)
    lock.release()
    return None
