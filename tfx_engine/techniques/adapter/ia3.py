"""IA3: the weights are frozen; keys, values and the feed-forward's inner features are scaled by trained vectors.

What it is: three vectors per block, all ones at the beginning, so training begins exactly at the frozen model. One
scales the keys, one the values, and one what enters the last linear layer of the feed-forward. A number above one makes
the model listen more to that feature, one near zero shuts it out: the adapter can turn up and down what the model has
learnt, and cannot make it compute anything new. Afterwards the vectors are merged into the weights next to them, and
cost nothing any more. ("IA3" stands for infused adapter by inhibiting and amplifying inner activations.)

Formula: y = l ⊙ (W x + b) for keys and values; y = W (l ⊙ x) + b for the last layer of the feed-forward

What it costs: as many parameters per block as keys and values are wide plus the inner width of the feed-forward; fewer
than LoRA of rank 1 on the same layers. The multiplications keep one tensor more each for the backward pass. Frozen
layers skip their weight gradients, about a third of a step's FLOPs.

Choose it where there are few examples, or very many tasks of which each is to cost a few kilobytes. It wants a large
learning rate: its authors' own configuration has 3e-3. Rather not where there is much to learn: LoRA of even a small
rank reaches further.

Paper: Liu and others, "Few-Shot Parameter-Efficient Fine-Tuning is Better and Cheaper than In-Context Learning" (2022),
arXiv:2205.05638.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tfx_engine.protocol.cards import Effect, Guide
from tfx_engine.protocol.config import Config
from tfx_engine.protocol.problems import Problem
from tfx_engine.techniques.adapter import Adapter
from tfx_engine.techniques.adapting import (
    AdaptedLinear,
    LinearAdapter,
    check_targets,
    frozen,
    is_target,
    targets_option,
)
from tfx_engine.techniques.claims import BeginsAtBase, EveryGradient, Merges, TrainsOnly
from tfx_engine.techniques.costs import STREAM, Linear, Work, changed
from tfx_engine.techniques.counts import block_parts
from tfx_engine.techniques.tape import Tape, Value, Weight
from tfx_engine.techniques.technique import Technique, all_alike

# N inputs, M outputs


@dataclasses.dataclass(frozen=True)
class Options:
    """What can be chosen."""

    targets: tuple[str, ...] = targets_option(("key", "value", "feedforward"))


class Ia3Linear(AdaptedLinear):
    """A frozen linear layer whose output (`inwards`: input) is scaled by `adapter_scale`."""

    def __init__(self, base: nn.Linear, inwards: bool) -> None:
        super().__init__(base)
        self.inwards = inwards
        self.adapter_scale = self.added(self.in_features if inwards else self.out_features)

    def forward(self, x: Tensor) -> Tensor:
        """[..., N] -> [..., M]."""
        if self.is_merged:
            return F.linear(x, self.weight, self.bias)
        if self.inwards:
            return F.linear(x * self.adapter_scale, self.weight, self.bias)
        return F.linear(x, self.weight, self.bias) * self.adapter_scale

    def merged(self) -> tuple[Tensor, Tensor | None]:
        """Columns, or rows and bias, scaled."""
        if self.inwards:
            return self.weight * self.adapter_scale, self.bias
        bias = None if self.bias is None else self.bias * self.adapter_scale
        return self.weight * self.adapter_scale[:, None], bias

    def initialise_parameter(self, name: str, parameter: Tensor, generator: torch.Generator) -> bool:
        """Ones."""
        if name == "adapter_scale":
            parameter.fill_(1.0)
        return name == "adapter_scale"


def takes(options: Options, linear: Linear, slot: str) -> bool:
    """Of the feed-forward only what does not read the stream: its last layer, of every expert."""
    return is_target(options, linear, slot) and _can_take(linear, slot)


def _can_take(linear: Linear, slot: str) -> bool:
    return slot != "feedforward" or linear.source != STREAM


def build(options: Options, config: Config) -> Adapter:
    """The adapter for a model that is assembled from this configuration."""
    return LinearAdapter(
        config, lambda linear, slot: takes(options, linear, slot),
        lambda base, slot: Ia3Linear(base, inwards=slot == "feedforward"),
    )


def reference(layer: Ia3Linear, x: Tensor) -> Tensor:
    """The formula with a diagonal matrix."""
    scale = torch.diag(layer.adapter_scale)
    if layer.inwards:
        y = x @ scale @ layer.weight.T
        return y if layer.bias is None else y + layer.bias
    y = x @ layer.weight.T
    return (y if layer.bias is None else y + layer.bias) @ scale


def check(options: Options, config: Config) -> Iterator[Problem]:
    """Its targets must be there."""
    yield from check_targets(options, config, _can_take)


def adapts(options: Options, config: Config, layer: int, work: Work) -> Work:
    """Everything frozen; what is scaled needs a gradient."""
    scaled = {linear.name for linear in work.linears if takes(options, linear, work.slot)}
    if work.slot == "feedforward":  # there it is what enters them
        scaled = {linear.source for linear in work.linears if linear.name in scaled}
    linears = tuple(
        changed(x, tuned=True, scaled=True) if x.name in scaled else x for x in frozen(work).linears
    )
    return changed(work, linears=linears)


def params(options: Options, config: Config) -> int:
    """One number for each output, in the feed-forward for each input."""
    return config.model.layers * sum(
        linear.copies * (linear.inputs if work.slot == "feedforward" else linear.outputs)
        for work in block_parts(config) for linear in work.linears if takes(options, linear, work.slot)
    )


def memory(tape: Tape, options: Options, linear: Linear, x: Value) -> Value:
    """What is scaled is kept."""
    if not takes(options, linear, tape.slot):
        return tape.plain_linear(linear, x)
    inwards = tape.slot == "feedforward"
    size = linear.copies * (linear.inputs if inwards else linear.outputs)
    scale = (Weight((tape.slot, tape.layer, linear.name, "scale"), (size,), tape.widths.weights, True),)
    if inwards:
        return tape.plain_linear(linear, tape.by_weight(x, scale))
    return tape.by_weight(tape.plain_linear(linear, x), scale)


TECHNIQUE = Technique(
    module=__name__,
    slot="adapter",
    order=4,
    title="IA3",
    short="IA3",
    summary="The model is frozen; keys, values and the feed-forward's inner features are scaled by trained vectors.",
    paper="Liu et al. 2022, arXiv:2205.05638",
    guide=Guide(
        choose="there are few examples, or very many tasks of a few kilobytes each.",
        avoid="there is much to learn: it can only turn up and down what the model computes already.",
    ),
    build=build,
    reference=reference,
    memory=memory,
    options=Options,
    check=check,
    params=params,
    adapts=adapts,
    alike=all_alike,
    freezes=True,
    effects=(
        Effect(
            quantity="parameters", sign="+",
            formula="per block: outputs of key and value + inner width of the feed-forward; others frozen",
        ),
        Effect(quantity="gradients", sign="-", formula="only the vectors have gradients"),
        Effect(quantity="optimizer", sign="-", formula="only the vectors have optimizer state"),
        Effect(quantity="flops", sign="-", formula="no weight gradients of frozen layers: about a third less"),
    ),
    claims=(TrainsOnly("adapters"), EveryGradient(), BeginsAtBase(), Merges()),
)
