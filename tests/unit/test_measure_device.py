"""What can be read of the machine is read; what cannot has its reason."""

from __future__ import annotations

import os
import sys
import time
import types

import pytest
import torch

from tests.helpers.tiny import tiny_config
from tfx_engine.measure.device import DeviceSampler, NoGpu, NvidiaGpu, find_gpu
from tfx_engine.measure.memory import AllocatorMemory, PoolMemory, is_out_of_memory, make_meter
from tfx_engine.techniques.compile import replays

CPU = torch.device("cpu")


def test_cpu_and_ram_are_always_read():
    sampler = DeviceSampler(CPU, lambda sample: None)
    sample = sampler.sample()
    assert sample.ram_used_bytes > 0 and sample.rss_bytes > 0 and sample.cpu_percent >= 0
    assert sample.temperature_c is None and "temperature_c" in sampler.gpu.missing


def test_samples_come_until_the_sampler_is_stopped(monkeypatch):
    monkeypatch.setattr("tfx_engine.measure.device.PERIOD_S", 0.01)
    samples = []
    sampler = DeviceSampler(CPU, samples.append)
    sampler.start()
    deadline = time.monotonic() + 10
    while len(samples) < 3 and time.monotonic() < deadline:
        time.sleep(0.01)
    sampler.stop()
    count = len(samples)
    time.sleep(0.05)
    assert 3 <= count == len(samples)


@pytest.mark.parametrize("kind", ["mps", "xpu"])
def test_a_device_that_nobody_can_ask_says_so(kind):
    gpu = find_gpu(torch.device(kind))
    assert gpu.read() == {} and all(reason.endswith(".") for reason in gpu.missing.values())


class FakeNvml(types.ModuleType):
    """The library of a GPU whose driver refuses some readings."""

    NVML_TEMPERATURE_GPU = NVML_CLOCK_SM = 0

    class NVMLError(Exception):
        pass

    class NVMLError_NotFound(NVMLError):
        pass

    def __init__(self, refuses=(), no_library=False, pids=None, at_work=()) -> None:
        super().__init__("pynvml")
        self.pids = [os.getpid()] if pids is None else pids
        self.at_work = [types.SimpleNamespace(pid=pid, smUtil=use, timeStamp=7) for pid, use in at_work]
        self._refuses, self._no_library, self.calls = refuses, no_library, []

    def nvmlInit(self):
        if self._no_library:
            raise self.NVMLError("Driver Not Loaded")

    def nvmlDeviceGetHandleByIndex(self, index):
        return index

    def __getattr__(self, name):
        values = {
            "nvmlDeviceGetUtilizationRates": types.SimpleNamespace(gpu=40), "nvmlDeviceGetPowerUsage": 51_000,
            "nvmlDeviceGetMemoryInfo": types.SimpleNamespace(used=7), "nvmlDeviceGetTemperature": 50,
            "nvmlDeviceGetClockInfo": 1200, "nvmlDeviceGetTotalEnergyConsumption": 12_500,
            "nvmlDeviceGetCurrentClocksEventReasons": 4,
            "nvmlDeviceGetComputeRunningProcesses": [types.SimpleNamespace(pid=pid) for pid in self.pids],
            "nvmlDeviceGetProcessUtilization": self.at_work,
        }
        if name not in values:
            raise AttributeError(name)

        def call(*arguments):
            self.calls.append(name)
            if name in self._refuses:
                raise self.NVMLError("Not Supported")
            return values[name]

        return call


@pytest.fixture
def no_uuid(monkeypatch):
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device: types.SimpleNamespace())


def test_what_the_driver_refuses_is_missing_and_not_asked_for_again(monkeypatch, no_uuid):
    library = FakeNvml(refuses=("nvmlDeviceGetPowerUsage",))
    monkeypatch.setitem(sys.modules, "pynvml", library)
    gpu = NvidiaGpu(torch.device("cuda", 0))
    for _ in range(2):
        readings = {
            "utilisation_percent": 40, "memory_used_bytes": 7, "temperature_c": 50, "sm_clock_mhz": 1200,
            "energy_j": 12.5, "clock_events": 4, "other_processes": 0,
        }
        assert gpu.read() == readings
    assert gpu.missing == {"power_w": "The NVIDIA driver says: Not Supported."}
    assert library.calls.count("nvmlDeviceGetPowerUsage") == 1


