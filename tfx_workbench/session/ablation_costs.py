"""What the cells of an ablation cost, as the engine says: one question at a time, about time only beside no run."""

from __future__ import annotations

import functools
import json
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QObject, QTimer, Signal

from tfx_engine.protocol.config import Config, parse_config
from tfx_engine.protocol.messages import Reply
from tfx_engine.protocol.problems import Problem
from tfx_workbench.analysis.ablation import Cell, Plan
from tfx_workbench.session.engine import problems_of

if TYPE_CHECKING:
    from tfx_workbench.session.session import Session

_AGAIN_MS = 4000  # to the next question about time, where the form asked one meanwhile
Figures = dict[str, Any]


class Costs(QObject):
    """Emits `changed` where more is known. Keys are the levels of a cell: a seed changes no figure."""

    changed = Signal()

    def __init__(self, session: Session, parent: QObject) -> None:
        super().__init__(parent)
        self._session = session
        self._plan: Plan | None = None
        self._answers: dict[str, Figures | tuple[Problem, ...]] = {}  # configuration -> what the engine said
        self._resolved: dict[str, Config] = {}
        self._asking = ""

    def consider(self, plan: Plan | None) -> None:
        """The cells that are asked about now."""
        self._plan = plan
        self.ask()

    def figures(self, cell: Cell) -> Figures:
        """What is predicted of a cell: `{peak_bytes, step_ms, params, fits}`; empty where it is not known yet."""
        answer = self._answers.get(_mark(cell))
        return answer if isinstance(answer, dict) else {}

    def problems(self, cell: Cell) -> tuple[Problem, ...]:
        """Why the engine refuses a cell."""
        answer = self._answers.get(_mark(cell))
        return answer if isinstance(answer, tuple) else ()

    @property
    def unanswered(self) -> int:
        """Configurations that the engine has not judged yet."""
        return len({_mark(cell) for cell in self._plan.cells} - self._answers.keys()) if self._plan else 0

    def resolved(self, cell: Cell) -> Config:
        """The whole configuration of a cell."""
        mark = _mark(cell)
        if mark not in self._resolved:
            self._resolved[mark] = parse_config(cell.config, self._session.draft.catalogue)[0]
        return self._resolved[mark]

    def ask(self) -> None:
        """One question at a time: first what every configuration takes and whether it is legal, then how long."""
        if self._plan is None or self._asking:
            return
        for cell in self._plan.cells:
            if (mark := _mark(cell)) not in self._answers:
                self._asking = mark
                self._session.engine.estimate(cell.config, functools.partial(self._answered, mark))
                return
        if self._session.going():
            return  # a worker that thinks takes time from the steps that are measured
        for cell in self._plan.cells:
            answer = self._answers[_mark(cell)]
            if isinstance(answer, dict) and "step_ms" not in answer:
                self._asking = mark = _mark(cell)
                self._session.engine.step_time(cell.config, functools.partial(self._timed, mark))
                return

    def _answered(self, mark: str, reply: Reply) -> None:
        self._asking = ""
        if reply.ok:
            found = reply.result
            self._answers[mark] = {
                "peak_bytes": found["memory_bytes"]["peak"], "params": found["params"]["total"],
                "fits": found.get("fits"),
            }
        elif any(p.code == "engine-gone" for p in problems_of(reply)):
            return  # it starts again; whoever changes something asks anew
        else:
            self._answers[mark] = problems_of(reply)
        self.changed.emit()
        self.ask()

    def _timed(self, mark: str, reply: Reply) -> None:
        self._asking = ""
        if any(p.code == "superseded" for p in problems_of(reply)):  # the form asks too, and goes first
            QTimer.singleShot(_AGAIN_MS, self, self.ask)
            return
        answer = self._answers.get(mark)
        if isinstance(answer, dict):
            answer["step_ms"] = reply.result.get("step_ms") if reply.ok else None
        self.changed.emit()
        self.ask()


def _mark(cell: Cell) -> str:
    """What two cells have in common whose figures are the same."""
    config = {key: value for key, value in cell.config.items() if key not in ("name", "seed")}
    return json.dumps(config, sort_keys=True, default=str)
