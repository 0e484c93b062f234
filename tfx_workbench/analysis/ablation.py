"""The plan of an ablation: the configurations that its design asks for, which are legal, and why others are not.

A factor is a slot with the techniques that fill it in turn, or one option with its values; the base configuration's own
choice is a level of every factor. What a plan enumerates follows from its request alone, so the same request finds the
runs that were done already: they carry its `id` and their levels.
"""

from __future__ import annotations

import copy
import dataclasses
import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from tfx_engine.protocol.cards import Catalogue, load_catalogue
from tfx_engine.protocol.config import Config, parse_config
from tfx_engine.protocol.marker import tr_mark
from tfx_engine.protocol.problems import ConfigError, Problem
from tfx_workbench.analysis.designs import DESIGNS, Design
from tfx_workbench.analysis.factors import Factor, Levels, base_level, is_known, level_name, set_level

MOST_RUNS = 1000
MOST_SEEDS = 100
FACT = "ablation"  # the fact of a run file that says what it is in its ablation
_ID = "ablation-"


@dataclasses.dataclass(frozen=True)
class Request:
    """What was asked for: all that a plan follows from."""

    base: Mapping[str, Any]  # as written, partial is fine
    design: str
    factors: tuple[Factor, ...]
    seeds: int = 1

    def as_dict(self) -> dict[str, Any]:
        """Plain data, for a run file; `request_from` turns it back."""
        factors = [{"path": f.path, "levels": list(f.levels)} for f in self.factors]
        return {"base": dict(self.base), "design": self.design, "factors": factors, "seeds": self.seeds}


def request_from(data: Mapping[str, Any]) -> Request:
    """The request that `Request.as_dict` gave. Raises ValueError where it is none."""
    try:
        factors = tuple(Factor(str(f["path"]), tuple(f["levels"])) for f in data["factors"])
        return Request(dict(data["base"]), str(data["design"]), factors, int(data["seeds"]))
    except (KeyError, TypeError, OverflowError) as error:
        raise ValueError(f"this is no ablation: {error}") from None


@dataclasses.dataclass(frozen=True)
class Cell:
    """One configuration of a plan: `levels` names the level of every factor, `changed` those that differ from base."""

    levels: Levels
    changed: Levels
    config: Mapping[str, Any] = dataclasses.field(hash=False)  # as it would be submitted, its name set
    seed: int = 0

    @property
    def key(self) -> tuple[tuple[tuple[str, str], ...], int]:
        """What tells it from the other cells of its plan."""
        return tuple(sorted(self.levels.items())), self.seed


@dataclasses.dataclass(frozen=True)
class Skipped:
    """A configuration that cannot be run, and every problem of it."""

    levels: Levels
    name: str
    problems: tuple[Problem, ...]

    @property
    def reason(self) -> str:
        """The first of them in English."""
        return self.problems[0].sentence() if self.problems else ""


@dataclasses.dataclass(frozen=True)
class Plan:
    """The runs of an ablation; the first cell is what all others are compared with."""

    id: str
    request: Request
    cells: tuple[Cell, ...]
    skipped: tuple[Skipped, ...]

    def without(self, refused: Mapping[int, Sequence[Problem]]) -> Plan:
        """The same where the engine refused these cells, by their index."""
        bad = tuple(Skipped(self.cells[i].levels, str(self.cells[i].config["name"]), tuple(why))
                    for i, why in refused.items())  # fmt: skip
        kept = tuple(cell for i, cell in enumerate(self.cells) if i not in refused)
        return dataclasses.replace(self, cells=kept, skipped=(*self.skipped, *bad))

    def fact(self, cell: Cell) -> dict[str, Any]:
        """What the run file of a cell says about it."""
        return {"id": self.id, "levels": dict(cell.levels), "changed": dict(cell.changed), "seed": cell.seed,
                "is_reference": cell.levels == self.cells[0].levels, "request": self.request.as_dict()}


