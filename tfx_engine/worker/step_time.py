"""The time of a step on the device that a configuration names: from its measured speed and the user's own runs."""

from __future__ import annotations

import dataclasses

import msgspec
import torch

from tfx_engine.estimate.time import TERMS, Past, StepTime
from tfx_engine.estimate.time import step_ms as corrected
from tfx_engine.measure.ceilings import circumstances
from tfx_engine.model.validate import pick_device
from tfx_engine.protocol.ceilings import Ceilings, Circumstances, load_ceilings, load_past
from tfx_engine.protocol.config import Config
from tfx_engine.protocol.marker import tr_mark
from tfx_engine.protocol.problems import ConfigError
from tfx_engine.trace.manners import Manners
from tfx_engine.trace.operators import Operators
from tfx_engine.trace.time import Unknown, time_of
from tfx_engine.worker.facts import device_name

_NO_DEVICE = tr_mark("The device is not here, so its speed is not known.")
_NOT_MEASURED = tr_mark("This device was not measured yet: tfx-workbench doctor --measure, or a first run.")
_FEW_RUNS = tr_mark("Too few runs on this device to know how far off such predictions are.")


@dataclasses.dataclass(frozen=True)
class Expected:
    """`ms` is None where nobody knows, `error_percent` where too few runs say it; `missing` then says why, by key."""

    ms: float | None = None
    error_percent: float | None = None
    error_95_percent: float | None = None
    missing: dict[str, str] = dataclasses.field(default_factory=dict)


def expected_step(
    config: Config, manners: Manners | None = None, operators: Operators | None = None
) -> Expected:
    """What the step of a configuration will take here. Takes as long as a trace of the step does.

    `operators`: those of the step, where it was traced already.

    Raises `BrokenOff` where `manners` say so.
    """
    try:
        now = circumstances_of(config)
    except ConfigError:
        return Expected(missing={"step_ms": _NO_DEVICE})
    known = load_ceilings(now)
    if known is None:
        return Expected(missing={"step_ms": _NOT_MEASURED})
    try:
        ms, error = corrected(time_of(config, known, manners, operators), past_of(known))
    except Unknown as error:
        return Expected(missing={"step_ms": str(error)})
    if error is None:
        return Expected(ms, missing={"step_ms_error_percent": _FEW_RUNS})
    return Expected(ms, error.median, error.within_95)


def circumstances_of(config: Config) -> Circumstances:
    """Under what a configuration will run here. Raises ConfigError where its device is not here."""
    device = pick_device(config.run.device)
    now = circumstances(device, device_name(device))
    if now.threads is None:
        return now
    return msgspec.structs.replace(now, threads=config.run.threads or torch.get_num_threads())


def past_of(ceilings: Ceilings) -> list[Past]:
    """The user's own runs on a device, to learn from."""
    is_queued = ceilings.circumstances.kind != "cpu"
    return [Past(StepTime(run.terms, is_queued), run.measured_ms) for run in load_past(ceilings.circumstances)
            if run.measured_ms > 0 and set(run.terms) == set(TERMS)]
