"""What a report is about: the runs, which of them is the baseline, what each differs in and by how much."""

from __future__ import annotations

import dataclasses
import functools
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from tfx_engine.protocol.cards import load_catalogue
from tfx_engine.protocol.marker import tr_mark
from tfx_workbench.analysis.comparable import remarks, why_not
from tfx_workbench.analysis.compare import Compared, compare_runs
from tfx_workbench.analysis.config_words import Difference, differences
from tfx_workbench.analysis.statistics import Effect
from tfx_workbench.exhibits.runview import RunView
from tfx_workbench.exhibits.text import Text, Words, say
from tfx_workbench.report.lettering import harmless, shortened
from tfx_workbench.runs.rundata import RunData

LONGEST_LABEL = 60
WIDEST_HEAD = 11.0  # times the size of the letters
UNNAMED = tr_mark("unnamed")


@dataclasses.dataclass(frozen=True, eq=False)
class Against:
    """One run against the baseline: effects by metric, reasons of what is unknown, remarks on what is not compared."""

    view: RunView
    effects: Mapping[str, Effect]
    missing: Mapping[str, str]
    differences: tuple[Difference, ...]
    remarks: tuple[Text, ...]
    is_control: bool = False

    def effect(self, metric: str) -> Effect | None:
        """The effect on a metric; None where it is not compared."""
        return self.effects.get(metric)


class Subject:
    """The runs of a report; the first is the baseline."""

    def __init__(self, runs: Sequence[RunView]) -> None:
        self.views = tuple(runs)
        self.baseline = next((v for v in self.views if v.baseline), self.views[0])

    @classmethod
    def of(cls, runs: Sequence[RunData], colours: Sequence[int] | None = None) -> Subject:
        """These runs in this order, each with a name of its own and a colour, by its number in the palette."""
        if colours is None or len(colours) != len(runs):
            colours = range(len(runs))
        return cls([RunView(run, label, colours[i], focus=False, baseline=i == 0)
                    for i, (run, label) in enumerate(zip(runs, labels(runs), strict=True))])

    @functools.cached_property
    def summaries(self) -> dict[str, dict[str, Any]]:
        """The figures of `show --json`, by the path of the run."""
        return {str(view.data.path): view.data.complete_summary() for view in self.views}

    def summary(self, view: RunView) -> dict[str, Any]:
        """The figures of a run."""
        return self.summaries[str(view.data.path)]

    @functools.cached_property
    def heads(self) -> dict[str, str]:
        """The labels as columns have room for them, by the path of the run; no two are alike."""
        shortest = [shortened(view.label, WIDEST_HEAD, 1.0) for view in self.views]
        often = Counter(shortest)
        return {str(view.data.path): f"{short} #{i}" if often[short] > 1 else short
                for i, (view, short) in enumerate(zip(self.views, shortest, strict=True), start=1)}

    def head(self, view: RunView) -> str:
        """The label of a run over a column."""
        return self.heads[str(view.data.path)]

    @functools.cached_property
    def others(self) -> tuple[Against, ...]:
        """Every run but the baseline, against it."""
        views = [view for view in self.views if view is not self.baseline]
        compared = compare_runs(self.baseline.data, [view.data for view in views])
        return tuple(self._against(view, found) for view, found in zip(views, compared, strict=True))

    def against(self, view: RunView) -> Against | None:
        """A run against the baseline; None for the baseline itself."""
        return next((a for a in self.others if a.view is view), None)

    def _against(self, view: RunView, compared: Compared) -> Against:
        base, other = self.baseline.data, view.data
        found = {metric: effect for metric, effect in compared.effects.items() if not why_not(base, other, metric)}
        said = tuple(say(remark.template, **remark.args) for remark in remarks(base, other))
        changed = tuple(differences(base.info.config, other.info.config, load_catalogue()))
        return Against(view, found, compared.missing, changed, said, compared.is_control)


def labels(runs: Sequence[RunData]) -> list[str]:
    """A name for each run that no other has, on one line and not too long."""
    names = [short_name(run.info.name) for run in runs]
    often = Counter(names)
    return [f"{name} ({run.path.stem[-4:]})" if often[name] > 1 else name
            for name, run in zip(names, runs, strict=True)]


def short_name(name: str) -> str:
    """A run's name as a label."""
    plain = " ".join(harmless(name).split()) or UNNAMED
    return plain if len(plain) <= LONGEST_LABEL else plain[: LONGEST_LABEL - 1] + "…"


def listed(words: Sequence[Words]) -> Words:
    """Several texts as one: `a, b, c`."""
    names = [f"w{i}" for i in range(len(words))]
    return Text(", ".join("{" + n + "}" for n in names), dict(zip(names, words, strict=True)))
