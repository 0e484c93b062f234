"""Parameters by layer: the embedding with its positions, each block, and what follows the last block."""

from __future__ import annotations

from tfx_engine.model.transformer import Transformer

_EMBEDDING, _HEAD = "embedding", "head"


def layer_names(model: Transformer) -> list[str]:
    """"embedding", "block 1" ... "block L", and "head" (final norm and head) where that has weights of its own."""
    names = [_EMBEDDING, *(f"block {i + 1}" for i in range(len(model.blocks)))]
    if any(_layer(name, len(model.blocks)) == len(names) for name, _ in model.named_parameters()):
        names.append(_HEAD)
    return names


def layer_index(model: Transformer) -> dict[str, int]:
    """Place in `layer_names` of each parameter's layer, by the parameter's name. A tied head is the embedding's."""
    return {name: _layer(name, len(model.blocks)) for name, _ in model.named_parameters()}


def _layer(parameter: str, blocks: int) -> int:
    part, _, rest = parameter.partition(".")
    match part:
        case "embedding" | "position" | "embedding_norm":
            return 0
        case "blocks":
            return 1 + int(rest.partition(".")[0])
        case _:
            return 1 + blocks
