"""QLoRA: LoRA beside weights that are kept in 4 bits.

What it is: in LoRA the frozen weights are only read, so they need not be kept exactly. QLoRA keeps every weight that it
adapts in NF4: blocks of 64 numbers are divided by their largest size, and each number becomes the nearest of 16 values
that are spaced as a normal distribution's quantiles are. For each product, forward and backward, the weight is unpacked
to the format in which the model computes and dropped again. The detours A and B beside it are kept and trained in full,
and make good what rounding has taken away. Embedding, norms, biases and head stay as they are.

The largest sizes of the blocks are themselves kept in 8 bits ("double quantisation"), which brings a weight from 4.5
to about 4.13 bits.

Formula: y = unpack(W₄) x + b + s · B A x, s = alpha / r

What it costs: 0.52 bytes per adapted weight instead of 4, beside r · (m + n) trained parameters as in LoRA. Unpacking
takes time, twice per layer and step, and a matrix of the weight's size for the moment of each product. The model that
training begins at is not exactly the one before: normally distributed weights are off by about 9 % of their deviation.
Merging gives full-size weights again.

Choose it where even the frozen weights of the model to be adapted do not fit. Rather not where they do: LoRA is faster
and begins at the exact model. On small models it saves little, since the embedding table is not packed.

Paper: Dettmers and others, "QLoRA: Efficient Finetuning of Quantized LLMs" (2023), arXiv:2305.14314.
"""

from __future__ import annotations

import functools
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tfx_engine.protocol.cards import Effect, Guide
from tfx_engine.protocol.config import Config
from tfx_engine.techniques.adapter import Adapter
from tfx_engine.techniques.adapting import is_target
from tfx_engine.techniques.claims import EveryGradient, Merges, Quiet, TrainsOnly
from tfx_engine.techniques.costs import Linear
from tfx_engine.techniques.counts import block_parts
from tfx_engine.techniques.lowrank import (
    LowRankLinear,
    LowRankOptions,
    adapts,
    check,
    detour_memory,
    low_rank,
    params,
)
from tfx_engine.techniques.nf4 import BLOCK, SCALER_BLOCK, VALUES, Nf4, bits_per_number, dequantise, quantise
from tfx_engine.techniques.tape import Tape, Value
from tfx_engine.techniques.technique import Technique, all_alike

# N inputs, M outputs

_PARTS = ("codes", "sizes", "steps", "mean")


