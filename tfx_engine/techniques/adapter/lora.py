"""LoRA: the weights are frozen; a small product of two thin matrices beside each of them is trained.

What it is: a linear layer of n inputs and m outputs gets a detour through r numbers: A narrows (r × n), B widens
(m × r). A begins random (uniform within ±1/sqrt(n)), B at zero, so training begins exactly at the frozen model.
Afterwards the product can be merged into the weight, and the detour costs nothing any more.

Formula: y = W₀ x + (alpha / r) · B A x; dropout, where it is on, falls on the x of the detour.

What it costs: r · (m + n) parameters per adapted layer; only they have gradients and optimizer state. Frozen layers
skip their weight gradients, about a third of a step's FLOPs. Activations stay about as large as before. A model that
begins random learns little this way: LoRA is for adapting a trained one. It wants a learning rate about ten times that
of full training.

Paper: Hu and others, "LoRA: Low-Rank Adaptation of Large Language Models" (2021), arXiv:2106.09685.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tfx_engine.protocol.cards import Effect, Guide
from tfx_engine.protocol.config import Config
from tfx_engine.protocol.options import option
from tfx_engine.techniques.adapter import Adapter
from tfx_engine.techniques.costs import Linear
from tfx_engine.techniques.counts import block_work
from tfx_engine.techniques.initial import initialise
from tfx_engine.techniques.technique import Technique

# N inputs, M outputs, R rank

TARGETS = ("query", "key", "value", "output", "feedforward")


@dataclasses.dataclass(frozen=True)
class Options:
    """What can be chosen."""

    rank: int = option(8, kind="int", label="rank", low=1, high=4096, help="Width of the detour, r.")
    alpha: float = option(
        16.0, kind="float", label="alpha", low=0.001, high=100_000.0, help="The detour is multiplied by alpha / rank."
    )
    dropout: float = option(
        0.0, kind="float", label="dropout", low=0.0, high=0.9,
        help="Share of the detour's input set to zero in training.",
    )
    targets: tuple[str, ...] = option(
        TARGETS, kind="set", label="adapted layers", choices=TARGETS,
        help="query, key, value, output: the projections of the attention. feedforward: all its linear layers.",
    )


class LoraLinear(nn.Linear):
    """A frozen linear layer with its detour. Weight and bias keep their names; while merged there is no detour."""

    def __init__(self, base: nn.Linear, rank: int, scale: float, dropout: float) -> None:
        nn.Module.__init__(self)  # not Linear's: the weights are the base's own, and already there
        self.in_features, self.out_features = base.in_features, base.out_features
        self.weight, self.bias = base.weight, base.bias
        self.scale, self.dropout = scale, dropout
        like = {"device": base.weight.device, "dtype": base.weight.dtype}
        self.adapter_A = nn.Parameter(torch.empty(rank, base.in_features, **like))
        self.adapter_B = nn.Parameter(torch.empty(base.out_features, rank, **like))
        self._unmerged_MN: Tensor | None = None  # while merged: the weight as it was

    def forward(self, x: Tensor) -> Tensor:
        """[..., N] -> [..., M]."""
        y = F.linear(x, self.weight, self.bias)
        if self._unmerged_MN is not None:
            return y
        narrow = F.linear(F.dropout(x, self.dropout, self.training), self.adapter_A)
        return y + F.linear(narrow * self.scale, self.adapter_B)  # scaled where it is smallest

    @torch.no_grad()
    def merge(self) -> None:
        """Add the detour to the weight; a copy of the weight is kept, so that `unmerge` is exact."""
        if self._unmerged_MN is None:
            self._unmerged_MN = self.weight.detach().clone()
            self.weight += self.scale * (self.adapter_B @ self.adapter_A)

    @torch.no_grad()
    def unmerge(self) -> None:
        """The weight as it was before `merge`, to the bit."""
        if self._unmerged_MN is not None:
            self.weight.copy_(self._unmerged_MN)
            self._unmerged_MN = None

    def initialise_parameter(self, name: str, parameter: Tensor, generator: torch.Generator) -> bool:
        """A like a linear layer's default in torch (Kaiming uniform, a = sqrt 5), B zero."""
        if name == "adapter_A":
            bound = 1 / math.sqrt(self.in_features)
            parameter.uniform_(-bound, bound, generator=generator)
        elif name == "adapter_B":
            parameter.zero_()
        return name.startswith("adapter_")


