"""The guide: when to choose what, with this machine's own figures where there are any."""

from __future__ import annotations

import dataclasses

from tfx_engine.protocol.experiment_files import Topic, load_topics, shipped_experiments
from tfx_engine.protocol.experiments import Experiment
from tfx_workbench.analysis.goals import Ranking, rankings
from tfx_workbench.analysis.verdict import Judgement, judge
from tfx_workbench.runs.experiments import ResultStore


@dataclasses.dataclass(frozen=True)
class Evidence:
    """An experiment and what came of it here. `done` of `jobs` measurements were made; `rankings` of its goals."""

    experiment: Experiment
    judgement: Judgement
    done: int
    jobs: int
    measured_at: str
    rankings: tuple[Ranking, ...] = ()

    @property
    def left_s(self) -> float:
        """What is left takes about so long."""
        return self.experiment.seconds * (1 - self.done / self.jobs)


@dataclasses.dataclass(frozen=True)
class Section:
    """One question, what is known to answer it, and the evidence."""

    topic: Topic
    evidence: tuple[Evidence, ...]


def build_guide(store: ResultStore) -> tuple[Section, ...]:
    """All sections; reads the results in the store anew."""
    found = [_evidence(each, store) for each in shipped_experiments()]
    return tuple(
        Section(topic, tuple(one for one in found if one.experiment.topic == topic.name)) for topic in load_topics()
    )


def _evidence(each: Experiment, store: ResultStore) -> Evidence:
    results = store.load(each)
    done = sum(results.has(variant, seed) for variant, seed in each.jobs)
    numbers = results.numbers()
    judgement = judge(each, numbers, results.devices())
    return Evidence(each, judgement, done, len(each.jobs), results.measured_at, rankings(each, numbers))
