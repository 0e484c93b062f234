"""Whether the workers of several runs can be there at the same time, by what their steps are predicted to take."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from tfx_engine.protocol.messages import Estimate, Reply
from tfx_engine.runfile.errors import RunFileError
from tfx_engine.service.questions import Questions
from tfx_engine.service.runs import read_info

PROCESS_BYTES = 2**29  # of a worker beside its model: torch, or a context on the device
SHARE = 0.8  # of what the device has; the rest is for others, and for what is not predicted


class Room:
    """`is_enough` once `ask` is done: where it is not known, it is not."""

    def __init__(self, questions: Questions) -> None:
        self.is_enough = False
        self._questions = questions
        self._unanswered = 0
        self._peaks: list[int] = []
        self._capacity: int | None = None

    def ask(self, runs: Sequence[Path]) -> Iterator[None]:
        """Ask a worker what each takes; gives way until all is answered."""
        for run in runs:
            try:
                config = read_info(run).config
            except RunFileError:
                continue
            self._unanswered += 1
            self._questions.predict(Estimate(id=0, config=config, level="instant"), config, self._answered)
        while self._unanswered:
            yield
        needed = sum(self._peaks) + PROCESS_BYTES * len(self._peaks)
        are_known = len(self._peaks) == len(runs) and self._capacity is not None
        self.is_enough = are_known and needed <= SHARE * (self._capacity or 0)

    def _answered(self, reply: Reply | None, reason: str) -> None:
        self._unanswered -= 1
        if reply is None or not reply.ok:
            return
        peak, capacity = reply.result.get("memory_bytes", {}).get("peak"), reply.result.get("device_bytes")
        if peak is not None and capacity is not None:
            self._peaks.append(int(peak))
            self._capacity = int(capacity)
