"""What comes now and then over a run, held in bounded memory: of neighbours those stay that stand out."""

from __future__ import annotations

import math

from tfx_engine.runfile.rows import AttentionCapture, Evaluation, MemoryProbe

MOST_PROBES = 240
MOST_EVALUATIONS = 500
MOST_CAPTURES = 500
GROUP = 4  # neighbours of which two evaluations stay


def thinned_probes(probes: list[MemoryProbe]) -> list[MemoryProbe]:
    """At most `MOST_PROBES` of them: of two neighbours the one with the higher peak stays."""
    while len(probes) > MOST_PROBES:
        probes = [max(probes[i : i + 2], key=lambda probe: probe.peak_bytes) for i in range(0, len(probes), 2)]
    return probes


def thinned_captures(captures: list[AttentionCapture]) -> list[AttentionCapture]:
    """At most about `MOST_CAPTURES` of all heads in their order, first and last among them: every second one stays.

    Those of one head stay: somebody asked for them.
    """
    whole = [one for one in captures if one.head is None]
    while len(whole) > MOST_CAPTURES:
        whole = [*whole[:-1:2], whole[-1]]
    kept = {one.capture for one in whole}
    return [one for one in captures if one.head is not None or one.capture in kept]


def thinned_evaluations(evaluations: list[Evaluation]) -> list[Evaluation]:
    """At most `MOST_EVALUATIONS` in their order: of neighbours the lowest and highest loss stay, and first and last."""
    while len(evaluations) > MOST_EVALUATIONS:
        first, *inner, last = evaluations
        groups = (inner[i : i + GROUP] for i in range(0, len(inner), GROUP))
        evaluations = [first, *(one for group in groups for one in _extremes(group)), last]
    return evaluations


def _extremes(group: list[Evaluation]) -> list[Evaluation]:
    ordered = sorted(group, key=_loss)
    return sorted({ordered[0], ordered[-1]}, key=lambda one: one.seq)


def _loss(evaluation: Evaluation) -> float:
    """Not a number is what must not be lost."""
    return math.inf if math.isnan(evaluation.held_out_loss) else evaluation.held_out_loss
