"""DeepSeek-V2 (2024): latent attention, and a mixture of experts with shared ones."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tfx_engine.pretrained.decoder import PRE_NORMS, describe_decoder
from tfx_engine.pretrained.family import Description, Family, head_tensors
from tfx_engine.pretrained.mixture import PROJECTIONS, mixture, mixture_tensors
from tfx_engine.pretrained.rotation import rotary, yarn_size
from tfx_engine.pretrained.table import Table
from tfx_engine.pretrained.take import Taken, rows, same, woven_rows
from tfx_engine.protocol.config import Config
from tfx_engine.protocol.marker import tr_mark


def describe(table: Table) -> Description:
    """The configuration. Ours has the same feed-forward in every layer, theirs begins with dense ones."""
    table.skip("head_dim", "num_key_value_heads", "qk_head_dim", "topk_method", "scoring_func")
    found = describe_decoder(table, vocab=102400)
    sizes, techniques = found["model"], found["techniques"]
    sizes["head_width"] = table.whole("qk_nope_head_dim", default=128)
    techniques["position"] = rotary(table, layout="interleaved")
    techniques["attention"] = _attention(table, sizes["head_width"], techniques["position"])
    if dense := table.count("first_k_dense_replace", default=0):
        table.lose("first_k_dense_replace", tr_mark("is {dense}; here these layers have experts too."), dense=dense)
    table.expect("routed_scaling_factor", 1.0, tr_mark("is {value}; here what the experts say is not scaled."))
    for key in ("n_group", "topk_group"):
        table.expect(key, 1, tr_mark("is {value}; here experts are chosen from all."))
    inner = table.whole("moe_intermediate_size", default=1407)
    techniques["feedforward"] = mixture(table, inner, experts=64, top_k=6, normalise=False) | {
        "shared": table.count("n_shared_experts", default=2)}
    return found


def _attention(table: Table, wide: int, position: dict[str, Any]) -> dict[str, Any]:
    rotated = table.whole("qk_rope_head_dim", default=64)
    found = {
        "use": "latent", "latent_width": table.whole("kv_lora_rank", default=512), "rope_width": rotated,
        "value_width": table.whole("v_head_dim", default=128),
    }
    if rank := table.whole("q_lora_rank", default=None):
        found["query_latent"] = rank
    given = table.table("rope_scaling", "rope_parameters")
    times = given.number("mscale_all_dim", default=None)
    if position.get("scaling") == "yarn" and times:
        found["scale"] = (wide + rotated) ** -0.5 * yarn_size(position["factor"], times) ** 2
    return found


def tensors(config: Config) -> Iterator[Taken]:
    """Keys and values unfold from one layer, head by head; the latent and the rotated key come out of another."""
    options = config.techniques["attention"].options
    heads, wide, latent = config.model.heads, config.head_width, options["latent_width"]
    values = options["value_width"]
    yield same("embedding.weight", "embed_tokens.weight")
    for i in range(config.model.layers):
        ours, theirs = f"blocks.{i}.attention", f"layers.{i}.self_attn"
        if options["query_latent"] is None:
            yield same(f"{ours}.query.weight", f"{theirs}.q_proj.weight")
        else:
            yield same(f"{ours}.query_latent.weight", f"{theirs}.q_a_proj.weight")
            yield same(f"{ours}.query_norm.weight", f"{theirs}.q_a_layernorm.weight")
            yield same(f"{ours}.query.weight", f"{theirs}.q_b_proj.weight")
        yield same(f"{ours}.latent.weight", f"{theirs}.kv_a_proj_with_mqa.weight", rows(0, latent))
        yield same(f"{ours}.key_rotated.weight", f"{theirs}.kv_a_proj_with_mqa.weight", rows(latent, None))
        yield same(f"{ours}.latent_norm.weight", f"{theirs}.kv_a_layernorm.weight")
        yield same(f"{ours}.key.weight", f"{theirs}.kv_b_proj.weight", woven_rows(0, wide, heads))
        yield same(f"{ours}.value.weight", f"{theirs}.kv_b_proj.weight", woven_rows(wide, values, heads))
        yield same(f"{ours}.output.weight", f"{theirs}.o_proj.weight")
        for mine, their_norm in PRE_NORMS.items():
            yield same(f"blocks.{i}.{mine}.weight", f"layers.{i}.{their_norm}.weight")
        yield from _experts(config, f"blocks.{i}.feedforward", f"layers.{i}.mlp")
    yield same("final_norm.weight", "norm.weight")
    yield from head_tensors(config, "lm_head.weight")


def _experts(config: Config, ours: str, theirs: str) -> Iterator[Taken]:
    yield from mixture_tensors(config, ours, theirs, f"{theirs}.gate")
    if config.techniques["feedforward"].options["shared"]:
        for name, their_name in PROJECTIONS.items():
            yield same(f"{ours}.shared.{name}.weight", f"{theirs}.shared_experts.{their_name}.weight")


FAMILY = Family(types=("deepseek_v2",), title="DeepSeek-V2", describe=describe, tensors=tensors, prefix="model.")
