"""A training under fake tensors: a model, an optimizer and a batch of the right shapes, and not one number."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator

import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from tfx_engine.data.task import blank_batch
from tfx_engine.measure.gradients import LayerNorms
from tfx_engine.measure.memory_events import Range
from tfx_engine.measure.memory_replay import Block
from tfx_engine.measure.memory_split import MemoryProbe
from tfx_engine.measure.parts import MEASURE
from tfx_engine.model.assemble import assemble, make_precision, materialise
from tfx_engine.model.layers import layer_index, layer_names
from tfx_engine.model.transformer import Transformer
from tfx_engine.protocol.config import Config
from tfx_engine.trace.recorder import Recorder
from tfx_engine.train.setup import make_training
from tfx_engine.train.step import train_step


@dataclasses.dataclass(frozen=True)
class Step:
    """One step's memory: every block with its category, and the parts of the step. Moments are numbers of events."""

    blocks: list[Block]
    ranges: list[Range]


def fake_step(config: Config, device: torch.device) -> Step:
    """The second step of a training: by then the optimizer has its state and tables are made."""
    model = assemble(config, "meta")
    with fake_tensors():
        _settle(model, device, make_precision(config).dtype)
        training = make_training(config, model, device)
        batch = blank_batch(config, device)
        train_step(training, batch, 0)
        recorder = Recorder(device.type)
        probe = MemoryProbe(model, training.optimizer, batch, device, recorder)
        norms = LayerNorms(model, layer_index(model), len(layer_names(model)))

        def on_gradients() -> None:
            if config.run.probes:
                with recorder.within(MEASURE):
                    norms.of_gradients()
            probe.gradients_are_there()

        with probe:
            train_step(training, batch, 1, recorder.within, on_gradients)
        return Step(*probe.blocks())


def _settle(model: Transformer, device: torch.device, dtype: torch.dtype) -> None:
    """Move a model from the meta device to one that looks like `device`."""
    materialise(model, device)
    for module in model.modules():
        for name, buffer in module.named_buffers(recurse=False):
            module._buffers[name] = torch.empty(buffer.shape, dtype=buffer.dtype, device=device)
    model.position.prepare(device, dtype)


@contextlib.contextmanager
def fake_tensors() -> Iterator[None]:
    """Within, every new tensor is fake."""
    with FakeTensorMode():
        yield
