"""OLMo 2 (2025): norms after each branch instead of before it, and over all queries and all keys of a token."""

from __future__ import annotations

from collections.abc import Iterator

from tfx_engine.pretrained.decoder import decoder_tensors, describe_decoder
from tfx_engine.pretrained.family import Description, Family
from tfx_engine.pretrained.table import Table
from tfx_engine.pretrained.take import Taken
from tfx_engine.protocol.config import Config

_NORMS = {"attention_norm": "post_attention_layernorm", "feedforward_norm": "post_feedforward_layernorm"}


def describe(table: Table) -> Description:
    """The configuration."""
    found = describe_decoder(table, vocab=50304, epsilon=1e-5)
    norm = found["techniques"]["norm"]["epsilon"]
    found["techniques"] |= {"placement": "res_post_norm", "qk_norm": {"use": "full", "epsilon": norm}}
    return found


def tensors(config: Config) -> Iterator[Taken]:
    """Llama's, under other norms."""
    return decoder_tensors(config, norms=_NORMS, qk_norm=True)


FAMILY = Family(types=("olmo2",), title="OLMo 2", describe=describe, tensors=tensors, prefix="model.")
