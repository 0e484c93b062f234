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
from tfx_workbench.analysis.compare import config_diff, effects
from tfx_workbench.analysis.config_words import differences
from tfx_workbench.analysis.statistics import Effect
from tfx_workbench.analysis.waterfall import QUANTITIES, REST, SMALLER, Part, Waterfall, waterfall
from tfx_workbench.commands import words
from tfx_workbench.commands.output import DONE, emit, print_table
from tfx_workbench.commands.runs import library_of
from tfx_workbench.runs.find import find_run
from tfx_workbench.runs.rundata import RunData


def compare(args: argparse.Namespace) -> int:
    """The first run is the baseline."""
    if len(args.runs) < 2:
        raise ConfigError([Problem(code="too-few-runs", path="compare", template=tr_mark("needs two runs or more."),
                                   hint_template=tr_mark("The first one is the baseline."))])
    library = library_of(args.store)
    paths = [find_run(text, library) for text in args.runs]
    with contextlib.ExitStack() as stack:
        baseline, *others = [stack.enter_context(contextlib.closing(RunData(path))).load() for path in paths]
        results = [_against(baseline, other) for other in others]
    if args.json:
        emit({"baseline": str(baseline.path), "runs": [_as_dict(result) for result in results]})
    else:
        for result in results:
            _print(result, baseline)
    return DONE


def _against(baseline: RunData, other: RunData) -> dict[str, Any]:
    found, missing = effects(baseline, other)
    difference = config_diff(baseline.info.config, other.info.config)
    names = {"run": str(other.path), "name": other.info.name}
    words_of_it = differences(baseline.info.config, other.info.config, load_catalogue())
    return {**names, "effects": found, "config_diff": difference, "missing": missing,
            "where": {name: waterfall(name, baseline, other) for name in QUANTITIES}, "words": words_of_it}


def _as_dict(result: dict[str, Any]) -> dict[str, Any]:
    plain = {name: value for name, value in result.items() if name != "words"}
    return {**plain, "effects": {name: found.as_dict() for name, found in result["effects"].items()},
            "where": {name: _where(found) for name, found in result["where"].items()}}


def _where(found: Waterfall) -> dict[str, Any]:
    """`{before, after, parts: [{part: [...], change}, ...]}` or `{missing: reason}`."""
    if found.missing:
        return {"missing": found.missing}
    parts = [{"part": list(part.key), "change": part.change} for part in found.parts]
    return {"before": found.before, "after": found.after, "parts": parts}


def _print(result: dict[str, Any], baseline: RunData) -> None:
    names = {"name": words.title(result["name"]), "baseline": words.title(baseline.info.name)}
    print(tr_mark("{name} against {baseline}").format(**names))
    for one in result["words"]:
        print(f"  {one.title}: {words.title(str(one.before))} → {words.title(str(one.after))}")
    rows = [
        [name, words.percent(found.percent), _bounds(found), _verdict(found)]
        for name, found in result["effects"].items() if not math.isnan(found.percent)
    ]
    print_table(["", tr_mark("difference"), tr_mark("95 % interval"), ""], rows, right=[1, 2])
    for name, template in _WHERE.items():
        found = result["where"][name]
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


def _bounds(found: Effect) -> str:
    return words.UNKNOWN if math.isnan(found.low) else f"[{words.percent(found.low)}, {words.percent(found.high)}]"


def _verdict(found: Effect) -> str:
    return tr_mark("not distinguishable") if found.distinguishable is False and found.percent else ""
