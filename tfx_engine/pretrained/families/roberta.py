"""RoBERTa (2019): BERT's shape, positions that begin at row 2, and other names in the head."""

from __future__ import annotations

from collections.abc import Iterator

from tfx_engine.pretrained.families import bert
from tfx_engine.pretrained.family import Family
from tfx_engine.pretrained.take import Take, Taken
from tfx_engine.protocol.config import Config

_HEAD = {
    "cls.predictions.transform.dense": "lm_head.dense", "cls.predictions.transform.LayerNorm": "lm_head.layer_norm",
    "cls.predictions": "lm_head",
}


def tensors(config: Config) -> Iterator[Taken]:
    """BERT's, the head under its own names."""
    for ours, take in bert.tensors(config):
        yield ours, Take(tuple(_renamed(name) for name in take.theirs), take.steps)


def _renamed(name: str) -> str:
    for bert_name, own in _HEAD.items():
        if name.startswith(bert_name):
            return own + name.removeprefix(bert_name)
    return name


FAMILY = Family(
    types=("roberta",), title="RoBERTa", describe=bert.describe, tensors=tensors, prefix="roberta.",
    silent=(".position_ids", "lm_head.decoder.weight", "lm_head.decoder.bias"),
)