class _FrozenProduct(torch.autograd.Function):
    """x Wᵀ with W unpacked for the moment; the backward pass unpacks it anew instead of keeping it."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, shape: tuple[int, ...], *packed: Tensor) -> Tensor:
        ctx.shape = shape
        ctx.save_for_backward(*packed)
        return F.linear(x, dequantise(Nf4.of(packed, shape), x.dtype))

    @staticmethod
    def backward(ctx: Any, *slopes: Tensor) -> tuple[Tensor | None, ...]:
        (slope,) = slopes
        needed = ctx.needs_input_grad[0]
        grad = slope @ dequantise(Nf4.of(ctx.saved_tensors, ctx.shape), slope.dtype) if needed else None
        return grad, None, *(None for _ in _PARTS)


class QloraLinear(LowRankLinear):
    """A detour beside a weight in 4 bits: `weight_codes` and so on, and no `weight` until it is merged."""

    def __init__(self, base: nn.Linear, options: LowRankOptions) -> None:
        super().__init__(base, options)
        packed = quantise(base.weight)
        for part in _PARTS:
            self.register_parameter(f"weight_{part}", nn.Parameter(getattr(packed, part), requires_grad=False))
        self.register_parameter("weight", None)
        self._packed: dict[str, nn.Parameter] | None = None  # while merged

    @property
    def numbers_packed(self) -> int:
        """How many more numbers the packed weight stands for than it holds."""
        if self.is_merged:
            return 0
        return self.out_features * self.in_features - sum(p.numel() for p in self._parts())

    @property
    def is_merged(self) -> bool:
        """Whether there is one full-size weight now."""
        return self._packed is not None

    def base_weight(self, dtype: torch.dtype) -> Tensor:
        """The frozen weight, unpacked."""
        return dequantise(Nf4.of(self._parts(), (self.out_features, self.in_features)), dtype)

    def _parts(self) -> list[Tensor]:
        return [getattr(self, f"weight_{part}") for part in _PARTS]

    def forward(self, x: Tensor) -> Tensor:
        """[..., N] -> [..., M]."""
        if self.is_merged:
            return F.linear(x, self.weight, self.bias)
        y = _FrozenProduct.apply(x, (self.out_features, self.in_features), *self._parts()) + self.detour(x)
        return y if self.bias is None else y + self.bias

    @torch.no_grad()
    def merge(self) -> None:
        """One weight of full size, with the detour in it; the packed one is kept aside, so `unmerge` is exact."""
        if not self.is_merged:
            merged = self.base_weight(self.adapter_A.dtype) + self.change()
            self._packed = {f"weight_{part}": getattr(self, f"weight_{part}") for part in _PARTS}
            for name in self._packed:
                setattr(self, name, None)
            self.weight = nn.Parameter(merged, requires_grad=False)

    @torch.no_grad()
    def unmerge(self) -> None:
        """The packed weight as it was before `merge`, to the bit."""
        if self._packed is not None:
            for name, part in self._packed.items():
                setattr(self, name, part)
            self._packed = None
            self.register_parameter("weight", None)


def build(options: LowRankOptions, config: Config) -> Adapter:
    """The adapter for a model that is assembled from this configuration."""
    return low_rank(options, config, QloraLinear)


def reference(layer: QloraLinear, x: Tensor) -> Tensor:
    """Number by number out of the 4 bits, then the product written out."""
    sizes, steps, mean = layer.weight_sizes, layer.weight_steps.view(torch.float32), layer.weight_mean
    numbers = []
    for i in range(layer.out_features * layer.in_features):
        byte = int(layer.weight_codes[i // 2])
        value = torch.tensor(VALUES[byte % 16 if i % 2 else byte // 16])
        block = i // BLOCK
        numbers.append(value * (sizes[block].float() * steps[block // SCALER_BLOCK] + mean.view(torch.float32)))
    weight_MN = torch.stack(numbers).view(layer.out_features, layer.in_features).to(x.dtype)
    y = x @ (weight_MN + layer.scale * (layer.adapter_B @ layer.adapter_A)).T
    return y if layer.bias is None else y + layer.bias


def memory(tape: Tape, options: LowRankOptions, linear: Linear, x: Value) -> Value:
    """As LoRA; the weights are unpacked for each product, and nothing else of them is kept."""
    if not is_target(options, linear, tape.slot):
        return tape.plain_linear(linear, x)
    whole = linear.weights * x.width
    y = tape.make(x, numbers=x.numbers // linear.inputs * linear.outputs, scratch=5 * whole, back=5 * whole)
    y = tape.add(y, detour_memory(tape, options, linear, x))
    return tape.make(y, passes=1) if linear.bias else y


def held(options: LowRankOptions, config: Config, width: int) -> int:
    """Bytes that packing saves of weights of `width` bytes."""
    packed = [x.weights for work in block_parts(config) for x in work.linears if is_target(options, x, work.slot)]
    return config.model.layers * round(sum(n * (width - bits_per_number(n) / 8) for n in packed))


TECHNIQUE = Technique(
    module=__name__,
    slot="adapter",
    order=3,
    title="QLoRA",
    short="QLoRA",
    summary="LoRA beside weights that are kept in 4 bits.",
    paper="Dettmers et al. 2023, arXiv:2305.14314",
    guide=Guide(
        choose="even the frozen weights of the model to be adapted do not fit.",
        avoid="they fit: LoRA is faster and begins at the exact model.",
    ),
    build=build,
    reference=reference,
    held=held,
    memory=memory,
    options=LowRankOptions,
    check=check,
    params=params,
    adapts=functools.partial(adapts, operator="mm"),
    alike=all_alike,
    freezes=True,
    effects=(
        Effect(quantity="parameters", sign="-", formula="0.52 bytes per adapted weight instead of 4"),
        Effect(quantity="gradients", sign="-", formula="only the adapters have gradients"),
        Effect(quantity="optimizer", sign="-", formula="only the adapters have optimizer state"),
        Effect(quantity="time", sign="+", formula="every weight is unpacked twice per step"),
    ),
    claims=(TrainsOnly("adapters"), EveryGradient(), Merges(), Quiet(when="dropout")),
)
