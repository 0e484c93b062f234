"""Made-up speeds of this machine, so that no run of a test measures it first; the worker finds them as its own."""

from __future__ import annotations

import importlib.metadata
import os

from tfx_engine.protocol.ceilings import (
    AttentionRate,
    Ceiling,
    Ceilings,
    Circumstances,
    CopyRate,
    ProductRate,
    save_ceilings,
)
from tfx_engine.protocol.machine import cpu_clock_limit_mhz, cpu_name

PEAK = 1e15  # FLOP/s: no test reaches it


def made_up(circumstances: Circumstances, peak: float = PEAK) -> Ceilings:
    """Ceilings as a measurement on a quiet machine would leave them."""
    return Ceilings(
        circumstances=circumstances, measured_at="2026-01-02T03:04:05+00:00", took_s=1.5, launch_us=4.0,
        flops={"float32": Ceiling(per_s=peak, spread_percent=1.0), "bfloat16": Ceiling(per_s=2 * peak,
                                                                                       spread_percent=2.0)},
        bandwidth=Ceiling(per_s=2e10, spread_percent=1.5), copies=(CopyRate(bytes=2**28, bytes_per_s=2e10),),
        products=(ProductRate(format="float32", rows=512, inner=512, columns=512, flops_per_s=peak),),
        attention=(AttentionRate(format="float32", context=64, head_width=32, backward=False, flops_per_s=peak / 2),),
        operators={"gelu": 1e10}, dispatch_us=12.0, missing={"tf32": "This device has no units for it."},
    )


def this_cpu(threads: int) -> Circumstances:
    """What the worker finds of this machine's CPU, found out without torch."""
    return Circumstances(kind="cpu", name=cpu_name(), torch=importlib.metadata.version("torch"), threads=threads,
                         clock_limit_mhz=cpu_clock_limit_mhz())


def pretend_measured() -> None:
    """Keep made-up speeds of the CPU in the home of the tests, for every number of threads that a test may use."""
    for threads in range(1, max(4, os.cpu_count() or 1) + 1):
        save_ceilings(made_up(this_cpu(threads)))
