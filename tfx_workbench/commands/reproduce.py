"""`reproduce BUNDLE`: run here what somebody else ran, and say of every figure how far it is from theirs."""

from __future__ import annotations

import argparse
from contextlib import closing
from typing import Any

from tfx_engine.protocol.marker import tr_mark
from tfx_engine.protocol.toml import dumps
from tfx_workbench.analysis.reproduction import CLASSES, Metric, Reproduction, compare_with_author, verdict
from tfx_workbench.commands import words
from tfx_workbench.commands.configs import Given
from tfx_workbench.commands.output import DONE, FAILED, emit, print_table, say
from tfx_workbench.commands.run import run_all
from tfx_workbench.exporting.bundle_file import Bundle, BundledRun
from tfx_workbench.exporting.reproducing import OTHER_DEVICE, config_to_reproduce
from tfx_workbench.runs.rundata import RunData


def reproduce(args: argparse.Namespace) -> int:
    """Exit code 0: all was run here, however far apart the figures are; 1: a run failed here."""
    with Bundle(args.bundle) as bundle:
        if args.check:
            return _say_what_it_holds(bundle, args.json)
        given = [_given(bundle, run) for run in bundle.runs]
        results: list[dict[str, Any]] = []
        ended: list[RunData] = []
        paths = run_all(given, lambda run: None, args.store)
        for run, path in zip(bundle.runs, paths, strict=True):
            with bundle.run_file(run) as theirs, closing(RunData(theirs).load()) as author, \
                    closing(RunData(path).load()) as here:
                found = compare_with_author(author, here)
                results.append(_as_dict(here, found))
                ended.append(here)
                if not args.json:
                    _print(here, found)
    if args.json:
        emit({"bundle": str(bundle.path), "made_with": bundle.made_with, "runs": results})
    return DONE if all(run.info.status == "finished" for run in ended) else FAILED


def _say_what_it_holds(bundle: Bundle, as_json: bool) -> int:
    if as_json:
        runs = [{"name": run.name, "run_id": run.run_id, "status": run.status} for run in bundle.runs]
        emit({"bundle": str(bundle.path), "made_with": bundle.made_with, "ok": True, "runs": runs})
    else:
        for run in bundle.runs:
            print(f"{words.title(run.name)}: {run.status}")
        print(tr_mark("Every file is what the manifest says."))
    return DONE


def _given(bundle: Bundle, run: BundledRun) -> Given:
    """The author's configuration, made independent of the author's machine. Raises ConfigError."""
    data, other = config_to_reproduce(bundle, run)
    if other:
        say(f"{words.title(run.name)}: {OTHER_DEVICE.format(device=other)}")
    return Given(run.name, data, dumps(data))


def _as_dict(here: RunData, found: Reproduction) -> dict[str, Any]:
    return {
        "run": str(here.path), "name": here.info.name, "status": here.info.status, "reason": here.info.reason,
        "device": {"author": found.author_device, "here": found.here_device, "class": found.device_class},
        "agrees": found.agrees, "metrics": {metric.name: metric.as_dict() for metric in found.metrics},
    }


def _print(here: RunData, found: Reproduction) -> None:
    print(tr_mark("{name}: {status}. Author's device: {author}; here: {here} ({kind}).").format(
        name=words.title(here.info.name), status=here.info.status, author=found.author_device or words.UNKNOWN,
        here=found.here_device or words.UNKNOWN, kind=CLASSES[found.device_class]))
    rows = [[metric.name, _figure(metric, metric.author), _figure(metric, metric.here), verdict(metric)]
            for metric in found.metrics]
    print_table(["", tr_mark("author"), tr_mark("here"), ""], rows, right=[1, 2])


def _figure(metric: Metric, value: float | None) -> str:
    if value is None:
        return words.UNKNOWN
    if metric.unit == "bytes":
        return words.size(int(value))
    if metric.unit == "share":
        return f"{words.number(100 * value)} %"
    return f"{words.number(value)} {metric.unit}".rstrip()
