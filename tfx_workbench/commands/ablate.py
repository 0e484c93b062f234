"""`ablate CONFIG --over ...`: which choice does what, alone or together, run after run; stopped, it goes on later."""

from __future__ import annotations

import argparse
import dataclasses
import time
from collections.abc import Mapping, Sequence
from typing import Any

from tfx_engine.protocol.cards import load_catalogue
from tfx_engine.protocol.config import parse_config
from tfx_engine.protocol.interleaving import Interleave
from tfx_engine.protocol.marker import tr_mark
from tfx_engine.protocol.problems import ConfigError, Problem, nearest
from tfx_engine.protocol.toml import dumps
from tfx_workbench.analysis.ablation import Cell, Plan, Request, make_plan, run_facts
from tfx_workbench.analysis.ablation_runs import (
    DONE,
    cell_runs,
    known_ablations,
    left_over,
    request_of,
    to_do,
)
from tfx_workbench.analysis.ablation_turns import is_in_turns, known_turns, next_turns, plan_of, why_no_turns
from tfx_workbench.analysis.factors import parse_over
from tfx_workbench.analysis.fair import Outlook, outlook_before
from tfx_workbench.analysis.forecast import Forecast, forecast, predicted_s
from tfx_workbench.commands import words
from tfx_workbench.commands.ablate_costs import predicted_costs
from tfx_workbench.commands.ablate_table import emit_results, print_results
from tfx_workbench.commands.configs import Given, read_configs
from tfx_workbench.commands.interleave import take_turns
from tfx_workbench.commands.output import DONE as EXIT_DONE
from tfx_workbench.commands.output import FAILED, emit, print_table, refuse_beside, say
from tfx_workbench.commands.run import run_all, sentence
from tfx_workbench.commands.runs import library_of
from tfx_workbench.commands.turn_options import refuse_turns, wanted_turns
from tfx_workbench.runs.library import Library
from tfx_workbench.runs.rundata import RunData

_SHOWN = 40  # rows of a plan that are printed


def ablate(args: argparse.Namespace) -> int:
    """Exit code 0 where every run finished, 1 where one did not, 2 where the request was wrong."""
    library = library_of(args.store)
    plan = make_plan(_request(args, library))
    if args.resume:  # an engine with other defaults would name it otherwise
        plan = dataclasses.replace(plan, id=plan_of(args.resume))
    if args.interleave or is_in_turns(args.resume or ""):
        return _take_turns(args, plan, library)
    refuse_turns(args)
    known = cell_runs(library.scan(), plan.id)
    plan, predicted = predicted_costs(plan, {cell.key for cell in to_do(plan, known, args.again)}, args.instant)
    cells = to_do(plan, known, args.again)
    course = _Course(plan, predicted, {
        i: run.taken_s for i, cell in enumerate(plan.cells) for run in known.get(cell.key, ())[:1]
        if run.status in DONE and run.taken_s is not None
    })
    if not args.json or args.dry_run:
        _say_plan(args, course, len(cells))
    if args.dry_run:
        return EXIT_DONE
    for path in left_over(plan, known):
        library.delete(path)
    try:
        if cells:
            _run(args, course, cells)
    except KeyboardInterrupt:
        _report(args, plan, library)  # what was found so far is an answer too
        raise
    return _verdict(args, plan, library)


def _verdict(args: argparse.Namespace, plan: Plan, library: Library) -> int:
    statuses = _report(args, plan, library)
    return EXIT_DONE if set(statuses) <= {"finished"} and len(statuses) == len(plan.cells) else FAILED


def _request(args: argparse.Namespace, library: Library) -> Request:
    """What is asked for: a configuration and what is varied, or an ablation that was begun."""
    if args.resume:
        refuse_beside("--resume", {"CONFIG": args.config, "--design": args.design, "--over": args.over,
                                   "--seeds": args.seeds is not None, "--set": args.set})
        rows = library.scan()
        found = request_of(rows, args.resume)
        if found is None:
            raise ConfigError([_no_ablation(args.resume, known_ablations(rows))])
        return found
    if args.config is None:
        raise ConfigError([Problem(code="bad-command-line", path="", template="names no configuration.",
                                   hint_template="Example: tfx-workbench ablate my.toml --over adapter=lora,dora")])
    (given,) = read_configs([args.config], args.set, args.store)
    catalogue = load_catalogue()
    factors = tuple(parse_over(text, catalogue) for text in args.over)
    return Request(given.data, args.design or "one-at-a-time", factors, 1 if args.seeds is None else args.seeds)


