"""What Llama and the many like it share: RMS norm, rotary positions, shared key heads, a gated feed-forward.

Their families differ in a few keys each; this is the common part of both what the keys mean and of the names.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tfx_engine.pretrained.family import GELUS, Description, head_of, head_tensors, no_dropout, sample_length
from tfx_engine.pretrained.rotation import rotary
from tfx_engine.pretrained.table import Table
from tfx_engine.pretrained.take import Taken, layer, same
from tfx_engine.protocol.config import Config
from tfx_engine.protocol.marker import tr_mark

PRE_NORMS = {"attention_norm": "input_layernorm", "feedforward_norm": "post_attention_layernorm"}
MOST_LAYERS = 10_000  # more are refused later, and must not fill the memory before that
SLIDING, FULL = "sliding_attention", "full_attention"


def describe_decoder(
    table: Table, *, width: int = 4096, layers: int = 32, heads: int = 32, inner: int = 11008, vocab: int = 32000,
    length: int = 2048, epsilon: float = 1e-6, head_width: int | None = None, tied: bool = False, bias: bool = False,
    activation: str = "silu",
) -> Description:
    """The configuration; the arguments are what the family takes by default."""
    no_dropout(table, "attention_dropout")
    width, heads = table.whole("hidden_size", default=width), table.whole("num_attention_heads", default=heads)
    head_width = table.whole("head_dim", default=head_width)
    sizes = {
        "width": width, "layers": table.whole("num_hidden_layers", default=layers), "heads": heads,
        "context": sample_length(table, "max_position_embeddings", default=length),
        "vocab": table.whole("vocab_size", default=vocab), "bias": False,
    }
    if head_width is not None and head_width * heads != width:
        sizes["head_width"] = head_width
    return {
        "model": sizes,
        "techniques": {
            "position": rotary(table),
            "attention": attention(table, heads, bias),
            "norm": {"use": "rms_norm", "epsilon": table.number("rms_norm_eps", default=epsilon)},
            "placement": "pre_norm",
            "feedforward": gated(table, activation, table.whole("intermediate_size", default=inner)),
            "head": head_of(table, tied),
        },
    }


def attention(table: Table, heads: int, bias: bool) -> dict[str, Any]:
    """Multi-head or grouped-query attention, with biases in all four layers or in none."""
    groups = table.whole("num_key_value_heads", default=heads)
    biases = {"bias": True} if table.flag("attention_bias", default=bias) else {}
    return ({"use": "multi_head"} if groups == heads else {"use": "grouped_query", "kv_heads": groups}) | biases


def gated(table: Table, activation: str, inner: int) -> dict[str, Any]:
    """SwiGLU or GEGLU."""
    name = table.word("hidden_act", "hidden_activation", default=activation)
    biases = {"bias": True} if table.flag("mlp_bias", default=False) else {}
    if name in ("silu", "swish"):
        return {"use": "swiglu", "width": inner, **biases}
    if name in GELUS:
        return {"use": "geglu", "width": inner, "approximate": GELUS[name], **biases}
    table.refuse("hidden_act", tr_mark("is {name!r}, a bend that no gated feed-forward here has."), name=name)
    return {"use": "swiglu"}


def window(table: Table, layers: int, size: int | None) -> dict[str, Any]:
    """The slot `window` for a size and, where there is one, a kind for each layer; {} where all layers see all."""
    kinds = [kind for kind in table.words("layer_types") if isinstance(kind, str)][:layers]
    if size is None or (kinds and SLIDING not in kinds):
        return {}
    if not kinds or FULL not in kinds:
        return {"use": "sliding", "size": size}
    every = kinds.index(FULL) + 1
    regular = [FULL if (i + 1) % every == 0 else SLIDING for i in range(len(kinds))]
    if every == 1 or kinds != regular:
        table.lose("layer_types", tr_mark("has no regular pattern; here every layer sees everything."))
        return {}
    return {"use": "sliding", "size": size, "full_every": every}


def decoder_tensors(
    config: Config, norms: dict[str, str] | None = None, qk_norm: bool = False, feedforward: bool = True,
) -> Iterator[Taken]:
    """Their names, the prefix left out. `norms`: which norm of ours is which of theirs."""
    options = config.techniques["attention"].options
    bias = bool(config.model.bias if options.get("bias") is None else options["bias"])
    output_bias = bias if options.get("output_bias") is None else bool(options["output_bias"])
    norm_bias = config.use("norm") == "layer_norm" and bool(config.techniques["norm"].options.get("bias", True))
    yield same("embedding.weight", "embed_tokens.weight")
    for i in range(config.model.layers):
        ours, theirs = f"blocks.{i}", f"layers.{i}"
        for name in ("query", "key", "value"):
            yield from layer(f"{ours}.attention.{name}", f"{theirs}.self_attn.{name[0]}_proj", bias)
        yield from layer(f"{ours}.attention.output", f"{theirs}.self_attn.o_proj", output_bias)
        if qk_norm:
            for name in ("query", "key"):
                yield same(f"{ours}.attention.scores.qk_norm.{name}_norm.weight",
                           f"{theirs}.self_attn.{name[0]}_norm.weight")
        for mine, their_norm in (PRE_NORMS if norms is None else norms).items():
            yield from layer(f"{ours}.{mine}", f"{theirs}.{their_norm}", norm_bias)
        if feedforward:
            yield from gated_tensors(config, f"{ours}.feedforward", f"{theirs}.mlp")
    yield from layer("final_norm", "norm", norm_bias)
    yield from head_tensors(config, "lm_head.weight")


def gated_tensors(config: Config, ours: str, theirs: str) -> Iterator[Taken]:
    """Gate, up and down."""
    bias = config.techniques["feedforward"].options.get("bias")
    for name in ("gate", "up", "down"):
        yield from layer(f"{ours}.{name}", f"{theirs}.{name}_proj", bool(config.model.bias if bias is None else bias))
