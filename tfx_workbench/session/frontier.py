"""The search for what fits, as the window has it: asked without waiting, shown as it goes, cancelled at any moment."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QObject, Signal

from tfx_engine.protocol.messages import Reply
from tfx_engine.protocol.problems import ConfigError
from tfx_engine.protocol.toml import dumps
from tfx_engine.runfile.errors import RunFileError
from tfx_workbench.analysis.frontier import (
    GROWS,
    Answer,
    Ask,
    Asking,
    Frontier,
    Row,
    answer_of,
    confirming,
    frontier_of,
    predicting,
    take_measured,
    taken_bytes,
)
from tfx_workbench.analysis.frontier_file import keep_frontier, read_frontiers
from tfx_workbench.runs.rundata import RunData
from tfx_workbench.session.engine import problems_of

if TYPE_CHECKING:
    from tfx_workbench.session.session import Session

_log = logging.getLogger(__name__)


class FrontierSearch(QObject):
    """At most one search at a time. `found` holds the last frontier of each thing that can grow."""

    changed = Signal()  # what was found, or what is being done
    refused = Signal(object)  # Problem: what was asked for cannot be looked at

    def __init__(self, session: Session) -> None:
        super().__init__(session)
        self._session = session
        self.found: dict[str, Frontier] = {}
        self._current: Frontier | None = None
        self._asking: Asking | None = None
        self._ask: Ask | None = None
        self._turn = 0  # answers to what was asked in an earlier one come too late
        self._run = ""  # that is waited for
        self._is_preparing = False
        session.ended.connect(self._on_ended)
        session.engine.restarted.connect(self._on_restarted)

    def load(self) -> None:
        """Take back what was found before; runs that ended since then say what they measured."""
        self.found = read_frontiers(self._session.store)
        for found in self.found.values():
            for row in found.rows:
                if row.measured_bytes is None and row.runs:
                    _settle(found, row)
        self.changed.emit()

    @property
    def is_busy(self) -> bool:
        """Whether a search is under way."""
        return self._asking is not None or self._is_preparing

    @property
    def asked(self) -> Ask | None:
        """What is being found out now; None also while the engine starts."""
        return self._ask if self._asking is not None else None

    # ------------------------------------------------------------------ what the user does

    def predict(
        self, config: Mapping[str, Any], grow: str, techniques: Sequence[str], capacity_bytes: int | None
    ) -> None:
        """Look for what fits, with each technique in turn; whatever was under way is given up."""
        self.cancel()
        found = frontier_of(config, grow, [t for t in techniques if not _has(config, t)], capacity_bytes)
        turn, self._is_preparing = self._turn, True
        self.changed.emit()

        def answer(reply: Reply) -> None:
            if turn != self._turn:
                return
            self._is_preparing = False
            device = str((config.get("run") or {}).get("device", "auto"))
            found.device = str(reply.result.get("automatic_device", "")) if device == "auto" else device
            found.free_bytes = reply.result.get("ram_free_bytes")
            self.found = {**self.found, grow: found}
            self._go(found, predicting(found))

        self._session.engine.doctor(answer)

    def confirm(self, grow: str) -> None:
        """Run what was predicted, one technique after the other."""
        found = self.found.get(grow)
        if found is None or not found.is_predicted:
            return
        self.cancel()
        self._go(found, _all_of(found))

    def cancel(self) -> None:
        """Give up; what was found stays, and a run that was to confirm something is stopped."""
        self._turn += 1
        was_busy, asking, run = self.is_busy, self._asking, self._run
        self._asking, self._run, self._is_preparing = None, "", False
        if run:
            self._session.control([run], "stop")
        if asking is not None:
            asking.close()
            self._keep()
        if was_busy:
            self.changed.emit()

    # ------------------------------------------------------------------ the search itself

    def _go(self, found: Frontier, asking: Asking) -> None:
        self._current, self._asking = found, asking
        self._advance(lambda: next(asking))

    def _advance(self, step: Callable[[], Ask]) -> None:
        """To the next question, or to the end."""
        try:
            self._ask = step()
        except StopIteration:
            self._end()
        except ConfigError as error:
            self._end()
            self.refused.emit(error.problems[0])
        else:
            self._put(self._ask)
            self.changed.emit()

    def _end(self) -> None:
        self._asking = None
        self._keep()
        self.changed.emit()

    def _keep(self) -> None:
        if self._current is None:
            return
        try:
            keep_frontier(self._session.store, self._current)
        except OSError as error:
            _log.warning("the frontier cannot be kept: %s", error)

    def _put(self, ask: Ask) -> None:
        turn, engine = self._turn, self._session.engine

        def answer(reply: Reply) -> None:
            if turn == self._turn:
                self._take(ask, reply)

        if ask.kind == "check":
            engine.validate(ask.config, answer)
        elif ask.kind == "run":
            assert self._current is not None
            self._keep()
            engine.submit([ask.config], [dumps(ask.config)], self._current.comparison, answer)
        else:
            engine.estimate(ask.config, answer, "instant" if ask.kind == "instant" else "traced")

    def _take(self, ask: Ask, reply: Reply) -> None:
        problems = problems_of(reply)
        if any(problem.code == "engine-gone" for problem in problems):
            self._end()
            self.refused.emit(problems[0])
        elif ask.kind == "run" and reply.ok:
            self._run = str(reply.result["runs"][0])
            ask.row.runs = [*ask.row.runs, self._run]  # before it ends: a window that is killed finds it again
            self._keep()
            self._session.reading.scan()
        else:
            self._send(_answer_of(ask, reply))

    def _send(self, answer: Answer) -> None:
        asking = self._asking
        if asking is not None:
            self._advance(lambda: asking.send(answer))

    def _on_ended(self, key: str, status: str, reason: str) -> None:
        if key and key == self._run and self._ask is not None:
            self._run = ""
            row = self._ask.row
            row.runs = row.runs[:-1]  # the search notes it itself
            self._send(_answer_of_run(key))

    def _on_restarted(self, _exit_code: int) -> None:
        """The engine died, and with it the run that was waited for."""
        if self._run:
            self._on_ended(self._run, "interrupted", "")


def _has(config: Mapping[str, Any], technique: str) -> bool:
    slot, _, name = technique.partition("=")
    chosen = (config.get("techniques") or {}).get(slot)
    return name == (chosen.get("use") if isinstance(chosen, dict) else chosen)


def _all_of(found: Frontier) -> Asking:
    for row in found.rows:
        if row.predicted_value is not None:
            yield from confirming(found, row)


def _answer_of(ask: Ask, reply: Reply) -> Answer:
    problems, figures = problems_of(reply), reply.result
    if ask.kind == "check" or not reply.ok:
        return Answer(problems=problems, reason=problems[0].sentence() if problems else "")
    return answer_of(figures)


def _answer_of_run(key: str) -> Answer:
    """What a probing run measured; without a peak where it did not get through."""
    try:
        with contextlib.closing(RunData(key)) as run:
            run.load()
            status, peak = run.info.status, taken_bytes(run.summary()["memory_bytes"])
    except RunFileError as error:
        return Answer(reason=error.problem.sentence(), run=key)
    finished = status == "finished"
    return Answer(peak_bytes=peak if finished else None, was_stopped=status in ("stopped", "interrupted"), run=key)


def _settle(found: Frontier, row: Row) -> None:
    """A run that was to confirm a row may have ended when no window was there to see it."""
    answer = _answer_of_run(row.runs[-1])
    if answer.peak_bytes is None or answer.peak_bytes > (found.capacity_bytes or 0) - found.context_bytes:
        return
    section, _, key = GROWS[found.grow][0].partition(".")
    with contextlib.suppress(RunFileError), contextlib.closing(RunData(row.runs[-1])) as run:
        take_measured(found, row, int(run.info.config[section][key]), answer.peak_bytes)
