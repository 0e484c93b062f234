"""`compare RUN RUN...`: how much each run differs from the first."""

from __future__ import annotations

import argparse
import contextlib
import math
from collections.abc import Callable
from typing import Any

from tfx_engine.protocol.cards import load_catalogue
from tfx_engine.protocol.components import COMPONENTS
from tfx_engine.protocol.marker import tr_mark
from tfx_engine.protocol.problems import ConfigError, Problem
from tfx_engine.protocol.status import ENDED
from tfx_workbench.analysis.comparable import remarks
from tfx_workbench.analysis.compare import Compared, compare_runs, config_diff
from tfx_workbench.analysis.config_words import differences
from tfx_workbench.analysis.statistics import Effect
from tfx_workbench.analysis.waterfall import QUANTITIES, REST, SMALLER, Part, Waterfall, waterfall
from tfx_workbench.commands import words
from tfx_workbench.commands.output import DONE, emit, print_table
from tfx_workbench.commands.runs import library_of
from tfx_workbench.runs.find import find_run, refuse_twice
from tfx_workbench.runs.rundata import RunData


def compare(args: argparse.Namespace) -> int:
    """The first run is the baseline."""
    if len(args.runs) < 2:
        raise ConfigError([Problem(code="too-few-runs", path="compare", template=tr_mark("needs two runs or more."),
                                   hint_template=tr_mark("The first one is the baseline."))])
    library = library_of(args.store)
    paths = [find_run(text, library) for text in args.runs]
    refuse_twice(paths)
    with contextlib.ExitStack() as stack:
        baseline, *others = [stack.enter_context(contextlib.closing(RunData(path))).load() for path in paths]
        results = compare_runs(baseline, others)
        if args.json:
            emit({"baseline": str(baseline.path), "runs": [as_dict(result, baseline) for result in results]})
        else:
            for result in results:
                print_against(result, baseline)
    return DONE


def as_dict(result: Compared, baseline: RunData) -> dict[str, Any]:
    """For JSON, under the keys of `compare`."""
    info = result.run.info
    return {
        "run": str(result.run.path), "name": info.name, "status": info.status, "is_control": result.is_control,
        "effects": {name: found.as_dict() for name, found in result.effects.items()},
        "config_diff": config_diff(baseline.info.config, info.config), "missing": result.missing,
        "where": {name: _where(waterfall(name, baseline, result.run)) for name in QUANTITIES},
    }


def _where(found: Waterfall) -> dict[str, Any]:
    """`{before, after, parts: [{part: [...], change}, ...]}` or `{missing: reason}`."""
    if found.missing:
        return {"missing": found.missing}
    parts = [{"part": list(part.key), "change": part.change} for part in found.parts]
    return {"before": found.before, "after": found.after, "parts": parts}


def print_against(result: Compared, baseline: RunData) -> None:
    """One run against the baseline, for people."""
    info = result.run.info
    names = {"name": words.title(info.name), "baseline": words.title(baseline.info.name)}
    print(tr_mark("{name} against {baseline}").format(**names))
    for one in differences(baseline.info.config, info.config, load_catalogue()):
        print(f"  {one.title}: {words.title(str(one.before))} → {words.title(str(one.after))}")
    rows = [
        [name, words.percent(found.percent), _bounds(found), _verdict(found)]
        for name, found in result.effects.items() if not math.isnan(found.percent)
    ]
    if rows:
        print_table(["", tr_mark("difference"), tr_mark("95 % interval"), ""], rows, right=[1, 2])
    _print_where(baseline, result.run)
    for note in _notes(result, baseline):
        print(f"  {note}")


def _print_where(baseline: RunData, run: RunData) -> None:
    for name, template in _WHERE.items():
        found = waterfall(name, baseline, run)
        if found.parts:
            write = words.size if name == "memory" else _ms
            parts = ", ".join(f"{_part(part)} {_signed(part.change, write)}" for part in found.parts[:_SHOWN])
            more = tr_mark(", {count} more").format(count=len(found.parts) - _SHOWN)
            print(template.format(change=_signed(found.change, write), parts=parts),
                  more if len(found.parts) > _SHOWN else "", sep="")


_WHERE = {
    "memory": tr_mark("where the memory went ({change}): {parts}"),
    "time": tr_mark("where the time of a step went ({change}): {parts}"),
}
_SHOWN = 4  # parts in a line, the biggest first


def _part(part: Part) -> str:
    names = {SMALLER: tr_mark("smaller ones"), REST: tr_mark("not attributed")}
    return names.get(part.key) or " ".join(COMPONENTS.get(name, name) for name in part.key)


def _ms(value: float) -> str:
    return f"{words.number(value)} ms"


def _signed(value: float, write: Callable[[float], str]) -> str:
    return f"{'−' if value < 0 else '+'}{write(abs(value))}"


def _notes(result: Compared, baseline: RunData) -> list[str]:
    """What broke off, what is not compared, how the speed was, if that was corrected, and how large the noise is."""
    found = result.effects["step_ms"]
    notes = []
    for run, template in ((result.run, _BROKE_OFF), (baseline, _BASELINE_BROKE_OFF)):
        if run.info.status in ENDED - {"finished"}:
            notes.append(template.format(status=run.info.status, reason=run.info.reason))
    notes += [tr_mark("This run {remark}.").format(remark=remark) for remark in remarks(baseline, result.run)]
    if result.is_control:
        notes.append(tr_mark("This is the baseline a second time: what it differs by is noise."))
    if found.method is not None:
        notes.append(tr_mark("Speed: {method}.").format(method=found.method))
    if found.corrected:
        notes.append(tr_mark("The intervals of the {count} runs hold all at once (max-t bootstrap).").format(
            count=found.family))
    if found.noise_band is not None:
        notes.append(tr_mark("Two copies of the baseline differ by up to {band} here; less is not distinguishable.")
                     .format(band=words.percent(found.noise_band).lstrip("+")))
    return notes


_BROKE_OFF = tr_mark("This run is {status}: {reason} What it has is compared.")
_BASELINE_BROKE_OFF = tr_mark("The baseline is {status}: {reason} What it has is compared.")


def _bounds(found: Effect) -> str:
    return words.UNKNOWN if math.isnan(found.low) else f"[{words.percent(found.low)}, {words.percent(found.high)}]"


def _verdict(found: Effect) -> str:
    return tr_mark("not distinguishable") if found.distinguishable is False and found.percent else ""
