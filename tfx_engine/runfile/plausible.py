"""What the JSON in a run file must look like at least, so that no reader stumbles over one that was tampered with."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from tfx_engine.protocol.status import STATUSES

_SECTIONS = ("model", "techniques", "data", "run")
_COUNTS = ("warmup_steps", "measure_steps")  # of the section `run`
_Number = float | int | None
_Numbers = dict[str, float | int | None]


class _Overhead(msgspec.Struct, frozen=True):
    percent: _Number = None
    low: _Number = None
    high: _Number = None
    comparisons: _Number = None
    step_percent: _Number = None
    turns_percent: _Number = None
    probed_percent: _Number = None
    budget_percent: _Number = None
    captures_percent: dict[str, float] | None = None
    once_ms: dict[str, float] = {}
    why_over: str = ""


class _Peak(msgspec.Struct, frozen=True):
    measured: _Number = None
    vendor: _Number = None
    spread_percent: _Number = None
    format: str | None = None


class _Energy(msgspec.Struct, frozen=True):
    per_step: _Number = None
    per_token: _Number = None
    total: _Number = None
    seconds: _Number = None
    source: str = ""


class _Facts(msgspec.Struct, frozen=True):
    """What is worked with by name; facts of later versions, and those that are only shown, may be anything."""

    device: dict[str, Any] = {}
    corpus: dict[str, Any] = {}
    ceilings: dict[str, Any] = {}
    comparison: dict[str, Any] = {}
    params: _Numbers = {}
    flops_per_token: _Numbers = {}
    params_by_component: dict[str, Any] = {}
    flops_by_component: dict[str, Any] = {}
    energy_j: _Energy = _Energy()
    profile: _Numbers = {}
    audit_stand: dict[str, float | int | str | None] = {}
    layer_names: list[str] = []
    token_text: list[str] = []
    audit: list[Any] = []
    overhead: _Overhead = _Overhead()
    peak_flops_per_s: _Peak = _Peak()
    planned_steps: _Number = None
    capacity_bytes: _Number = None
    process_base_rss_bytes: _Number = None
    tokens_per_step: _Number = None
    mfu: _Number = None
    overhead_percent: _Number = None
    others_percent: _Number = None


def check_config(config: Mapping[str, Any]) -> None:
    """Raise ValueError where a resolved configuration is none."""
    for section in _SECTIONS:
        if not isinstance(config.get(section), dict):
            raise ValueError(f"its configuration has no [{section}]")
    for slot, choice in config["techniques"].items():
        if not isinstance(choice, dict) or not isinstance(choice.get("use"), str):
            raise ValueError(f"its configuration names no technique for {slot!r:.60}")
    for name in _COUNTS:
        if not isinstance(config["run"].get(name), int):
            raise ValueError(f"its configuration has no run.{name}")


def check_state(status: str, position: float) -> None:
    """Raise ValueError where a run is in no state that there is, or nowhere in the queue."""
    if status not in STATUSES or not math.isfinite(position):
        raise ValueError(f"its state is {status!r}, its place in the queue {position}")


def check_facts(facts: Mapping[str, Any]) -> None:
    """Raise ValueError where a fact is not of its kind."""
    try:
        msgspec.convert(facts, _Facts)
    except msgspec.ValidationError as error:
        raise ValueError(f"its facts are of another kind than they should be: {error}") from None


def check_keys(keys: Iterable[str]) -> None:
    """Raise ValueError where one dotted key leads through another: `a` is a figure then, and a table of figures."""
    all_keys = set(keys)
    for key in all_keys:
        parts = key.split(".")
        if any(".".join(parts[:i]) in all_keys for i in range(1, len(parts))):
            raise ValueError(f"its prediction {key!r} leads through another")
