"""What exhibits of quantities over a run have in common: one curve per run, its axis, its legend, its definition."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence

import numpy as np

from tfx_engine.protocol.marker import tr_mark
from tfx_engine.protocol.metrics import METRICS
from tfx_workbench.exhibits.exhibit import Axis, Curve, Definition, LegendEntry
from tfx_workbench.exhibits.kind import Choice, Choices
from tfx_workbench.exhibits.ranges import horizon
from tfx_workbench.exhibits.runview import RunView
from tfx_workbench.exhibits.text import Text, Words, join, say
from tfx_workbench.runs.series import Series

POINTS = 800  # of one curve: about as many as a panel has pixels
_FEWEST, _MOST = 100, 24_000  # points of a curve among very many, and of all of them
_CROWD = 16  # runs from which on only the one in focus has more than a line
NO_RUN = say(tr_mark("Tick a run in the table below, or press Run to start one."))
NOTHING_RUN = say(tr_mark("No runs yet. Choose a preset or techniques at the left, then press Run (F5)."))
WAITING = say(tr_mark("Waiting for the first step."))
OVER = Choice("over", tr_mark("along the axis"), (("step", tr_mark("by step")), ("time", tr_mark("by time"))))
WINDOW = "window"  # key of the choices: "LOW HIGH" along the axis, in steps or seconds
_FEW = 30  # values, up to which each is marked
_LONG_S = 600.0  # seconds; a longer axis is in minutes


def in_drawing_order(runs: Sequence[RunView]) -> list[RunView]:
    """The runs with the focused one last, so that it lies on top."""
    return sorted(runs, key=lambda run: run.focus)


def series_of(run: RunView, column: str, choices: Choices, among: int = 1) -> Series:
    """A column of a run along the chosen axis: steps, or seconds since the end of the first step.

    `among`: how many curves share the picture; each of very many has fewer points.
    """
    points = points_among(among)
    if choices.get("over") != "time":
        return run.data.series(column, x="step", points=points, window=window_of(choices))
    window = window_of(choices, first_step_s(run))
    series = run.data.series(column, x="t_s", points=points, window=window)
    return dataclasses.replace(series, x=np.maximum(series.x - first_step_s(run), 0.0))


def points_among(curves: int) -> int:
    """How many points each of so many curves may have, so that moving the picture stays smooth."""
    points = POINTS
    while points > _FEWEST and points * curves > _MOST:  # by halves, so that one run more asks for nothing new
        points //= 2
    return points


def is_crowd(among: int) -> bool:
    """Whether there are too many runs for each to have more than a line."""
    return among > _CROWD


def window_of(choices: Choices, offset: float = 0.0) -> tuple[float, float] | None:
    """The stretch of steps or of seconds that somebody looks at closely, as the panel put it into the choices."""
    try:
        low, high = (float(part) + offset for part in choices.get(WINDOW, "").split(" "))
    except ValueError:
        return None
    return (low, high) if low < high else None


def first_step_s(run: RunView) -> float:
    """When the first step ended, in seconds since the worker took the run: what came before is no training."""
    times = run.data.series("step_ms", x="t_s", points=POINTS).x
    return float(times[0]) if len(times) else 0.0


def curve_of(
    run: RunView, series: Series, size: float = 1.0, x_size: float = 1.0, gaps: bool = False, among: int = 1
) -> Curve:
    """The curve of a run in units of `size`; steps without a reading are left out, or are `gaps` in the line.

    Of very many curves only the one in focus has a band, which would hide the others.
    """
    known = np.isfinite(series.mean) | gaps
    grouped = series.steps_per_point > 1 and (not is_crowd(among) or run.focus)
    return Curve(
        key=f"run {run.data.path}", label=run.label, colour=run.colour_name,
        x=series.x[known] / x_size, y=series.mean[known] / size,
        low=series.low[known] / size if grouped else None, high=series.high[known] / size if grouped else None,
        points=bool(np.count_nonzero(known) <= _FEW),
    )


def x_axis(runs: Sequence[RunView], found: Sequence[Series], choices: Choices) -> tuple[Axis, float]:
    """The axis of steps or of time, and the size of its unit; it ends where the data will, as far as that is near."""
    reached = max((float(s.x[-1]) for s in found if len(s)), default=0.0)
    live = any(run.data.is_live for run in runs)
    if choices.get("over") == "time":
        size, unit = (60.0, "min") if reached > _LONG_S else (1.0, "s")
        end = horizon(reached, 0.0) if live else reached
        return Axis(say(tr_mark("training time")), unit, low=0.0, high=(end or 1.0) / size), size
    planned = max((run.data.progress().planned for run in runs), default=0)
    end = horizon(reached, planned) if live else reached
    return Axis(say(tr_mark("step")), whole=True, low=0.0, high=max(end, 1.0)), 1.0


def legend_of(runs: Sequence[RunView]) -> tuple[LegendEntry, ...]:
    """One entry per run."""
    return tuple(LegendEntry(run.label, run.colour_name) for run in runs)


def define(*names: str) -> tuple[Definition, ...]:
    """The definitions of these metrics."""
    return tuple(Definition(say(METRICS[n].title), say(METRICS[n].definition)) for n in names)


def about(run: RunView, runs: Sequence[RunView], *said: Words) -> Text:
    """A sentence about one run, which is named where it is not the only one."""
    parts: list[Words] = [w for w in said if w]
    return join([run.label, *parts] if len(runs) > 1 else parts)


def why_missing(runs: Sequence[RunView], column: str, otherwise: Text) -> Words:
    """Why there is nothing of a column: the reason that a run gives, else that it has not begun, else `otherwise`."""
    for run in runs:
        if column in run.data.missing:
            return say(run.data.missing[column])
    if any(run.data.is_live for run in runs):
        return WAITING
    return otherwise


def latest(series: Series, pick: Callable[[Series], np.ndarray] = lambda s: s.mean) -> float:
    """The newest value that is known; NaN where there is none."""
    values = pick(series)
    known = values[np.isfinite(values)]
    return float(known[-1]) if len(known) else float("nan")
