"""What an ablation found, in words and as JSON: every configuration against the first, and the pairs."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator, Sequence
from typing import Any

from tfx_engine.protocol.cards import load_catalogue
from tfx_engine.protocol.marker import tr_mark
from tfx_engine.runfile.errors import RunFileError
from tfx_workbench.analysis.ablation import Cell, Plan
from tfx_workbench.analysis.ablation_results import (
    METRICS,
    Configuration,
    Pair,
    Results,
    interactions,
    results_of,
)
from tfx_workbench.analysis.ablation_runs import CellRun
from tfx_workbench.analysis.compare import known_band
from tfx_workbench.analysis.statistics import SEQUENTIAL, UNKNOWN, Effect
from tfx_workbench.commands import words
from tfx_workbench.commands.output import emit, print_table
from tfx_workbench.runs.rundata import RunData

Best = Sequence[tuple[Cell, CellRun]]
_PAIRS = 8  # shown, the strongest first
_TITLES = {"tokens_per_s": tr_mark("tokens/s"), "peak_bytes": tr_mark("peak memory"), "loss": tr_mark("loss"),
           "flops_per_token": tr_mark("FLOPs/token"), "params": tr_mark("parameters")}  # fmt: skip


@contextlib.contextmanager
def _read(best: Best) -> Iterator[Results]:
    with contextlib.ExitStack() as stack:
        runs = []
        for _, found in best:
            with contextlib.suppress(RunFileError):
                runs.append(stack.enter_context(contextlib.closing(RunData(found.path))).load())
        yield results_of(runs, None, known_band(runs[0]) if runs else None)


def print_results(plan: Plan, best: Best) -> None:
    """The table, the pairs, and what did not get through."""
    with _read(best) as results:
        _print_table(results)
        pairs = interactions(results, "tokens_per_s") if plan.request.design == "factorial" else []
    for pair in pairs[:_PAIRS]:
        verdict = pair.helps("tokens_per_s")
        said = {True: tr_mark("help each other"), False: tr_mark("hurt each other"),
                None: tr_mark("not distinguishable from independent")}[verdict]
        print(tr_mark("{one} and {other}: tokens/s {effect}, {verdict}").format(
            one=_factor(pair.one), other=_factor(pair.other), effect=_effect(pair.effect), verdict=said))
    for cell, run in best:
        if run.status != "finished":
            print(f"{words.title(str(cell.config['name']))}: {run.status}. {run.reason}")


def _print_table(results: Results) -> None:
    if not any(configuration.ended for configuration in results.configurations):
        print(tr_mark("No run was measured yet."))
        return
    effects = {metric: [None, *results.effects(metric)] for metric in METRICS[:4]}
    rows = []
    for i, configuration in enumerate(results.configurations):
        own = configuration.ended[0].summary() if configuration.ended else None
        plain = [words.number(own["tokens_per_s"]["median"]), words.size(own["memory_bytes"]["peak"]),
                 words.number(own["loss"]["final"]), words.count(own["flops_per_token"]["hardware"])
                 ] if own else [words.UNKNOWN] * 4
        found = [effects[metric][i] for metric in METRICS[:4]]
        cells = plain if i == 0 else [_effect(effect) for effect in found if effect is not None]
        rows.append([_name(configuration, results.mixes_devices), *cells])
    print_table(["", *(_TITLES[m] for m in METRICS[:4])], rows, right=(1, 2, 3, 4))
    family = max((e.family for e in effects["tokens_per_s"] if e is not None), default=1)
    if family > 1:
        print(tr_mark("95 % intervals that hold for all {count} comparisons of a column at once.").format(count=family))
    methods = {effect.method for effect in effects["tokens_per_s"] if effect is not None and effect.method is not None}
    for method in sorted(map(str, methods)):
        print(tr_mark("tokens/s: {method}").format(method=method))
    if SEQUENTIAL in methods:
        print(tr_mark("--interleave, or --seeds 5, covers what differs between processes, too."))
    if results.band is not None:
        print(tr_mark("Equal runs differ by up to {band} on this machine: within that, nothing is told apart.").format(
            band=words.percent(results.band).lstrip("+")))


def _name(configuration: Configuration, mixes_devices: bool) -> str:
    name = words.title(configuration.runs[0].info.name)
    count = len(configuration.runs)
    if count > 1:
        name = tr_mark("{name} ({count} seeds)").format(name=name.rpartition(" · ")[0] or name, count=count)
    if mixes_devices and configuration.device:
        name = tr_mark("{name} on {device}").format(name=name, device=configuration.device)
    return name


def _factor(level: tuple[str, str]) -> str:
    path, name = level
    catalogue = load_catalogue()
    slot = path.removeprefix("techniques.")
    card = catalogue.find(slot, name)
    return card.short if card else f"{path.rpartition('.')[2]} {name}"


def _effect(effect: Effect) -> str:
    if math.isnan(effect.percent):
        return words.UNKNOWN
    if effect.percent == 0 and effect.low == 0:
        return tr_mark("same")
    bounds = "" if math.isnan(effect.low) or effect.low == effect.high else (
        f" [{words.percent(effect.low).removesuffix(' %')}, {words.percent(effect.high).removesuffix(' %')}]")
    return f"{words.percent(effect.percent)}{bounds}{'' if effect.distinguishable is not False else ' ~'}"


def emit_results(plan: Plan, best: Best) -> None:
    """One object: `runs` against `baseline`, `interactions` of a factorial, what was `skipped`."""
    with _read(best) as results:
        effects = {metric: results.effects(metric) for metric in METRICS} if results.configurations else {}
        pairs = {metric: [_pair(p, metric) for p in interactions(results, metric)] for metric in METRICS[:3]}
        by_path = {run.path: i for i, c in enumerate(results.configurations) for run in c.runs}
    rows = []
    for cell, run in best:
        i = by_path.get(run.path, 0)
        own = {metric: (found[i - 1] if i else UNKNOWN).as_dict() for metric, found in effects.items()} if i else {}
        rows.append({"run": str(run.path), "name": cell.config["name"], "levels": dict(cell.levels), "seed": cell.seed,
                     "status": run.status, "reason": run.reason, "effects": own})
    skipped = [{"name": s.name, "levels": dict(s.levels), "reason": s.reason} for s in plan.skipped]
    answer: dict[str, Any] = {
        "ablation": plan.id, "design": plan.request.design, "planned": len(plan.cells),
        "baseline": rows[0]["run"] if rows else None, "runs": rows, "skipped": skipped,
        "interactions": pairs if plan.request.design == "factorial" else {},
    }
    emit(answer)


def _pair(pair: Pair, metric: str) -> dict[str, Any]:
    return {"one": list(pair.one), "other": list(pair.other), "contexts": pair.contexts, "helps": pair.helps(metric),
            **pair.effect.as_dict()}
