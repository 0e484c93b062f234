"""Memory, throughput and loss of every configuration, what was predicted hollow, and which of them nothing beats."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from tfx_engine.protocol.marker import tr_mark
from tfx_engine.protocol.problems import ConfigError
from tfx_engine.protocol.sizes import parse_bytes
from tfx_workbench.analysis.ablation import FACT
from tfx_workbench.analysis.comparable import why_not
from tfx_workbench.analysis.pareto import front
from tfx_workbench.exhibits.by_step import NO_RUN, about, define
from tfx_workbench.exhibits.exhibit import Axis, Curve, Definition, Exhibit, LegendEntry, Line, Marker, Plot
from tfx_workbench.exhibits.format import Scale, byte_scale, count_scale, number, plain, rate, size
from tfx_workbench.exhibits.kind import Choice, Choices, ExhibitType
from tfx_workbench.exhibits.runview import RunView, focused
from tfx_workbench.exhibits.text import Text, Words, join, say

_TITLE = tr_mark("Pareto")
_AXES = Choice("axes", tr_mark("what is shown"), (
    ("memory speed", tr_mark("memory and throughput")), ("memory loss", tr_mark("memory and loss")),
    ("loss speed", tr_mark("loss and throughput")),
))
START = "start"  # what a click on a hollow point chooses: the levels of a configuration, as JSON
_SIGNS = {"memory": -1, "speed": 1, "loss": -1}  # where more is better, 1
_TITLES = {"memory": tr_mark("peak memory"), "speed": tr_mark("throughput"), "loss": tr_mark("loss")}
_METRICS = {"memory": "peak_bytes", "speed": "tokens_per_s", "loss": "loss"}
_LABELLED = 14  # points, up to which each has its name beside it
_NOTHING = say(tr_mark("Nothing was measured or predicted of these runs yet. Press Run, or choose Ablation… for many."))
_LACKING = tr_mark("The {what} of these is not known: it is measured in a Run. Choose other axes above.")
_DEFINITIONS = (
    Definition(say(tr_mark("front")), say(tr_mark(
        "What nothing beats: no other configuration is at least as good in both and better in one. The line leads over "
        "those of them that are shown. What was measured on another device, or with another task or other data, than "
        "the baseline is shown in grey and compared with nothing."))),
    Definition(say(tr_mark("hollow")), say(tr_mark(
        "Predicted from the configuration alone, and not measured. A click runs it."))),
    *define("allocated_bytes", "tokens_per_s", "loss"),
)


@dataclasses.dataclass(frozen=True)
class Point:
    """One configuration: bytes at the peak, tokens/s, loss; NaN where it is not known."""

    name: Words
    memory: float
    speed: float
    loss: float
    colour: str
    is_predicted: bool = False
    start: str = ""  # what a click asks for
    unlike: Mapping[str, str] = dataclasses.field(default_factory=dict)  # figure -> why it is not compared
    reference: Words = ""  # with which run's

    def value(self, what: str) -> float:
        """One of its three figures."""
        return float(getattr(self, what))


def pareto(runs: Sequence[RunView], choices: Choices) -> Exhibit:
    """The shown runs, and those of their ablation that were predicted and not run."""
    if not runs:
        return Exhibit("pareto", say(_TITLE), empty=NO_RUN, definitions=_DEFINITIONS)
    run = focused(runs)
    reference = next((r for r in runs if r.baseline and r.data.summary()["measured_steps"]), None) or next(
        (r for r in runs if r.data.summary()["measured_steps"]), runs[0])
    points = [*(_of_run(r, reference) for r in runs), *_planned(runs)]
    made = pareto_of(points, choices)
    return made if run is None else dataclasses.replace(made, sentence=about(run, runs, made.sentence or run.label))


def pareto_of(points: Sequence[Point], choices: Choices) -> Exhibit:
    """Any configurations, measured or predicted."""
    across, up = (choices.get("axes") or "memory speed").split()
    shown = [p for p in points if math.isfinite(p.value(across)) and math.isfinite(p.value(up))]
    if not shown:
        lacking = [what for what in (across, up) if not any(math.isfinite(p.value(what)) for p in points)]
        known = any(math.isfinite(p.value(what)) for p in points for what in _SIGNS)
        empty = _NOTHING if not known or not lacking else say(_LACKING, what=say(_TITLES[lacking[0]]))
        return Exhibit("pareto", say(_TITLE), empty=empty, definitions=_DEFINITIONS)
    limit, least, wrong = _limits(choices)
    alike = [not (p.unlike.get(across) or p.unlike.get(up)) for p in shown]
    fits = [_fits(p, limit, least) and like for p, like in zip(shown, alike, strict=True)]
    values = [[p.value(across), p.value(up)] for p in shown]
    best = front([v for v, fit in zip(values, fits, strict=True) if fit], (_SIGNS[across], _SIGNS[up]))
    flags = iter(best)
    on_front = [next(flags) if fit else False for fit in fits]
    scales = {"memory": byte_scale(max([p.memory for p in shown if math.isfinite(p.memory)], default=1.0)),
              "loss": Scale("nats", 1.0),
              "speed": count_scale(max([p.speed for p in shown if math.isfinite(p.speed)], default=1.0), "tokens/s")}
    plot = _plot(across, up, shown, on_front, fits, scales, limit, least)
    compared = [pair for pair, like in zip(zip(shown, on_front, fits, strict=True), alike, strict=True) if like]
    return Exhibit("pareto", say(_TITLE), sentence=_sentence(compared, limit, least), plots=(plot,),
                   legend=_legend(shown), notes=(*wrong, *_not_compared(shown, across, up)), definitions=_DEFINITIONS)


def _not_compared(points: Sequence[Point], across: str, up: str) -> Iterator[Words]:
    """Which of these are of another device, task or text, and so neither on the front nor beaten by it."""
    for reason in dict.fromkeys(p.unlike.get(across) or p.unlike.get(up, "") for p in points):
        if reason:
            names = [p.name for p in points if reason == (p.unlike.get(across) or p.unlike.get(up, ""))]
            yield say(tr_mark("grey, and not compared with {reference}: {names}: {reason}"),
                      reference=next(p.reference for p in points if p.unlike), names=join(names, ", "),
                      reason=say(reason))


# ---------------------------------------------------------------------------------------------- points


def _of_run(run: RunView, reference: RunView) -> Point:
    """A run: measured where it has steps, else as it was predicted."""
    summary = run.data.summary()
    if summary["measured_steps"]:
        memory, speed, loss = (summary[table][name] for table, name in (
            ("memory_bytes", "peak"), ("tokens_per_s", "median"), ("loss", "final")))
        unlike = {what: why for what, metric in _METRICS.items() if (why := why_not(reference.data, run.data, metric))}
        return Point(run.label, _known(memory), _known(speed), _known(loss), run.colour_name, unlike=unlike,
                     reference=reference.label)
    return predicted_point(run.label, _fact(run).get("predicted") or {}, run.colour_name)


def predicted_point(name: Words, figures: Mapping[str, Any], colour: str = "muted", start: str = "") -> Point:
    """A configuration as it is predicted: `{peak_bytes, step_ms, tokens}`, the last per step."""
    step_ms, tokens = _known(figures.get("step_ms")), _known(figures.get("tokens"))
    speed = 1000 * tokens / step_ms if step_ms > 0 else math.nan
    return Point(name, _known(figures.get("peak_bytes")), speed, math.nan, colour, is_predicted=True, start=start)


def _known(value: Any) -> float:
    return float(value) if isinstance(value, (int, float)) else math.nan


def _fact(run: RunView) -> Mapping[str, Any]:
    fact = run.data.facts.get(FACT)
    return fact if isinstance(fact, dict) else {}


def _planned(runs: Sequence[RunView]) -> list[Point]:
    """What the ablation of these runs predicted and nobody ran."""
    facts = [_fact(run) for run in runs]
    planned: list[Any] = max((fact["points"] for fact in facts if isinstance(fact.get("points"), list)), key=len,
                             default=[])
    run_already = [fact.get("levels") for fact in facts]
    return [
        predicted_point(str(p.get("name", "")), p, start=json.dumps(p["levels"], sort_keys=True))
        for p in planned if isinstance(p, dict) and isinstance(p.get("levels"), dict) and p["levels"] not in run_already
    ]


# ---------------------------------------------------------------------------------------------- the filter


def _limits(choices: Choices) -> tuple[float | None, float | None, list[Words]]:
    """(most bytes, least tokens/s, what could not be understood)."""
    wrong: list[Words] = []
    limit = least = None
    if text := choices.get("memory_limit", "").strip():
        try:
            limit = float(parse_bytes(text, "memory"))
        except ConfigError as error:
            wrong.append(say(error.problems[0].sentence().replace("{", "{{").replace("}", "}}")))
    if text := choices.get("least_speed", "").strip():
        try:
            least = float(text.replace(",", "").replace(" ", ""))
        except ValueError:
            wrong.append(say(tr_mark("{text} is no number of tokens per second"), text=text[:40]))
    return limit, least, wrong


def _fits(point: Point, limit: float | None, least: float | None) -> bool:
    return (limit is None or point.memory <= limit) and (least is None or point.speed >= least)


# ---------------------------------------------------------------------------------------------- what is drawn


def _plot(
    across: str, up: str, points: Sequence[Point], on_front: Sequence[bool], fits: Sequence[bool],
    scales: Mapping[str, Scale], limit: float | None, least: float | None,
) -> Plot:
    sx, sy = scales[across], scales[up]
    layers: list[Any] = []
    nothing_beats = [point for point, on in zip(points, on_front, strict=True) if on]
    best = sorted((point.value(across) / sx.size, point.value(up) / sy.size) for point in nothing_beats)
    if len(best) > 1:
        x, y = np.array(best).T
        layers.append(Curve("front", say(tr_mark("front")), x, y, "muted", style="dashed"))
    if limit is not None and across == "memory":
        layers.append(Line("limit", limit / sx.size, size(limit), "warning", upright=True))
    if least is not None and up == "speed":
        layers.append(Line("least", least / sy.size, rate(least), "warning"))
    few = len(points) <= _LABELLED
    for i, (point, best_one, fit) in enumerate(zip(points, on_front, fits, strict=True)):
        layers.append(Marker(
            f"point {i}", point.value(across) / sx.size, point.value(up) / sy.size,
            point.name if best_one or (few and fit) else "", point.colour if fit else "line", hollow=point.is_predicted,
            name=point.name, details=_details(point, across, up, best_one, fit), chooses=START if point.start else "",
            choice=point.start,
        ))
    return Plot(f"{across} {up}", Axis(say(_TITLES[across]), sx.unit), Axis(say(_TITLES[up]), sy.unit), tuple(layers))


def _details(point: Point, across: str, up: str, is_best: bool, fits: bool) -> tuple[tuple[Words, str], ...]:
    left = next(what for what in _SIGNS if what not in (across, up))
    value = point.value(left)
    written = {"memory": size(value), "speed": rate(value), "loss": number(value)}[left] if math.isfinite(value) else ""
    rows: list[tuple[Words, str]] = []
    if written:
        rows.append((say(_TITLES[left]), written))
    if point.is_predicted:
        rows.append((say(tr_mark("predicted, click to run")) if point.start else say(tr_mark("predicted")), ""))
    if is_best:
        rows.append((say(tr_mark("on the front")), ""))
    if why := point.unlike.get(across) or point.unlike.get(up):
        rows.append((say(tr_mark("not compared: {reason}"), reason=say(why)), ""))
    elif not fits:
        rows.append((say(tr_mark("beyond the limits")), ""))
    return tuple(rows)


def _legend(points: Sequence[Point]) -> tuple[LegendEntry, ...]:
    measured = [LegendEntry(p.name, p.colour) for p in points if not p.is_predicted]
    hollow = any(p.is_predicted for p in points)
    return (*measured, *([LegendEntry(say(tr_mark("predicted (hollow)")), "muted", "dotted")] if hollow else []))


def _sentence(
    points: Sequence[tuple[Point, bool, bool]], limit: float | None, least: float | None
) -> Text:
    """`points`: each that can be compared, whether it is on the front, whether it fits."""
    if limit is None and least is None:
        return say(tr_mark("{count} of {all} on the front"), count=sum(on for _, on, _ in points), all=len(points))
    asked: list[Words] = []
    if limit is not None:
        asked.append(say(tr_mark("in {size}"), size=size(limit)))
    if least is not None:
        asked.append(say(tr_mark("at {speed} tokens/s or more"), speed=plain(least)))
    inside = [p for p, _, fit in points if fit]
    if not inside:
        return say(tr_mark("nothing fits {asked}"), asked=join(asked, " "))
    fastest = max(inside, key=lambda p: p.speed if math.isfinite(p.speed) else -1.0)
    return say(tr_mark("{count} of {all} fit {asked}; the fastest: {name}"), count=len(inside), all=len(points),
               asked=join(asked, " "), name=fastest.name)


EXHIBIT = ExhibitType(
    name="pareto", title=_TITLE, function=pareto, order=82, choices=(_AXES,),
    needs=frozenset({"info", "steps", "memory"}),
    paper="several",
)
