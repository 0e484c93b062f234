"""What an exported script does: build, check, train, compare. Only its source is used, never the module."""

from __future__ import annotations

import argparse
import math
import platform
from typing import Any

import torch
from torch import Tensor

from tfx_engine.data.task import IGNORED, Task
from tfx_engine.data.tasks import make_task
from tfx_engine.model.assemble import assemble, make_precision
from tfx_engine.script.given import (
    CONFIG,
    DATA_SHA256,
    LOSSES,
    PARAMETERS,
    RECORDED_WITH,
    STEPS,
    TOLERANCE,
    TRAINABLE,
)
from tfx_engine.script.stand_ins import device_of
from tfx_engine.techniques.adapter import count_numbers
from tfx_engine.train.setup import make_training
from tfx_engine.train.step import Batch, Training, cut, set_learning_rate


def train_step(training: Training, batch: Batch, index: int) -> Tensor:
    """Do step `index` (from 0) and return its mean loss in nats."""
    optimizer, scaler = training.optimizer, training.scaler
    set_learning_rate(optimizer, training.schedule(index))
    counted = (batch[1] != IGNORED).sum()
    total = torch.zeros((), device=counted.device)
    for inputs, targets in cut(batch, training.pieces):
        with training.precision(), training.offload():
            x_BTD = training.forward(inputs)
            loss, extra = training.nats(training.model.head, x_BTD, targets, counted), training.model.auxiliary_loss()
        total = total + loss.detach()
        loss = loss if extra is None else loss + extra / training.pieces
        (loss if scaler is None else scaler.scale(loss)).backward()
        del loss, extra
    if scaler is not None:
        scaler.unscale_(optimizer)
    if training.clip is not None:
        training.clip(training.model.parameters())
    if scaler is None:
        optimizer.step()
    else:
        scaler.step(optimizer)
        scaler.update()
    optimizer.zero_grad(set_to_none=True)
    training.model.after_step()
    return total


def prepare(device: torch.device) -> tuple[Training, Task]:
    """Seed everything and build the model, its optimiser and its data."""
    torch.manual_seed(CONFIG.seed)  # what dropout draws; weights and data have seeds of their own
    task = make_task(CONFIG)
    make_precision(CONFIG).settle()
    return make_training(CONFIG, assemble(CONFIG, device), device), task


def is_same_machine(device: torch.device) -> bool:
    """Whether the losses must be those of the run to the bit: the same torch and kind of CPU, as many threads."""
    here = {"torch": torch.__version__, "cpu": torch.backends.cpu.get_cpu_capability(), "machine": platform.machine(),
            "threads": torch.get_num_threads(), "device": device.type}
    return device.type == "cpu" and all(here[key] == RECORDED_WITH.get(key) for key in here)


def check_model(training: Training, task: Task) -> None:
    """The model has the parameters of the run, and the data is the same."""
    model = training.model
    total, trainable = count_numbers(model), count_numbers(model, trained_only=True)
    assert (total, trainable) == (PARAMETERS, TRAINABLE), f"{total} parameters, {trainable} trained"
    sha256 = task.facts()["sha256"]
    assert sha256 == DATA_SHA256, "The data is not that of the run: " + sha256


def check_loss(index: int, loss: float, is_exact: bool) -> str:
    """Compare a step's loss with the recorded one; what is to be said of it."""
    if index >= len(LOSSES):
        return ""
    recorded = LOSSES[index]
    if loss == recorded or (math.isnan(loss) and math.isnan(recorded)):
        return "  equal to the run's"
    assert not is_exact, f"step {index + 1}: {loss!r}, but the run had {recorded!r}"
    off = abs(loss - recorded) / abs(recorded)
    assert index > 0 or off <= TOLERANCE, f"step 1: {loss!r} is {off:.1%} off the run's {recorded!r}"
    return f"  {off:.2g} of it off the run's"  # later ones drift apart: small differences grow


def main(arguments: list[str] | None = None) -> list[float]:
    """Train; the losses."""
    parser = argparse.ArgumentParser(description="Trains the model of a recorded run, and compares its losses.")
    parser.add_argument("--steps", type=int, default=STEPS, help="how many (the run had %(default)s)")
    parser.add_argument("--device", default=CONFIG.run.device, help="cpu, cuda, cuda:1, mps, xpu (%(default)s)")
    asked: Any = parser.parse_args(arguments)
    if CONFIG.run.threads is not None:
        torch.set_num_threads(CONFIG.run.threads)
    device = device_of(asked.device)
    training, task = prepare(device)
    check_model(training, task)
    is_exact, losses = is_same_machine(device), []
    for index in range(asked.steps):
        losses.append(train_step(training, task.batch(index, device), index).item())
        print(f"step {index + 1}: loss {losses[-1]:.6f}{check_loss(index, losses[-1], is_exact)}", flush=True)
    return losses


if __name__ == "__main__":
    main()
