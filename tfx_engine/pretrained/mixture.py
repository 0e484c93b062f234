"""Mixtures of experts: what their keys mean, and where their tensors are."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from tfx_engine.pretrained.table import Table
from tfx_engine.pretrained.take import Taken, same
from tfx_engine.protocol.config import Config
from tfx_engine.protocol.marker import tr_mark

PROJECTIONS = {"gate": "gate_proj", "up": "up_proj", "down": "down_proj"}


def mixture(table: Table, inner: int | None, *, experts: int, top_k: int, normalise: bool) -> dict[str, Any]:
    """The feed-forward; the arguments are what the family takes by default."""
    table.expect("hidden_act", "silu", tr_mark("is {value}; the experts here are SwiGLU."))
    table.skip("output_router_logits", "moe_layer_freq", "ep_size", "seq_aux")
    found: dict[str, Any] = {
        "use": "mixture_of_experts", "gated": True,
        "experts": table.whole("num_local_experts", "num_experts", "n_routed_experts", default=experts),
        "top_k": table.whole("num_experts_per_tok", default=top_k),
        "normalise": table.flag("norm_topk_prob", default=normalise),
        "balance_loss": table.number("router_aux_loss_coef", "aux_loss_alpha", default=0.001), "z_loss": 0.0,
    }
    return found if inner is None else {**found, "width": inner}


def mixture_tensors(
    config: Config, ours: str, theirs: str, router: str, names: Mapping[str, str] = PROJECTIONS,
) -> Iterator[Taken]:
    """Router and experts of one layer, none of them with a bias."""
    yield same(f"{ours}.router.weight", f"{router}.weight")
    for expert in range(config.techniques["feedforward"].options["experts"]):
        for name, their_name in names.items():
            yield same(f"{ours}.experts.{expert}.{name}.weight", f"{theirs}.experts.{expert}.{their_name}.weight")
