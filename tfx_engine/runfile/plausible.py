"""What the JSON in a run file must look like at least, so that no reader stumbles over one that was tampered with."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

from tfx_engine.protocol.status import STATUSES

_SECTIONS = ("model", "techniques", "data", "run")
_COUNTS = ("warmup_steps", "measure_steps")  # of the section `run`
_NUMBER = (int, float, type(None))
_FACTS: dict[str, tuple[type, ...]] = {
    "device": (dict,), "params": (dict,), "flops_per_token": (dict,), "corpus": (dict,), "layer_names": (list,),
    "token_text": (list,), "audit": (list,), "planned_steps": _NUMBER, "capacity_bytes": _NUMBER,
    "process_base_rss_bytes": _NUMBER, "mfu": _NUMBER, "overhead_percent": _NUMBER, "overhead": (dict,),
    "energy_j": (dict,), "audit_stand": (dict,), "peak_flops_per_s": (dict,), "ceilings": (dict,),
    "params_by_component": (dict,), "flops_by_component": (dict,),
}


def check_config(config: Mapping[str, Any]) -> None:
    """Raise ValueError where a resolved configuration is none."""
    for section in _SECTIONS:
        if not isinstance(config.get(section), dict):
            raise ValueError(f"its configuration has no [{section}]")
    for name in _COUNTS:
        if not isinstance(config["run"].get(name), int):
            raise ValueError(f"its configuration has no run.{name}")


def check_state(status: str, position: float) -> None:
    """Raise ValueError where a run is in no state that there is, or nowhere in the queue."""
    if status not in STATUSES or not math.isfinite(position):
        raise ValueError(f"its state is {status!r}, its place in the queue {position}")


def check_facts(facts: Mapping[str, Any]) -> None:
    """Raise ValueError where a fact is not of its kind; facts of later versions may be anything."""
    for name, kinds in _FACTS.items():
        if name in facts and not isinstance(facts[name], kinds):
            raise ValueError(f"its fact {name!r} is of another kind than it should be")


def check_keys(keys: Iterable[str]) -> None:
    """Raise ValueError where one dotted key leads through another: `a` is a figure then, and a table of figures."""
    all_keys = set(keys)
    for key in all_keys:
        parts = key.split(".")
        if any(".".join(parts[:i]) in all_keys for i in range(1, len(parts))):
            raise ValueError(f"its prediction {key!r} leads through another")
