"""Rotary positions as they are written down: `rope_parameters` of today, `rope_theta` and `rope_scaling` of before."""

from __future__ import annotations

import math
from typing import Any

from tfx_engine.pretrained.table import Table
from tfx_engine.protocol.marker import tr_mark

_SAME = {"default": "none", "linear": "linear", "dynamic": "dynamic", "yarn": "yarn", "llama3": "llama3"}


def rotary(
    table: Table, *, base: float = 10_000.0, fraction: float = 1.0, layout: str = "half", given: Table | None = None,
) -> dict[str, Any]:
    """The position of a model that rotates queries and keys; the arguments are what its family takes by default.

    `given`: where its `rope_parameters` are, if there are several.
    """
    today, before = given or table.table("rope_parameters"), table.table("rope_scaling")
    before.skip("rope_theta")
    given = today if "rope_type" in today or "rope_theta" in today else before
    base = today.number("rope_theta", default=table.number("rope_theta", "rotary_emb_base", default=base))
    fraction = today.number("partial_rotary_factor",
                            default=table.number("partial_rotary_factor", "rotary_pct", default=fraction))
    position: dict[str, Any] = {"use": "rotary", "base": base}
    if fraction != 1.0:
        position["fraction"] = fraction
    if layout != "half":
        position["layout"] = layout
    return position | _scaling(given, table)


def _scaling(given: Table, table: Table) -> dict[str, Any]:
    kind = given.word("rope_type", "type", default="default")
    name = _SAME.get(kind)
    if name is None:
        given.lose("rope_type", tr_mark("is {kind!r}, a scaling of rotations that is not known here; none is used."),
                   kind=kind)
        return {}
    if name == "none":
        return {}
    longest = table.whole("max_position_embeddings", "n_positions", "seq_length", default=2048)
    original = given.whole("original_max_position_embeddings", default=longest)
    factor = given.number("factor", default=None) or max(1.0, longest / original)
    found = {"scaling": name, "factor": factor}
    if name != "linear":
        found["original_context"] = original
    if name == "yarn":
        found |= _yarn(given, factor)
    if name == "llama3":
        found |= {"low_frequency_factor": given.number("low_freq_factor", default=1.0),
                  "high_frequency_factor": given.number("high_freq_factor", default=4.0)}
    return found


def _yarn(given: Table, factor: float) -> dict[str, Any]:
    found: dict[str, Any] = {
        "beta_fast": given.number("beta_fast", default=32.0), "beta_slow": given.number("beta_slow", default=1.0),
        "truncate": given.flag("truncate", default=True),
    }
    size, of_all = given.number("mscale", default=None), given.number("mscale_all_dim", default=None)
    attention = given.number("attention_factor", default=None)
    if attention is None and size and of_all:
        attention = yarn_size(factor, size) / yarn_size(factor, of_all)
    return found if attention is None else {**found, "attention_factor": attention}


def yarn_size(factor: float, times: float = 1.0) -> float:
    """What YaRN multiplies sines and cosines by."""
    return 1.0 if factor <= 1 else 0.1 * times * math.log(factor) + 1.0