def _no_ablation(ident: str, known: Sequence[str]) -> Problem:
    near, newest = nearest(ident, known), known[-1] if known else ""
    return Problem(
        code="no-such-ablation", path="--resume", template="knows no ablation {ident!r} in this store.",
        hint_template="Did you mean {near!r}?" if near else "The newest is {newest!r}." if newest else "There is none.",
        args={"ident": ident, "near": near, "newest": newest},
    )


# ---------------------------------------------------------------------------------------------- in turns


def _take_turns(args: argparse.Namespace, plan: Plan, library: Library) -> int:
    """All runs at once, each stepping in its turn: one comparison, which cannot be taken up again half done."""
    if problem := why_no_turns(plan):
        raise ConfigError([problem])
    asked = wanted_turns(args)
    rows = library.scan()
    before = known_turns(rows, plan)
    wanted = {cell.key for cell in plan.cells}
    if before:
        known = cell_runs(rows, before[-1])
        kept = {key for key, runs in known.items() if runs and runs[0].status == "finished"}
        if wanted <= kept:
            return _verdict(args, dataclasses.replace(plan, id=before[-1]), library)
    plan, predicted = predicted_costs(plan, wanted, args.instant)
    plan = dataclasses.replace(plan, id=next_turns(before, plan))
    course = _Course(plan, predicted, {})
    if not args.json or args.dry_run:
        _say_plan(args, course, len(plan.cells), course.in_turns(*asked))
    if args.dry_run:
        return EXIT_DONE
    facts = run_facts(plan, plan.cells, [_figures(p) for p in predicted])
    try:
        take_turns(args, [_given(cell) for cell in plan.cells], plan.id, facts, reports=False)
    except KeyboardInterrupt:
        _report(args, plan, library)
        raise
    return _verdict(args, plan, library)


def _given(cell: Cell) -> Given:
    return Given(str(cell.config["name"]), dict(cell.config), dumps(dict(cell.config)))


# ---------------------------------------------------------------------------------------------- before


@dataclasses.dataclass
class _Course:
    """A plan with what is predicted of its cells, in their order, and how long the ended ones took."""

    plan: Plan
    predicted: list[dict[str, Any]]
    taken: dict[int, float]

    def left(self) -> Forecast:
        """What is still to come."""
        return forecast([self._seconds(i) for i in range(len(self.plan.cells))], self.taken)

    def _seconds(self, index: int) -> float | None:
        resolved = parse_config(self.plan.cells[index].config)[0].as_dict()
        return predicted_s(resolved, self.predicted[index].get("step_ms"))

    def in_turns(self, asked: Interleave, precision: float) -> Outlook | None:
        """The same where all of them take turns."""
        configs = [parse_config(cell.config)[0] for cell in self.plan.cells]
        own = [config.run.warmup_steps + config.run.measure_steps for config in configs]
        return outlook_before([figures.get("step_ms") for figures in self.predicted], own, asked, precision)

    def index_of(self, cell: Cell) -> int:
        """Where a cell stands in the plan."""
        return next(i for i, other in enumerate(self.plan.cells) if other.key == cell.key)


