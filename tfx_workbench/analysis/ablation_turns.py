"""An ablation whose runs take turns: whether they can, and which comparison of a store it is."""

from __future__ import annotations

from collections.abc import Iterable

from tfx_engine.protocol.problems import Problem
from tfx_workbench.analysis.ablation import Plan
from tfx_workbench.analysis.ablation_runs import known_ablations
from tfx_workbench.runs.row import RunRow

MOST_IN_TURNS = 16  # runs that are in memory together
_MARK = "-turns-"


def why_no_turns(plan: Plan) -> Problem | None:
    """What is in the way of taking turns; None where nothing is."""
    if plan.request.seeds > 1:
        return Problem(code="bad-command-line", path="--seeds", template="means nothing where runs take turns.",
                       hint_template="Their rounds are new processes already.")
    if not 2 <= len(plan.cells) <= MOST_IN_TURNS:
        return Problem(
            code="too-many-runs", path="--interleave", args={"most": MOST_IN_TURNS, "count": len(plan.cells)},
            template="holds all runs in memory at once: from 2 to {most} of them, not {count}.",
            hint_template="Leave out levels, or run them one after the other.",
        )
    return None


def known_turns(rows: Iterable[RunRow], plan: Plan) -> list[str]:
    """The comparisons of this plan that were begun, the newest last."""
    return [ident for ident in known_ablations(rows) if ident.startswith(f"{plan.id}{_MARK}")]


def next_turns(known: list[str], plan: Plan) -> str:
    """What a further one is called."""
    return f"{plan.id}{_MARK}{len(known) + 1}"


def is_in_turns(ident: str) -> bool:
    """Whether that names an ablation whose runs took turns."""
    return _MARK in ident


def plan_of(ident: str) -> str:
    """The plan that it is one of."""
    return ident.partition(_MARK)[0]
