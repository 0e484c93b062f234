"""Mistral (2023): Llama's shape with a sliding window."""

from __future__ import annotations

from tfx_engine.pretrained.decoder import decoder_tensors, describe_decoder, window
from tfx_engine.pretrained.family import Description, Family
from tfx_engine.pretrained.table import Table


def describe(table: Table) -> Description:
    """The configuration; a window of null sees everything."""
    found = describe_decoder(table, inner=14336, length=131072)
    table.skip("sliding_window")
    size = table.whole("sliding_window", default=None)
    if slot := window(table, found["model"]["layers"], size):
        found["techniques"]["window"] = slot
    return found


FAMILY = Family(
    types=("mistral",), title="Mistral", describe=describe, tensors=decoder_tensors, prefix="model.",
)
