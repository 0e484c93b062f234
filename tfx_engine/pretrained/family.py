"""What a family of models declares: what its keys mean, and which of its tensors is which of ours."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from typing import Any

from tfx_engine.pretrained.table import Table
from tfx_engine.pretrained.take import Taken
from tfx_engine.protocol.config import Config
from tfx_engine.protocol.marker import tr_mark

Description = dict[str, Any]  # {"model": sizes, "techniques": slots}, as `parse_config` reads it
LONGEST = 2048  # tokens of a sample, where the architecture itself sets no end


@dataclasses.dataclass(frozen=True)
class Family:
    """`types`: the values of `model_type` that it reads. `prefix`: may stand before each of its tensors' names.

    `silent`: how tensors end that hold no weights, such as masks kept as buffers.
    """

    types: tuple[str, ...]
    title: str
    describe: Callable[[Table], Description]
    tensors: Callable[[Config], Iterator[Taken]]
    prefix: str = ""
    silent: tuple[str, ...] = ()


def sample_length(table: Table, *keys: str, default: int) -> int:
    """Tokens of a sample: what the model was made for, but no more than one can try here."""
    longest = int(table.whole(*keys, default=default))
    if longest > LONGEST:
        table.lose(keys[0], tr_mark("is {longest}; a sample here has {here} tokens. Set model.context to change that."),
                   longest=longest, here=LONGEST)
    return min(longest, LONGEST)


def no_dropout(table: Table, *keys: str) -> None:
    """Lose dropouts that stand where we have none."""
    for key in keys:
        if rate := table.number(key, default=0.0):
            table.lose(key, tr_mark("is {rate}; there is no dropout in this place."), rate=rate)


def head_of(table: Table, tied: bool) -> dict[str, Any]:
    """The head, tied to the embedding or not."""
    return {"use": "tied" if table.flag("tie_word_embeddings", default=tied) else "untied"}


def head_tensors(config: Config, theirs: str) -> Iterator[Taken]:
    """The head's own table, where it has one."""
    from tfx_engine.pretrained.take import same

    if config.use("head") == "untied":
        yield same("head.weight", theirs)


GELUS = {
    "gelu": "none", "gelu_new": "tanh", "gelu_pytorch_tanh": "tanh", "gelu_fast": "tanh", "gelu_python": "none",
}


def plain_feedforward(table: Table, activation: str, width: int | None) -> dict[str, Any]:
    """A feed-forward of two layers with the activation of that name."""
    options = {} if width is None else {"width": width}
    if activation in GELUS:
        return {"use": "gelu", "approximate": GELUS[activation], **options}
    if activation in ("relu", "relu2"):
        return {"use": {"relu": "relu", "relu2": "relu_squared"}[activation], **options}
    table.refuse("activation", tr_mark("is {activation!r}, a bend that no feed-forward here has."),
                 activation=activation)
    return {"use": "gelu"}
