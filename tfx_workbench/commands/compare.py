"""`compare RUN RUN...`: how much each run differs from the first."""

from __future__ import annotations

import argparse
import contextlib
import math
from typing import Any

from tfx_engine.protocol.marker import tr_mark
from tfx_engine.protocol.problems import ConfigError, Problem
from tfx_workbench.analysis.compare import config_diff, effects
from tfx_workbench.analysis.statistics import Effect
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
    return {**names, "effects": found, "config_diff": difference, "missing": missing}


def _as_dict(result: dict[str, Any]) -> dict[str, Any]:
    return {**result, "effects": {name: found.as_dict() for name, found in result["effects"].items()}}


def _print(result: dict[str, Any], baseline: RunData) -> None:
    names = {"name": words.title(result["name"]), "baseline": words.title(baseline.info.name)}
    print(tr_mark("{name} against {baseline}").format(**names))
    for key, values in result["config_diff"].items():
        print(f"  {key}: {values['baseline']} → {values['run']}")
    rows = [
        [name, words.percent(found.percent), _bounds(found), _verdict(found)]
        for name, found in result["effects"].items() if not math.isnan(found.percent)
    ]
    print_table(["", tr_mark("difference"), tr_mark("95 % interval"), ""], rows, right=[1, 2])


def _bounds(found: Effect) -> str:
    return words.UNKNOWN if math.isnan(found.low) else f"[{words.percent(found.low)}, {words.percent(found.high)}]"


def _verdict(found: Effect) -> str:
    return tr_mark("not distinguishable") if found.distinguishable is False and found.percent else ""
