"""What comes now and then over a run, held in bounded memory: of neighbours those stay that stand out.

Neighbours are what lies in the same stretch of steps. Stretches begin at multiples of their length, a power of two, so
that a live run, thinned again and again, keeps its beginning too.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from typing import TypeVar

from tfx_engine.runfile.rows import AttentionCapture, Evaluation, MemoryProbe

MOST_PROBES = 240
MOST_EVALUATIONS = 500
MOST_CAPTURES = 500

_Row = TypeVar("_Row", MemoryProbe, Evaluation, AttentionCapture)


def thinned_probes(probes: list[MemoryProbe]) -> list[MemoryProbe]:
    """At most `MOST_PROBES` of them: of neighbours the one with the highest peak stays."""
    return _thinned(probes, MOST_PROBES, lambda group: [max(group, key=lambda probe: probe.peak_bytes)])


def thinned_captures(captures: list[AttentionCapture]) -> list[AttentionCapture]:
    """At most `MOST_CAPTURES` of all heads in their order: of neighbours the first stays, and the last of all.

    Those of one head stay: somebody asked for them.
    """
    whole = [one for one in captures if one.head is None]
    if len(whole) <= MOST_CAPTURES:
        return captures
    kept = {one.capture for one in (*_thinned(whole[:-1], MOST_CAPTURES - 1, lambda group: group[:1]), whole[-1])}
    return [one for one in captures if one.head is not None or one.capture in kept]


def thinned_evaluations(evaluations: list[Evaluation]) -> list[Evaluation]:
    """At most `MOST_EVALUATIONS` in their order: of neighbours the lowest and highest loss stay, and first and last."""
    if len(evaluations) <= MOST_EVALUATIONS:
        return evaluations
    first, *inner, last = evaluations
    return [first, *_thinned(inner, MOST_EVALUATIONS - 2, _extremes), last]


def _thinned(rows: Sequence[_Row], most: int, choose: Callable[[list[_Row]], list[_Row]]) -> list[_Row]:
    """At most `most` rows: of each stretch those that are chosen, stretches being as short as will do."""
    kept = list(rows)
    length = 2 ** (max(1, abs(kept[-1].step) // most).bit_length() - 1) if len(kept) > most else 1
    while len(kept) > most:
        length *= 2
        stretches = itertools.groupby(kept, lambda row: abs(row.step) // length)  # noqa: B023 - used up at once
        kept = [one for _, group in stretches for one in choose(list(group))]
    return kept


def _extremes(group: list[Evaluation]) -> list[Evaluation]:
    ordered = sorted(group, key=_loss)
    return sorted({ordered[0], ordered[-1]}, key=lambda one: one.seq)


def _loss(evaluation: Evaluation) -> float:
    """Not a number is what must not be lost."""
    return math.inf if math.isnan(evaluation.held_out_loss) else evaluation.held_out_loss
