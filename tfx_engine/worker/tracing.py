"""The trace of a configuration's step, made once for all who ask for it in a row: memory, time, the ledger of a run."""

from __future__ import annotations

import json

from tfx_engine.protocol.config import Config
from tfx_engine.techniques.devices import device_kind
from tfx_engine.trace import Traced, traced
from tfx_engine.trace.manners import Manners

_newest: tuple[str, Traced] | None = None  # replaced as a whole: several threads may ask


def trace_of(config: Config, manners: Manners | None = None) -> Traced:
    """On the kind of device that the configuration names. Raises `BrokenOff` where `manners` say so."""
    global _newest
    key = json.dumps([{**config.as_dict(), "name": "", "seed": 0}, device_kind(config)], default=str)
    known = _newest
    if known is not None and known[0] == key:
        return known[1]
    found = traced(config, device_kind(config), manners)
    if not found.is_given_up:
        _newest = key, found
    return found
