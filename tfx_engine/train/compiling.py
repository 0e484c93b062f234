"""Compiling before the first step, so that no step waits for it: forward and backward once, without any trace of it.

Weights do not move, gradients are not kept, random numbers and buffers are put back: the steps that follow are those
that would have followed without it.
"""

from __future__ import annotations

import time

import torch

from tfx_engine.protocol.marker import tr_mark
from tfx_engine.train.recorder import Recorder
from tfx_engine.train.step import Batch, Training, cut, losses, no_name

# CUDA graphs run a function twice, to warm up and to record, before they play it back.
TIMES = 3
_COMPILED = tr_mark("Compiled in {seconds} s. Graphs: {graphs}.")
_AGAIN = tr_mark("More was compiled while steps ran (graphs: {graphs}): their times are not those of a compiled model.")


class Compilation:
    """That of one run, and whether steps had to wait for more of it."""

    def __init__(self, training: Training, recorder: Recorder) -> None:
        self._training, self._recorder = training, recorder
        self._graphs = 0  # that had been compiled before the first step

    def begin(self, batch: Batch) -> None:
        """Compile before the first step, for that batch's shape."""
        before = compiled_graphs()
        seconds = compile_now(self._training, batch)
        self._graphs = compiled_graphs()
        args = {"seconds": round(seconds, 1), "graphs": self._graphs - before}
        self._recorder.event("state", "compiled", _COMPILED, **args)

    def say_if_there_was_more(self) -> None:
        """At the end of a run."""
        if self._training.is_compiled and (more := compiled_graphs() - self._graphs):
            self._recorder.event("warning", "compiled-again", _AGAIN, graphs=more)


def compile_now(training: Training, batch: Batch) -> float:
    """Compile for every shape that the batch's pieces have; the seconds that it took, with the passes themselves."""
    begun_s = time.perf_counter()
    model, device = training.model, batch[0].device
    trained = [p for p in model.parameters() if p.requires_grad]
    buffers = {name: buffer.clone() for name, buffer in model.named_buffers()}
    counted = torch.ones((), dtype=torch.int64, device=device)
    pieces = {len(piece[0]): piece for piece in cut(batch, training.pieces)}
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        with torch.no_grad(), training.precision():
            model.hidden(batch[0])  # what is made at a first use, such as tables of positions, would break the graph
        for piece in [piece for piece in pieces.values() for _ in range(TIMES)]:
            loss, extra = losses(training, piece, counted, no_name)
            # Not backward(): hooks on parameters would move the weights.
            torch.autograd.grad(loss if extra is None else loss + extra, trained, allow_unused=True)
    for name, buffer in model.named_buffers():
        buffer.copy_(buffers[name])
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - begun_s


def compiled_graphs() -> int:
    """How many graphs this process has compiled so far."""
    from torch._dynamo.utils import counters  # loaded by whoever compiles

    return int(counters["stats"]["unique_graphs"])
