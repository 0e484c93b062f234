"""Freezing: a part of the model's own weights is trained; the others stay as they are.

What it is: nothing is added. You say which kinds of weights are trained and in which blocks; the rest has no gradients
and no optimizer state. Three choices are well known: the last blocks with the head (what fine-tuning did before there
were adapters), the head alone (a "linear probe": what does the model know already?), and all biases (BitFit).

Formula: W ← W + ΔW for the chosen weights, W ← W for all others

What it costs: per trained weight, with AdamW in float32, 12 bytes of gradient and optimizer state; a frozen weight
costs its own 4 and no more. Below the lowest trained weight the backward pass ends: with only the last blocks trained,
the first ones need neither gradients nor kept activations, which no other adapter saves. Freezing by kind saves less,
as gradients still pass through all blocks.

Choose it as the baseline of every adapter, to find out where in a model the learning happens, and where memory for
activations is short: then train the last blocks. Rather not where adapted versions are to be small files: LoRA changes
all layers with fewer numbers. On a model that begins random the loss says nothing of fine-tuning. With a tied head,
head and embedding are one table: it is trained where either is chosen.

Paper: Howard, Ruder, "Universal Language Model Fine-tuning for Text Classification" (2018), arXiv:1801.06146, on
unfreezing from the last layer; Ben Zaken and others, "BitFit" (2021), arXiv:2106.10199, on biases.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from tfx_engine.protocol.cards import Effect, Guide
from tfx_engine.protocol.config import Config
from tfx_engine.protocol.options import option
from tfx_engine.protocol.problems import Problem
from tfx_engine.techniques.adapter import Adapter
from tfx_engine.techniques.claims import EveryGradient, TrainsOnly
from tfx_engine.techniques.costs import OUTSIDE, Work, changed
from tfx_engine.techniques.counts import (
    chosen,
    in_slot,
    is_tied,
    norm_count,
    parameters_of,
    placement_of,
    takes_part,
)
from tfx_engine.techniques.technique import Technique

KINDS = ("embedding", "attention", "feedforward", "norms", "biases", "residual", "head")
_KIND_OF_SLOT = {
    "embedding": "embedding", "position": "embedding", "mixer": "attention", "attention": "attention",
    "qk_norm": "attention", "sink": "attention", "gate": "attention", "softcap": "attention",
    "feedforward": "feedforward", "norm": "norms", "residual": "residual", "placement": "residual", "head": "head",
}
_PER_BLOCK = ("mixer", "attention", "qk_norm", "sink", "gate", "softcap", "feedforward", "residual", "placement")
_WITH_BIASES = ("attention", "feedforward", "norms")


@dataclasses.dataclass(frozen=True)
class Options:
    """What can be chosen."""

    train: tuple[str, ...] = option(
        ("attention", "feedforward", "norms", "biases", "residual"), kind="set", label="trained kinds", choices=KINDS,
        help="Weights that are trained. embedding: with learned positions. biases: of linear layers and norms. "
             "residual: what residual connections bring.",
    )
    blocks: str = option(
        "last", kind="choice", label="trained blocks", choices=("all", "first", "last"),
        help="In which blocks they are trained; what is in no block goes by its kind alone.",
    )
    count: int = option(
        2, kind="int", label="number of blocks", low=1, high=10_000, unit="blocks",
        only_when={"blocks": ("first", "last")}, help="How many first or last blocks; all, where there are fewer.",
    )

    def reaches(self, layer: int, layers: int) -> bool:
        """Whether something is trained in that block."""
        return {"all": True, "first": layer < self.count, "last": layer >= layers - self.count}[self.blocks]

    def reached(self, layers: int) -> int:
        """In how many blocks of so many something is trained."""
        return layers if self.blocks == "all" else min(self.count, layers)

    def trains(self, kind: str, layer: int, layers: int) -> bool:
        """Whether a kind of weight is trained in a block (OUTSIDE: in none)."""
        return kind in self.train and (layer == OUTSIDE or self.reaches(layer, layers))


@dataclasses.dataclass(frozen=True)
class Freeze:
    """Freezes all weights but those that the options name."""

    options: Options
    layers: int
    merges = True

    def apply(self, model: nn.Module) -> None:
        """Nothing is added."""
        tied = getattr(getattr(model, "head", None), "weight", None)
        for name, parameter in model.named_parameters():
            kinds, layer = kinds_of(name)
            if parameter is tied:
                kinds = {*kinds, "head"}
            parameter.requires_grad_(any(self.options.trains(kind, layer, self.layers) for kind in kinds))

    def merge(self, model: nn.Module) -> None:
        """There is nothing beside the model's own weights."""

    def unmerge(self, model: nn.Module) -> None:
        """Nothing to undo."""

    def rate(self, name: str, parameter: nn.Parameter) -> float:
        """One rate for all."""
        return 1.0


