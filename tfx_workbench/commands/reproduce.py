"""`reproduce BUNDLE`: run here what somebody else ran, and say of every figure how far it is from theirs."""

from __future__ import annotations

import argparse
from contextlib import closing
from typing import Any

from tfx_engine.protocol.config import parse_config
from tfx_engine.protocol.marker import tr_mark
from tfx_engine.protocol.problems import ConfigError, Problem
from tfx_engine.protocol.toml import dumps
from tfx_engine.runfile.reader import RunReader
from tfx_workbench.analysis.reproduction import CLASSES, Metric, Reproduction, compare_with_author
from tfx_workbench.commands import words
from tfx_workbench.commands.configs import Given
from tfx_workbench.commands.output import DONE, FAILED, emit, print_table, say
from tfx_workbench.commands.run import run_all
from tfx_workbench.exporting.bundle_file import Bundle, BundledRun
from tfx_workbench.runs.rundata import RunData

# Of somebody else's machine: where runs lie, what is kept beside them.
_THEIRS = {"store": None, "save_weights": False, "snapshot": False}
_NO_WEIGHTS = tr_mark("began with the weights in {file!r}, which the bundle does not hold.")
_OTHER_DEVICE = tr_mark("{name}: the author's device is {theirs!r}, which is not here; the fastest there is takes its "
                        "place.")


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
    with bundle.run_file(run) as path, closing(RunReader(path)) as reader:
        data = dict(reader.info().config)
    data["run"] = {**data.get("run", {}), **_THEIRS}
    if start_from := data["run"].get("start_from"):
        raise ConfigError([Problem(code="not-in-the-bundle", path=run.name, template=_NO_WEIGHTS,
                                   args={"file": str(start_from)})])
    if (device := str(data["run"].get("device", "auto"))) not in ("auto", "cpu") and not _is_here(device):
        say(_OTHER_DEVICE.format(name=words.title(run.name), theirs=device))
        data["run"] = {**data["run"], "device": "auto"}
    _, problems = parse_config(data)
    if problems:
        raise ConfigError(problems)
    return Given(run.name, data, dumps(data))


def _is_here(device: str) -> bool:
    """Whether there is such a device, as far as can be known without torch: the driver of an NVIDIA card answers."""
    kind, _, number = device.partition(":")
    if kind != "cuda":
        return False
    try:
        import pynvml

        pynvml.nvmlInit()
        return int(number or 0) < pynvml.nvmlDeviceGetCount()
    except Exception:  # no driver, or no card
        return False


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
    return f"{words.number(value)} {metric.unit}".rstrip()


def verdict(metric: Metric) -> str:
    """What is to be said of a figure."""
    if metric.percent is None:
        return metric.reason
    apart = abs(metric.percent)
    digits = f"{apart:.1f}" if apart >= 0.1 else f"{apart:.2g}"
    within = tr_mark("equal") if apart == 0 else tr_mark("within {percent} % of the author's").format(percent=digits)
    if metric.agrees is None:
        return f"{within}; {metric.reason}"
    return within if metric.agrees else tr_mark("{percent} % off the author's").format(percent=digits)

