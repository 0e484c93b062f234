"""What this device can do, measured on it: matrix products by format, memory bandwidth, the cost of an operator.

Every figure is the best of several rounds, since a busy machine only ever makes things slower; by how much the median
round was slower is kept beside it. Matrices hold random numbers: products of zeros draw less power and run at higher
clocks than any training. All of it takes one to three seconds and gives back what memory it took.
"""

from __future__ import annotations

import datetime
import time
from collections.abc import Callable, Iterator
from functools import partial

import psutil
import torch
from torch import Tensor

from tfx_engine.measure.device import NoGpu, NvidiaGpu, find_gpu
from tfx_engine.measure.memory import is_out_of_memory
from tfx_engine.measure.rounds import Timed, of_device, time_in_turn, timed_on
from tfx_engine.protocol.ceilings import FORMATS, Ceiling, Ceilings, Circumstances, CopyRate, ProductRate
from tfx_engine.protocol.machine import cpu_clock_limit_mhz
from tfx_engine.protocol.marker import tr_mark

PATIENCE_S = 2.0  # on a machine that is busy with something else
LONGEST_S = {"cpu": 0.03, "": 0.08}  # a single product that would take longer is left out
LEAST_SIZES = 3  # these are measured in any case
SIZES = {"cpu": (128, 256, 512, 1024, 2048), "": (512, 1024, 2048, 4096, 8192)}
COPY_BYTES = {"cpu": 2**28, "": 2**29}  # more than caches hold
SMALL_COPIES = (2**18, 2**20, 2**22, 2**24, 2**26)
_DTYPES = {"float32": torch.float32, "tf32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
_NO_UNITS = tr_mark("This device has no units for it.")
_NO_ROOM = tr_mark("There was no memory left to measure it in.")
_REFUSED = tr_mark("Torch refused it: {error}")


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
    missing: dict[str, str] = {}
    products = {(format, size): timed for format in FORMATS for size, timed in _products(format, device, missing)}
    copies = {size: timed_on(device, _copy(size, device)) for size in (*SMALL_COPIES, _largest_copy(device))}
    small = timed_on(device, partial(torch.zeros(8, device=device).add_, 1.0))
    time_in_turn([*products.values(), *copies.values(), small], device, patience_s, is_over)
    if is_over():
        return None
    rates = {at: 2.0 * at[1] ** 3 / timed.best_s for at, timed in products.items()}
    best = {format: max((at for at in rates if at[0] == format), key=rates.__getitem__) for format, _ in rates}
    largest = max(copies)
    ceilings = Ceilings(
        circumstances=circumstances(device, name, gpu), missing=missing,
        flops={format: Ceiling(per_s=rates[at], spread_percent=products[at].spread_percent)
               for format, at in best.items()},
        products=tuple(ProductRate(format=format, rows=n, inner=n, columns=n, flops_per_s=rate)
                       for (format, n), rate in rates.items()),
        bandwidth=Ceiling(per_s=2.0 * largest / copies[largest].best_s, spread_percent=copies[largest].spread_percent),
        copies=tuple(CopyRate(bytes=n, bytes_per_s=2.0 * n / timed.best_s) for n, timed in copies.items()),
        launch_us=1e6 * small.best_s, others_percent=others.percent(), clock_mhz=gpu.read().get("sm_clock_mhz"),
        measured_at=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        took_s=round(time.perf_counter() - begun, 3),
    )
    del products, copies, small
    if device.type != "cpu":
        getattr(torch, device.type).empty_cache()
    return ceilings


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


# ---------------------------------------------------------------------------------------------------- products


def _products(format: str, device: torch.device, missing: dict[str, str]) -> Iterator[tuple[int, Timed]]:
    """Square products of growing size; where there are none, `missing` gets the reason."""
    if reason := _no_units(format, device):
        missing[format] = reason
        return
    best = 0.0  # FLOP/s
    longest_s = of_device(LONGEST_S, device)
    for number, size in enumerate(of_device(SIZES, device)):
        if number >= LEAST_SIZES and 2.0 * size**3 / best > longest_s:
            return
        try:
            timed = timed_on(device, partial(_as_asked, format, _product(format, size, device)))
            time_in_turn([timed], device, 0.0)
        except RuntimeError as error:
            if not best:
                missing[format] = _why(error)
            return
        best = max(best, 2.0 * size**3 / timed.best_s)
        yield size, timed


def _why(error: RuntimeError) -> str:
    return _NO_ROOM if is_out_of_memory(error) else _REFUSED.format(error=str(error).splitlines()[0])


def _no_units(format: str, device: torch.device) -> str:
    """Why a format cannot be had on a device; "" where it can."""
    is_nvidia = device.type == "cuda" and torch.version.cuda is not None
    capability = torch.cuda.get_device_capability(device) if is_nvidia else (0, 0)
    match format:
        case "tf32":
            return "" if capability >= (8, 0) else _NO_UNITS
        case "float8":
            return "" if capability >= (8, 9) else _NO_UNITS
        case "bfloat16" if is_nvidia:
            return "" if torch.cuda.is_bf16_supported(including_emulation=False) else _NO_UNITS
    return ""


def _product(format: str, size: int, device: torch.device) -> Callable[[], object]:
    """One product of two matrices [size, size], its operands already there."""
    if format == "float8":
        return _float8_product(size, device)
    left, right = (torch.randn(size, size, device=device, dtype=_DTYPES[format]) for _ in range(2))
    result = torch.empty_like(left)
    return lambda: torch.mm(left, right, out=result)


def _float8_product(size: int, device: torch.device) -> Callable[[], object]:
    """The right matrix by columns, as the units want it; with the fast sums that training uses forward."""
    left, right = (torch.randn(size, size, device=device).to(torch.float8_e4m3fn) for _ in range(2))
    one = torch.ones((), device=device)
    return lambda: torch._scaled_mm(
        left, right.t(), scale_a=one, scale_b=one, out_dtype=torch.bfloat16, use_fast_accum=True
    )


def _as_asked(format: str, product: Callable[[], object]) -> None:
    """float32 products in float32, and only where tf32 is asked for in that."""
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("high" if format == "tf32" else "highest")
    try:
        with torch.no_grad():
            product()
    finally:
        torch.set_float32_matmul_precision(before)


# ---------------------------------------------------------------------------------------------------- memory


def _copy(size: int, device: torch.device) -> Callable[[], Tensor]:
    """One copy of a tensor of `size` bytes."""
    source = torch.ones(size // 4, device=device)
    return partial(torch.empty_like(source).copy_, source)


def _largest_copy(device: torch.device) -> int:
    """Bytes; no more than an eighth of what is free, since a run may still hold its own."""
    wanted = of_device(COPY_BYTES, device)
    if device.type == "cuda":
        free = torch.cuda.mem_get_info(device)[0]
    else:
        free = int(psutil.virtual_memory().available)
    return max(2 * SMALL_COPIES[-1], min(wanted, free // 8 // 4096 * 4096))