@pytest.mark.parametrize(("library", "expected"), [
    (FakeNvml(pids=(os.getpid(), 1, 2), at_work=((1, 30), (2, 0), (os.getpid(), 60))), 1),  # 2 holds it, idle
    (FakeNvml(pids=(os.getpid(), 1, 2), refuses=("nvmlDeviceGetProcessUtilization",)), 2),  # nobody says what they do
    (FakeNvml(pids=(1, 2)), None),  # a list that leaves out this process
], ids=["one at work", "no word about work", "a container"])
def test_others_on_the_device_are_those_at_work_and_a_list_without_this_process_is_not_believed(
    library, expected, monkeypatch, no_uuid
):
    monkeypatch.setitem(sys.modules, "pynvml", library)
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.cuda, "memory_reserved", lambda device: 1)
    gpu = NvidiaGpu(torch.device("cuda", 0))
    assert gpu.read().get("other_processes") == expected
    assert ("other_processes" in gpu.missing) is (expected is None)


def test_without_a_driver_every_reading_has_its_reason(monkeypatch, no_uuid):
    monkeypatch.setitem(sys.modules, "pynvml", FakeNvml(no_library=True))
    gpu = NvidiaGpu(torch.device("cuda", 0))
    assert gpu.read() == {} and len(gpu.missing) == 8 and "Driver Not Loaded" in gpu.missing["power_w"]


def test_a_gpu_that_nobody_can_ask_is_not_called_a_cpu():
    assert "AMD" in NoGpu("cuda").missing["power_w"] and "Intel" in NoGpu("xpu").missing["power_w"]


def test_the_cpu_reads_the_process_and_says_why_there_is_no_more():
    meter = make_meter(CPU)
    meter.start()
    memory = meter.stop()
    assert memory.rss_bytes > 2**20 and meter.capacity_bytes() > memory.rss_bytes
    assert memory.allocated_bytes is None and memory.reserved_bytes is None and memory.device_bytes is None
    assert set(meter.missing) == {"allocated_bytes", "reserved_bytes", "device_bytes"}


def test_an_allocator_with_statistics_is_read_per_step_and_its_driver_rarely():
    asked = []
    module = types.SimpleNamespace(
        reset_peak_memory_stats=lambda d: asked.append("reset"), memory_stats_as_nested_dict=lambda d: {
            "allocated_bytes": {"all": {"peak": 11}}, "reserved_bytes": {"all": {"current": 22}},
        }, mem_get_info=lambda d: asked.append("driver") or (70, 100),
    )
    meter = AllocatorMemory(module, torch.device("cuda"))
    for _ in range(3):
        meter.start()
        memory = meter.stop()
    assert (memory.allocated_bytes, memory.reserved_bytes, memory.device_bytes) == (11, 22, 30)
    assert asked == ["reset", "driver", "reset", "reset"]
    pool = PoolMemory(module, torch.device("cuda"))
    assert (pool.stop().allocated_bytes, pool.stop().reserved_bytes) == (None, 22) and "pool" in str(pool.missing)


@pytest.mark.parametrize(("use", "is_so"), [
    ("none", False), ("default", False), ("reduce_overhead", True), ("max_autotune", True),
    ({"use": "max_autotune", "graphs": False}, False),
])
def test_kernels_are_played_back_where_a_card_records_them_and_nowhere_else(use, is_so):
    assert replays(tiny_config({"compile": use}, run={"device": "cuda"})) is is_so
    assert not replays(tiny_config({"compile": use}, run={"device": "cpu"}))


@pytest.mark.parametrize(("error", "expected"), [
    (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."), True),
    (RuntimeError("[enforce fail] . DefaultCPUAllocator: can't allocate memory: you tried to allocate 8 bytes."), True),
    (RuntimeError("DefaultCPUAllocator: not enough memory: you tried to allocate 8 bytes."), True),
    (RuntimeError("MPS backend out of memory (MPS allocated: 1.00 GB)."), True),
    (RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"), True),
    (MemoryError(), True), (RuntimeError("shapes do not match"), False), (ValueError("not enough memory"), False),
])
def test_running_out_of_memory_is_recognised(error, expected):
    assert is_out_of_memory(error) is expected
