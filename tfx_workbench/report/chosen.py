"""Which exhibits a report shows: of all runs together where they compare, of one run where they are about one."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence

from tfx_engine.protocol.marker import tr_mark
from tfx_workbench.exhibits.exhibit import Exhibit
from tfx_workbench.exhibits.kind import Choices, ExhibitType, all_exhibits, exhibit_type
from tfx_workbench.exhibits.runview import RunView
from tfx_workbench.exhibits.text import say
from tfx_workbench.report.document import Block, Figure, Point, Points, Section
from tfx_workbench.report.subject import Subject

_SIDE_BY_SIDE: dict[str, Choices] = {"time": {"view": "run"}, "gradients": {"view": "global"}}
Progress = Callable[[str], None]  # told the title of what is worked on; may raise to end the work


def exhibits_of(
    subject: Subject, names: Sequence[str] | None, choices: dict[str, Choices], each: bool, progress: Progress,
    number: int = 1,
) -> tuple[list[Section], list[Exhibit]]:
    """A section for each kind of exhibit, and the exhibits; `each`: those about one run for every run.

    `number` is that of the first figure."""
    is_alone = len(subject.views) == 1
    about_runs = [kind for kind in all_exhibits() if kind.needs and not (is_alone and kind.paper == "several")]
    kinds = about_runs if names is None else [exhibit_type(name) for name in dict.fromkeys(names)]
    sections: list[Section] = []
    left_out: list[Point] = []
    shown: list[Exhibit] = []
    for kind in kinds:
        progress(kind.title)
        blocks: list[Block] = []
        views = [choices[kind.name]] if kind.name in choices else _views(kind, subject)
        for exhibit in (e for view in views for e in _made(kind, subject, view, each)):
            if exhibit.empty:
                left_out.append(Point(exhibit.empty, heading=say(kind.title)))
                continue
            blocks.append(Figure(exhibit, number))
            shown.append(exhibit)
            number += 1
        if blocks:
            sections.append(Section(f"exhibit-{kind.name}", say(kind.title), tuple(blocks)))
    if left_out:
        points = Points(tuple(dict.fromkeys(left_out)))
        sections.append(Section("left-out", say(tr_mark("Exhibits without anything to show")), (points,)))
    return sections, shown


def _views(kind: ExhibitType, subject: Subject) -> list[Choices]:
    """With several runs, first what shows them side by side, then the exhibit as it is without choices."""
    beside = _SIDE_BY_SIDE.get(kind.name) if len(subject.views) > 1 else None
    return [beside, {}] if beside else [{}]


def _made(kind: ExhibitType, subject: Subject, choices: Choices, each: bool) -> Iterator[Exhibit]:
    """With several runs, an exhibit that differs with the run in focus is about that run."""
    views = subject.views
    if len(views) == 1 or kind.paper in ("all", "several") or choices == _SIDE_BY_SIDE.get(kind.name):
        yield kind.make(focus_on(views, subject.baseline), choices)
        return
    if kind.paper == "each" or each:
        wanted = [v for v in views if each or v is not subject.baseline]
    else:
        wanted = [subject.baseline]
    for view in wanted:
        yield kind.make(focus_on(views, view), choices)


def focus_on(views: Sequence[RunView], focus: RunView) -> list[RunView]:
    """The runs with that one in focus."""
    return [dataclasses.replace(view, focus=view is focus) for view in views]

