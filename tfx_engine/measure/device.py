"""What the machine is doing while the run goes on: a thread reads CPU, RAM and the device twice a second."""

from __future__ import annotations

import dataclasses
import os
import threading
from collections.abc import Callable
from typing import Any

import psutil
import torch

from tfx_engine.measure.others import Others
from tfx_engine.protocol.marker import tr_mark

PERIOD_S = 0.5
_DEVICE_READINGS = (
    "utilisation_percent", "memory_used_bytes", "temperature_c", "power_w", "sm_clock_mhz", "energy_j", "clock_events",
    "other_processes",
)
_NO_DRIVER = {
    "cpu": tr_mark("The run uses the CPU: see CPU and RAM."),
    "cuda": tr_mark("No library that this program knows reads an AMD GPU."),  # torch calls those cuda too
    "mps": tr_mark("macOS tells programs without administrator rights nothing about its GPU."),
    "xpu": tr_mark("No library that this program knows reads an Intel GPU."),
}
# NVML's bits for clocks that were lowered to protect the device. Not among them: the power limit (0x4), at which a
# large GPU under full load always is, idleness, and clocks that somebody set.
SLOWED_DOWN = {
    0x08: tr_mark("hardware slowdown"), 0x20: tr_mark("too warm"), 0x40: tr_mark("too warm (hardware)"),
    0x80: tr_mark("power brake"),
}
_NOT_LISTED = tr_mark("The driver's list of processes leaves out this one, so it cannot be believed (a container?).")


@dataclasses.dataclass(frozen=True)
class DeviceSample:
    """One reading; None where a figure cannot be had."""

    cpu_percent: float | None = None
    ram_used_bytes: int | None = None
    rss_bytes: int | None = None
    utilisation_percent: float | None = None
    memory_used_bytes: int | None = None
    temperature_c: float | None = None
    power_w: float | None = None
    sm_clock_mhz: float | None = None
    others_percent: float | None = None
    energy_j: float | None = None
    clock_events: int | None = None
    other_processes: int | None = None


class NvidiaGpu:
    """One NVIDIA GPU through its management library. Every call may be refused (MIG, vGPU, WDDM, WSL): then the reading
    is missing, with the driver's reason, and is not asked for again."""

    def __init__(self, device: torch.device) -> None:
        import pynvml  # the package nvidia-ml-py

        self.missing: dict[str, str] = {}
        self._nvml: Any = pynvml
        self._handle: Any = None
        self._device = device
        self._looked_us = 0
        try:
            pynvml.nvmlInit()
            self._handle = self._find(device)
        except pynvml.NVMLError as error:
            self._refuse(_DEVICE_READINGS, error)

    def _find(self, device: torch.device) -> Any:
        """By UUID: torch's numbering follows CUDA_VISIBLE_DEVICES and the library's does not."""
        uuid = getattr(torch.cuda.get_device_properties(device), "uuid", None)
        if uuid is not None:
            try:
                return self._nvml.nvmlDeviceGetHandleByUUID(f"GPU-{uuid}")
            except self._nvml.NVMLError:
                return self._nvml.nvmlDeviceGetHandleByUUID(f"MIG-{uuid}")
        return self._nvml.nvmlDeviceGetHandleByIndex(device.index or 0)

    def driver(self) -> str | None:
        """The driver's version."""
        try:
            return str(self._nvml.nvmlSystemGetDriverVersion())
        except self._nvml.NVMLError:
            return None  # the fact is absent; the readings say why

    def clock_limit_mhz(self) -> float | None:
        """The highest clock that its processors may run at now."""
        try:
            return float(self._nvml.nvmlDeviceGetMaxClockInfo(self._handle, self._nvml.NVML_CLOCK_SM))
        except self._nvml.NVMLError:
            return None

    def read(self) -> dict[str, Any]:
        """The readings that can be had now."""
        nvml, handle = self._nvml, self._handle
        ask: dict[str, Callable[[], float | None]] = {
            "utilisation_percent": lambda: nvml.nvmlDeviceGetUtilizationRates(handle).gpu,
            "memory_used_bytes": lambda: nvml.nvmlDeviceGetMemoryInfo(handle).used,
            "temperature_c": lambda: nvml.nvmlDeviceGetTemperature(handle, nvml.NVML_TEMPERATURE_GPU),
            "power_w": lambda: nvml.nvmlDeviceGetPowerUsage(handle) / 1000,
            "sm_clock_mhz": lambda: nvml.nvmlDeviceGetClockInfo(handle, nvml.NVML_CLOCK_SM),
            "energy_j": lambda: nvml.nvmlDeviceGetTotalEnergyConsumption(handle) / 1000,
            "clock_events": self._clock_events,
            "other_processes": self._other_processes,
        }
        readings: dict[str, Any] = {}
        for name in _DEVICE_READINGS:
            if name not in self.missing:
                try:
                    readings[name] = ask[name]()
                except nvml.NVMLError as error:
                    self._refuse((name,), error)
        return {name: value for name, value in readings.items() if value is not None}

    def _clock_events(self) -> int:
        name = "nvmlDeviceGetCurrentClocksEventReasons"
        ask = getattr(self._nvml, name, None) or self._nvml.nvmlDeviceGetCurrentClocksThrottleReasons  # older libraries
        return int(ask(self._handle))

    def _other_processes(self) -> int | None:
        """How many others use the device: with kernels of theirs since the last look; or, where the driver does not say
        what they do, that hold it. None while this process itself does not."""
        pids = {int(process.pid) for process in self._nvml.nvmlDeviceGetComputeRunningProcesses(self._handle)}
        if os.getpid() not in pids:
            if torch.cuda.is_initialized() and torch.cuda.memory_reserved(self._device):
                self.missing["other_processes"] = _NOT_LISTED
            return None
        others = pids - {os.getpid()}
        return len(others & self._at_work(others)) if others else 0

    def _at_work(self, pids: set[int]) -> set[int]:
        """Those of the processes that ran kernels since the last look, as far as the driver tells them apart."""
        try:
            samples = self._nvml.nvmlDeviceGetProcessUtilization(self._handle, self._looked_us)
        except self._nvml.NVMLError as error:
            nothing_new = getattr(self._nvml, "NVMLError_NotFound", ())
            return set() if isinstance(error, nothing_new) else pids
        self._looked_us = max([self._looked_us, *(int(sample.timeStamp) for sample in samples)])
        return {int(sample.pid) for sample in samples if sample.smUtil}

    def _refuse(self, names: tuple[str, ...], error: Exception) -> None:
        self.missing.update(dict.fromkeys(names, f"The NVIDIA driver says: {error}."))


