"""What each choice does: every configuration against the baseline, with intervals that hold all at once."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

from tfx_engine.protocol.marker import tr_mark
from tfx_workbench.analysis.ablation_results import Configuration, Results, results_of
from tfx_workbench.analysis.compare import known_band
from tfx_workbench.analysis.statistics import Effect
from tfx_workbench.exhibits.by_step import NO_RUN, about, define
from tfx_workbench.exhibits.effects import ENDING_EARLY
from tfx_workbench.exhibits.exhibit import Column, Definition, Exhibit, Table
from tfx_workbench.exhibits.format import UNKNOWN, count, interval, number, percent, signed_percent, size
from tfx_workbench.exhibits.kind import Choice, Choices, ExhibitType
from tfx_workbench.exhibits.runview import RunView, focused
from tfx_workbench.exhibits.sweep import sweep
from tfx_workbench.exhibits.text import Text, Words, join, say

_TITLE = tr_mark("Ablation")
METRICS = ("tokens_per_s", "peak_bytes", "loss", "flops_per_token")
_COLUMNS = {"tokens_per_s": tr_mark("tokens/s"), "peak_bytes": tr_mark("peak memory"), "loss": tr_mark("loss"),
            "flops_per_token": tr_mark("FLOPs/token")}  # fmt: skip
_STATES = {"queued": tr_mark("waiting"), "running": tr_mark("running"), "failed": tr_mark("failed"),
           "stopped": tr_mark("stopped"), "interrupted": tr_mark("interrupted"), "finished": ""}  # fmt: skip
_VIEW = Choice("view", tr_mark("what is shown"), (
    ("table", tr_mark("effects")), ("curve", tr_mark("over an option")),
))
WAITING = say(tr_mark("Nothing was measured of these runs yet."))
_DEFINITIONS = (
    Definition(say(tr_mark("effect")), say(tr_mark(
        "The difference to the first row in per cent. Brackets hold the 95 % interval; all of a column hold at once, "
        "by one correction, however each was measured. Of runs that took turns it is the scatter between their "
        "processes and blocks; of one run each that of its steps; of several seeds that between seeds, paired. "
        "Of several runs with one seed the newest counts."))),
    ENDING_EARLY,
    Definition(say(tr_mark("≈")), say(tr_mark("Not distinguishable: the interval holds no difference, too."))),
    *define("tokens_per_s", "allocated_bytes", "loss"),
)


def ablation_table(runs: Sequence[RunView], choices: Choices) -> Exhibit:
    """The shown runs by configuration."""
    run = focused(runs)
    if run is None:
        return Exhibit("ablation_table", say(_TITLE), empty=NO_RUN, definitions=_DEFINITIONS)
    baseline = next((r.data for r in runs if r.baseline), runs[0].data)
    results = results_of([r.data for r in runs], baseline, known_band(baseline))
    if not any(len(r.data.steps) for r in runs):
        return Exhibit("ablation_table", say(_TITLE), empty=WAITING, definitions=_DEFINITIONS)
    colours = {id(r.data): r.colour_name for r in runs}
    labels = {id(r.data): r.label for r in runs}
    if choices.get("view") == "curve" and (curve := sweep(results, colours)) is not None:
        return dataclasses.replace(curve, sentence=about(run, runs, curve.sentence), definitions=_DEFINITIONS)
    effects = {metric: [None, *results.effects(metric)] for metric in METRICS}
    rows = [_row(i, c, labels, effects, results.mixes_devices) for i, c in enumerate(results.configurations)]
    columns = (Column(say(tr_mark("configuration")), number=False), Column("", number=False),
               *(Column(say(_COLUMNS[m])) for m in METRICS))
    if not any(row[1] for row in rows):  # all is well with all of them
        columns, rows = (columns[0], *columns[2:]), [(row[0], *row[2:]) for row in rows]
    table = Table("ablation", columns, tuple(rows),
                  colours=tuple(colours[id(c.runs[0])] for c in results.configurations))
    notes = _notes(results, effects["tokens_per_s"])
    if choices.get("view") == "curve":
        notes = (say(tr_mark("no option was swept over three values or more, so this is the table")), *notes)
    return Exhibit("ablation_table", say(_TITLE), sentence=about(run, runs, _sentence(results)), tables=(table,),
                   notes=notes, definitions=_DEFINITIONS)


def _row(
    index: int, configuration: Configuration, labels: dict[int, str], effects: dict[str, list[Effect | None]],
    mixes_devices: bool,
) -> tuple[Words, ...]:
    name: Words = labels[id(configuration.runs[0])]
    if (seeds := len(configuration.runs)) > 1:
        name = say(tr_mark("{name} ({count} seeds)"), name=str(name).rpartition(" · ")[0] or name, count=seeds)
    if mixes_devices and configuration.device:
        name = say(tr_mark("{name} on {device}"), name=name, device=configuration.device)
    if index == 0:
        return (name, _state(configuration), *(_plain(configuration, metric) for metric in METRICS))
    return (name, _state(configuration), *(effect_words(effects[metric][index]) for metric in METRICS))


def _plain(configuration: Configuration, metric: str) -> str:
    if not configuration.ended:
        return UNKNOWN
    found = configuration.ended[0].summary()
    table, name = {"tokens_per_s": ("tokens_per_s", "median"), "peak_bytes": ("memory_bytes", "peak"),
                   "loss": ("loss", "final"), "flops_per_token": ("flops_per_token", "hardware")}[metric]
    value = found[table][name]
    if value is None:
        return UNKNOWN
    return {"peak_bytes": size, "flops_per_token": count}.get(metric, number)(value)


def effect_words(effect: Effect | None) -> Words:
    """`+12.3 % [10.1, 14.2]`; with ≈ before it where it is not distinguishable."""
    if effect is None or math.isnan(effect.percent):
        return UNKNOWN
    if effect.percent == 0 and effect.low == 0:
        return say(tr_mark("same"))
    bounds = "" if effect.low == effect.high else interval(effect.low, effect.high)
    text = f"{signed_percent(effect.percent)} {bounds}".rstrip()
    return f"≈ {text}" if effect.distinguishable is False else text


def _state(configuration: Configuration) -> Words:
    """What the runs that did not finish are doing, or why not; nothing where all did."""
    said: list[Words] = []
    for run in configuration.runs:
        status = run.info.status
        if status == "finished":
            continue
        said.append(say(_STATES.get(status, status)))
        if run.info.reason:
            said.append(run.info.reason)
    return join(said) if said else ""


def _sentence(results: Results) -> Text:
    measured = sum(bool(c.ended) for c in results.configurations)
    count = len(results.configurations)
    words = tr_mark("1 configuration, {measured} measured") if count == 1 else tr_mark(
        "{count} configurations, {measured} measured")
    return say(words, count=count, measured=measured)


def _notes(results: Results, effects: Sequence[Effect | None]) -> tuple[Words, ...]:
    found = [effect for effect in effects if effect is not None and effect.method is not None]
    family = max((effect.family for effect in found), default=1)
    notes: list[Words] = []
    if results.mixes_tasks:
        notes.append(say(tr_mark("losses of different tasks cannot be compared")))
    if results.mixes_devices:
        notes.append(say(tr_mark("times and memory of different devices cannot be compared")))
    if results.lacks_common_seeds and any(effect is not None and math.isnan(effect.percent) for effect in effects):
        notes.append(say(tr_mark("configurations without a seed in common are not compared")))
    if results.band is not None:
        notes.append(say(tr_mark("equal runs differ by up to {band} here: less is not told apart"),
                         band=percent(results.band, 2)))
    if family > 1:
        notes.append(say(tr_mark("intervals of a column hold for all {count} comparisons at once"), count=family))
    return (*notes, *method_notes(found))


def method_notes(effects: Sequence[Effect]) -> tuple[Words, ...]:
    """How these were found: each way once."""
    found = {str(effect.method): effect.method for effect in effects if effect.method is not None}
    return tuple(say(method.template, **method.args) if method.args else say(method.template)
                 for method in found.values())


EXHIBIT = ExhibitType(
    name="ablation_table", title=_TITLE, function=ablation_table, order=80, at_end=True, choices=(_VIEW,),
    needs=frozenset({"info"}),  # only ended runs count: no step of a live one changes anything
    paper="several",
)
