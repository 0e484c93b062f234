"""What this device can do, measured on it: matrix products by format, memory bandwidth, the cost of an operator.

Every figure is the best of several rounds, since a busy machine only ever makes things slower; by how much the median
round was slower is kept beside it. Matrices hold random numbers: products of zeros draw less power and run at higher
clocks than any training. All of it takes one to three seconds and gives back what memory it took.
"""

from __future__ import annotations

import datetime
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import psutil
import torch
from torch import Tensor

from tfx_engine.measure.device import NoGpu, NvidiaGpu, find_gpu
from tfx_engine.measure.operator_rates import attention_calls, dispatch_call, operator_calls
from tfx_engine.measure.product_rates import flops_of, free_bytes, products_to_time
from tfx_engine.measure.rounds import Timed, of_device, time_in_turn, timed_on
from tfx_engine.protocol.ceilings import (
    FORMATS,
    AttentionRate,
    Ceiling,
    Ceilings,
    Circumstances,
    CopyRate,
    ProductRate,
)
from tfx_engine.protocol.machine import cpu_clock_limit_mhz

PATIENCE_S = 3.0  # on a machine that is busy with something else
COPY_BYTES = {"cpu": 2**28, "": 2**29}  # more than caches hold
_ATTENTION = {"cpu": {"float32": torch.float32}, "": {"float32": torch.float32, "bfloat16": torch.bfloat16}}
SMALL_COPIES = (2**18, 2**20, 2**22, 2**24, 2**26)


def circumstances(device: torch.device, name: str, gpu: NvidiaGpu | NoGpu | None = None) -> Circumstances:
    """Under what figures of a device hold now. `name`: what its maker calls it."""
    gpu = gpu or find_gpu(device)
    is_cpu = device.type == "cpu"
    return Circumstances(
        kind=device.type, name=name, torch=str(torch.__version__), driver=gpu.driver(),
        threads=torch.get_num_threads() if is_cpu else None,
        clock_limit_mhz=cpu_clock_limit_mhz() if is_cpu else gpu.clock_limit_mhz(),
    )


def measure_ceilings(
    device: torch.device, name: str, patience_s: float = PATIENCE_S, is_over: Callable[[], bool] = lambda: False,
) -> Ceilings | None:
    """Measure a device, whose memory is otherwise left as it was. None where it `is_over` before the end."""
    begun, gpu, others = time.perf_counter(), find_gpu(device), _Others()
    if is_over():
        return None
    calls = _Calls(device)
    time_in_turn(calls.all(), device, patience_s, is_over)
    if is_over():
        return None
    ceilings = Ceilings(
        circumstances=circumstances(device, name, gpu), others_percent=others.percent(), **calls.figures(),
        clock_mhz=gpu.read().get("sm_clock_mhz"),
        measured_at=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        took_s=round(time.perf_counter() - begun, 3),
    )
    del calls
    if device.type != "cpu":
        getattr(torch, device.type).empty_cache()
    return ceilings


class _Calls:
    """Everything that is timed, with what it is to become."""

    def __init__(self, device: torch.device) -> None:
        self._missing: dict[str, str] = {}
        self._products = {(format, shape): timed for format in FORMATS
                          for shape, timed in products_to_time(format, device, self._missing)}
        self._copies = {n: timed_on(device, _copy(n, device)) for n in (*SMALL_COPIES, _largest_copy(device))}
        self._small = timed_on(device, partial(torch.zeros(8, device=device).add_, 1.0))
        step, self._steps_operators = dispatch_call(device)
        self._step = timed_on(device, step)
        self._operators = {name: (timed_on(device, call), moved)
                           for name, (call, moved) in operator_calls(device).items()}
        self._attention = [
            (format, context, width, backward, timed_on(device, call), flops)
            for format, dtype in of_device(_ATTENTION, device).items() if format not in self._missing
            for context, width, backward, call, flops in attention_calls(device, dtype)
        ]

    def all(self) -> list[Timed]:
        """What is to be timed."""
        return [*self._products.values(), *self._copies.values(), self._small, self._step,
                *(timed for timed, _ in self._operators.values()), *(row[4] for row in self._attention)]

    def figures(self) -> dict[str, Any]:
        """The fields of `Ceilings` that come from it."""
        rates = {at: flops_of(at[1]) / timed.best_s for at, timed in self._products.items()}
        best = {format: max((at for at in rates if at[0] == format), key=rates.__getitem__) for format, _ in rates}
        largest = self._copies[max(self._copies)]
        return {
            "missing": self._missing, "launch_us": 1e6 * self._small.best_s,
            "flops": {format: Ceiling(per_s=rates[at], spread_percent=self._products[at].spread_percent)
                      for format, at in best.items()},
            "products": tuple(ProductRate(format=format, rows=m, inner=k, columns=n, flops_per_s=rate)
                              for (format, (m, k, n)), rate in rates.items()),
            "bandwidth": Ceiling(per_s=2.0 * max(self._copies) / largest.best_s, spread_percent=largest.spread_percent),
            "copies": tuple(CopyRate(bytes=n, bytes_per_s=2.0 * n / t.best_s) for n, t in self._copies.items()),
            "operators": {name: moved / timed.best_s for name, (timed, moved) in self._operators.items()},
            "attention": tuple(
                AttentionRate(format=format, context=context, head_width=width, backward=backward,
                              flops_per_s=flops / timed.best_s)
                for format, context, width, backward, timed, flops in self._attention
            ),
            "dispatch_us": 1e6 * self._step.best_s / self._steps_operators,
        }


class _Others:
    """How busy everybody else kept the processors of this machine, from when this was made."""

    def __init__(self) -> None:
        self._busy_s, self._idle_s, self._own_s = self._now()

    def percent(self) -> float:
        """Share of the time of all processors together that went to other programs."""
        busy, idle, own = (now - then for now, then in
                           zip(self._now(), (self._busy_s, self._idle_s, self._own_s), strict=True))
        return round(100.0 * max(0.0, busy - own) / max(busy + idle, 1e-9), 1)

    @staticmethod
    def _now() -> tuple[float, float, float]:
        times = psutil.cpu_times()
        idle = times.idle + getattr(times, "iowait", 0.0)
        return sum(times) - idle - getattr(times, "guest", 0.0), idle, time.process_time()


# ---------------------------------------------------------------------------------------------------- memory


def _copy(size: int, device: torch.device) -> Callable[[], Tensor]:
    """One copy of a tensor of `size` bytes."""
    source = torch.ones(size // 4, device=device)
    return partial(torch.empty_like(source).copy_, source)


def _largest_copy(device: torch.device) -> int:
    """Bytes; no more than an eighth of what is free, since a run may still hold its own."""
    return max(2 * SMALL_COPIES[-1], min(of_device(COPY_BYTES, device), free_bytes(device) // 8 // 4096 * 4096))
