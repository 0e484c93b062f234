"""GPT-1 (2018): as GPT-2 with the norm after each residual sum, and none at the end."""

from __future__ import annotations

from collections.abc import Iterator

from tfx_engine.pretrained.families import gpt2
from tfx_engine.pretrained.family import GELUS, Description, Family, plain_feedforward
from tfx_engine.pretrained.table import Table
from tfx_engine.pretrained.take import Take, Taken
from tfx_engine.protocol.config import Config

_NAMES = {"wte.": "tokens_embed.", "wpe.": "positions_embed."}


def describe(table: Table) -> Description:
    """The configuration; what it calls "gelu" is the tanh approximation."""
    described = gpt2.describe(table)
    activation = table.word("afn", default="gelu")
    feedforward = plain_feedforward(table, "gelu_new" if activation in GELUS else activation, None)
    sizes = {"context": table.whole("n_positions", default=512), "vocab": table.whole("vocab_size", default=40478)}
    return {
        "model": {**described["model"], **sizes},
        "techniques": {**described["techniques"], "placement": "post_norm", "feedforward": feedforward},
    }


def tensors(config: Config) -> Iterator[Taken]:
    """GPT-2's under the names of GPT-1."""
    for ours, take in gpt2.tensors(config):
        if not ours.startswith("final_norm"):
            yield ours, Take(tuple(_renamed(name) for name in take.theirs), take.steps)


def _renamed(name: str) -> str:
    for theirs, earlier in _NAMES.items():
        name = name.replace(theirs, earlier)
    return name


FAMILY = Family(
    types=("openai-gpt",), title="GPT-1", describe=describe, tensors=tensors, prefix="transformer.",
    silent=(".attn.bias",),
)
