"""From a configuration to everything that training needs, on its device, seeded."""

from __future__ import annotations

import dataclasses

import torch
from torch.optim import Optimizer

from tfx_engine.data import make_task
from tfx_engine.data.task import Task
from tfx_engine.model.assemble import (
    assemble,
    make_clip,
    make_compiler,
    make_loss,
    make_offload,
    make_optimizer,
    make_pieces,
    make_precision,
    make_schedule,
)
from tfx_engine.model.layers import layer_index, layer_names
from tfx_engine.model.transformer import Transformer
from tfx_engine.protocol.config import Config
from tfx_engine.train.step import Training


@dataclasses.dataclass(frozen=True)
class Setup:
    """A model ready to be trained. `layer_of`: parameter name -> number within `layer_names`."""

    config: Config
    device: torch.device
    training: Training
    task: Task
    layer_of: dict[str, int]
    layer_names: list[str]

    @property
    def tokens_per_step(self) -> int:
        """Tokens that go through the model in one step."""
        return self.config.run.batch * self.config.model.context

    @property
    def total_steps(self) -> int:
        """Warm-up and measured steps together."""
        return self.config.run.warmup_steps + self.config.run.measure_steps


def set_up(config: Config, device: torch.device) -> Setup:
    """Seed everything and build. Raises ConfigError where the data cannot be had."""
    if config.run.threads is not None:
        torch.set_num_threads(config.run.threads)
    torch.manual_seed(config.seed)  # what dropout draws; weights and data have seeds of their own
    task = make_task(config)
    make_precision(config).settle()
    model = assemble(config, device)
    training = make_training(config, model, device)
    return Setup(config, device, training, task, layer_index(model), layer_names(model))


def make_training(
    config: Config, model: Transformer, device: torch.device, optimizer: Optimizer | None = None
) -> Training:
    """What the steps of a model need; with another `optimizer` than the configuration's, where one is given."""
    precision, loss, compiler = make_precision(config), make_loss(config), make_compiler(config)
    return Training(
        model=model, forward=compiler(model.hidden), loss=loss,
        nats=compiler(loss.__call__) if loss.is_one_graph else loss,
        optimizer=optimizer or make_optimizer(config, model), schedule=make_schedule(config),
        precision=lambda: precision.context(device.type), scaler=precision.scaler(device.type),
        offload=make_offload(config), pieces=make_pieces(config), clip=make_clip(config),
    )
