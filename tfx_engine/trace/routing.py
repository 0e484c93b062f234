"""Which experts work, where no numbers tell: the two ends of what may be, each as groups of experts that are alike."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping

from tfx_engine.protocol.config import Config


@dataclasses.dataclass(frozen=True)
class Routing:
    """`groups`: how many experts are in each, in order. `loads`: choices -> how many of them each of a group has."""

    groups: Mapping[str, int]
    loads: Callable[[int], Mapping[str, int]]


Rule = Callable[[Config], Routing]


def evenly(config: Config) -> Routing:
    """Every expert has as much to do; what cannot be divided is the last one's."""
    experts, top_k = _numbers(config)
    if all(choices % experts == 0 for choices in _choices(config, top_k)):
        return Routing({"experts": experts}, lambda choices: {"experts": choices // experts})

    def loads(choices: int) -> Mapping[str, int]:
        share = choices // experts
        return {"experts": share, "last expert": choices - share * (experts - 1)}

    return Routing({"experts": experts - 1, "last expert": 1}, loads)


def unevenly(config: Config) -> Routing:
    """All tokens go to the same experts."""
    experts, top_k = _numbers(config)
    return Routing(
        {"idle experts": experts - top_k, "busy experts": top_k},
        lambda choices: {"idle experts": 0, "busy experts": choices // top_k},
    )


def _numbers(config: Config) -> tuple[int, int]:
    """(experts, those of each token); one that does everything where there are none."""
    if config.use("feedforward") != "mixture_of_experts":
        return 1, 1
    options = config.techniques["feedforward"].options
    return options["experts"], options["top_k"]


def _choices(config: Config, top_k: int) -> set[int]:
    """How many choices there are in a piece of the batch."""
    return {samples * config.model.context * top_k for samples in samples_at_once(config)}


def samples_at_once(config: Config) -> set[int]:
    """How many samples there are in a piece of the batch."""
    batch = config.run.batch
    pieces = min(config.techniques["accumulation"].options.get("pieces") or 1, batch)
    return {batch // pieces, -(-batch // pieces)}
