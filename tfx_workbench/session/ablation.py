"""The ablation that is being designed, and those that run: its plan, what it will cost, its start, progress and end."""

from __future__ import annotations

import copy
import dataclasses
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QObject, QTimer, Signal

from tfx_engine.protocol.config import Config
from tfx_engine.protocol.messages import Reply
from tfx_engine.protocol.problems import ConfigError, Problem
from tfx_engine.protocol.status import ENDED
from tfx_engine.protocol.toml import dumps
from tfx_workbench.analysis.ablation import FACT, Cell, Plan, Request, count_runs, make_plan, run_facts
from tfx_workbench.analysis.ablation_runs import GOING, CellRun, Key, cell_runs, request_of, to_do
from tfx_workbench.analysis.ablation_turns import known_turns, next_turns, why_no_turns
from tfx_workbench.analysis.factors import Factor
from tfx_workbench.analysis.forecast import Forecast, forecast, predicted_s
from tfx_workbench.session.ablation_costs import Costs, Figures
from tfx_workbench.session.engine import problems_of
from tfx_workbench.session.fair import Candidate, Wish, outlook_of

if TYPE_CHECKING:
    from tfx_workbench.analysis.fair import Outlook
    from tfx_workbench.runs.row import RunRow
    from tfx_workbench.session.session import Session

_SETTLE_MS = 60  # from the last change to a new plan


@dataclasses.dataclass(frozen=True)
class Progress:
    """How far the runs of a plan are."""

    done: int
    going: int
    failed: int
    left: Forecast


