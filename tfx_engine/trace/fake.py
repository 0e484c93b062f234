"""A training under fake tensors: a model, an optimizer and a batch of the right shapes, and not one number."""

from __future__ import annotations

import dataclasses

import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from tfx_engine.data.task import IGNORED, blank_batch
from tfx_engine.measure.gradients import LayerNorms
from tfx_engine.measure.memory_events import Range
from tfx_engine.measure.memory_replay import Block
from tfx_engine.measure.memory_split import MemoryProbe
from tfx_engine.measure.parts import MEASURE
from tfx_engine.model.assemble import assemble, make_precision, materialise
from tfx_engine.model.layers import layer_index, layer_names
from tfx_engine.model.transformer import Transformer
from tfx_engine.protocol.config import Config
from tfx_engine.techniques.optimizer import Together
from tfx_engine.techniques.update import watchers_of
from tfx_engine.trace.assumed import Routing, assumed, evenly
from tfx_engine.trace.caching import rounded
from tfx_engine.trace.recorder import Recorder
from tfx_engine.train.setup import make_training
from tfx_engine.train.step import Batch, Training, cut, losses, no_name, train_step


@dataclasses.dataclass(frozen=True)
class Step:
    """One step's memory: every block with its category, and the parts of the step. Moments are numbers of events."""

    blocks: list[Block]
    ranges: list[Range]
    makers: dict[int, str]  # the operator that allocated at a moment


def fake_step(config: Config, kind: str, routing: Routing = evenly) -> Step:
    """The second step of a training: by then the optimizer has its state and tables are made.

    Where this torch knows no CUDA, tensors of a CPU stand in for those of a card.
    """
    device = torch.device("cpu" if kind == "cuda" and not torch.cuda.is_available() else kind)
    model = assemble(config, "meta")
    with FakeTensorMode(), assumed(routing, kind):
        settle(model, device, make_precision(config).dtype)
        training = make_training(config, model, device)
        batch = blank_batch(config, device)
        norms = LayerNorms(model, layer_index(model), len(layer_names(model)))
        if config.run.probes and (watchers := watchers_of(training.optimizer)) is not None:
            watchers.append(norms.take)

        def take_norms() -> None:
            if config.run.probes:
                norms.of_gradients()

        def on_gradients() -> None:
            with recorder.within(MEASURE):
                take_norms()
            probe.gradients_are_there()

        begin(training, batch)
        take_norms()
        training.optimizer.zero_grad(set_to_none=True)
        model.after_step()
        recorder = Recorder(device.type, kind, config.run.threads or torch.get_num_threads())
        probe = MemoryProbe(model, training.optimizer, batch, device, recorder)
        with probe:
            train_step(training, batch, 1, recorder.within, on_gradients)
        blocks, ranges = probe.blocks()
    if kind == "cuda":
        for block in blocks:
            block.size = rounded(block.size)
    return Step(blocks, ranges, recorder.makers)


def begin(training: Training, batch: Batch) -> None:
    """What a first step leaves behind: state of the optimizer, tables, choices of kernels. Without a backward pass."""
    pieces = {len(piece[0]): piece for piece in cut(batch, training.pieces)}  # a choice is made for every shape
    for piece in pieces.values():
        loss, _ = losses(training, piece, (batch[1] != IGNORED).sum(), no_name)
        if training.scaler is not None:
            training.scaler.scale(loss)
        del loss
    for parameter in training.model.parameters():
        if parameter.requires_grad:
            parameter.grad = torch.empty_like(parameter)
    parts = training.optimizer.parts if isinstance(training.optimizer, Together) else [training.optimizer]
    for part in parts:
        part.step()


def settle(model: Transformer, device: torch.device, dtype: torch.dtype) -> None:
    """Move a model from the meta device to one that looks like `device`."""
    materialise(model, device)
    for module in model.modules():
        for name, buffer in module.named_buffers(recurse=False):
            module._buffers[name] = torch.empty(buffer.shape, dtype=buffer.dtype, device=device)
    model.position.prepare(device, dtype)