def _say_plan(args: argparse.Namespace, course: _Course, left: int, turns: Outlook | None = None) -> None:
    plan, left_of_it = course.plan, course.left()
    seconds = left_of_it.left_s if turns is None else turns.seconds
    skipped = [{"name": s.name, "levels": dict(s.levels), "reason": s.reason} for s in plan.skipped]
    if args.json:
        cells = [{"name": c.config["name"], "levels": dict(c.levels), "seed": c.seed, "predicted": _figures(p)}
                 for c, p in zip(plan.cells, course.predicted, strict=True)]
        emit({"ablation": plan.id, "design": plan.request.design, "runs": len(plan.cells), "to_run": left,
              "predicted_minutes": None if seconds is None else seconds / 60,
              **({} if turns is None else {"reached_percent": turns.reached_percent}), "cells": cells,
              "skipped": skipped, "missing": {} if seconds is not None else {"predicted_minutes": _NO_TIME}})
        return
    rows = [
        [words.title(str(c.config["name"])), words.size(f["peak_bytes"]), words.count(f["params"]),
         words.number(f["step_ms"])]
        for c, p in zip(plan.cells, course.predicted, strict=True) if p for f in (_figures(p),)
    ]
    if rows:
        print_table([tr_mark("configuration"), tr_mark("peak memory"), tr_mark("parameters"), tr_mark("ms a step")],
                    rows[:_SHOWN], right=(1, 2, 3))
    if len(rows) > _SHOWN:
        print(tr_mark("... and {count} more").format(count=len(rows) - _SHOWN))
    for one in skipped:
        print(tr_mark("skipped: {name}: {reason}").format(name=words.title(str(one["name"])), reason=one["reason"]))
    template = tr_mark("{id}: {runs}, {left} to do, {skipped} skipped; {time}.")
    runs = words.counted(len(plan.cells), tr_mark("1 run"), tr_mark("{count} runs"))
    time_words = _time(left_of_it) if turns is None else tr_mark("about {time} in turns, to ±{reached:.1f} %").format(
        time=words.seconds(turns.seconds), reached=turns.reached_percent)
    print(template.format(id=plan.id, time=time_words, runs=runs, left=left, skipped=len(plan.skipped)),
          flush=True)


_NO_TIME = tr_mark("nobody knows yet how long a step takes; the first run will tell")


def _time(found: Forecast) -> str:
    if found.left_s is None:
        return _NO_TIME
    template = tr_mark("about {time} left") if found.is_measured else tr_mark("about {time}, and a start for each run")
    return template.format(time=words.seconds(found.left_s))


def _figures(estimate: Mapping[str, Any]) -> dict[str, Any]:
    """What is kept of a prediction; nothing of a cell that was not asked about."""
    if not estimate:
        return {}
    return {"peak_bytes": estimate["memory_bytes"]["peak"], "step_ms": estimate.get("step_ms"),
            "params": (estimate.get("params") or {}).get("total"), "fits": estimate.get("fits")}


# ---------------------------------------------------------------------------------------------- running


def _run(args: argparse.Namespace, course: _Course, cells: Sequence[Cell]) -> None:
    """Queue what is to do and follow it; every end corrects how long the rest will take."""
    indices = iter([course.index_of(cell) for cell in cells])
    clock = [time.monotonic()]  # a run takes from the end of the one before it to its own: its worker starts, too
    given = [_given(cell) for cell in cells]
    facts = run_facts(course.plan, cells, [_figures(p) for p in course.predicted])

    def on_end(run: RunData) -> None:
        clock.append(time.monotonic())
        course.taken[next(indices)] = clock[-1] - clock[-2]
        done = len(course.taken)
        line = f"{done}/{len(course.plan.cells)} {sentence(run)}"
        say(line if done == len(course.plan.cells) else f"{line}\n  {_time(course.left())}")

    try:
        run_all(given, on_end, args.store, comparison=course.plan.id, facts=facts)
    except KeyboardInterrupt:
        again = tr_mark("The same command goes on where this stopped, and so does --resume {id}.")
        say(again.format(id=course.plan.id))
        raise


def _report(args: argparse.Namespace, plan: Plan, library: Library) -> list[str]:
    """Print what was found; the status of every run that there is."""
    known = cell_runs(library.scan(), plan.id)
    best = [(cell, known[cell.key][0]) for cell in plan.cells if cell.key in known]
    if args.json:
        emit_results(plan, best)
    else:
        print_results(plan, best)
    return [run.status for _, run in best]
