"""How long a step took, on the device's own clock where it has one, without making the step wait to be timed."""

from __future__ import annotations

import time
from typing import Any, Protocol

import torch


class Mark(Protocol):
    """One timed step."""

    def stop(self) -> None:
        """The step has been handed to the device."""

    def done(self) -> bool:
        """Whether the device has finished it, asked without waiting."""

    def read(self) -> tuple[float, float]:
        """(milliseconds that the step took, milliseconds from the clock's zero to its end); waits for the end."""


class Clock(Protocol):
    """Starts marks. Zero is the moment the clock was given."""

    def start(self) -> Mark:
        """The step begins now."""


class HostMark:
    """A step timed by the host, for devices on which a call returns when the work is done."""

    def __init__(self, zero_ns: int) -> None:
        self._zero_ns = zero_ns
        self._end_ns = 0
        self._start_ns = time.perf_counter_ns()

    def stop(self) -> None:
        self._end_ns = time.perf_counter_ns()

    def done(self) -> bool:
        return True

    def read(self) -> tuple[float, float]:
        return (self._end_ns - self._start_ns) / 1e6, (self._end_ns - self._zero_ns) / 1e6


class SynchronisedMark(HostMark):
    """A step timed by the host after waiting for the device: for devices without timed events."""

    def __init__(self, zero_ns: int, module: Any) -> None:
        module.synchronize()
        self._module = module
        super().__init__(zero_ns)

    def stop(self) -> None:
        self._module.synchronize()
        super().stop()


class EventMark:
    """A step between two events in the device's queue; nothing waits until it is read."""

    def __init__(self, module: Any, zero: Any, offset_ms: float) -> None:
        self._zero, self._offset_ms = zero, offset_ms
        self._start, self._end = (module.Event(enable_timing=True) for _ in range(2))
        self._start.record()

    def stop(self) -> None:
        self._end.record()

    def done(self) -> bool:
        return bool(self._end.query())

    def read(self) -> tuple[float, float]:
        self._end.synchronize()
        return self._start.elapsed_time(self._end), self._offset_ms + self._zero.elapsed_time(self._end)


class HostClock:
    """The clock of the CPU, and of MPS, which is waited for."""

    def __init__(self, zero_ns: int, module: Any = None) -> None:
        self._zero_ns, self._module = zero_ns, module

    def start(self) -> Mark:
        return SynchronisedMark(self._zero_ns, self._module) if self._module else HostMark(self._zero_ns)


class EventClock:
    """The clock of a device with timed events (CUDA, XPU)."""

    def __init__(self, module: Any, zero_ns: int) -> None:
        self._module = module
        module.synchronize()
        self._zero = module.Event(enable_timing=True)
        self._zero.record()
        self._offset_ms = (time.perf_counter_ns() - zero_ns) / 1e6

    def start(self) -> Mark:
        return EventMark(self._module, self._zero, self._offset_ms)


def make_clock(device: torch.device, zero_ns: int) -> Clock:
    """The clock for a device. `zero_ns` is a `time.perf_counter_ns()`."""
    match device.type:
        case "cuda" | "xpu":
            return EventClock(getattr(torch, device.type), zero_ns)
        case "mps":
            return HostClock(zero_ns, torch.mps)
    return HostClock(zero_ns)


def wait_for(device: torch.device) -> None:
    """Until the device has done all that it was handed."""
    if device.type in ("cuda", "xpu", "mps"):
        module = getattr(torch, device.type)
        module.synchronize()
