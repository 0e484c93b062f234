"""Runs made into a report: which sections it has, and in which order."""

from __future__ import annotations

import dataclasses
import datetime
from collections.abc import Sequence

from tfx_engine.protocol.marker import tr_mark
from tfx_workbench import __version__
from tfx_workbench.analysis.comparable import name_of_device, task_of
from tfx_workbench.exhibits.kind import Choices
from tfx_workbench.exhibits.runview import RunView
from tfx_workbench.exhibits.text import Text, Words, say
from tfx_workbench.report.chosen import Progress, exhibits_of
from tfx_workbench.report.document import Block, Figure, Grid, Report, Section
from tfx_workbench.report.figures import all_figures, effect_table
from tfx_workbench.report.glossary import definitions, techniques
from tfx_workbench.report.provenance import provenance
from tfx_workbench.report.reproduce import reproduce
from tfx_workbench.report.settings import settings
from tfx_workbench.report.subject import Subject
from tfx_workbench.report.summary import day, summary

MOST_COLUMNS = 7  # of a table on paper; further runs are in a second one


@dataclasses.dataclass(frozen=True)
class Wanted:
    """What a report is to hold. `exhibits` None: all; `each`: those about one run, for every run."""

    title: str = ""
    exhibits: tuple[str, ...] | None = None
    each: bool = False
    choices: dict[str, Choices] = dataclasses.field(default_factory=dict)


def build(runs: Sequence[RunView] | Subject, wanted: Wanted, progress: Progress = lambda _title: None) -> Report:
    """The report of these runs."""
    subject = runs if isinstance(runs, Subject) else Subject(runs)
    progress(tr_mark("Summary"))
    sections: list[Section] = [summary(subject), _figures(subject), settings(subject)]
    first = 1 + sum(isinstance(block, Figure) for block in sections[0].blocks)
    shown_sections, shown = exhibits_of(subject, wanted.exhibits, wanted.choices, wanted.each, progress, first)
    progress(tr_mark("Environment"))
    pages = techniques(subject)
    sections += [*shown_sections, provenance(subject), definitions(shown), *([pages] if pages else []),
                 reproduce(subject)]
    return Report(
        title=wanted.title or _title(subject), subtitle=_subtitle(subject), made=_made(),
        sections=tuple(map(_narrow, sections)),
    )


def _title(subject: Subject) -> Words:
    if len(subject.views) == 1:
        return subject.baseline.label
    words = tr_mark("{name} and 1 other") if len(subject.views) == 2 else tr_mark("{name} and {count} others")
    return say(words, name=subject.baseline.label, count=len(subject.views) - 1)


def _subtitle(subject: Subject) -> Text:
    base, count = subject.baseline.data, len(subject.views)
    runs = say(tr_mark("{count} runs"), count=count) if count > 1 else say(tr_mark("1 run"))
    return say(tr_mark("{runs} · {task} · {device} · {date}"), runs=runs, task=task_of(base),
               device=name_of_device(base) or "?", date=day(base.info.started_at or base.info.created_at))


def _made() -> Text:
    now = datetime.datetime.now(datetime.UTC)
    return say(tr_mark("Made by TFX Workbench {version} on {date}."), version=__version__,
               date=f"{now:%Y-%m-%d %H:%M} UTC")


def _figures(subject: Subject) -> Section:
    if not subject.others:
        return Section("figures", say(tr_mark("Figures")), (all_figures(subject),))
    effects = effect_table(subject)
    blocks = (effects, all_figures(subject)) if effects.rows else (all_figures(subject),)
    return Section("figures", say(tr_mark("Figures and differences")), blocks)


def _narrow(section: Section) -> Section:
    """Tables with more columns than paper has room for are split."""
    blocks: list[Block] = []
    for block in section.blocks:
        blocks += _split(block) if isinstance(block, Grid) and len(block.heads) > MOST_COLUMNS + 2 else [block]
    return dataclasses.replace(section, blocks=tuple(blocks))


def _split(grid: Grid) -> list[Block]:
    """The first column again in every part."""
    parts: list[Block] = []
    for first in range(1, len(grid.heads), MOST_COLUMNS):
        cut = slice(first, first + MOST_COLUMNS)
        caption = grid.caption if first == 1 else say(tr_mark("{caption}, continued"), caption=grid.caption)
        rows = tuple((row[0], *row[cut]) for row in grid.rows)
        parts.append(Grid(caption, (grid.heads[0], *grid.heads[cut]), rows, grid.notes if first == 1 else ()))
    return parts