def run_facts(plan: Plan, cells: Sequence[Cell], predicted: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The facts of the runs of these cells; `predicted`: of every cell of the plan, `{peak_bytes, step_ms, ...}`.

    The first of them carries what is predicted of the whole plan, so that what is not run can be shown, too.
    """
    by_key = {cell.key: _with_tokens(cell, figures) for cell, figures in zip(plan.cells, predicted, strict=True)}
    points = [{"name": cell.config["name"], "levels": dict(cell.levels), **by_key[cell.key]}
              for cell in plan.cells if cell.seed == 0 and by_key[cell.key]]
    return [{FACT: {**plan.fact(cell), "predicted": by_key[cell.key], **({} if i else {"points": points})}}
            for i, cell in enumerate(cells)]


def _with_tokens(cell: Cell, figures: Mapping[str, Any]) -> dict[str, Any]:
    if not figures:
        return {}
    config, _ = parse_config(cell.config)
    return {**figures, "tokens": config.run.batch * config.model.context}


def count_runs(request: Request, catalogue: Catalogue | None = None) -> int:
    """How many runs a design asks for at most, illegal ones included, without enumerating them."""
    return _design(request, catalogue or load_catalogue())[0].count() * request.seeds


def _design(request: Request, catalogue: Catalogue) -> tuple[Design, tuple[Problem, ...]]:
    """The design that a request asks for, and what is wrong with its base."""
    base, problems = parse_config(request.base, catalogue)
    return Design(request.design, request.factors, base, catalogue), problems


def make_plan(request: Request, catalogue: Catalogue | None = None) -> Plan:
    """The plan of a request. Raises `ConfigError`: a base that is wrong, nothing to vary, too many runs.

    Only what the rules between techniques forbid is left out here; what sizes and devices allow the engine says.
    """
    catalogue = catalogue or load_catalogue()
    design, problems = _design(request, catalogue)
    problems = (*problems, *_wrong(request, design))
    if problems:
        raise ConfigError(problems)
    count = design.count() * request.seeds
    if count > MOST_RUNS:
        raise ConfigError([_too_many(request, count)])
    cells: list[Cell] = []
    skipped: list[Skipped] = []
    seen: set[str] = set()
    for levels in design.configurations():
        config, cell_problems, mark = _configured(request, levels, design)
        if mark in seen:
            continue
        seen.add(mark)
        named = _named(levels)
        changed = {path: name for path, name in named.items() if levels[path] != base_level(design.base, path)}
        if cell_problems:
            skipped.append(Skipped(named, config["name"], cell_problems))
            continue
        cells += [_seeded(named, changed, config, seed, request.seeds) for seed in range(request.seeds)]
    if not cells or (skipped and cells[0].levels != _named(next(design.configurations()))):
        raise ConfigError(skipped[0].problems)
    return Plan(_identity(request, design.base), request, tuple(cells), tuple(skipped))


# ---------------------------------------------------------------------------------------------- what is wrong


def _wrong(request: Request, design: Design) -> Iterator[Problem]:
    if request.design not in DESIGNS:
        yield Problem(code="unknown-design", path="--design", template="does not know the design {design!r}.",
                      hint_template="Choices: {known}.", args={"design": request.design, "known": ", ".join(DESIGNS)})
    if not 1 <= request.seeds <= MOST_SEEDS:
        yield Problem(code="out-of-range", path="--seeds", template="must be between 1 and {most}, not {seeds}.",
                      args={"most": MOST_SEEDS, "seeds": request.seeds})
    if not request.factors:
        yield Problem(code="empty-design", path="--over", template="says nothing that is to be varied.",
                      hint_template="Example: --over position=rotary,alibi")
    if strange := [factor.path for factor in request.factors if not is_known(factor.path, design.catalogue)]:
        yield Problem(code="unknown-key", path="--over", template="{key!r} is neither a slot nor an option.",
                      hint_template="`tfx-workbench techniques` lists the slots.", args={"key": strange[0]})
        return
    paths = [factor.path for factor in request.factors]
    for path in dict.fromkeys(p for p in paths if paths.count(p) > 1):
        yield Problem(code="twice", path="--over", template="names {path} twice.",
                      hint_template="Write all its levels in one.", args={"path": path})
    for factor in request.factors:
        if request.design == "sweep" and factor.is_slot:
            yield Problem(code="not-an-option", path="--over", template="a sweep varies options, and {path} is a slot.",
                          hint_template="Use the design one-at-a-time, or an option such as {path}.rank=4,8,16.",
                          args={"path": factor.path.partition(".")[2]})
        elif not design.varies(factor):
            yield Problem(code="one-level", path="--over", template="{path} has the level {level!r} alone, which the "
                          "configuration has already.", hint_template="Name something else to compare it with.",
                          args={"path": factor.path, "level": level_name(base_level(design.base, factor.path))})


def _too_many(request: Request, count: int) -> Problem:
    other = dataclasses.replace(request, design="one-at-a-time")
    return Problem(
        code="too-many-runs", path="--over", template="asks for {count:,} runs; at most {most:,} are planned at once.",
        hint_template="Leave out levels or seeds, or take the design one-at-a-time, which is {fewer:,} runs."
        if request.design == "factorial" else "Leave out levels or seeds.",
        args={"count": count, "most": MOST_RUNS, "fewer": count_runs(other)},
    )


# ---------------------------------------------------------------------------------------------- the cells


def _named(levels: Mapping[str, Any]) -> Levels:
    return {path: level_name(level) for path, level in levels.items()}


def _configured(
    request: Request, levels: Mapping[str, Any], design: Design
) -> tuple[dict[str, Any], tuple[Problem, ...], str]:
    """(the configuration, its problems, what two equal ones have in common)."""
    config = copy.deepcopy(dict(request.base))
    for path, level in levels.items():
        if level != base_level(design.base, path):
            set_level(config, path, level)
    config["name"] = design.title(levels)
    resolved, problems = parse_config(config, design.catalogue)
    plain = resolved.as_dict()
    plain.pop("name")
    # A wrong value falls back to its default when it is parsed: what was asked for tells such configurations apart.
    mark = json.dumps([plain, [] if not problems else sorted(map(repr, levels.items()))], sort_keys=True)
    return config, problems, mark


def _seeded(named: Levels, changed: Levels, config: Mapping[str, Any], seed: int, seeds: int) -> Cell:
    if seeds == 1:
        return Cell(named, changed, config, 0)
    number = int(config.get("seed", 0)) + seed
    name = f"{config['name']} · {tr_mark('seed {number}').format(number=number)}"
    return Cell(named, changed, {**config, "seed": number, "name": name}, seed)


def _identity(request: Request, base: Config) -> str:
    """The same for the same request, however it was written and in whatever order."""
    resolved = base.as_dict()
    resolved.pop("name")
    factors = {f.path: [json.dumps(level, sort_keys=True, default=str) for level in f.levels] for f in request.factors}
    if request.design != "leave-one-out":  # which takes the first
        factors = {path: sorted(set(levels)) for path, levels in factors.items()}
    asked = {"base": resolved, "design": request.design, "factors": factors, "seeds": request.seeds}
    return _ID + hashlib.sha256(json.dumps(asked, sort_keys=True, default=str).encode()).hexdigest()[:12]
