"""One file per family of models; `FAMILIES` finds them by the `model_type` of a `config.json`."""

from __future__ import annotations

import functools
import importlib
import pkgutil

from tfx_engine.pretrained.family import Family


@functools.cache
def families() -> dict[str, Family]:
    """Every family under each of its types."""
    found: dict[str, Family] = {}
    for file in pkgutil.iter_modules(__path__):
        family: Family = importlib.import_module(f"{__name__}.{file.name}").FAMILY
        found |= dict.fromkeys(family.types, family)
    return found
