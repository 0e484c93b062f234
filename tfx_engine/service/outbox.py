"""What goes to the client, written by a thread of its own: a client that does not read never holds up the queue."""

from __future__ import annotations

import collections
import threading
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from tfx_engine.protocol.codec import problem_to_data
from tfx_engine.protocol.messages import FromService, Notice, Reply
from tfx_engine.protocol.problems import Problem
from tfx_engine.protocol.stdio import Lines

FAR_BEHIND = 1000  # messages waiting; above this, log notices are dropped: they are in the run files anyway
STATES = frozenset({"queue", "turns", "warm"})  # kinds of which, for a client that is far behind, the newest is enough


class Outbox:
    """Replies and notices on their way to the client. Never blocks; silent once the client is gone."""

    def __init__(self, client: Lines) -> None:
        self._client = client
        self._waiting: collections.deque[FromService | None] = collections.deque()
        self._changed = threading.Condition()
        self._dropped = 0
        self._thread = threading.Thread(target=self._write, name="outbox", daemon=True)
        self._thread.start()

    def put(self, message: FromService) -> None:
        """Send the message when the client takes it."""
        with self._changed:
            if len(self._waiting) >= FAR_BEHIND and isinstance(message, Notice) and message.kind in STATES:
                self._forget_older(message)
            self._waiting.append(message)
            self._changed.notify()

    def _forget_older(self, newest: Notice) -> None:
        """A window that is stopped overnight does not cost the service a line for every block of a comparison."""
        for older in self._waiting:
            if isinstance(older, Notice) and (older.kind, older.run) == (newest.kind, newest.run):
                self._waiting.remove(older)
                return

    def reply(self, number: int, **result: Any) -> None:
        """The request of that number was done."""
        self.put(Reply(id=number, ok=True, result=result))

    def refuse(self, number: int, problems: Iterable[Problem], **result: Any) -> None:
        """The request of that number was wrong; without any problem it was not."""
        data = [problem_to_data(p) for p in problems]
        self.put(Reply(id=number, ok=not data, problems=data, result=result))

    def notice(self, kind: str, run: Path | None = None, **detail: Any) -> None:
        """Something happened."""
        self.put(Notice(kind=kind, run=str(run) if run else "", detail=detail))

    def problem(self, problem: Problem, run: Path | None = None) -> None:
        """Something went wrong that no request is waiting for."""
        self.notice("problem", run, **problem_to_data(problem))

    def log(self, text: str, run: Path | None = None) -> None:
        """A line that a worker wrote. Dropped, and counted, while the client is far behind."""
        if len(self._waiting) >= FAR_BEHIND:
            self._dropped += 1
            return
        if self._dropped:
            self.notice("log", stream="service", dropped=self._dropped)
            self._dropped = 0
        self.notice("log", run, stream="worker", text=text)

    def close(self, timeout_s: float = 1.0) -> None:
        """Send what is waiting, but for no longer than `timeout_s`."""
        with self._changed:
            self._waiting.append(None)
            self._changed.notify()
        self._thread.join(timeout_s)

    def _next(self) -> FromService | None:
        with self._changed:
            self._changed.wait_for(lambda: self._waiting)
            return self._waiting.popleft()

    def _write(self) -> None:
        client_listens = True
        while (message := self._next()) is not None:
            if not client_listens:
                continue  # runs go on for nobody; their files have it all
            try:
                self._client.send(message)
            except OSError:
                client_listens = False
