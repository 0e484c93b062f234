"""What the contract tests try besides the defaults: one file per slot.

An option that is missing is tried at its default only. A file may also have `SIZES`: of the model, by technique.
"""

from __future__ import annotations

import importlib
from typing import Any

from tfx_engine.techniques.slots import SLOTS


def variants(slot: str, name: str) -> list[dict[str, Any]]:
    """The defaults, and what is tried besides them."""
    found = importlib.import_module(f"{__name__}.{slot}").VARIANTS
    return [{}, *found.get(name, ())]


def sizes_for(slot: str, name: str) -> dict[str, Any]:
    """Sizes of the model that a technique needs where the odd ones of the tests are not legal for it."""
    return getattr(importlib.import_module(f"{__name__}.{slot}"), "SIZES", {}).get(name, {})


def all_variants() -> list[tuple[str, str]]:
    """(slot, technique) of every entry, to find entries of techniques that there are not."""
    return [(slot, name) for slot in SLOTS for name in importlib.import_module(f"{__name__}.{slot}").VARIANTS]
