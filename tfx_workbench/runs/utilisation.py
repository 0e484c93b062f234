"""What a run got out of its device: FLOP/s, MFU, and the denominators of it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Protocol

from tfx_engine.protocol.ceilings import flops_per_s
from tfx_engine.protocol.marker import tr_mark

_NO_PEAK = tr_mark("the device's peak was not measured")
_NO_FLOPS = tr_mark("not counted")
_NO_VENDOR = tr_mark("no published figure for this device and format is known here")
_NOT_YET = tr_mark("what was measured so far is above the device's measured peak")


class Figures(Protocol):
    """Keeps figures, and the reasons of those that are None."""

    def known(self, key: str, value: Any, reason: str) -> Any:
        """`value`; None, with its reason, where it is none."""


def utilisation(facts: Mapping[str, Any], step_ms: float, figures: Figures) -> dict[str, Any]:
    """`mfu`, a share of 1, and `flops_per_s` {model, peak, spread_percent, vendor_peak, format, vendor_source}.

    `model` is what the model's mathematics got done, `peak` what products in `format` reached here. While a run is
    live, MFU is that of the steps so far.
    """
    peak = facts.get("peak_flops_per_s") or {}
    reached = _reached(facts, step_ms)
    mfu = facts.get("mfu")
    if mfu is None and reached is not None and peak.get("measured"):
        mfu = reached / peak["measured"]
        mfu = mfu if mfu <= 1.0 else None
    values = {
        "model": figures.known("flops_per_s.model", reached, _NO_FLOPS),
        "peak": figures.known("flops_per_s.peak", peak.get("measured"), _NO_PEAK),
        "vendor_peak": figures.known("flops_per_s.vendor_peak", peak.get("vendor"), _NO_VENDOR),
    }
    words = {name: peak.get(name) for name in ("format", "spread_percent", "measured_at", "vendor_source")}
    return {
        "mfu": figures.known("mfu", mfu, _NOT_YET if peak and reached is not None else _NO_PEAK),
        "flops_per_s": {**values, **{name: value for name, value in words.items() if value not in (None, "")}},
    }


def _reached(facts: Mapping[str, Any], step_ms: float) -> float | None:
    """FLOP/s of the model; None where either is unknown."""
    flops, tokens = (facts.get("flops_per_token") or {}).get("model"), facts.get("tokens_per_step")
    if not flops or not tokens or not math.isfinite(step_ms) or step_ms <= 0:
        return None
    return flops_per_s(flops * tokens, step_ms)
