"""`traced`: the peak of a step's memory, what it consists of, and each phase's own, before anything runs."""

from __future__ import annotations

import dataclasses

import numpy as np
import torch

from tfx_engine.measure.memory_replay import series
from tfx_engine.protocol.config import Config
from tfx_engine.protocol.metrics import CATEGORIES
from tfx_engine.trace.fake import Step, fake_step


@dataclasses.dataclass(frozen=True)
class PhasePeak:
    """The fullest moment of a part of the step, in bytes; `at_peak` adds up to `peak_bytes`."""

    name: str  # "forward", "loss", "backward", "optimizer"
    peak_bytes: int
    at_peak: dict[str, int]


@dataclasses.dataclass(frozen=True)
class Traced:
    """The memory of one step of a configuration, in bytes, as torch's allocator would count it.

    `peak_bytes` and all the figures that belong to it are None where the step cannot be traced; `note` then says why.
    `at_peak` adds up to `peak_bytes`; `category_peak` is each category's own maximum. `low_bytes` and `high_bytes`
    enclose the peak where it depends on the data (the routing of experts); else they are equal to it.
    """

    peak_bytes: int | None
    at_peak: dict[str, int] | None = None
    category_peak: dict[str, int] | None = None
    phases: tuple[PhasePeak, ...] = ()
    low_bytes: int | None = None
    high_bytes: int | None = None
    reserved_bytes: int | None = None  # None where the device's allocator holds no reserve
    note: str = ""  # an English sentence: what the figures do not say, or why there are none


def traced(config: Config, device_kind: str = "cpu") -> Traced:
    """The memory of a step of a configuration on a device of a kind ("cpu", "cuda"); nothing is allocated for it."""
    return _summary(fake_step(config, torch.device(device_kind)))


def _summary(step: Step) -> Traced:
    moments, bytes_NC = series(step.blocks)
    total_N = bytes_NC.sum(axis=1)
    peak = int(total_N.argmax())
    return Traced(
        peak_bytes=int(total_N[peak]), at_peak=_named(bytes_NC[peak]), category_peak=_named(bytes_NC.max(axis=0)),
        phases=tuple(_phase(name, first, last, moments, bytes_NC) for name, first, last in _parts(step)),
        low_bytes=int(total_N[peak]), high_bytes=int(total_N[peak]),
    )


def _parts(step: Step) -> list[tuple[str, int, int]]:
    """(name, first moment, last moment) of each part that lies in no other."""
    parts: list[tuple[str, int, int]] = []
    for r in step.ranges:
        if not parts or r.start_ns > parts[-1][2]:
            parts.append((r.name, r.start_ns, r.end_ns))
    return parts


def _phase(name: str, first: int, last: int, moments: np.ndarray, bytes_NC: np.ndarray) -> PhasePeak:
    begin, end = np.searchsorted(moments, [first, last])
    within_NC = bytes_NC[max(0, begin - 1) : end]
    row = within_NC[within_NC.sum(axis=1).argmax()]
    return PhasePeak(name, int(row.sum()), _named(row))


def _named(bytes_C: np.ndarray) -> dict[str, int]:
    return {name: int(value) for name, value in zip(CATEGORIES, bytes_C, strict=True)}
