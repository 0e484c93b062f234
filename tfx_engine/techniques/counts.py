"""What a configuration's techniques declare, added up: norms, parameters, the matrix work of a block."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import torch
from torch import nn

from tfx_engine.protocol.config import Config
from tfx_engine.techniques.costs import Work, changed
from tfx_engine.techniques.placement import Placement
from tfx_engine.techniques.scores import HeadShape, Scores
from tfx_engine.techniques.technique import Technique
from tfx_engine.techniques.window import Window

# Their `work` is that of one block (of `residual` that of one connection), others' that of the whole model.
IN_BLOCKS = ("residual", "mixer", "gate", "attention", "feedforward", "placement")
WITHIN_ATTENTION = ("attention", "window", "qk_norm", "softcap", "sink", "gate", "kernel")


def chosen(config: Config) -> Iterator[tuple[Technique, Any]]:
    """The techniques of a configuration that take part in its model, with their options."""
    from tfx_engine.techniques.catalogue import technique_for  # which loads the techniques, and they this

    for slot, choice in config.techniques.items():
        if takes_part(slot, config):
            yield technique_for(slot, choice)


def takes_part(slot: str, config: Config) -> bool:
    """Whether what fills the slot is in the model: not within attention where something else mixes the tokens."""
    return slot not in WITHIN_ATTENTION or config.use("mixer") == "attention"


def in_slot(config: Config, slot: str) -> tuple[Technique, Any]:
    """What fills a slot, whether it takes part or not."""
    from tfx_engine.techniques.catalogue import technique_for

    return technique_for(slot, config.techniques[slot])


def placement_of(config: Config) -> Placement:
    """How the blocks are put together."""
    technique, options = in_slot(config, "placement")
    return technique.build(options, config)


def window_of(config: Config) -> Window:
    """How far back each layer looks."""
    technique, options = in_slot(config, "window")
    return technique.build(options, config)


def norm_of(config: Config) -> nn.Module:
    """One more norm of the kind that the configuration has."""
    technique, options = in_slot(config, "norm")
    return technique.build(options, config)


def norm_count(config: Config) -> int:
    """How many norms of the slot `norm` a model has."""
    placement, embedding, head = placement_of(config), config.techniques["embedding"], config.techniques["head"]
    outside = sum((placement.final_norm, bool(embedding.options.get("norm")), bool(head.options.get("transform"))))
    return config.model.layers * placement.norms_per_block + outside


def is_tied(config: Config) -> bool:
    """Whether the head's table is the embedding's."""
    technique, options = in_slot(config, "head")
    return next((x.shared for x in technique.work(options, config).linears if x.name == "head"), False)


def connection_count(config: Config) -> int:
    """How many residual connections a model has."""
    return config.model.layers * len(placement_of(config).branches)


def work_of(technique: Technique, options: Any, config: Config) -> Work:
    """What a technique declares, with the slot that it fills."""
    return changed(technique.work(options, config), slot=technique.slot)


def block_parts(config: Config) -> list[Work]:
    """The parts of one block, in the order in which they run: each branch after its residual connection."""
    slots = [slot for slot in IN_BLOCKS if takes_part(slot, config)]
    works = {slot: work_of(*in_slot(config, slot), config) for slot in slots}
    tokens = [works[slot] for slot in ("mixer", "gate", "attention") if slot in works]
    branches = [[*tokens], [works["feedforward"]]]
    if len(placement_of(config).branches) == 1:
        branches = [[*tokens, works["feedforward"]]]
    return [part for branch in branches for part in (works["residual"], *branch)] + [works["placement"]]


def together(parts: Iterable[Work]) -> Work:
    """Several parts as one."""
    parts = tuple(parts)
    return Work(
        tuple(x for p in parts for x in p.linears), tuple(x for p in parts for x in p.products),
        any(p.keeps_after for p in parts),
    )


def block_work(config: Config) -> Work:
    """The linear layers and products of one block, in the order in which they run."""
    return together(block_parts(config))


def head_shape(config: Config) -> HeadShape:
    """The heads of each attention layer, as the configuration's attention asks for them; else those of the model."""

    def make_scores(shape: HeadShape) -> Scores:
        raise _Asked(shape)

    technique, options = in_slot(config, "attention")
    try:
        with torch.device("meta"):  # no numbers are needed to find out
            technique.build(options, config, make_scores)
    except _Asked as asked:
        return asked.shape
    k = config.head_width
    return HeadShape(config.model.heads, config.model.heads, k, k)


class _Asked(Exception):
    """An attention has said which heads it wants: the rest of it need not be built."""

    def __init__(self, shape: HeadShape) -> None:
        super().__init__()
        self.shape = shape


def parameters_of(technique: Technique, options: Any, config: Config) -> int:
    """How many parameters a technique brings to the whole model."""
    times = 1
    if technique.slot in IN_BLOCKS:
        times = connection_count(config) if technique.slot == "residual" else config.model.layers
    return technique.params(options, config) + times * technique.work(options, config).parameters
