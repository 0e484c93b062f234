"""The differences to the baseline as a picture: a bar from end to end of each interval, a point at the difference."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from tfx_engine.protocol.marker import tr_mark
from tfx_workbench.analysis.statistics import Effect
from tfx_workbench.exhibits.exhibit import Axis, Bars, Definition, Exhibit, Layer, Line, Marker, Plot
from tfx_workbench.exhibits.format import signed_percent
from tfx_workbench.exhibits.text import Text, Words, say
from tfx_workbench.report.subject import Against, Subject

_TITLE = tr_mark("Differences to the baseline")
_SHOWN = (("tokens_per_s", tr_mark("throughput")), ("peak_bytes", tr_mark("peak memory")))
_LEAST = 1.0  # per cent that an axis shows at least: else noise would fill it
_FOR_WORDS, _FOR_FIGURES = 0.9, 0.3  # of the bars' part of the axis, for what stands beside them
_DEFINITION = Definition(say(tr_mark("difference")), say(tr_mark(
    "Difference to the baseline in per cent, with its 95 % interval where it has one; within the interval nothing can "
    "be told apart from what was measured.")))


def differences(subject: Subject) -> Exhibit | None:
    """A plot for speed and one for memory; None where nothing is compared."""
    plots = [plot for metric, title in _SHOWN if (plot := _plot(subject.others, metric, say(title))) is not None]
    if not plots:
        return None
    sentence = say(tr_mark("each run against {name}; of throughput the bar is the 95 % interval, of memory the counted "
                           "difference"),
                   name=subject.baseline.label)
    return Exhibit("differences", say(_TITLE), sentence=sentence, plots=tuple(plots), definitions=(_DEFINITION,))


def _plot(others: Sequence[Against], metric: str, title: Text) -> Plot | None:
    rows = [(a, e) for a in others if (e := a.effect(metric)) is not None and math.isfinite(e.percent)][::-1]
    if not rows:
        return None
    labels = tuple(against.view.label for against, _ in rows)
    ends = [_ends(effect) for _, effect in rows]
    low, high = (np.array([end[i] for end in ends]) for i in (0, 1))
    colours = tuple(against.view.colour_name for against, _ in rows)
    layers: list[Layer] = [
        Line("none", 0.0, upright=True, style="solid"),
        Bars("intervals", labels, low, high, colours, label=title),
        Bars("figures", labels, np.maximum(high, 0.0), np.maximum(high, 0.0), ("text",) * len(rows),
             tuple(_said(effect) for _, effect in rows)),
        *(Marker(f"at {row}", effect.percent, float(row), "", "text")
          for row, (_, effect) in enumerate(rows) if _has_interval(effect)),
    ]
    lowest, highest = min(float(low.min()), -_LEAST), max(float(high.max()), 0.0)
    room = _FOR_WORDS if any(isinstance(_said(effect), Text) for _, effect in rows) else _FOR_FIGURES
    x = Axis("", "%", low=1.05 * lowest, high=highest + (highest - lowest) * room)
    y = Axis(title, low=-0.5, high=len(rows) - 0.5, ticks=tuple((float(i), label) for i, label in enumerate(labels)))
    return Plot(metric, x, y, tuple(layers))


def _has_interval(effect: Effect) -> bool:
    return math.isfinite(effect.low) and effect.low != effect.high


def _ends(effect: Effect) -> tuple[float, float]:
    """Where the bar begins and ends: the interval, or from nothing to the difference."""
    if _has_interval(effect):
        return effect.low, effect.high
    return min(0.0, effect.percent), max(0.0, effect.percent)


def _said(effect: Effect) -> Words:
    if effect.distinguishable is False and _has_interval(effect):
        return say(tr_mark("not distinguishable"))
    return signed_percent(effect.percent)
