"""The summary in words: what was run, what each run changed, what it cost and bought, how far to trust it."""

from __future__ import annotations

import datetime
import math

from tfx_engine.protocol.marker import tr_mark
from tfx_workbench.analysis.comparable import is_other_device, name_of_device, task_of
from tfx_workbench.analysis.compare import config_diff
from tfx_workbench.analysis.statistics import Effect
from tfx_workbench.exhibits.format import UNKNOWN, number
from tfx_workbench.exhibits.text import Text, Words, join, say
from tfx_workbench.report.differences import differences
from tfx_workbench.report.document import Block, Figure, Paragraph, Point, Points, Section
from tfx_workbench.report.figures import METRICS, effect_words, key_figures
from tfx_workbench.report.subject import Against, Subject

# What a summary tells, in this order; the others are in the table of differences.
_TOLD = ("tokens_per_s", "peak_bytes", "trainable_params", "hardware_flops_per_token", "loss")
_SMALL = 0.05  # per cent of a count that are not worth a word
_MOST_CHANGES = 6
_SCATTER = tr_mark("The interval of a speed, 95 %, comes from a block bootstrap over the measured steps of its run.")
_COUNTED = tr_mark("Memory, parameters and FLOPs are counted and have no scatter.")
_ONE_SEED = tr_mark("A loss is of one seed: how much it scatters between seeds is not known from these runs.")
_BY = tr_mark("Differences of speed: {method}.")
_AT_ONCE = tr_mark("Their intervals are widened so that all {family} of them hold at once in 95 % of cases.")
_BAND = tr_mark("Two copies of one configuration differed by up to {band} % here; a difference within that is called "
                "not distinguishable.")


def summary(subject: Subject) -> Section:
    """The first page."""
    blocks: list[Block] = [Paragraph(what_was_run(subject))]
    blocks.append(key_figures(subject))
    if (shown := differences(subject)) is not None:
        blocks.append(Figure(shown, 1))
    if subject.others:
        blocks.append(Paragraph(say(tr_mark("What each run changes against {name}:"), name=subject.baseline.label)))
        blocks.append(Points(tuple(_point(against) for against in subject.others)))
    if troubles := _troubles(subject):
        blocks.append(Paragraph(say(tr_mark("To be kept in mind:"))))
        blocks.append(Points(tuple(troubles)))
    blocks.append(Paragraph(_method(subject), tone="muted"))
    return Section("summary", say(tr_mark("Summary")), tuple(blocks))


def what_was_run(subject: Subject) -> Text:
    """The first sentence: how many runs, of what, where and when."""
    base = subject.baseline.data
    figures = subject.summary(subject.baseline)
    total = figures["params"]["total"]
    args = {
        "count": len(subject.views), "task": task_of(base), "status": base.info.status,
        "device": name_of_device(base) or say(tr_mark("no device yet")),
        "params": UNKNOWN if total is None else f"{total:,}", "torch": base.facts.get("torch") or UNKNOWN,
        "date": day(base.info.started_at or base.info.created_at),
    }
    if total is None:
        return say(tr_mark("One run on the task {task}, {date}: it is {status}, and nothing of it was measured.")
                   if len(subject.views) == 1 else
                   tr_mark("{count} runs. The baseline, on the task {task}, {date}, is {status}, and nothing of it was "
                           "measured."), **args)
    if len(subject.views) == 1:
        return say(tr_mark("One run of a model with {params} parameters on the task {task}, on {device}, with "
                           "torch {torch}, {date}."), **args)
    if not _is_one_model(subject):
        return say(tr_mark("{count} runs; the baseline is a model with {params} parameters on the task {task}, on "
                           "{device}, with torch {torch}, {date}. The runs differ in more than techniques: see what "
                           "each changes, and what is not compared."), **args)
    return say(tr_mark("{count} runs of one model with {params} parameters (the baseline) on the task {task}, on "
                       "{device}, with torch {torch}, {date}. Switching one technique leaves the other weights and "
                       "the data as they were."), **args)


# Of the settings of a run those that change weights or data; the others say how it is measured.
_OF_THE_DATA = ("run.batch", "run.start_from", "run.device", "run.threads")


