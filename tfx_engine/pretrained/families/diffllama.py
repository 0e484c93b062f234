"""DiffLlama (2024): Llama's shape with differential attention."""

from __future__ import annotations

from collections.abc import Iterator

from tfx_engine.pretrained.decoder import decoder_tensors, describe_decoder
from tfx_engine.pretrained.family import Description, Family
from tfx_engine.pretrained.table import Table
from tfx_engine.pretrained.take import Take, Taken, paired, same
from tfx_engine.protocol.config import Config
from tfx_engine.protocol.marker import tr_mark

_VECTORS = {"query_1": "q1", "key_1": "k1", "query_2": "q2", "key_2": "k2"}


def describe(table: Table) -> Description:
    """The configuration."""
    found = describe_decoder(table, width=2048, layers=16, inner=8192, epsilon=1e-5)
    attention, epsilon = found["techniques"]["attention"], found["techniques"]["norm"]["epsilon"]
    if attention["use"] != "multi_head":
        table.refuse("num_key_value_heads", tr_mark("differs from the heads; differential attention shares no keys."))
    found["techniques"]["attention"] = {**attention, "use": "differential"}
    if epsilon != 1e-5:
        table.lose("rms_norm_eps", tr_mark("is {value}; inside of differential attention it is 1e-5."), value=epsilon)
    table.skip("lambda_std_dev")
    return found


def tensors(config: Config) -> Iterator[Taken]:
    """Their two maps of a pair lie half the heads apart; ours side by side."""
    cut = paired(config.model.heads)
    for ours, take in decoder_tensors(config):
        inside = any(ours.endswith(f"attention.{name}.{kind}") for name in ("query", "key", "value")
                     for kind in ("weight", "bias"))
        yield ours, Take(take.theirs, (*take.steps, cut)) if inside else take
    for i in range(config.model.layers):
        for mine, theirs in _VECTORS.items():
            yield same(f"blocks.{i}.attention.lambda_{mine}", f"layers.{i}.self_attn.lambda_{theirs}")


FAMILY = Family(types=("diffllama",), title="DiffLlama", describe=describe, tensors=tensors, prefix="model.")
