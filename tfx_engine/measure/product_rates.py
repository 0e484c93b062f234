"""Matrix products to be timed: in every format that a device has units for, square ones and such as trainings have."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

import psutil
import torch

from tfx_engine.measure.memory import is_out_of_memory
from tfx_engine.measure.rounds import Timed, of_device, time_in_turn, timed_on
from tfx_engine.protocol.marker import tr_mark

LONGEST_S = {"cpu": 0.03, "": 0.08}  # a single product that would take longer is left out
LEAST_SIZES = 3  # these are measured in any case
SIZES = {"cpu": (128, 256, 512, 1024, 2048), "": (512, 1024, 2048, 4096, 8192)}
# (rows, inner, columns): many tokens through a layer, there and back, and the gradient of its weights
OBLONG = {
    "cpu": ((1024, 64, 64), (1024, 64, 256), (1024, 256, 64), (1024, 256, 256), (1024, 256, 1024), (1024, 1024, 256),
            (64, 1024, 64), (256, 1024, 256), (256, 1024, 1024), (64, 32, 64), (256, 32, 256), (256, 256, 32)),
    "": ((8192, 256, 256), (8192, 256, 1024), (8192, 1024, 256), (8192, 1024, 1024), (8192, 1024, 4096),
         (8192, 4096, 1024), (256, 8192, 256), (1024, 8192, 1024), (1024, 8192, 4096), (8192, 768, 50304),
         (256, 64, 256), (256, 256, 64)),
}
_ROOM = 8  # times what a product needs must be free, as a run may still hold its own
_OBLONG_FORMATS = {"cpu": ("float32", "bfloat16"), "": ("float32", "tf32", "bfloat16", "float16")}
_DTYPES = {"float32": torch.float32, "tf32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
_NO_UNITS = tr_mark("This device has no units for it.")
_NO_ROOM = tr_mark("There was no memory left to measure it in.")
_REFUSED = tr_mark("Torch refused it: {error}")
Shape = tuple[int, int, int]


def products_to_time(format: str, device: torch.device, missing: dict[str, str]) -> Iterator[tuple[Shape, Timed]]:
    """Products of growing size; where there are none, `missing` gets the reason."""
    if reason := _no_units(format, device):
        missing[format] = reason
        return
    best = 0.0  # FLOP/s
    squares = [(size, size, size) for size in of_device(SIZES, device)]
    oblong = of_device(OBLONG, device) if format in of_device(_OBLONG_FORMATS, device) else ()
    for number, shape in enumerate((*squares, *oblong)):
        if best and number >= LEAST_SIZES and flops_of(shape) / best > of_device(LONGEST_S, device):
            continue
        if free_bytes(device) < _ROOM * _numbers(shape) * 4:
            continue
        try:
            timed = timed_on(device, partial(_as_asked, format, _product(format, shape, device)))
            time_in_turn([timed], device, 0.0)
        except RuntimeError as error:
            if not best:
                missing[format] = _NO_ROOM if is_out_of_memory(error) else _REFUSED.format(
                    error=str(error).splitlines()[0])
                return
            continue
        best = max(best, flops_of(shape) / timed.best_s)
        yield shape, timed
    if not best:
        missing.setdefault(format, _NO_ROOM)


def free_bytes(device: torch.device) -> int:
    """Memory that the device has left."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    return int(psutil.virtual_memory().available)


def _numbers(shape: Shape) -> int:
    rows, inner, columns = shape
    return rows * inner + inner * columns + rows * columns


def flops_of(shape: Shape) -> float:
    """Of a product of that shape."""
    rows, inner, columns = shape
    return 2.0 * rows * inner * columns


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


def _product(format: str, shape: Shape, device: torch.device) -> Callable[[], object]:
    """One product of two matrices, its operands already there."""
    rows, inner, columns = shape
    if format == "float8":
        return _float8_product(shape, device)
    left = torch.randn(rows, inner, device=device, dtype=_DTYPES[format])
    right = torch.randn(inner, columns, device=device, dtype=_DTYPES[format])
    result = torch.empty(rows, columns, device=device, dtype=_DTYPES[format])
    return lambda: torch.mm(left, right, out=result)


def _float8_product(shape: Shape, device: torch.device) -> Callable[[], object]:
    """The right matrix by columns, as the units want it; with the fast sums that training uses forward."""
    rows, inner, columns = shape
    left = torch.randn(rows, inner, device=device).to(torch.float8_e4m3fn)
    right = torch.randn(columns, inner, device=device).to(torch.float8_e4m3fn)
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


