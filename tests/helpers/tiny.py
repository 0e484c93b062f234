"""Configurations small enough for a test, and what is done with the models made from them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from tfx_engine.estimate.parameters import Parameters
from tfx_engine.model.assemble import assemble, make_optimizer, make_precision, make_schedule
from tfx_engine.model.transformer import Transformer
from tfx_engine.protocol.config import Config, parse_config
from tfx_engine.protocol.tasks import TASKS
from tfx_engine.techniques.adapter import count_numbers
from tfx_engine.techniques.catalogue import discover
from tfx_engine.techniques.slots import SLOTS

# Odd on purpose: nothing divides anything, and heads times head width is not the width.
SIZES: dict[str, Any] = {"width": 7, "layers": 2, "heads": 3, "head_width": 5, "context": 9, "vocab": 11}


def with_required(techniques: Mapping[str, Any]) -> dict[str, Any]:
    """The techniques, and in slots that are not given the first of those that they require."""
    found = dict(techniques)
    for slot, given in techniques.items():
        name = given if isinstance(given, str) else given.get("use", SLOTS[slot].default)
        technique = discover().get((slot, name))
        for rule in technique.requires if technique else ():
            if SLOTS[rule.slot].default not in rule.names:
                found.setdefault(rule.slot, rule.names[0])
    return found


def tiny_config(techniques: Mapping[str, Any] | None = None, **sections: Any) -> Config:
    """A legal configuration of odd sizes; `model={...}` and the like change single keys."""
    data = {"task": "copy", "symbols": 5, **sections.pop("data", {})}
    sizes = {k: v for k, v in SIZES.items() if k != "context" or not TASKS[data["task"]].frames}
    wanted = {
        "model": {**sizes, **sections.pop("model", {})},
        "data": data,
        "run": {
            "batch": 3, "warmup_steps": 1, "measure_steps": 4, "device": "cpu", "audit": False, "profile": False,
            **sections.pop("run", {}),
        },
        "techniques": with_required(techniques or {}),
        **sections,
    }
    config, problems = parse_config(wanted)
    assert not problems, "\n".join(p.sentence() for p in problems)
    return config


def task_for(slot: str, name: str, usual: str = "copy") -> str:
    """A task that a technique is made for."""
    kinds = discover()[slot, name].kinds
    return usual if not kinds or "language" in kinds else {"answers": "multi_lag", "classes": "digits"}[kinds[0]]


def loss_of(model: Transformer, inputs_BT: Tensor, targets_BT: Tensor) -> Tensor:
    """Mean cross-entropy of the targets that count."""
    return F.cross_entropy(model(inputs_BT).flatten(0, -2), targets_BT.flatten(), ignore_index=-100)


def train(model: Transformer, config: Config, batches: list[tuple[Tensor, Tensor]]) -> list[float]:
    """A bare training loop with the configuration's precision, optimizer and schedule; the losses."""
    optimizer, factor, precision = make_optimizer(config, model), make_schedule(config), make_precision(config)
    rates = [group["lr"] for group in optimizer.param_groups]
    losses = []
    for step, (inputs_BT, targets_BT) in enumerate(batches):
        for group, rate in zip(optimizer.param_groups, rates, strict=True):
            group["lr"] = rate * factor(step)
        with precision.context("cpu"):
            loss = loss_of(model, inputs_BT, targets_BT)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


def counted_parameters(config: Config) -> Parameters:
    """What the closed form should say: the parameters of the model itself."""
    model = assemble(config, "meta")
    return Parameters(total=count_numbers(model), trainable=count_numbers(model, trained_only=True))


def gradients(model: torch.nn.Module) -> dict[str, Tensor]:
    """Copies of all gradients, by the name of the parameter."""
    return {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}