def kinds_of(name: str) -> tuple[set[str], int]:
    """The kinds that a parameter is of, and its block: "blocks.1.attention.query.bias" -> attention, biases; 1."""
    parts = name.split(".")
    layer = int(parts[1]) if parts[0] == "blocks" else OUTSIDE
    kind = next((p for p in parts if p in ("attention", "feedforward")), "")
    if not kind and any(part.endswith("norm") for part in parts):
        kind = "norms"
    kind = kind or {"embedding": "embedding", "position": "embedding", "head": "head"}.get(parts[0], "residual")
    is_bias = parts[-1] == "bias" or parts[-1].startswith("bias_")  # as torch's recurrent layers call theirs
    return {kind, "biases"} if is_bias and kind in _WITH_BIASES else {kind}, layer


def build(options: Options, config: Config) -> Adapter:
    """The adapter for a model that is assembled from this configuration."""
    return Freeze(options, config.model.layers)


def reference(layer: nn.Linear, x: Tensor) -> Tensor:
    """The layer itself."""
    y = x @ layer.weight.T
    return y if layer.bias is None else y + layer.bias


def check(options: Options, config: Config) -> Iterator[Problem]:
    """Something must be trained."""
    if not trainable(options, config):
        yield Problem(
            code="nothing-trained", path="techniques.adapter.train", args={"kinds": ", ".join(options.train)},
            template="names only what this model does not have, so nothing would be trained: {kinds}.",
            hint_template="Add attention or feedforward.",
        )


def trainable(options: Options, config: Config) -> int:
    """The numbers of the chosen kinds in the chosen blocks."""
    return sum(_trained_of(technique, own, options, config) for technique, own in chosen(config))


def _trained_of(technique: Technique, own: Any, options: Options, config: Config) -> int:
    slot, layers = technique.slot, config.model.layers
    kind, blocks = _KIND_OF_SLOT.get(slot, ""), options.reached(layers)
    brought = parameters_of(technique, own, config)
    if slot == "norm":
        per_block = placement_of(config).norms_per_block
        norms = norm_count(config) - layers * per_block + blocks * per_block
        if "norms" in options.train:
            return norms * (brought // norm_count(config))
        return norms * _norm_biases(technique, own, options, config)
    if slot in _PER_BLOCK:
        if kind in options.train:
            return brought * blocks // layers
        biases = sum(x.copies * x.outputs for x in technique.work(own, config).linears if x.bias)
        return blocks * biases if "biases" in options.train and kind in _WITH_BIASES else 0
    if slot == "head" and "head" in options.train and "embedding" not in options.train and is_tied(config):
        return brought + config.vocab * config.model.width
    return brought if kind in options.train else 0


def _norm_biases(technique: Technique, own: Any, options: Options, config: Config) -> int:
    """Of one norm, if biases are trained."""
    if "biases" not in options.train:
        return 0
    with torch.device("meta"):
        norm = technique.build(own, config)
    return sum(p.numel() for name, p in norm.named_parameters() if name.endswith("bias"))


def adapts(options: Options, config: Config, layer: int, work: Work) -> Work:
    """What of a slot is trained in a layer."""
    kind, layers = _KIND_OF_SLOT.get(work.slot, ""), config.model.layers
    trained = options.trains(kind, layer, layers)
    if work.slot in ("head", "embedding") and is_tied(config):
        trained = "head" in options.train or "embedding" in options.train
    biases = options.trains("biases", layer, layers) and kind in _WITH_BIASES
    linears = tuple(changed(x, trained=trained, tuned=biases and x.bias) for x in work.linears)
    return changed(work, linears=linears, tuned=_tunes(options, config, work.slot, trained, biases))


def _tunes(options: Options, config: Config, slot: str, trained: bool, biases: bool) -> bool:
    """Whether something of the slot is trained, of all that it has or of its norms' biases."""
    if not takes_part(slot, config) or not (trained or biases):
        return False
    technique, own = in_slot(config, slot)
    if trained and parameters_of(technique, own, config) > 0:
        return True
    return slot == "norm" and biases and _norm_biases(technique, own, options, config) > 0


def alike(options: Options, config: Config) -> list[int]:
    """The layers in which it trains something, and those in which it does not."""
    layers = config.model.layers
    reached = options.reached(layers)
    runs = [reached, layers - reached] if options.blocks == "first" else [layers - reached, reached]
    return [count for count in runs if count]


TECHNIQUE = Technique(
    module=__name__,
    slot="adapter",
    order=6,
    title="Freezing",
    short="freeze",
    summary="Only some kinds of weights, in some blocks, are trained; nothing is added.",
    paper="Howard & Ruder 2018, arXiv:1801.06146",
    guide=Guide(
        choose="you want a baseline for adapters, or to keep no activations of the first blocks.",
        avoid="every adapted version is to be a small file: LoRA changes all layers with fewer numbers.",
    ),
    build=build,
    reference=reference,
    options=Options,
    check=check,
    adapts=adapts,
    alike=alike,
    trainable=trainable,
    freezes=True,
    effects=(
        Effect(quantity="parameters", sign="0", formula="nothing is added"),
        Effect(quantity="gradients", sign="-", formula="only trained weights have gradients"),
        Effect(quantity="optimizer", sign="-", formula="only trained weights have optimizer state"),
        Effect(quantity="activations", sign="-", formula="none are kept below the lowest trained weight"),
        Effect(quantity="flops", sign="-", formula="no gradients below the lowest trained weight"),
    ),
    claims=(TrainsOnly("chosen"), EveryGradient()),
)
