"""An interleaved comparison: what is asked for, and what its run files say of it.

The runs of one are done in turns: only one of them steps at a time, for a few steps, so that what changes on the
machine meets all of them. A *block* is one turn of each; blocks come in pairs, a random order and its reverse (two
runs: ABBA), so that a steady drift cancels. A *round* is one worker process of each: what a process happens to get
(where its memory lies, which cores) is drawn anew with every round. The first turn of every process warms it up and
counts in no block (its steps have block 0). In the first round every run does all of its own steps, and its losses,
memory, profile and audit are those of that process; the later rounds measure time again and nothing else.
"""

from __future__ import annotations

from typing import Annotated, Any

import msgspec

INTERLEAVED = "interleaved"
FACT = "comparison"  # of the run file: `Part` as data
BASELINE, CONTROL, MEMBER = "baseline", "control", "member"  # roles
LEAST_ROUNDS = 5  # before it is looked whether the intervals are narrow enough to end

_Count = Annotated[int, msgspec.Meta(ge=1, le=1000)]


class Interleave(msgspec.Struct, frozen=True, kw_only=True):
    """How runs take turns. `rounds` and `minutes` are the most; a comparison may be concluded earlier."""

    rounds: _Count = 8
    minutes: Annotated[float, msgspec.Meta(gt=0)] | None = None
    blocks: _Count = 8  # in each round after the first
    turn_steps: _Count = 3  # in a turn at least, and so long at least:
    turn_ms: Annotated[float, msgspec.Meta(ge=0)] = 250.0
    control: bool = True  # the baseline runs a second time
    seed: int = 0  # of the order


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """What a run file says of the comparison that its run is part of. `control`: the file of the second baseline."""

    plan: str = INTERLEAVED
    role: str = MEMBER
    control: str = ""
    asked: Interleave = Interleave()


def part_of(facts: dict[str, Any]) -> Part | None:
    """The part of a run in an interleaved comparison, from its facts; None where it has none that can be read."""
    try:
        part = msgspec.convert(facts.get(FACT), Part)
    except msgspec.ValidationError:
        return None
    return part if part.plan == INTERLEAVED else None