@dataclasses.dataclass(frozen=True)
class Lora:
    """Puts detours beside the linear layers of a model."""

    options: Options
    seed: int
    merges = True

    def apply(self, model: nn.Module) -> None:
        """Freeze the model and add the detours, initialised unless the model is on the meta device."""
        model.requires_grad_(False)
        for name, base in list(self._adapted(model)):
            lora = LoraLinear(base, self.options.rank, self.options.alpha / self.options.rank, self.options.dropout)
            lora.train(base.training)
            model.set_submodule(name, lora)
            if not lora.weight.is_meta:
                initialise(lora, self.seed, prefix=name, only=("adapter_A", "adapter_B"))

    def _adapted(self, model: nn.Module) -> Iterator[tuple[str, nn.Linear]]:
        for name, module in model.named_modules():
            if isinstance(module, nn.Linear) and _target(name) in self.options.targets:
                yield name, module

    def merge(self, model: nn.Module) -> None:
        """Put every detour into its weight."""
        for lora in _loras(model):
            lora.merge()

    def unmerge(self, model: nn.Module) -> None:
        """Take every detour out of its weight again, to the bit."""
        for lora in _loras(model):
            lora.unmerge()


    def rate(self, name: str, parameter: nn.Parameter) -> float:
        """One rate for all."""
        return 1.0


def _target(name: str) -> str:
    """The target that a module belongs to: "blocks.0.feedforward.up" is "feedforward"."""
    parts = name.split(".")
    return "feedforward" if "feedforward" in parts else parts[-1]


def _loras(model: nn.Module) -> Iterator[LoraLinear]:
    return (module for module in model.modules() if isinstance(module, LoraLinear))


def build(options: Options, config: Config) -> Adapter:
    """The adapter for a model that is assembled from this configuration."""
    return Lora(options, config.seed)


def reference(layer: LoraLinear, x: Tensor) -> Tensor:
    """One layer with the product written out (without dropout)."""
    weight_MN = layer.weight + layer.scale * (layer.adapter_B @ layer.adapter_A)
    y = x @ weight_MN.T
    return y if layer.bias is None else y + layer.bias


def beside(options: Options, config: Config, linear: Linear) -> tuple[Linear, ...]:
    """Both thin matrices, beside a layer that is adapted."""
    target = linear.name if linear.name in TARGETS else "feedforward"
    if target not in options.targets:
        return ()
    same: dict[str, Any] = {"copies": linear.copies, "active": linear.active, "beside": linear.name}
    narrow = Linear(f"{linear.name} A", linear.inputs, options.rank, source=linear.source, **same)
    wide = Linear(f"{linear.name} B", options.rank, linear.outputs, source=narrow.name, **same)
    return narrow, wide


def params(options: Options, config: Config) -> int:
    """r (m + n) per adapted layer."""
    adaptable = [linear for linear in block_work(config).linears if linear.adaptable]
    found = [thin for linear in adaptable for thin in beside(options, config, linear)]
    return config.model.layers * sum(thin.parameters for thin in found)


TECHNIQUE = Technique(
    module=__name__,
    slot="adapter",
    order=1,
    title="LoRA",
    short="LoRA",
    summary="The model is frozen; a product of two thin matrices beside each weight is trained.",
    paper="Hu et al. 2021, arXiv:2106.09685",
    guide=Guide(
        choose="a trained model is to be adapted and gradients or optimizer state do not fit.",
        avoid="you train from scratch, or there is much to learn: full training learns more.",
    ),
    build=build,
    reference=reference,
    options=Options,
    params=params,
    beside=beside,
    freezes=True,
    effects=(
        Effect(quantity="parameters", sign="+", formula="rank · (inputs + outputs) per adapted layer; others frozen"),
        Effect(quantity="gradients", sign="-", formula="only the adapters have gradients"),
        Effect(quantity="optimizer", sign="-", formula="only the adapters have optimizer state"),
        Effect(quantity="flops", sign="-", formula="no weight gradients of frozen layers: about a third less"),
        Effect(quantity="activations", sign="+", formula="rank numbers per token and adapted layer"),
    ),
)
