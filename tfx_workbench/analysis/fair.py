"""An interleaved comparison while it goes on: how narrow its intervals are, how long it will take, when it is enough.

No process and no clock in here: whoever follows one (the command, the window) asks, with what the service told last.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any

from tfx_engine.protocol.interleaving import LEAST_ROUNDS, Interleave
from tfx_workbench.analysis.contrasts import effects_of_pairs
from tfx_workbench.analysis.hierarchy import Paired, critical, half_width
from tfx_workbench.analysis.precision import (
    ELSEWHERE,
    MARGIN,
    SURE,
    Pace,
    Scatter,
    half_width_percent,
    pace_before,
    rounds_needed,
    scatter_of,
)
from tfx_workbench.analysis.rounds import Blocks, blocks_of, common, pair_blocks, role
from tfx_workbench.analysis.statistics import Effect
from tfx_workbench.runs.noise import Noise, device_of, newest_noise, now
from tfx_workbench.runs.rundata import RunData

METRIC = "step_ms"
START_S = 4.0  # of one process, where nothing is remembered of this machine
FEWEST_PROCESSES = 3  # of which a scatter is worth remembering


@dataclasses.dataclass(frozen=True)
class Standing:
    """Where a comparison stands. `effects` of the runs that are compared, in order; `control`: that of the A/A.

    `half_percent`: of the widest interval, infinite where one is not known yet.
    """

    effects: tuple[Effect, ...]
    control: Effect | None
    half_percent: float
    rounds: int  # that all have steps of
    scatter: Scatter | None

    def is_enough(self, precision_percent: float) -> bool:
        """Whether every interval is as narrow as wanted, over as many processes as it takes to say so."""
        return self.rounds >= LEAST_ROUNDS and self.half_percent <= MARGIN * precision_percent


@dataclasses.dataclass
class Looks:
    """When a comparison is looked at to see whether it may end: once after each whole round, from `LEAST_ROUNDS` on.

    Every further look would be a further chance to end where the scatter happens to look small (`hierarchy.looked`).
    """

    precision_percent: float
    last: int = LEAST_ROUNDS - 1

    def enough(self, runs: Sequence[RunData], told: Mapping[str, Any]) -> Standing | None:
        """How it stands where that is enough, else None; `told`: the service's newest word on turns."""
        whole = int(told["round"]) if told["block"] == told.get("blocks") else int(told["round"]) - 1
        if whole <= self.last:
            return None
        self.last = whole
        found = standing(runs[0], runs[1:], whole)
        return found if found.is_enough(self.precision_percent) else None


def standing(baseline: RunData, others: Sequence[RunData], whole: int | None = None) -> Standing:
    """How an interleaved comparison stands now, or after so many `whole` rounds.

    Runs without any block in common with the baseline are left out.
    """
    base = _until(blocks_of(baseline), whole)
    found = [(run, _until(blocks_of(run), whole)) for run in others]
    found = [(run, blocks) for run, blocks in found if base.keys() & blocks.keys()]
    controls = [blocks for run, blocks in found if role(run) == "control"]
    rest = [blocks for run, blocks in found if role(run) != "control"]
    pairs = _pairs(base, rest, resamples=300 if len(rest) > 1 else 0)
    of_control = _pairs(base, controls[:1], resamples=0)
    # The control's, too: an effect is told apart where it lies beyond the far end of that.
    widest = max((_widest(judged) for judged in (pairs, of_control) if judged), default=math.inf)
    return Standing(
        tuple(effects_of_pairs(pairs)), effects_of_pairs(of_control)[0] if of_control else None, widest,
        min((pair.processes for pair in (*pairs, *of_control)), default=0), _scatter(base, controls or rest),
    )


def _until(blocks: Blocks, whole: int | None) -> Blocks:
    return blocks if whole is None else {place: found for place, found in blocks.items() if place[0] <= whole}


def _pairs(base: Blocks, others: Sequence[Blocks], resamples: int) -> list[Paired]:
    found = (pair_blocks(base, blocks, METRIC, resamples=resamples) for blocks in others)
    return [pair for pair in found if pair is not None]


