"""Options of the slot `position` that are tried besides the defaults, by technique."""

from __future__ import annotations

from typing import Any

VARIANTS: dict[str, list[dict[str, Any]]] = {
    "sinusoidal": [{"base": 100.0}, {"layout": "concat"}],
    "rotary": [
        {"layout": "interleaved"}, {"base": 100.0}, {"fraction": 0.5}, {"fraction": 0.8, "layout": "interleaved"},
        {"without_every": 2}, {"scaling": "linear", "factor": 4.0}, {"scaling": "ntk", "factor": 4.0},
        {"scaling": "dynamic", "original_context": 4}, {"scaling": "dynamic", "original_context": 40},
        {"scaling": "yarn", "factor": 8.0}, {"scaling": "yarn", "truncate": False, "beta_fast": 3.0, "beta_slow": 0.5},
        {"scaling": "yarn", "attention_factor": 1.5}, {"scaling": "llama3", "factor": 8.0, "base": 10.0},
        {"scaling": "llama3", "original_context": 30, "low_frequency_factor": 2.0, "high_frequency_factor": 20.0},
        {"window_base": 30.0},
    ],
    "learned": [{"first_row": 2}],
    "alibi": [{"exponent": 3.0}],
    "t5_bias": [{"buckets": 6}, {"buckets": 4, "max_distance": 3}],
}