class Ablation(QObject):
    """Emits `changed` where plan, predictions or problems changed, `progressed` where its runs did.

    Keys of predictions are the levels of a cell: a seed changes no figure.
    """

    changed = Signal()
    progressed = Signal()
    refused = Signal(object)  # Problem

    def __init__(self, session: Session) -> None:
        super().__init__(session)
        self._session = session
        self.request = Request({}, "one-at-a-time", (), 1)
        self.wish: Wish | None = None  # where its runs are to take turns
        self.plan: Plan | None = None
        self.problems: tuple[Problem, ...] = ()
        self._costs = Costs(session, self)
        self._costs.changed.connect(self.changed)
        self._known: dict[Key, list[CellRun]] = {}
        self._facts: dict[Path, dict[str, Any]] = {}  # what run files say of their place in an ablation
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(_SETTLE_MS)
        self._timer.timeout.connect(self._make)
        session.runs.lines_changed.connect(self._on_runs)
        self._seen_rows: tuple[tuple[str, str], ...] = ()

    # ------------------------------------------------------------------ designing

    def design(self, base: Mapping[str, Any], design: str, factors: Sequence[Factor], seeds: int) -> None:
        """What is asked for now; the plan follows a moment later."""
        request = Request(copy.deepcopy(dict(base)), design, tuple(factors), seeds)
        if request != self.request or self.plan is None:
            self.request = request
            self._timer.start()

    def take_turns(self, wish: Wish | None) -> None:
        """Whether the runs take turns, and how precisely; None: one after the other."""
        if wish != self.wish:
            self.wish = wish
            self._look_for_runs()
            self.changed.emit()

    def _make(self) -> None:
        try:
            self.plan, self.problems = make_plan(self.request, self._session.draft.catalogue), ()
        except ConfigError as error:
            self.plan, self.problems = None, error.problems
        self._look_for_runs()
        self.changed.emit()
        self._costs.consider(self.plan)

    def settle(self) -> None:
        """Make the plan now, as before it is started."""
        if self._timer.isActive():
            self._timer.stop()
            self._make()

    @property
    def count(self) -> int:
        """How many runs the design asks for, also where that is too many."""
        return count_runs(self.request, self._session.draft.catalogue) if self.request.factors else 0

    # ------------------------------------------------------------------ what it will cost

    def figures(self, cell: Cell) -> Figures:
        """What is predicted of a cell: `{peak_bytes, step_ms, params, fits}`; empty where it is not known yet."""
        return self._costs.figures(cell)

    def legal_plan(self) -> Plan | None:
        """The plan without what the engine refused."""
        if self.plan is None:
            return None
        refused = {i: problems for i, cell in enumerate(self.plan.cells) if (problems := self._costs.problems(cell))}
        return self.plan.without(refused) if refused else self.plan

    @property
    def unanswered(self) -> int:
        """Configurations that the engine has not judged yet."""
        return self._costs.unanswered

    def forecast(self) -> Forecast:
        """How long what is to do will take."""
        plan = self.legal_plan()
        if plan is None:
            return Forecast(None)
        taken = {i: run.taken_s for i, cell in enumerate(plan.cells) for run in self._known.get(cell.key, ())[:1]
                 if run.status in ENDED and run.taken_s is not None}
        return forecast([self._seconds(cell) for cell in plan.cells], taken)

    def outlook(self) -> Outlook | None:
        """How long the runs take that take turns; None while nothing is known. A step nobody knows is as the others."""
        plan = self.legal_plan()
        if plan is None or self.wish is None or why_no_turns(plan) is not None:
            return None
        known = [ms for cell in plan.cells if (ms := self.figures(cell).get("step_ms")) is not None]
        mean = sum(known) / len(known) if known else None
        return outlook_of([Candidate("", dict(cell.config), self.figures(cell).get("step_ms") or mean)
                           for cell in plan.cells], 0, self.wish)

    def why_not(self) -> Problem | None:
        """What is in the way of starting the plan as it is wished for."""
        plan = self.legal_plan()
        return None if plan is None or self.wish is None else why_no_turns(plan)

    def _seconds(self, cell: Cell) -> float | None:
        step_ms = self.figures(cell).get("step_ms")
        return None if step_ms is None else predicted_s(self.resolved(cell).as_dict(), step_ms)

    def resolved(self, cell: Cell) -> Config:
        """The whole configuration of a cell."""
        return self._costs.resolved(cell)

    # ------------------------------------------------------------------ running

    def to_run(self) -> list[Cell]:
        """The cells that were not run yet, nor are waiting."""
        plan = self.legal_plan()
        if plan is None or self.why_not() is not None:
            return []
        if self.wish is None:
            return to_do(plan, self._known)
        # One comparison cannot be taken up again half done.
        is_going = any(run.status in GOING for runs in self._known.values() for run in runs)
        return list(plan.cells) if not is_going and to_do(plan, self._known, again=True) else []

    def start(self) -> bool:
        """Queue what is to do. False where there is nothing, or something is wrong."""
        self.settle()
        plan, cells = self.legal_plan(), self.to_run()
        if plan is None or not cells:
            return False
        figures = [self.figures(cell) for cell in plan.cells]
        if self.wish is None:
            self._submit(plan, cells, figures)
        else:
            self._submit_turns(plan, self.wish, figures)
        return True

    def _submit_turns(self, plan: Plan, wish: Wish, figures: Sequence[Figures]) -> None:
        known = known_turns(self._session.runs.rows.values(), plan)
        plan = dataclasses.replace(plan, id=next_turns(known, plan))
        facts = run_facts(plan, plan.cells, figures)

        def queued(keys: list[str]) -> None:
            self._facts |= {Path(key): fact[FACT] for key, fact in zip(keys, facts, strict=True)}

        self._session.fair.queue([dict(cell.config) for cell in plan.cells], plan.id, wish, facts, queued,
                                 self.refused.emit)

    def start_cell(self, ident: str, levels: str) -> None:
        """Queue one configuration of an ablation that was begun before; `levels` as JSON."""
        if self.plan is not None and self.plan.id == ident:
            plan, figures = self.plan, [self.figures(cell) for cell in self.plan.cells]
        else:
            request = request_of(self._session.runs.rows.values(), ident)
            if request is None:
                return
            try:
                plan = dataclasses.replace(make_plan(request, self._session.draft.catalogue), id=ident)
            except ConfigError as error:
                self.refused.emit(error.problems[0])
                return
            figures = [{} for _ in plan.cells]
        wanted = json.loads(levels)
        known = cell_runs(self._session.runs.rows.values(), ident, self._facts)
        cells = [cell for cell in to_do(plan, known) if dict(cell.levels) == wanted]
        if cells:
            self._submit(plan, cells, figures)

    def _submit(self, plan: Plan, cells: Sequence[Cell], figures: Sequence[Figures]) -> None:
        configs = [dict(cell.config) for cell in cells]
        facts = run_facts(plan, cells, figures)

        def answer(reply: Reply) -> None:
            problems = problems_of(reply)
            if problems:
                self.refused.emit(problems[0])
                return
            keys = [str(path) for path in reply.result["runs"]]
            self._facts |= {Path(key): fact[FACT] for key, fact in zip(keys, facts, strict=True)}
            runs = self._session.runs
            runs.add_submitted(keys)
            if cells[0].key == plan.cells[0].key:
                runs.set_baseline(keys[0])
            self._session.submitted.emit(keys)

        self._session.engine.submit(configs, [dumps(c) for c in configs], plan.id, answer, facts)

    def stop_rest(self) -> None:
        """Take what waits out of the queue, and stop what runs; what was measured is kept."""
        going = [str(row.path) for row in self._rows() if row.status in ("queued", "running")]
        self._session.control(going, "stop")

    def show_runs(self) -> None:
        """Show every run of this ablation in the panels."""
        keys = [str(row.path) for row in self._rows()]
        if keys:
            self._session.runs.show_only(keys)

    def progress(self) -> Progress | None:
        """How far the plan is; None where none of it was ever queued."""
        rows = self._rows()
        if not rows or self.plan is None:
            return None
        return Progress(
            done=sum(runs[0].status in ("finished", "failed") for runs in self._known.values() if runs),
            going=sum(row.status in ("queued", "running") for row in rows),
            failed=sum(row.status == "failed" for row in rows),
            left=self.forecast() if self.wish is None else Forecast(None),
        )

    def _rows(self) -> list[RunRow]:
        ident = self._ident()
        return [row for row in self._session.runs.rows.values() if ident and row.comparison == ident]

    def _ident(self) -> str:
        """The comparison that its runs belong to; of those that take turns the newest."""
        if self.plan is None:
            return ""
        if self.wish is None:
            return self.plan.id
        known = known_turns(self._session.runs.rows.values(), self.plan)
        return known[-1] if known else next_turns(known, self.plan)

    def _on_runs(self) -> None:
        mark = tuple((str(row.path), row.status) for row in self._rows())
        if mark != self._seen_rows:
            self._look_for_runs()
            self.progressed.emit()
            self._costs.ask()

    def _look_for_runs(self) -> None:
        rows = self._rows()
        self._seen_rows = tuple((str(row.path), row.status) for row in rows)
        self._known = cell_runs(rows, self._ident(), self._facts)

    def state_of(self, cell: Cell) -> str:
        """What became of a cell: the status of its run, "" where there is none."""
        runs = self._known.get(cell.key)
        return runs[0].status if runs else ""
