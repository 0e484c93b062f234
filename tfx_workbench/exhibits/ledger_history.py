"""How far off the predicted peak was over all of one's own runs, as the ledger keeps them: histograms of the error."""

from __future__ import annotations

import bisect
import itertools
from collections.abc import Sequence

import numpy as np

from tfx_engine.protocol.ledger import OwnError, PastPeak, own_error
from tfx_engine.protocol.marker import tr_mark
from tfx_workbench.exhibits.exhibit import Axis, Bars, Layer, Line, Plot
from tfx_workbench.exhibits.format import percent
from tfx_workbench.exhibits.text import Text, say

_EDGES = (0.0, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0)  # per cent; the last bin has no end
_ROOM = 1.25  # of the axis, so that counts stand beside the longest bar
_LEAST = 0.001  # per cent: less is said as this
_LEVELS = {"instant": tr_mark("closed form"), "traced": tr_mark("traced")}
_NONE = tr_mark("The ledger is empty: each run that splits its memory into categories adds to it.")
_Which = tuple[str, str, bool]  # kind of device, level, compiled


def histograms(kept: Sequence[PastPeak]) -> tuple[Plot, ...]:
    """One for each level and kind of device, eager and compiled runs apart; those with most configurations first."""
    found: dict[_Which, list[float]] = {}
    for past in kept:
        found.setdefault((past.kind, past.level, past.compiled), []).append(abs(past.error_percent))
    if not found:
        nothing = Axis(say(tr_mark("configurations")))
        return (Plot("history", nothing, Axis(), (Line("none", 0.0, upright=True),), missing=say(_NONE)),)
    return tuple(_histogram(which, errors) for which, errors in sorted(
        found.items(), key=lambda item: (item[0][2], -len(item[1]), item[0])))


def _histogram(which: _Which, errors: list[float]) -> Plot:
    """A row for each stretch of errors, the smallest at the top; what the program states as lines between them."""
    kind, level, is_compiled = which
    stated = own_error(kind, level, is_compiled)
    highest = max([*errors, *([stated.within_95] if stated else [])])
    rows = _bin(highest) + 1
    counts = np.bincount([_bin(error) for error in errors], minlength=rows)[::-1].astype(np.float64)
    labels = tuple(_label(i) for i in reversed(range(rows)))
    bars = Bars("history", labels, np.zeros(rows), counts, ("accent",) * rows,
                tuple(f"{count:.0f}" if count else "" for count in counts), label=say(tr_mark("configurations")))
    title = say(tr_mark("compiled configurations") if is_compiled else tr_mark("configurations"))
    x = Axis(say(tr_mark("{title}, {level}, {kind}"), title=title, level=say(_LEVELS.get(level, level)), kind=kind),
             whole=True, low=0.0, high=float(counts.max()) * _ROOM)
    y = Axis(say(tr_mark("error, without sign")), low=-0.5, high=rows - 0.5,
             ticks=tuple((float(i), label) for i, label in enumerate(labels)))
    lines: list[Layer] = [] if stated is None else _lines(stated, rows)
    return Plot(f"{kind} {level} {'compiled' if is_compiled else 'eager'}", x, y, (bars, *lines))


def _lines(stated: OwnError, rows: int) -> list[Layer]:
    return [
        Line("median", _height(stated.median, rows), say(tr_mark("median {error}"), error=_said(stated.median))),
        Line("within", _height(stated.within_95, rows), say(tr_mark("95 of 100 within {error}"),
                                                            error=_said(stated.within_95))),
    ]


def _bin(error: float) -> int:
    return bisect.bisect_right(_EDGES, error) - 1


def _height(error: float, rows: int) -> float:
    """Where an error stands among rows of which the first lies at the top."""
    i = _bin(error)
    low, high = _EDGES[i], _EDGES[i + 1] if i + 1 < len(_EDGES) else 10 * _EDGES[i]
    return rows - 0.5 - i - min(1.0, (error - low) / (high - low))


def _label(i: int) -> Text:
    edges = dict(enumerate(itertools.pairwise(_EDGES)))
    if i not in edges:
        return say(tr_mark("{low} % and more"), low=f"{_EDGES[-1]:g}")
    low, high = edges[i]
    return say(tr_mark("{low} to {high} %"), low=f"{low:g}", high=f"{high:g}")


def _said(error: float) -> str:
    return percent(max(error, _LEAST), 2)
