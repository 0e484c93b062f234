"""SmolLM3 (2025): Llama's shape with every fourth layer left without positions."""

from __future__ import annotations

from tfx_engine.pretrained.decoder import MOST_LAYERS, decoder_tensors, describe_decoder
from tfx_engine.pretrained.family import Description, Family
from tfx_engine.pretrained.table import Table
from tfx_engine.protocol.marker import tr_mark


def describe(table: Table) -> Description:
    """The configuration. Their list has a 0 where a layer does not rotate."""
    found = describe_decoder(table, width=2048, layers=36, heads=16, vocab=128256, length=32768, tied=True)
    every = table.whole("no_rope_layer_interval", default=4)
    layers = min(found["model"]["layers"], MOST_LAYERS)
    regular = [0 if (i + 1) % every == 0 else 1 for i in range(layers)]
    given = table.words("no_rope_layers") or regular
    if given == regular and every > 1:
        found["techniques"]["position"]["without_every"] = every
    elif 0 in given:
        table.lose("no_rope_layers", tr_mark("has no regular pattern; here every layer rotates."))
    table.skip("layer_types", "sliding_window")
    table.expect("use_sliding_window", False, tr_mark("is {value}; here every layer sees everything."))
    return found


FAMILY = Family(types=("smollm3",), title="SmolLM3", describe=describe, tensors=decoder_tensors, prefix="model.")
