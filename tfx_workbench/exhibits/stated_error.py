"""How far off predictions of the peak were, in words: the same in the window and on the command line.

A median alone reads like a bound, which it is not: what nearly all stay within stands beside it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tfx_engine.protocol.marker import tr_mark
from tfx_workbench.exhibits.format import plain
from tfx_workbench.exhibits.text import Text, say

_LEAST = 0.001  # per cent: less is said as this


def within(figures: Mapping[str, Any]) -> Text | None:
    """"half of them within 0.6 %, 95 of 100 within 15 %"; None where the error is not known.

    `figures`: what `api.estimate` gives.
    """
    if figures.get("error_percent") is None:
        return None
    half, nearly_all = _percent(figures["error_percent"]), figures.get("error_95_percent")
    if nearly_all is None:
        return say(tr_mark("half of them within {half} %"), half=half)
    return say(tr_mark("half of them within {half} %, 95 of 100 within {most} %"), half=half, most=_percent(nearly_all))


def within_short(figures: Mapping[str, Any]) -> Text | None:
    """What nearly all stay within, where there is little room."""
    nearly_all = figures.get("error_95_percent")
    return None if nearly_all is None else say(tr_mark("95 of 100 within {most} %"), most=_percent(nearly_all))


def found_on(figures: Mapping[str, Any]) -> Text | None:
    """What the error was found on."""
    if figures.get("error_percent") is None:
        return None
    if runs := figures.get("error_runs"):
        return say(tr_mark("your last {runs} runs"), runs=runs)
    return say(tr_mark("random configurations on a CPU, until there are runs of your own"))


def _percent(value: float) -> str:
    return plain(max(value, _LEAST), 2)
