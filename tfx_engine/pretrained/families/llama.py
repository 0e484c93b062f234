"""Llama (2023) and what has its shape: Llama 2 and 3, TinyLlama, SmolLM2."""

from __future__ import annotations

from tfx_engine.pretrained.decoder import decoder_tensors, describe_decoder
from tfx_engine.pretrained.family import Family

FAMILY = Family(
    types=("llama",), title="Llama", describe=describe_decoder, tensors=decoder_tensors, prefix="model.",
    silent=(".rotary_emb.inv_freq",),
)
