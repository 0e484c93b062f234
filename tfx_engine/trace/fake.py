"""A training under fake tensors: a model, an optimizer and a batch of the right shapes, and not one number."""

from __future__ import annotations

import contextlib
import dataclasses
import threading
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager

import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from tfx_engine.data.task import blank_batch
from tfx_engine.measure.gradients import LayerNorms
from tfx_engine.measure.memory_events import Range
from tfx_engine.measure.memory_replay import FOREVER, Block
from tfx_engine.measure.memory_split import MemoryProbe
from tfx_engine.measure.parts import MEASURE
from tfx_engine.model.assemble import assemble, make_precision, materialise
from tfx_engine.model.layers import layer_index, layer_names
from tfx_engine.model.transformer import Transformer
from tfx_engine.protocol.config import Config
from tfx_engine.techniques.optimizer import Together
from tfx_engine.techniques.update import watchers_of
from tfx_engine.trace.accumulating import nobody_else
from tfx_engine.trace.assumed import assuming
from tfx_engine.trace.axes import Point
from tfx_engine.trace.caching import rounded
from tfx_engine.trace.manners import PATIENT, Patience
from tfx_engine.trace.operators import OperatorLog, Operators
from tfx_engine.trace.recorder import Recorder
from tfx_engine.trace.results import Results
from tfx_engine.trace.routing import Routing, evenly
from tfx_engine.train.setup import make_training
from tfx_engine.train.step import Batch, Training, train_step

EVERYTHING: Mapping[str, int] = {}  # the point at which all is run


@dataclasses.dataclass(frozen=True)
class Step:
    """One step's memory: every block with its category, and the parts of the step. Moments are numbers of events."""

    blocks: list[Block]
    ranges: list[Range]
    makers: dict[int, str]  # the operator that allocated at a moment
    operators: Operators


class _State(threading.local):
    is_stood_in = False


_state = _State()


def kind_here(kind: str) -> str:
    """Where this torch knows no CUDA, or within `stand_ins`, tensors of a CPU stand in for those of a card."""
    return "cpu" if kind == "cuda" and (_state.is_stood_in or not torch.cuda.is_available()) else kind


@contextlib.contextmanager
def stand_ins() -> Iterator[None]:
    """Within, tensors of a CPU stand in for those of a card on this thread."""
    _state.is_stood_in = True
    try:
        yield
    finally:
        _state.is_stood_in = False


@contextlib.contextmanager
def fake_training(
    config: Config, kind: str = "cpu", routing: Routing | None = None, point: Point = EVERYTHING,
    patience: Patience | None = None,
) -> Iterator[tuple[Training, Batch]]:
    """A training and its batch under fake tensors, after its first step: the optimizer has its state, tables are made.

    What runs within is fake too, and has as much of each axis as `point` says. Raises `GivenUp` where `patience` ends.
    """
    nobody_else()  # which is learnt outside of all modes
    device = torch.device(kind_here(kind))
    patience = patience or PATIENT.begun()
    with assuming(routing or evenly(config), device.type, point, patience.pause) as answers:
        patience.go_on()
        model = assemble(config, "meta")
        patience.go_on()
        # Autograd would take the backward pass of a card's tensors to a thread of its own, which knows no assumptions.
        with _uncompiled(device), FakeTensorMode() as mode, answers, torch.autograd.set_multithreading_enabled(False):
            answers.results = Results(mode)
            _settle(model, device, make_precision(config).dtype)
            training = make_training(config, model, device)
            batch = blank_batch(config, device)
            _begin(training, batch)
            training.optimizer.zero_grad(set_to_none=True)
            model.after_step()
            patience.go_on()
            yield training, batch


def _uncompiled(device: torch.device) -> AbstractContextManager[object]:
    """On a card what was compiled would run for fake tensors too, on memory that is none, and end the process."""
    return torch.compiler.set_stance("force_eager") if device.type == "cuda" else contextlib.nullcontext()


def fake_step(
    config: Config, kind: str, routing: Routing | None = None, point: Point = EVERYTHING,
    patience: Patience | None = None, all_pieces: bool = False,
) -> Step:
    """The second step of a training: by then the optimizer has its state and tables are made.

    `all_pieces`: go through every piece of a batch, not only through those that are not like the one before.
    """
    patience = patience or PATIENT.begun()
    with fake_training(config, kind, routing, point, patience) as (training, batch):
        log = OperatorLog(make_precision(config).product_format)
        threads = config.run.threads or torch.get_num_threads()
        recorder = Recorder(kind_here(kind), kind, threads, log, patience.go_on)
        if not all_pieces:
            training = dataclasses.replace(training, chosen=lambda pieces: _unlike(pieces, log))
        return _recorded(config, training, batch, recorder, log)


def _recorded(config: Config, training: Training, batch: Batch, recorder: Recorder, log: OperatorLog) -> Step:
    model = training.model
    norms = LayerNorms(model, layer_index(model), len(layer_names(model)))
    if config.run.probes and (watchers := watchers_of(training.optimizer)) is not None:
        watchers.append(norms.take)
    if config.run.probes:  # what readings keep for all steps is made
        _give_gradients(model)
        norms.of_gradients()
        training.optimizer.zero_grad(set_to_none=True)

    def on_gradients() -> None:
        with recorder.within(MEASURE):
            if config.run.probes:
                norms.of_gradients()
        probe.gradients_are_there()

    probe = MemoryProbe(model, training.optimizer, batch, batch[1].device, recorder)
    with probe:
        train_step(training, batch, 1, recorder.within, on_gradients)
    blocks, ranges = probe.blocks()
    blocks = [b for b in blocks if b.category != "activations" or b.died_ns != FOREVER]  # kept, but not by every step
    if recorder.kernels_of == "cuda":
        for block in blocks:
            block.size = rounded(block.size)
    return Step(blocks, ranges, recorder.makers, log.seen)


def _unlike(pieces: Iterator[Batch], log: OperatorLog) -> Iterator[Batch]:
    """Of the pieces of a batch those that are not like the one before, the first apart: it finds no gradients.

    Each goes its way from the same memory to the same memory, so that those left out would change nothing.
    """
    all = list(pieces)
    sizes = [0, *(len(piece[0]) for piece in all[1:])]
    for i, piece in enumerate(all):
        if i == 0 or sizes[i] != sizes[i - 1]:
            log.weight = 1 if i == 0 else sizes.count(sizes[i])
            yield piece
    log.weight = 1


def _begin(training: Training, batch: Batch) -> None:
    """What a first step leaves behind, but for tables and choices of kernels: state of the optimizer and the scaler."""
    if training.scaler is not None:
        training.scaler.scale(torch.zeros((), device=batch[1].device))
    _give_gradients(training.model)
    parts = training.optimizer.parts if isinstance(training.optimizer, Together) else [training.optimizer]
    for part in parts:
        part.step()


def _give_gradients(model: Transformer) -> None:
    for parameter in model.parameters():
        if parameter.requires_grad:
            parameter.grad = torch.empty_like(parameter)


def _settle(model: Transformer, device: torch.device, dtype: torch.dtype) -> None:
    """Move a model from the meta device to one that looks like `device`."""
    materialise(model, device)
    for module in model.modules():
        for name, buffer in module.named_buffers(recurse=False):
            module._buffers[name] = torch.empty(buffer.shape, dtype=buffer.dtype, device=device)
    model.position.prepare(device, dtype)