class NoGpu:
    """A device that nobody can ask."""

    def __init__(self, kind: str) -> None:
        self.missing = dict.fromkeys(_DEVICE_READINGS, _NO_DRIVER.get(kind, _NO_DRIVER["cpu"]))

    def driver(self) -> str | None:
        return None

    def clock_limit_mhz(self) -> float | None:
        return None

    def read(self) -> dict[str, Any]:
        return {}


def find_gpu(device: torch.device) -> NvidiaGpu | NoGpu:
    """Who can be asked about a device."""
    if device.type == "cuda" and torch.version.hip is None:
        return NvidiaGpu(device)
    return NoGpu(device.type)


class DeviceSampler:
    """Hands a sample to `record` twice a second from its own thread, from `start()` to `stop()`.

    `newest` is the last one.
    """

    def __init__(self, device: torch.device, record: Callable[[DeviceSample], None]) -> None:
        self.gpu = find_gpu(device)
        self.newest = DeviceSample()
        self._record = record
        self._process = psutil.Process()
        self._others = Others()
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run, name="device sampler", daemon=True)

    def start(self) -> None:
        """Begin. The first reading of CPU use is the second sample's, since it needs an interval."""
        psutil.cpu_percent()
        self._thread.start()

    def stop(self) -> None:
        """End, within one sample."""
        self._end.set()
        if self._thread.is_alive():
            self._thread.join(2 * PERIOD_S)

    def sample(self) -> DeviceSample:
        """One reading now."""
        others = self._others.look()
        return DeviceSample(
            cpu_percent=psutil.cpu_percent(), ram_used_bytes=_ram_used(), rss_bytes=self._process.memory_info().rss,
            others_percent=None if others is None else 100 * others[0] / (psutil.cpu_count() or 1), **self.gpu.read(),
        )

    def _run(self) -> None:
        while not self._end.wait(PERIOD_S):
            self.newest = self.sample()
            self._record(self.newest)


def _ram_used() -> int:
    ram = psutil.virtual_memory()
    return int(ram.total - ram.available)
