"""Run files of an ablation, as far as it got, with made-up numbers. No torch."""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.helpers.synthetic_run import SyntheticRun
from tfx_engine.protocol.cards import load_catalogue
from tfx_engine.protocol.config import parse_config
from tfx_engine.protocol.toml import dumps
from tfx_engine.runfile.create import create
from tfx_engine.runfile.store import make_store, new_run_path
from tfx_engine.runfile.writer import RunWriter
from tfx_workbench.analysis.ablation import Plan, Request, make_plan, run_facts
from tfx_workbench.analysis.factors import parse_over

BASE: dict[str, Any] = {
    "name": "base", "model": {"width": 16, "layers": 2, "heads": 2, "context": 16},
    "run": {"measure_steps": 40, "warmup_steps": 2},
}


def plan_of(*over: str, design: str = "factorial", base: Mapping[str, Any] = BASE, seeds: int = 1) -> Plan:
    """A plan over `slot=technique,...`."""
    factors = tuple(parse_over(text, load_catalogue()) for text in over)
    return make_plan(Request(base, design, factors, seeds))


def write_ablation(store: Path, plan: Plan, states: Sequence[str] = ()) -> list[Path]:
    """A run file for each cell: finished, or in the state given for it; "" writes none."""
    predicted = [{"peak_bytes": 10**6 * (i + 1), "step_ms": 4.0 - i / 10} for i in range(len(plan.cells))]
    states = [*states, *["finished"] * (len(plan.cells) - len(states))]
    cells = [cell for cell, state in zip(plan.cells, states, strict=True) if state]
    facts = run_facts(plan, cells, predicted)
    paths = []
    for number, (cell, fact) in enumerate(zip(cells, facts, strict=True)):
        config, problems = parse_config(cell.config)
        assert not problems
        now = datetime.datetime(2026, 1, 2, 3, number // 60, number % 60)
        path = new_run_path(make_store(store), config.name, now)
        create(path, config, dumps(config.as_dict()), plan.id, facts=fact)
        state = states[plan.cells.index(cell)]
        if state != "queued":
            with RunWriter(path) as writer:
                run = SyntheticRun(writer, config, number)
                run.begin()
                run.advance(run.total_steps if state == "finished" else 5)
                run.end(state)
        paths.append(path)
    return paths
