"""What a configuration's techniques declare, added up: norms, parameters, the matrix work of a block."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tfx_engine.protocol.config import Config
from tfx_engine.techniques.costs import Work
from tfx_engine.techniques.technique import Technique

IN_BLOCKS = ("mixer", "attention", "feedforward")  # their `work` is that of one block, others' that of the whole model
WITHIN_ATTENTION = ("attention", "window", "qk_norm", "softcap", "sink", "gate", "kernel")


def chosen(config: Config) -> Iterator[tuple[Technique, Any]]:
    """The techniques of a configuration that take part in its model, with their options."""
    from tfx_engine.techniques.catalogue import technique_for  # which loads the techniques, and they this

    recurrent = config.use("mixer") != "attention"
    for slot, choice in config.techniques.items():
        if not (recurrent and slot in WITHIN_ATTENTION):
            yield technique_for(slot, choice)


def norm_count(config: Config) -> int:
    """How many norms the placement puts into a model."""
    technique, options = next((t, o) for t, o in chosen(config) if t.slot == "placement")
    placement = technique.build(options, config)
    return config.model.layers * placement.norms_per_block + int(placement.final_norm)


def block_work(config: Config) -> Work:
    """The linear layers and products of one block, in the order in which they run."""
    parts = [t.work(o, config) for slot in IN_BLOCKS for t, o in chosen(config) if t.slot == slot]
    return Work(tuple(x for p in parts for x in p.linears), tuple(x for p in parts for x in p.products))


def parameters_of(technique: Technique, options: Any, config: Config) -> int:
    """How many parameters a technique brings to the whole model."""
    times = config.model.layers if technique.slot in IN_BLOCKS else 1
    return technique.params(options, config) + times * technique.work(options, config).parameters
