"""A fair comparison from the window: what it will take, its start, and its end once it is as precise as wanted."""

from __future__ import annotations

import contextlib
import dataclasses
import threading
import uuid
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QObject, Signal

from tfx_engine.protocol.config import parse_config
from tfx_engine.protocol.interleaving import CONTROL, Interleave, part_of
from tfx_engine.protocol.marker import tr_mark
from tfx_engine.protocol.messages import Notice, Reply
from tfx_engine.protocol.problems import Problem
from tfx_engine.protocol.toml import dumps
from tfx_engine.runfile.errors import RunFileError
from tfx_engine.runfile.reader import RunReader
from tfx_workbench.session.engine import problems_of
from tfx_workbench.session.lean import lean_config

if TYPE_CHECKING:
    from tfx_workbench.analysis.fair import Looks, Outlook, Standing
    from tfx_workbench.session.session import Session

ROUNDS = 1000  # at most: it is minutes that end it
_ENOUGH = tr_mark("The intervals are narrow enough: ±{half:.1f} % at most.")


@dataclasses.dataclass(frozen=True)
class Candidate:
    """A configuration that can take part. `step_ms`: predicted, None while that is not known."""

    name: str
    config: dict[str, Any]
    step_ms: float | None = None


@dataclasses.dataclass(frozen=True)
class Wish:
    """What is asked of a fair comparison: the half-width of its intervals in per cent, and the most minutes for that.

    `control`: the baseline runs a second time.
    """

    precision: float = 2.0
    minutes: float = 10.0
    control: bool = True

    @property
    def asked(self) -> Interleave:
        """The same for the service."""
        return Interleave(rounds=ROUNDS, minutes=self.minutes, control=self.control)


def outlook_of(candidates: Sequence[Candidate], baseline: int, wish: Wish) -> Outlook | None:
    """How long it will take; None while the time of a step is not known."""
    from tfx_workbench.analysis.fair import outlook_before

    if any(candidate.step_ms is None for candidate in candidates):
        return None
    configs = [parse_config(candidate.config)[0] for candidate in candidates]
    own = [config.run.warmup_steps + config.run.measure_steps for config in configs]
    return outlook_before([candidate.step_ms for candidate in candidates], own, wish.asked, wish.precision, baseline)


@dataclasses.dataclass
class _Running:
    """A comparison that this window started."""

    comparison: str
    paths: list[str]  # the baseline first
    looks: Looks
    is_looking: bool = False
    is_concluded: bool = False


class Fair(QObject):
    """Emits `changed` where more is known of what it will take, `told` with words on how far it is."""

    changed = Signal()
    told = Signal(object, object)  # the service's word on turns, Standing
    refused = Signal(object)  # Problem
    _enough = Signal(str, float)  # comparison, half-width in per cent

    def __init__(self, session: Session) -> None:
        super().__init__(session)
        self._enough.connect(self._on_enough)
        self._session = session
        self.candidates: list[Candidate] = []
        self._running: _Running | None = None
        self._asked = 0
        session.engine.noticed.connect(self._on_notice)
        self.told.connect(self._on_told)

    # ------------------------------------------------------------------ before

    def consider(self, keys: Sequence[str]) -> None:
        """The configurations of these runs; without any, those of the form. Asks what their steps take."""
        catalogue = self._session.draft.catalogue
        infos = [info for key in keys if (info := self._session.info_of(key)) is not None and not self._is_control(key)]
        found = [(info.name, lean_config(info.config, catalogue)) for info in infos]
        if not found:
            found = [(str(config.get("name", "untitled")), dict(config)) for config in self._session.draft.configs]
        self.candidates = [Candidate(name, config) for name, config in found]
        self._asked += 1
        for index, candidate in enumerate(self.candidates):
            self._ask(self._asked, index, candidate)
        self.changed.emit()

    @staticmethod
    def _is_control(key: str) -> bool:
        """Whether a run is the second baseline of an earlier comparison."""
        try:
            with contextlib.closing(RunReader(key)) as reader:
                part = part_of(reader.facts())
        except RunFileError:
            return False
        return part is not None and part.role == CONTROL

    def _ask(self, number: int, index: int, candidate: Candidate) -> None:
        def answer(reply: Reply) -> None:
            if number == self._asked and reply.ok and reply.result.get("step_ms") is not None:
                self.candidates[index] = dataclasses.replace(candidate, step_ms=float(reply.result["step_ms"]))
                self.changed.emit()

        self._session.engine.estimate(candidate.config, answer, "traced")

    def outlook(self, baseline: int, wish: Wish) -> Outlook | None:
        """How long it will take; None while the time of a step is not known."""
        return outlook_of(self.candidates, baseline, wish)

    # ------------------------------------------------------------------ the comparison

    def start(self, baseline: int, wish: Wish) -> None:
        """Queue it; emits `refused` where it cannot be."""
        order = [self.candidates[baseline], *(c for i, c in enumerate(self.candidates) if i != baseline)]
        self.queue([candidate.config for candidate in order], uuid.uuid4().hex, wish)

    def queue(
        self, configs: Sequence[dict[str, Any]], comparison: str, wish: Wish, facts: Sequence[dict[str, Any]] = (),
        on_queued: Callable[[list[str]], None] | None = None, on_refused: Callable[[Problem], None] | None = None,
    ) -> None:
        """Let these take turns, the baseline first, and end it as soon as it is precise enough.

        `on_queued` hears the paths of their run files, without that of the second baseline.
        """
        from tfx_workbench.analysis.fair import Looks

        def answer(reply: Reply) -> None:
            problems = problems_of(reply)
            if problems:
                (on_refused or self.refused.emit)(problems[0])
                return
            runs, second = [str(path) for path in reply.result["runs"]], str(reply.result["control"])
            keys = [runs[0], *([second] if second else []), *runs[1:]]
            self._running = _Running(comparison, keys, Looks(wish.precision))
            if on_queued is not None:
                on_queued(runs)
            self._session.take_on(keys)

        self._session.engine.compare(configs, [dumps(c) for c in configs], comparison, wish.asked, answer, facts)

    def _on_notice(self, notice: Notice) -> None:
        running = self._running
        if notice.kind != "turns" or running is None or notice.detail.get("comparison") != running.comparison:
            return
        if not running.is_looking:
            running.is_looking = True
            threading.Thread(target=self._look, args=(running, notice.detail), name="fair", daemon=True).start()

    def _look(self, running: _Running, detail: dict[str, Any]) -> None:
        """On a thread of its own: the window waits for no file."""
        from tfx_workbench.analysis.fair import standing
        from tfx_workbench.runs.rundata import RunData

        found = enough = None
        with contextlib.suppress(RunFileError), contextlib.ExitStack() as stack:
            runs = [stack.enter_context(contextlib.closing(RunData(path))) for path in running.paths]
            for run in runs:
                run.refresh()
            found = standing(runs[0], runs[1:])
            enough = None if running.is_concluded else running.looks.enough(runs, detail)
        with contextlib.suppress(RuntimeError):  # the window was closed meanwhile
            if enough is not None:
                self._enough.emit(running.comparison, enough.half_percent)
            self.told.emit(detail, found)

    def _on_told(self, detail: dict[str, Any], found: Standing | None) -> None:
        running = self._running
        if running is None or detail.get("comparison") != running.comparison:
            return
        running.is_looking = False

    def _on_enough(self, comparison: str, half_percent: float) -> None:
        running = self._running
        if running is not None and running.comparison == comparison and not running.is_concluded:
            running.is_concluded = True
            self._session.engine.conclude(comparison, _ENOUGH.format(half=half_percent))
