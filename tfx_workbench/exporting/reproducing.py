"""Somebody else's configuration, so that it can be run on this machine."""

from __future__ import annotations

from contextlib import closing
from typing import Any

from tfx_engine.protocol.config import parse_config
from tfx_engine.protocol.marker import tr_mark
from tfx_engine.protocol.problems import ConfigError, Problem
from tfx_engine.runfile.reader import RunReader
from tfx_workbench.exporting.bundle_file import Bundle, BundledRun

# What belongs to somebody else's machine: where runs lie, what is kept beside them.
_THEIRS = {"store": None, "save_weights": False, "snapshot": False}
_NO_WEIGHTS = tr_mark("began with the weights in {file!r}, which the bundle does not hold.")
OTHER_DEVICE = tr_mark("The author's device is {device!r}, which is not here; the fastest there is takes its place.")


def config_to_reproduce(bundle: Bundle, run: BundledRun) -> tuple[dict[str, Any], str]:
    """(the resolved configuration, the author's device where it is not here). Raises ConfigError, RunFileError."""
    with bundle.run_file(run) as path, closing(RunReader(path)) as reader:
        data = dict(reader.info().config)
    data["run"] = {**data.get("run", {}), **_THEIRS}
    if start_from := data["run"].get("start_from"):
        raise ConfigError([Problem(code="not-in-the-bundle", path=run.name, template=_NO_WEIGHTS,
                                   args={"file": str(start_from)})])
    device = str(data["run"].get("device", "auto"))
    is_here = device in ("auto", "cpu") or _is_here(device)
    if not is_here:
        data["run"] = {**data["run"], "device": "auto"}
    _, problems = parse_config(data)
    if problems:
        raise ConfigError(problems)
    return data, "" if is_here else device


def _is_here(device: str) -> bool:
    """Whether there is such a device, as far as can be known without torch: the driver of an NVIDIA card answers."""
    kind, _, number = device.partition(":")
    if kind != "cuda":
        return False
    try:
        import pynvml

        pynvml.nvmlInit()
        return int(number or 0) < int(pynvml.nvmlDeviceGetCount())
    except Exception:  # no driver, or no card
        return False
