"""The figures of every run in one table, and how much each differs from the baseline, metric by metric."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, Literal

from tfx_engine.protocol.marker import tr_mark
from tfx_workbench.analysis.statistics import Effect
from tfx_workbench.exhibits.format import UNKNOWN, count, number, plain, signed, signed_percent, size
from tfx_workbench.exhibits.runview import RunView
from tfx_workbench.exhibits.text import Words, say
from tfx_workbench.report.document import Cell, Grid, Head, Tone
from tfx_workbench.report.subject import Against, Subject

Better = Literal["higher", "lower", ""]
# metric of `compare` -> title, which direction is better
METRICS: dict[str, tuple[str, Better]] = {
    "tokens_per_s": (tr_mark("throughput"), "higher"), "step_ms": (tr_mark("step time"), "lower"),
    "peak_bytes": (tr_mark("peak memory"), "lower"), "reserved_bytes": (tr_mark("reserved memory"), "lower"),
    "parameters_bytes": (tr_mark("memory of parameters"), "lower"),
    "gradients_bytes": (tr_mark("memory of gradients"), "lower"),
    "optimizer_bytes": (tr_mark("memory of the optimizer"), "lower"),
    "activations_bytes": (tr_mark("memory of activations"), "lower"),
    "adapters_bytes": (tr_mark("memory of adapters"), "lower"),
    "temporary_bytes": (tr_mark("temporary memory"), "lower"), "other_bytes": (tr_mark("other memory"), ""),
    "total_params": (tr_mark("parameters"), ""), "trainable_params": (tr_mark("trained parameters"), ""),
    "model_flops_per_token": (tr_mark("model FLOPs per token"), ""),
    "hardware_flops_per_token": (tr_mark("hardware FLOPs per token"), "lower"),
    "loss": (tr_mark("final training loss"), "lower"),
}
_FROM_NOTHING = tr_mark("from nothing")
_INDISTINCT = tr_mark("not distinguishable")
_HARD = "\N{NO-BREAK SPACE}"
_TENTH, _LEAST = 0.05, 0.01  # per cent: below the first one decimal is 0, below the second nobody cares


def key_figures(subject: Subject) -> Grid:
    """One line a run: speed, memory, size, loss, each with its difference to the baseline."""
    heads = [Head(say(tr_mark("run")), number=False), Head(say(tr_mark("tokens/s, median [95 %]")))]
    several = len(subject.views) > 1
    difference = [Head(say(tr_mark("difference")))] if several else []
    heads += difference
    heads += [Head(say(tr_mark("peak memory"))), *difference, Head(say(tr_mark("trained parameters"))),
              Head(say(tr_mark("loss"))), Head(say(tr_mark("held out"))), Head(say(tr_mark("status")), number=False)]
    rows = tuple(_key_row(subject, view, several) for view in subject.views)
    notes: list[Words] = []
    if several:
        notes.append(say(tr_mark(
            "difference: to {name}, in per cent. loss: nats, of the last step that trained; held out: on data that "
            "the model never trains on. The interval of a speed covers the scatter of the steps of that run."),
            name=subject.baseline.label))
    return Grid(say(tr_mark("Key figures")), tuple(heads), rows, tuple(notes))


def _key_row(subject: Subject, view: RunView, several: bool) -> tuple[Cell, ...]:
    figures, against = subject.summary(view), subject.against(view)
    cells = [Cell(view.label, colour=view.colour_name), _interval(figures, "tokens_per_s")]
    if several:
        cells.append(effect_cell(against, "tokens_per_s"))
    cells.append(known(figures, "memory_bytes.peak", size))
    if several:
        cells.append(effect_cell(against, "peak_bytes"))
    cells += [known(figures, "params.trainable", count), known(figures, "loss.final", number),
              known(figures, "loss.held_out", number)]
    tone: Tone = "" if figures["status"] == "finished" else "warning"
    return (*cells, Cell(figures["status"], tone=tone, why=figures["reason"]))


def value_at(figures: Mapping[str, Any], key: str) -> Any:
    """The figure under a dotted key; None where it is not known."""
    value: Any = figures
    for part in key.split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    return value


def known(figures: Mapping[str, Any], key: str, words: Callable[[float], str]) -> Cell:
    """A figure with its exact value; a dash and the reason where it is not known."""
    value = value_at(figures, key)
    if value is None:
        return Cell(UNKNOWN, why=figures["missing"].get(key, ""), tone="muted")
    return Cell(words(value), value=value)


def _interval(figures: Mapping[str, Any], key: str) -> Cell:
    found = figures[key]
    if found["median"] is None:
        return known(figures, f"{key}.median", number)
    bounds = ""
    if found["low"] is not None and found["high"] is not None:
        bounds = f"[{number(found['low'])},{_HARD}{number(found['high'])}]"
    return Cell(number(found["median"]), under=bounds, value=found["median"])


# ---------------------------------------------------------------------------------------- effects


def effect_cell(against: Against | None, metric: str) -> Cell:
    """The difference to the baseline; empty for the baseline itself."""
    if against is None:
        return Cell("")
    found = against.effect(metric)
    if found is None:
        return Cell(UNKNOWN, tone="muted", why=say(tr_mark("not compared: see the remarks on this run")))
    why = against.missing.get(metric, "") if math.isnan(found.percent) else ""
    bounds = f"[{_bounds(found)}]" if _has_bounds(found) else ""
    return Cell(_verdict(found), under=bounds, value=_finite(found.percent), tone=tone_of(metric, found), why=why)


def effect_words(found: Effect) -> Words:
    """`−16.2 % [−18.0, −14.1]`, or that it cannot be told from nothing."""
    if not _has_bounds(found):
        return _verdict(found)
    return say(tr_mark("{verdict} [{bounds}]"), verdict=_verdict(found), bounds=_bounds(found))


def _verdict(found: Effect) -> Words:
    if math.isnan(found.percent):
        return say(_FROM_NOTHING) if found.distinguishable else UNKNOWN
    if found.distinguishable is False and (found.percent or _has_bounds(found)):
        return say(_INDISTINCT)
    return say(tr_mark("same")) if found.percent == 0 else _percent(found.percent)


def _percent(value: float) -> str:
    """With more digits where one would say that there is nothing."""
    if abs(value) < _LEAST:
        return f"<{_HARD}{_LEAST}{_HARD}%"
    words = signed_percent(value) if abs(value) >= _TENTH else f"{signed(value, 1)} %"
    return words.replace(" ", _HARD)


def _has_bounds(found: Effect) -> bool:
    return math.isfinite(found.low) and found.low != found.high


def _bounds(found: Effect) -> str:
    return f",{_HARD}".join(signed_percent(v).removesuffix(" %") for v in (found.low, found.high))


def tone_of(metric: str, found: Effect) -> Tone:
    """Whether a difference is for the better or the worse, where that is known."""
    better = METRICS[metric][1] if metric in METRICS else ""
    if not found.distinguishable or not better or not found.percent or math.isnan(found.percent):
        return "muted" if found.distinguishable is False else ""
    return "better" if (found.percent > 0) == (better == "higher") else "worse"


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def effect_table(subject: Subject) -> Grid:
    """Every metric of every run against the baseline."""
    heads = (Head(say(tr_mark("metric")), number=False), *(Head(subject.head(a.view)) for a in subject.others))
    rows: list[tuple[Cell, ...]] = []
    for metric, (title, _) in METRICS.items():
        found = [a.effect(metric) for a in subject.others]
        if all(e is None or (math.isnan(e.percent) and not e.distinguishable) for e in found):
            continue
        rows.append((Cell(say(title)), *(effect_cell(a, metric) for a in subject.others)))
    caption = say(tr_mark("Differences to {name}"), name=subject.baseline.label)
    return Grid(caption, heads, tuple(rows))


_FIGURES: list[tuple[str, str, Callable[[float], str]]] = [  # what it is called, its key in a summary, its words
    (tr_mark("steps that count"), "measured_steps", plain),
    (tr_mark("steps left out, disturbed from outside"), "left_out_steps", plain),
    (tr_mark("step time, median, ms"), "step_ms.median", number),
    (tr_mark("peak memory"), "memory_bytes.peak", size),
    (tr_mark("reserved memory"), "memory_bytes.reserved", size),
    (tr_mark("device memory in use"), "memory_bytes.device", size),
    (tr_mark("process memory"), "memory_bytes.rss", size),
    (tr_mark("parameters at the peak"), "memory_bytes.parameters", size),
    (tr_mark("gradients at the peak"), "memory_bytes.gradients", size),
    (tr_mark("optimizer at the peak"), "memory_bytes.optimizer", size),
    (tr_mark("activations at the peak"), "memory_bytes.activations", size),
    (tr_mark("adapters at the peak"), "memory_bytes.adapters", size),
    (tr_mark("temporary at the peak"), "memory_bytes.temporary", size),
    (tr_mark("other at the peak"), "memory_bytes.other", size),
    (tr_mark("predicted peak"), "predicted.memory_bytes.peak", size),
    (tr_mark("parameters"), "params.total", lambda v: f"{v:,}"),
    (tr_mark("trained parameters"), "params.trainable", lambda v: f"{v:,}"),
    (tr_mark("model FLOPs per token"), "flops_per_token.model", lambda v: f"{v:,}"),
    (tr_mark("hardware FLOPs per token"), "flops_per_token.hardware", lambda v: f"{v:,}"),
    (tr_mark("MFU, %"), "mfu", lambda v: number(100 * v, 3)),
    (tr_mark("first training loss, nats"), "loss.first", number),
    (tr_mark("final training loss, nats"), "loss.final", number),
    (tr_mark("held-out loss, nats"), "loss.held_out", number),
    (tr_mark("held-out bits per byte"), "loss.bits_per_byte", number),
    (tr_mark("held-out accuracy"), "accuracy", number),
    (tr_mark("energy per token, mJ"), "energy_j.per_token", lambda v: number(1000 * v, 3)),
    (tr_mark("measuring costs, %"), "overhead_percent", lambda v: number(v, 3)),
]


def all_figures(subject: Subject) -> Grid:
    """The further figures of `show`, run by run."""
    rows: list[tuple[Cell, ...]] = []
    for title, key, words in _FIGURES:
        cells = [known(subject.summary(view), key, words) for view in subject.views]
        if any(cell.value is not None for cell in cells):
            rows.append((Cell(say(title)), *cells))
    heads = (Head(say(tr_mark("figure")), number=False), *(Head(subject.head(view)) for view in subject.views))
    note = say(tr_mark("A dash is a reading that could not be had. Why stands under “Environment and provenance”."))
    caption = say(tr_mark("Figures of every run")) if subject.others else say(tr_mark("Figures of the run"))
    return Grid(caption, heads, tuple(rows), (note,))