def _widest(pairs: Sequence[Paired]) -> float:
    z = critical([pair.draws for pair in pairs])
    halves = [half_width(pair, z) for pair in pairs]
    if not halves or not all(math.isfinite(half) for half in halves):
        return math.inf
    return math.expm1(min(max(halves), 50.0)) * 100


def _scatter(base: Blocks, others: Sequence[Blocks]) -> Scatter | None:
    """The largest of each part."""
    found = [scatter for blocks in others if (scatter := scatter_of(*common(base, blocks, METRIC))) is not None]
    if not found:
        return None
    return Scatter(max(s.between_blocks for s in found), max(s.between_processes for s in found),
                   freedom=min((s.freedom for s in found if s.freedom is not None), default=None))


@dataclasses.dataclass(frozen=True)
class Outlook:
    """What a comparison will take at most, in nine of ten cases. `reached_percent`: the half-width reached by then.

    `is_cut`: rounds or minutes are used up before it is as narrow as wanted.
    """

    rounds: int
    seconds: float
    reached_percent: float
    is_cut: bool
    scatter: Scatter


def outlook(
    precision_percent: float, pace: Pace, scatter: Scatter | None, blocks: int, family: int, *,
    most_rounds: int, minutes: float | None, sure: float = SURE,
) -> Outlook:
    """How long it will take, from the scatter that is known, and what it will have reached by then."""
    known = scatter or ELSEWHERE
    needed = rounds_needed(known, precision_percent, blocks, family, sure)
    most = most_rounds if minutes is None else min(most_rounds, pace.rounds_within(60 * minutes, blocks))
    rounds = min(needed, most)
    return Outlook(rounds, pace.seconds(rounds, blocks), half_width_percent(known, rounds, blocks, family, sure),
                   needed > most, known)


def outlook_before(
    step_ms: Sequence[float | None], own_steps: Sequence[int], asked: Interleave, precision_percent: float,
    baseline: int = 0,
) -> Outlook | None:
    """What these configurations will take, from predicted steps and what is remembered of this machine.

    `own_steps`: that each does for itself. A step that nobody knows is taken for the mean of the others; None where
    nobody knows any.
    """
    known = [ms for ms in step_ms if ms is not None]
    if not known:
        return None
    times, own = [sum(known) / len(known) if ms is None else ms for ms in step_ms], list(own_steps)
    if asked.control:
        times, own = [times[baseline], *times], [own[baseline], *own]
    noise = newest_noise()
    start_s = len(times) * (START_S if noise is None or noise.start_s is None else noise.start_s)
    pace = pace_before(times, own, start_s, asked.turn_steps, asked.turn_ms)
    return outlook(precision_percent, pace, scatter_in(noise), asked.blocks, max(1, len(step_ms) - 1),
                   most_rounds=asked.rounds, minutes=asked.minutes)


def scatter_in(noise: Noise | None) -> Scatter | None:
    """The scatter that is remembered of a machine."""
    return None if noise is None else Scatter(noise.between_blocks, noise.between_processes, freedom=noise.rounds - 1)


def noise_of(baseline: RunData, control: RunData, start_s: float | None = None) -> Noise | None:
    """What is worth remembering of an A/A comparison; None where it had less than three rounds."""
    base, again = blocks_of(baseline), blocks_of(control)
    pair = pair_blocks(base, again, METRIC, resamples=0)
    trees = common(base, again, METRIC)
    scatter = scatter_of(*trees) if pair is not None else None
    device = device_of(baseline.facts)
    if pair is None or scatter is None or pair.processes < FEWEST_PROCESSES or not device:
        return None
    found = effects_of_pairs([pair])[0]
    return Noise(
        device=device, at=now(), percent=found.percent, low=found.low, high=found.high, rounds=pair.processes,
        between_blocks=scatter.between_blocks, between_processes=scatter.between_processes, start_s=start_s,
    )
