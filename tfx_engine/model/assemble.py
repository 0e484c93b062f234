"""From a configuration to a model: techniques composed, weights drawn from (seed, parameter name)."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from typing import Any

import torch
from torch import Tensor, nn

from tfx_engine.model import weights
from tfx_engine.model.transformer import Transformer
from tfx_engine.protocol.config import Choice, Config
from tfx_engine.techniques.adapter import Adapter
from tfx_engine.techniques.catalogue import technique_for
from tfx_engine.techniques.init import Initial
from tfx_engine.techniques.initial import initialise
from tfx_engine.techniques.loss import Loss
from tfx_engine.techniques.owners import sign
from tfx_engine.techniques.placement import Parts, Placement
from tfx_engine.techniques.precision import Precision
from tfx_engine.techniques.residual import Residual
from tfx_engine.techniques.schedule import Factor
from tfx_engine.techniques.scores import HeadShape, Scores


def assemble(
    config: Config, device: torch.device | str, dtype: torch.dtype | None = None, partly_from: str | None = None
) -> Transformer:
    """The model, in training mode. On the device "meta" it has shapes but no numbers, whatever its size.

    Weights are drawn on the CPU, so a seed means the same weights on every device, or come from the file that the
    configuration starts from; the adapter then begins at these. `dtype`: what they are kept in, if not what the
    configuration's precision says. `partly_from`: a file of weights, of which those are taken that fit. Raises
    ConfigError where the file that the configuration starts from does not fit.
    """
    precision = make_precision(config)
    dtype = dtype or precision.dtype
    drawn = torch.promote_types(dtype, torch.float32)  # a rounded weight is the float32 one, rounded
    with torch.device("meta"):  # structure first: torch's own initial numbers would be drawn for nothing
        model = _all_in(_compose(config), drawn)
        precision.convert(model)
    device = torch.device(device)
    if device.type != "meta":
        materialise(model, torch.device("cpu"))
        initialise(model, config.seed, fill=make_initial(config).fill, gain=_build("placement", config).gain)
        weights.load(config, model)
        if partly_from is not None:
            weights.load_what_fits(partly_from, model)
    make_adapter(config).apply(model)
    if device.type == "meta":
        return _all_in(model, dtype, device)  # also the buffers of somebody's module, which have numbers
    model.position.prepare(device, dtype)
    return model.to(device=device, dtype=dtype)


def _all_in(model: Transformer, dtype: torch.dtype, device: torch.device | None = None) -> Transformer:
    """The model in a format, on a device. To look whether it is there costs less than to have torch do nothing."""
    def is_there(x: Tensor) -> bool:
        return device in (None, x.device) and (x.dtype == dtype or not x.is_floating_point())

    if all(map(is_there, model.parameters())) and all(map(is_there, model.buffers())):
        return model
    return model.to(device=device, dtype=dtype)


def without_adapter(config: Config) -> Config:
    """The same with every weight trained: its model is the one that weights on disk fit."""
    return dataclasses.replace(config, techniques={**config.techniques, "adapter": Choice("none")})


def make_adapter(config: Config) -> Adapter:
    """The configuration's adapter: `assemble` has applied it; `merge` and `unmerge` are the caller's."""
    return _build("adapter", config)


def make_precision(config: Config) -> Precision:
    """The configuration's precision: `.context(device.type)` goes around forward and loss of each step."""
    return _build("precision", config)


def make_initial(config: Config) -> Initial:
    """What the configuration says of initial weights, and of what follows from them."""
    return _build("init", config)


def make_loss(config: Config) -> Loss:
    """What the configuration's training makes small."""
    return _build("loss", config)


def make_optimizer(config: Config, model: nn.Module) -> torch.optim.Optimizer:
    """The configuration's optimiser over the model's trainable parameters, with whatever hooks its update needs."""
    technique, options = technique_for("optimizer", config.techniques["optimizer"])
    initial, adapter = make_initial(config), make_adapter(config)

    def rate(name: str, parameter: nn.Parameter) -> float:
        return initial.rate(name, parameter) * adapter.rate(name, parameter)

    return _build("update", config).attach(model, lambda named: technique.build(options, named, rate))


def make_offload(config: Config) -> Callable[[], AbstractContextManager[Any]]:
    """() -> what goes around forward and loss, so that activations wait where the configuration says."""
    return _build("offload", config)


def make_clip(config: Config) -> Callable[[Iterable[nn.Parameter]], None] | None:
    """What bounds gradients before they move weights, or None."""
    return _build("clip", config)


def make_pieces(config: Config) -> int:
    """How many pieces a batch goes through the model in."""
    return _build("accumulation", config)


def make_compiler(config: Config) -> Callable[[Any], Any]:
    """What is done to the forward pass before it is used."""
    return _build("compile", config)


def make_schedule(config: Config) -> Factor:
    """step (from 0) -> factor on each group's learning rate; warm-up and measured steps are counted together."""
    technique, options = technique_for("schedule", config.techniques["schedule"])
    return technique.build(options, config.run.warmup_steps + config.run.measure_steps)


def _build(slot: str, config: Config, *more: Any) -> Any:
    technique, options = technique_for(slot, config.techniques[slot])
    built = technique.build(options, config, *more)
    if isinstance(built, nn.Module):
        sign(built, slot, technique.name)
    return built


def _compose(config: Config) -> Transformer:
    placement, residual = _build("placement", config), _build("residual", config)
    embedding = _build("embedding", config)
    return Transformer(
        embedding=embedding,
        position=_build("position", config),
        embedding_norm=_build("norm", config) if embedding.normed else nn.Identity(),
        blocks=[_block(config, placement, residual, layer) for layer in range(config.model.layers)],
        final_norm=_build("norm", config) if placement.final_norm else nn.Identity(),
        head=_build("head", config, embedding, make_initial(config).output_multiplier),
        mask=_build("mask", config),
        residual=residual,
        recompute=_build("recompute", config),
    )


def _block(config: Config, placement: Placement, residual: Residual, layer: int) -> nn.Module:
    def make_scores(shape: HeadShape) -> Scores:
        return _scores(config, layer, shape)

    def make_attention() -> nn.Module:
        return _build("attention", config, make_scores)

    return placement.block(Parts(
        attention=_build("mixer", config, make_attention),
        feedforward=_build("feedforward", config),
        make_norm=lambda: _build("norm", config),
        make_connection=lambda branch: residual.connection(layer, branch),
    ))


def _scores(config: Config, layer: int, shape: HeadShape) -> Scores:
    """Everything that acts on the scores of one layer's attention."""
    return Scores(
        layer=layer,
        scale=shape.scale or make_initial(config).attention_scale(shape.width),
        kernel=_build("kernel", config),
        window=_build("window", config).size(layer),
        softcap=_build("softcap", config),
        qk_norm=_build("qk_norm", config, shape),
        sink=_build("sink", config, shape.heads),
        gate=_build("gate", config, shape),
    )


def materialise(model: nn.Module, device: torch.device) -> None:
    """Give every parameter on the meta device memory, one that is shared only once. There are no numbers in it yet."""
    made: dict[nn.Parameter, nn.Parameter] = {}
    for module in model.modules():
        for name, parameter in list(module.named_parameters(recurse=False)):
            if parameter not in made:
                # Not empty_like: for a tensor on the meta device it would first load sympy, half a second.
                empty = torch.empty(parameter.shape, dtype=parameter.dtype, device=device)
                made[parameter] = nn.Parameter(empty, requires_grad=parameter.requires_grad)
            setattr(module, name, made[parameter])
