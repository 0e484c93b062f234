"""Mixtral (2024): Mistral's shape with eight feed-forwards in the place of one, of which each token passes two."""

from __future__ import annotations

from collections.abc import Iterator

from tfx_engine.pretrained.decoder import decoder_tensors, describe_decoder, window
from tfx_engine.pretrained.family import Description, Family
from tfx_engine.pretrained.mixture import mixture, mixture_tensors
from tfx_engine.pretrained.table import Table
from tfx_engine.pretrained.take import Taken
from tfx_engine.protocol.config import Config
from tfx_engine.protocol.marker import tr_mark

_NAMES = {"gate": "w1", "up": "w3", "down": "w2"}


def describe(table: Table) -> Description:
    """The configuration."""
    found = describe_decoder(table, inner=14336, length=131072, epsilon=1e-5)
    inner = found["techniques"]["feedforward"].get("width")
    found["techniques"]["feedforward"] = mixture(table, inner, experts=8, top_k=2, normalise=True)
    table.expect("router_jitter_noise", 0.0, tr_mark("is {value}; the router has no noise here."))
    table.skip("sliding_window")
    if slot := window(table, found["model"]["layers"], table.whole("sliding_window", default=None)):
        found["techniques"]["window"] = slot
    return found


def tensors(config: Config) -> Iterator[Taken]:
    """Llama's, and the experts."""
    yield from decoder_tensors(config, feedforward=False)
    for i in range(config.model.layers):
        theirs = f"layers.{i}.block_sparse_moe"
        yield from mixture_tensors(config, f"blocks.{i}.feedforward", theirs, f"{theirs}.gate", _NAMES)


FAMILY = Family(types=("mixtral",), title="Mixtral", describe=describe, tensors=tensors, prefix="model.")
