"""Whether a step fits into a device: its peak, give or take the error of such predictions, and what else is taken."""

from __future__ import annotations

import dataclasses
import math

import psutil

from tfx_engine.measure.memory import make_meter
from tfx_engine.model.validate import pick_device
from tfx_engine.protocol.config import Config
from tfx_engine.protocol.ledger import OwnError
from tfx_engine.protocol.marker import tr_mark
from tfx_engine.protocol.problems import ConfigError
from tfx_engine.techniques.devices import device_kind
from tfx_engine.trace.operators import Operators
from tfx_engine.trace.peak import ROUTED_EVENLY

# Of a device's memory, beside what torch's allocator holds: the driver's context of the process and the kernels that it
# loads. 274 MiB after one tensor (pytorch/pytorch pull request 86509, CUDA 11.7), "around 400 MB" (issue 109888 there),
# 426 MiB (torch 2.10, CUDA 13.0, an RTX 6000 Ada: unslothai/unsloth-zoo pull request 1053), 616 MiB on an H200 (torch
# 2.11, CUDA 13.0) and 746 MiB there after a backward pass.
CUDA_CONTEXT_BYTES = 750 * 2**20

_NO_CAPACITY = tr_mark("How much memory the device has is not known; --device-memory says it.")
_TOO_CLOSE = tr_mark("The peak is too close to what the device has.")
_IN_ALL = tr_mark("Of a device that is not here only what it has in all is known, not what is free.")
_NOT_ASKED = tr_mark("What is free on this device is not asked beforehand: asking takes memory there.")


@dataclasses.dataclass(frozen=True)
class Peak:
    """What one level says of the memory, bytes. `missing`: what it does not know, by key; `notes`: what it assumes."""

    level: str
    at_peak: dict[str, int]
    category_peak: dict[str, int]
    error: OwnError | None
    low_bytes: int | None = None  # where the peak depends on the data, what encloses it
    high_bytes: int | None = None
    reserved_bytes: int | None = None  # what the allocator will hold
    operators: Operators | None = None
    missing: dict[str, str] = dataclasses.field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def bytes(self) -> int:
        return sum(self.at_peak.values())


@dataclasses.dataclass(frozen=True)
class Room:
    """Bytes that a device has in all, and that are free now; None where that is not known."""

    device_bytes: int | None
    free_bytes: int | None = None
    missing: dict[str, str] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class Needs:
    """What a step takes of a device: with more than `high_bytes` free it fits, with less than `low_bytes` it does not,
    for all but one in twenty predictions. `context_bytes` of both are not the allocator's."""

    low_bytes: int
    high_bytes: int
    context_bytes: int


def room_of(config: Config, device_memory: int | None) -> Room:
    """Of the device that the configuration will run on, or what was said of another one."""
    if device_memory is not None:
        return Room(device_memory, missing={"free_bytes": _IN_ALL})
    try:
        device = pick_device(config.run.device)
        whole = make_meter(device).capacity_bytes()
        if device.type == "cpu":  # what others use of it is not to be had
            return Room(whole, int(psutil.virtual_memory().available))
    except (ConfigError, RuntimeError, psutil.Error):
        return Room(None, missing={"free_bytes": _IN_ALL})
    return Room(whole, missing={"free_bytes": _NOT_ASKED})


def needs_of(peak: Peak, config: Config, margin_percent: float) -> Needs:
    """Of the peak, and where it is known of what the allocator holds, which it can give up in part when it must."""
    context = CUDA_CONTEXT_BYTES if device_kind(config) == "cuda" else 0
    low, high = peak.low_bytes or peak.bytes, max(peak.high_bytes or peak.bytes, peak.reserved_bytes or 0)
    share = margin_percent / 100
    return Needs(math.floor(low * (1 - share)) + context, math.ceil(high * (1 + share)) + context, context)


def verdict(peak: Peak, needs: Needs, room: Room) -> tuple[bool | None, str]:
    """Whether it fits; None with the reason where that is not known, or too close to tell."""
    space = room.free_bytes if room.free_bytes is not None else room.device_bytes
    if space is None:
        return None, _NO_CAPACITY
    if needs.low_bytes > space:
        return False, ""
    if ROUTED_EVENLY in peak.notes:
        return None, ROUTED_EVENLY
    return (True, "") if needs.high_bytes <= space else (None, _TOO_CLOSE)
