"""What the machine is doing while the run goes on: a thread reads CPU, RAM and the device twice a second."""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Callable
from typing import Any

import psutil
import torch

from tfx_engine.protocol.marker import tr_mark

PERIOD_S = 0.5
_DEVICE_READINGS = ("utilisation_percent", "memory_used_bytes", "temperature_c", "power_w", "sm_clock_mhz")
_NO_DRIVER = {
    "cpu": tr_mark("The run uses the CPU: see CPU and RAM."),
    "cuda": tr_mark("No library that this program knows reads an AMD GPU."),  # torch calls those cuda too
    "mps": tr_mark("macOS tells programs without administrator rights nothing about its GPU."),
    "xpu": tr_mark("No library that this program knows reads an Intel GPU."),
}


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


class NvidiaGpu:
    """One NVIDIA GPU through its management library. Every call may be refused (MIG, vGPU, WDDM, WSL): then the reading
    is missing, with the driver's reason, and is not asked for again."""

    def __init__(self, device: torch.device) -> None:
        import pynvml  # the package nvidia-ml-py

        self.missing: dict[str, str] = {}
        self._nvml: Any = pynvml
        self._handle: Any = None
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
        ask: dict[str, Callable[[], float]] = {
            "utilisation_percent": lambda: nvml.nvmlDeviceGetUtilizationRates(handle).gpu,
            "memory_used_bytes": lambda: nvml.nvmlDeviceGetMemoryInfo(handle).used,
            "temperature_c": lambda: nvml.nvmlDeviceGetTemperature(handle, nvml.NVML_TEMPERATURE_GPU),
            "power_w": lambda: nvml.nvmlDeviceGetPowerUsage(handle) / 1000,
            "sm_clock_mhz": lambda: nvml.nvmlDeviceGetClockInfo(handle, nvml.NVML_CLOCK_SM),
        }
        readings: dict[str, Any] = {}
        for name in _DEVICE_READINGS:
            if name not in self.missing:
                try:
                    readings[name] = ask[name]()
                except nvml.NVMLError as error:
                    self._refuse((name,), error)
        return readings

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
    """Hands a sample to `record` twice a second from its own thread, from `start()` to `stop()`."""

    def __init__(self, device: torch.device, record: Callable[[DeviceSample], None]) -> None:
        self.gpu = find_gpu(device)
        self._record = record
        self._process = psutil.Process()
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
        return DeviceSample(
            cpu_percent=psutil.cpu_percent(), ram_used_bytes=_ram_used(), rss_bytes=self._process.memory_info().rss,
            **self.gpu.read(),
        )

    def _run(self) -> None:
        while not self._end.wait(PERIOD_S):
            self._record(self.sample())


def _ram_used() -> int:
    ram = psutil.virtual_memory()
    return int(ram.total - ram.available)
