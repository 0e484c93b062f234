"""One profiled step as a file that others open: Chrome's trace format, and the allocator's own snapshot on CUDA."""

from __future__ import annotations

import gzip
import pickle
import tempfile
from collections.abc import Callable
from pathlib import Path

import torch
from torch.profiler import profile

from tfx_engine.protocol.marker import tr_mark

MOST_BYTES = 2**24  # of a trace, compressed: what a run file may grow by
MOST_JSON_BYTES = 2**28  # what is worth compressing at all
SNAPSHOT_ENTRIES = 200_000  # allocations and frees with their stacks
_TOO_LARGE = tr_mark("The trace of one step has {size} MiB, more than the {most} MiB that a run file keeps.")


def packed_trace(looking: profile) -> tuple[bytes | None, str]:
    """(the step's trace, compressed; why there is none)."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "trace.json"
        looking.export_chrome_trace(str(path))
        size = path.stat().st_size
        packed = gzip.compress(path.read_bytes(), 5) if size <= MOST_JSON_BYTES else b""
    if packed and len(packed) <= MOST_BYTES:
        return packed, ""
    most = (MOST_BYTES if packed else MOST_JSON_BYTES) >> 20
    return None, _TOO_LARGE.format(size=(len(packed) or size) >> 20, most=most)


def allocator_snapshot(step: Callable[[], None]) -> bytes:
    """What CUDA's allocator holds after a step, and every allocation and free in it with its stack, pickled.

    For https://docs.pytorch.org/memory_viz.
    """
    torch.cuda.memory._record_memory_history(max_entries=SNAPSHOT_ENTRIES)
    try:
        step()
        torch.cuda.synchronize()
        return pickle.dumps(torch.cuda.memory._snapshot())
    finally:
        torch.cuda.memory._record_memory_history(enabled=None)