def _is_one_model(subject: Subject) -> bool:
    """Whether the runs differ in techniques alone: one seed, one size, one task, one device, one torch."""
    base = subject.baseline.data
    for against in subject.others:
        other = against.view.data
        keys = config_diff(base.info.config, other.info.config)
        if any(not key.startswith(("techniques.", "run.")) or key in _OF_THE_DATA for key in keys):
            return False
        torch = base.facts.get("torch"), other.facts.get("torch")
        if is_other_device(base, other) or (all(torch) and torch[0] != torch[1]):
            return False
    return True


def day(moment: str) -> str:
    """The date of a moment in ISO 8601, as `26 November 2026`; the words as they are where it is none."""
    try:
        at = datetime.datetime.fromisoformat(moment)
    except (ValueError, TypeError):
        return moment or UNKNOWN
    return f"{at:%Y-%m-%d}"


def _point(against: Against) -> Point:
    told = [words for metric in _TOLD if (words := _told(against, metric))]
    parts: list[Words] = [say(tr_mark("{changes}."), changes=_changes(against))]
    if told:
        parts.append(say(tr_mark("Measured: {effects}."), effects=join(told, "; ")))
    if against.is_control:
        parts.append(say(tr_mark("It is the control: what it differs by is the noise of this machine.")))
    parts += [say(tr_mark("It {remark}."), remark=remark) for remark in against.remarks]
    return Point(join(parts, " "), heading=against.view.label, colour=against.view.colour_name)


def _told(against: Against, metric: str) -> Words:
    found = against.effect(metric)
    if found is None or not _matters(metric, found):
        return ""
    return say(tr_mark("{metric} {effect}"), metric=say(METRICS[metric][0]), effect=effect_words(found))


def _matters(metric: str, found: Effect) -> bool:
    """Speed is always told, also that it cannot be told apart; counts where they differ."""
    if math.isnan(found.percent):
        return bool(found.distinguishable)
    return metric == "tokens_per_s" or abs(found.percent) >= _SMALL


def _changes(against: Against) -> Words:
    """What differs, in the words of the catalogue, techniques first."""
    told: list[Words] = [
        say(tr_mark("{what}: {before} → {after}"), what=say(d.title), before=str(d.before), after=str(d.after))
        for d in against.differences
    ]
    if not told:
        return say(tr_mark("The same configuration once more"))
    more = len(told) - _MOST_CHANGES
    if more > 0:
        told = [*told[:_MOST_CHANGES], say(tr_mark("{count} more keys"), count=more)]
    return join(told, ", ")


def written(value: object) -> str:
    """A setting as it is written in a configuration."""
    if value is None:
        return UNKNOWN
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (list, tuple)):
        return ", ".join(map(written, value))
    return str(value)


def _troubles(subject: Subject) -> list[Point]:
    """Runs that did not finish, claims that do not hold, what the runs warned of."""
    told: list[Point] = []
    for view in subject.views:
        figures = subject.summary(view)
        words: list[Words] = []
        if figures["status"] != "finished":
            words.append(say(tr_mark("{status}. {reason}"), status=figures["status"], reason=figures["reason"]))
        words += [say(tr_mark("{technique} does not do what it claims: {detail}"), technique=row["technique"],
                      detail=row["detail"]) for row in figures["audit"] if row["ok"] is False]
        said = str(figures["reason"])  # why it failed is often its last warning too
        words += [message for w in figures["warnings"] if (message := str(w["message"])) not in said]
        if words:
            told.append(Point(join(words, " "), heading=view.label, colour=view.colour_name))
    return told


def _method(subject: Subject) -> Words:
    """How intervals and differences were found, in the words of what found them."""
    effects = [e for a in subject.others for e in a.effects.values() if math.isfinite(e.low) and e.low != e.high]
    said: list[Words] = [say(_SCATTER)]
    methods = {e.method: None for e in effects if e.method is not None}
    said += [say(_BY, method=say(method.template, **method.args)) for method in methods]
    if families := [e.family for e in effects if e.corrected]:
        said.append(say(_AT_ONCE, family=max(families)))
    if bands := [e.noise_band for e in effects if e.noise_band is not None]:
        said.append(say(_BAND, band=number(max(bands), 2)))
    said.append(say(_COUNTED))
    if subject.others:
        said.append(say(_ONE_SEED))
    return join(said, " ")
