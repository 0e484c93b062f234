"""How far off predictions of the peak were, and what it is compared with, in words: the same in the window and on the
command line.

A median alone reads like a bound, which it is not: what nearly all stay within stands beside it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tfx_engine.protocol.marker import tr_mark
from tfx_workbench.exhibits.format import UNKNOWN, plain, size
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


def within_of_step(figures: Mapping[str, Any]) -> Text | None:
    """The same of the predicted time of a step."""
    return within({"error_percent": figures.get("step_ms_error_percent"),
                   "error_95_percent": figures.get("step_ms_error_95_percent")})


def within_short(figures: Mapping[str, Any]) -> Text | None:
    """What nearly all stay within, where there is little room."""
    nearly_all = figures.get("error_95_percent")
    return None if nearly_all is None else say(tr_mark("95 of 100 within {most} %"), most=_percent(nearly_all))


def found_on(figures: Mapping[str, Any]) -> Text | None:
    """What the error was found on."""
    if figures.get("error_percent") is None:
        return None
    if runs := figures.get("error_runs"):
        words = tr_mark("the last configuration that you ran") if runs == 1 else tr_mark(
            "the last {runs} configurations that you ran")
        return say(words, runs=runs)
    if figures.get("device_kind") == "cuda":
        return say(tr_mark("random configurations on one H200, until there are runs of your own"))
    return say(tr_mark("random configurations on a CPU, until there are runs of your own"))


def compared(figures: Mapping[str, Any]) -> Text | None:
    """With what the peak is compared, where that is not just what the device has in all."""
    if (free := figures.get("free_bytes")) is not None:
        return say(tr_mark("Compared with the {free} that are free now."), free=size(free))
    context, reserved = figures.get("context_bytes"), figures.get("reserved_bytes")
    if not context:
        return None
    if reserved is None:
        return say(tr_mark("{context} of the device are counted for the context of the process there."),
                   context=size(context))
    return say(tr_mark("Compared are the {reserved} that the allocator will hold, and {context} for the context of the "
                       "process there."), reserved=size(reserved), context=size(context))


def off(within_95: float | None) -> str:
    """What 95 of 100 predictions stay within, in per cent; a dash where nobody knows."""
    return UNKNOWN if within_95 is None else percent_of(within_95)


def percent_of(value: float) -> str:
    """An error in per cent, without its sign."""
    return f"{_percent(value)} %"


def _percent(value: float) -> str:
    return plain(max(value, _LEAST), 2)
