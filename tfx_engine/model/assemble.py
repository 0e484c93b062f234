"""From a configuration to a model: techniques composed, weights drawn from (seed, parameter name)."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from tfx_engine.model.transformer import Transformer
from tfx_engine.protocol.config import Config
from tfx_engine.techniques.adapter import Adapter
from tfx_engine.techniques.catalogue import technique_for
from tfx_engine.techniques.initial import initialise
from tfx_engine.techniques.precision import Precision
from tfx_engine.techniques.schedule import Factor


def assemble(config: Config, device: torch.device | str, dtype: torch.dtype = torch.float32) -> Transformer:
    """The model, in training mode. On the device "meta" it has shapes but no numbers, whatever its size.

    Weights are drawn on the CPU in `dtype`, so a seed means the same weights on every device.
    """
    with torch.device("meta"):  # structure first: torch's own initial numbers would be drawn for nothing
        model = _compose(config).to(dtype)
        make_adapter(config).apply(model)
    device = torch.device(device)
    if device.type == "meta":
        return model
    _materialise(model, torch.device("cpu"))
    initialise(model, config.seed)
    return model.to(device)


def make_adapter(config: Config) -> Adapter:
    """The configuration's adapter: `assemble` has applied it; `merge` and `unmerge` are the caller's."""
    return _build("adapter", config)


def make_precision(config: Config) -> Precision:
    """The configuration's precision: `.context(device.type)` goes around forward and loss of each step."""
    return _build("precision", config)


def make_optimizer(config: Config, model: nn.Module) -> torch.optim.Optimizer:
    """The configuration's optimiser over the model's trainable parameters."""
    technique, options = technique_for("optimizer", config.techniques["optimizer"])
    return technique.build(options, model.parameters())


def make_schedule(config: Config) -> Factor:
    """step (from 0) -> factor on each group's learning rate; warm-up and measured steps are counted together."""
    technique, options = technique_for("schedule", config.techniques["schedule"])
    return technique.build(options, config.run.warmup_steps + config.run.measure_steps)


def _build(slot: str, config: Config, *more: Any) -> Any:
    technique, options = technique_for(slot, config.techniques[slot])
    return technique.build(options, config, *more)


def _compose(config: Config) -> Transformer:
    placement = _build("placement", config)
    embedding = _build("embedding", config)
    return Transformer(
        embedding=embedding,
        position=_build("position", config),
        blocks=[_block(config, placement, index) for index in range(config.model.layers)],
        final_norm=_build("norm", config) if placement.final_norm else nn.Identity(),
        head=_build("head", config, embedding),
        mask=_build("mask", config),
        recompute=_build("recompute", config),
    )


def _block(config: Config, placement: Any, index: int) -> nn.Module:
    attention = _build("attention", config)
    attention.label = f"block {index + 1}"
    return placement.block(attention, _build("feedforward", config), lambda: _build("norm", config))


def _materialise(model: nn.Module, device: torch.device) -> None:
    """Give every parameter on the meta device memory, one that is shared only once."""
    made: dict[nn.Parameter, nn.Parameter] = {}
    for module in model.modules():
        for name, parameter in list(module.named_parameters(recurse=False)):
            if parameter not in made:
                # Not empty_like: for a tensor on the meta device it would first load sympy, half a second.
                empty = torch.empty(parameter.shape, dtype=parameter.dtype, device=device)
                made[parameter] = nn.Parameter(empty, requires_grad=parameter.requires_grad)
            setattr(module, name, made[parameter])
