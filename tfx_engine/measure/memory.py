"""Bytes in use at each step: by torch's allocator, by the device, by the process; and why a figure is missing."""

from __future__ import annotations

import dataclasses
import time
from typing import Any, Protocol

import psutil
import torch

from tfx_engine.protocol.marker import tr_mark

# Of exceptions that have no class of their own: the CPU's allocator, MPS, CUDA's libraries.
_WORDS = ("can't allocate memory", "not enough memory", "cannot allocate memory", "out of memory", "alloc_failed")
IN_A_POOL = tr_mark(
    "A CUDA graph keeps the tensors of a step in a pool of its own, which torch does not count as allocated; what its "
    "allocator holds in all, reserved, has them."
)
DEVICE_BYTES_EVERY_S = 0.1  # the driver is asked this often at most: the call costs more than a short step


@dataclasses.dataclass(frozen=True)
class StepMemory:
    """Bytes of one step; None where a figure cannot be had. `allocated_bytes` is the maximum within the step."""

    allocated_bytes: int | None = None
    reserved_bytes: int | None = None
    device_bytes: int | None = None
    rss_bytes: int | None = None


class MemoryMeter(Protocol):
    """Reads memory around a step. `missing`: why a figure is not read, by its name."""

    missing: dict[str, str]

    def start(self) -> None:
        """A step begins."""

    def stop(self) -> StepMemory:
        """It has been handed to the device."""

    def capacity_bytes(self) -> int | None:
        """Bytes that the device has in all."""


class HostMemory:
    """On the CPU the allocator keeps no count; the resident set of the process is what there is at every step."""

    def __init__(self) -> None:
        self._process = psutil.Process()
        self.missing = {
            "allocated_bytes": tr_mark("torch's CPU allocator counts only while it is profiled: on memory probes."),
            "reserved_bytes": tr_mark("torch's CPU allocator holds no reserve."),
            "device_bytes": tr_mark("The CPU has no memory of its own; see process memory and RAM."),
        }

    def start(self) -> None:
        """Nothing to reset."""

    def stop(self) -> StepMemory:
        return StepMemory(rss_bytes=self._process.memory_info().rss)

    def capacity_bytes(self) -> int | None:
        return int(psutil.virtual_memory().total)


class AllocatorMemory:
    """A device whose allocator in torch keeps statistics (CUDA, XPU). The allocator works on the host: no waiting."""

    def __init__(self, module: Any, device: torch.device) -> None:
        self._module, self._device = module, device
        self._process = psutil.Process()
        self._device_bytes: int | None = None
        self._asked_at = 0.0
        self.missing: dict[str, str] = {}

    def start(self) -> None:
        self._module.reset_peak_memory_stats(self._device)

    def stop(self) -> StepMemory:
        # The nested form as it comes: flattening it, which every other question does, takes a part of a short step.
        counts = self._module.memory_stats_as_nested_dict(self._device)
        return StepMemory(
            allocated_bytes=counts["allocated_bytes"]["all"]["peak"],
            reserved_bytes=counts["reserved_bytes"]["all"]["current"],
            device_bytes=self._in_use(),
            rss_bytes=self._process.memory_info().rss,
        )

    def _in_use(self) -> int | None:
        now = time.monotonic()
        if "device_bytes" not in self.missing and now - self._asked_at >= DEVICE_BYTES_EVERY_S:
            self._asked_at = now
            try:
                free, total = self._module.mem_get_info(self._device)
                self._device_bytes = total - free
            except (RuntimeError, AttributeError) as error:
                self.missing["device_bytes"] = f"The driver does not say: {error}"
        return self._device_bytes

    def capacity_bytes(self) -> int | None:
        return int(self._module.get_device_properties(self._device).total_memory)


class PoolMemory(AllocatorMemory):
    """The same for steps whose kernels are played back: their tensors lie in a pool that is not counted."""

    def __init__(self, module: Any, device: torch.device) -> None:
        super().__init__(module, device)
        self.missing["allocated_bytes"] = IN_A_POOL

    def stop(self) -> StepMemory:
        return dataclasses.replace(super().stop(), allocated_bytes=None)


class MpsMemory:
    """Apple's GPU: it shares the machine's memory, and torch knows what is in use now, not the maximum."""

    def __init__(self) -> None:
        self._process = psutil.Process()
        self.missing = {
            "allocated_bytes": tr_mark("torch keeps no maximum of what is allocated on this device."),
            "device_bytes": tr_mark("macOS does not tell what all processes together use of its GPU."),
        }

    def start(self) -> None:
        """Nothing to reset."""

    def stop(self) -> StepMemory:
        reserved = int(torch.mps.driver_allocated_memory())
        return StepMemory(reserved_bytes=reserved, rss_bytes=self._process.memory_info().rss)

    def capacity_bytes(self) -> int | None:
        return int(torch.mps.recommended_max_memory())


def make_meter(device: torch.device, is_replayed: bool = False) -> MemoryMeter:
    """The meter for a device. `is_replayed`: the kernels of its steps are recorded once and played back."""
    match device.type:
        case "cuda" | "xpu":
            meter = PoolMemory if is_replayed else AllocatorMemory
            return meter(getattr(torch, device.type), device)
        case "mps":
            return MpsMemory()
    return HostMemory()


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an exception says that memory ran out, on the device or on the host."""
    if isinstance(error, (torch.OutOfMemoryError, MemoryError)):
        return True
    return isinstance(error, RuntimeError) and any(words in str(error).lower() for words in _WORDS)
