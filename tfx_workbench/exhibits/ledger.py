"""The ledger of predictions: how far off the predicted peak of each run was, and of one run each figure by itself.

Or of all runs that this machine's ledger knows, which is read where it is shown.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence

import numpy as np

from tfx_engine.protocol.ledger import error_percent, kept
from tfx_engine.protocol.marker import tr_mark
from tfx_engine.protocol.metrics import CATEGORIES
from tfx_workbench.exhibits.by_step import NO_RUN, about
from tfx_workbench.exhibits.exhibit import Axis, Bars, Column, Definition, Exhibit, Line, Plot, Table
from tfx_workbench.exhibits.format import duration, percent, signed_percent, size
from tfx_workbench.exhibits.kind import Choice, Choices, ExhibitType
from tfx_workbench.exhibits.ledger_history import histograms
from tfx_workbench.exhibits.runview import RunView, focused
from tfx_workbench.exhibits.text import Text, Words, say
from tfx_workbench.runs.interval import median_interval
from tfx_workbench.runs.summary import highest_probe

_TITLE = tr_mark("Predictions")
_OF = Choice("of", tr_mark("whose predictions"), (
    ("shown", tr_mark("the shown runs")), ("all", tr_mark("all my runs")),
))
_NAMES = {
    "parameters": tr_mark("parameters"), "gradients": tr_mark("gradients"), "optimizer": tr_mark("optimizer"),
    "activations": tr_mark("activations"), "adapters": tr_mark("adapters"), "temporary": tr_mark("temporary"),
    "other": tr_mark("other"),
}
_SMALLEST = 1.0  # per cent that the axis shows at least: else noise would fill it
_ROOM = 1.35  # of the axis, so that figures stand beside the longest bar
_DEFINITIONS = (
    Definition(say(tr_mark("error")), say(tr_mark(
        "Predicted / measured - 1, for the peak of a step's memory; of an interval its nearest end counts. The "
        "prediction is made from the configuration alone; nothing that the run measured is in it. Of a compiled run it "
        "is that of the step without the compiler: "
        "such runs have a median of their own."))),
    Definition(say(tr_mark("all my runs")), say(tr_mark(
        "Every configuration whose peak was predicted and then measured on this machine, once however often it ran. "
        "The lines are what the program states of its next prediction, from the newest 40 of them."))),
)
_Entry = tuple[Words, str, str, str]  # what, predicted, measured, error


def ledger(runs: Sequence[RunView], choices: Choices) -> Exhibit:
    """Errors of the runs that are shown, and the figures of the one in focus."""
    run = focused(runs)
    if run is None:
        return Exhibit("ledger", say(_TITLE), empty=NO_RUN, definitions=_DEFINITIONS)
    error = _peak_error(run)
    if error is None:
        return Exhibit("ledger", say(_TITLE), empty=_why_nothing(run), definitions=_DEFINITIONS)
    known = [(r, e) for r in runs if (e := _peak_error(r)) is not None]
    alike = [e for r, e in known if _is_compiled(r) == _is_compiled(run)]
    return Exhibit(
        "ledger", say(_TITLE), sentence=_sentence(run, runs, error, alike), definitions=_DEFINITIONS,
        plots=histograms(kept()) if choices["of"] == "all" else (_plot(known),), tables=(_table(run),),
    )


def _peak_error(run: RunView) -> float | None:
    """Error of the predicted peak in per cent; None where it was not predicted, or not measured."""
    predicted, probe = _predicted(run, "memory_bytes.peak"), highest_probe(run.data.memory_probes)
    if predicted is None or probe is None or not probe.peak_bytes:
        return None
    return error_percent(predicted, probe.peak_bytes, *_bounds(run))


def _bounds(run: RunView) -> tuple[float | None, float | None]:
    """What encloses the predicted peak where it depends on the data."""
    return _predicted(run, "peak_interval_bytes.low"), _predicted(run, "peak_interval_bytes.high")


def _is_compiled(run: RunView) -> bool:
    """Its prediction is that of the step without the compiler, and has an error of its own."""
    chosen = (run.data.info.config.get("techniques") or {}).get("compile") or {}
    return str(chosen.get("use", "none")) != "none"


def _predicted(run: RunView, key: str) -> float | None:
    found = run.data.predictions.get(key)
    return None if found is None or found.value is None else float(found.value)


def _why_nothing(run: RunView) -> Words:
    if _predicted(run, "memory_bytes.peak") is None:
        return say(run.data.missing.get("predicted") or tr_mark("Nothing was predicted for this run."))
    if reason := run.data.missing.get("memory_split"):
        return say(reason)
    if run.data.is_live:
        return say(tr_mark("Waiting for the first step whose memory is split into categories."))
    return say(tr_mark("The memory of this run was never split into categories."))


def _sentence(run: RunView, runs: Sequence[RunView], error: float, errors: list[float]) -> Text:
    said: list[Words] = [say(tr_mark("peak predicted {error} off"), error=signed_percent(error))]
    if len(errors) > 1:
        median = statistics.median(map(abs, errors))
        words = tr_mark("median error {median} over {count} compiled runs") if _is_compiled(run) else tr_mark(
            "median error {median} over {count} runs")
        said.append(say(words, median=percent(max(median, 0.01), 2), count=len(errors)))
    return about(run, runs, *said)


def _plot(known: list[tuple[RunView, float]]) -> Plot:
    """A bar for each run, the first at the top, from no error to its own."""
    known = known[::-1]
    errors = np.array([error for _, error in known])
    labels = tuple(run.label for run, _ in known)
    reach = max(_SMALLEST, float(np.abs(errors).max())) * _ROOM
    bars = Bars("errors", labels, np.zeros(len(known)), errors, tuple(run.colour_name for run, _ in known),
                tuple(signed_percent(error) for error in errors), label=say(tr_mark("error of the predicted peak")))
    x = Axis(say(tr_mark("error of the predicted peak")), "%", low=-reach, high=reach)
    y = Axis(low=-0.5, high=len(known) - 0.5, ticks=tuple((float(i), name) for i, name in enumerate(labels)))
    return Plot("errors", x, y, (Line("none", 0.0, upright=True, style="solid"), bars))


def _table(run: RunView) -> Table:
    columns = (Column(say(tr_mark("predicted and measured")), number=False), Column(say(tr_mark("predicted"))),
               Column(say(tr_mark("measured"))), Column(say(tr_mark("error"))))
    return Table("figures", columns, tuple(_entries(run)))


def _entries(run: RunView) -> list[_Entry]:
    probe = highest_probe(run.data.memory_probes)
    assert probe is not None
    found = [_entry(say(tr_mark("peak memory")), _predicted(run, "memory_bytes.peak"), probe.peak_bytes, *_bounds(run))]
    for name in CATEGORIES:
        predicted, measured = _predicted(run, f"memory_bytes.{name}"), probe.composition[name]
        if predicted or measured:
            found.append(_entry(say(_NAMES[name]), predicted, measured))
    predicted_ms, measured_ms = _predicted(run, "step_ms"), median_interval(run.data.measured("step_ms")).median
    if predicted_ms is not None and measured_ms > 0:
        found.append((say(tr_mark("step")), duration(predicted_ms), duration(measured_ms),
                      signed_percent(error_percent(predicted_ms, measured_ms))))
    return found


def _entry(
    what: Words, predicted: float | None, measured: int, low: float | None = None, high: float | None = None
) -> _Entry:
    if predicted is None:
        return what, "", size(measured), ""
    text = f"{size(low)} - {size(high)}" if low is not None and high is not None and low < high else size(predicted)
    return what, text, size(measured), signed_percent(error_percent(predicted, measured, low, high)) if measured else ""


EXHIBIT = ExhibitType(
    name="ledger", title=_TITLE, function=ledger, order=75, needs=frozenset({"info", "memory", "steps"}), paper="one",
    choices=(_OF,),
)
