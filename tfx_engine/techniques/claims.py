"""The vocabulary in which a technique says what it does to a model, so that a run can prove it (`worker/audit`).

A technique's file lists its claims: `claims=(Same(), KeepsLess())`. Each is a statement about any model that the
technique is part of, and is tried on copies of the run's own. That it computes what its own `reference` does is claimed
by every technique and need not be said.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, ClassVar, Literal


@dataclasses.dataclass(frozen=True)
class Claim:
    """One statement. `name` is the key of its words in `protocol.claims`.

    `when`: an option that must be set for the statement to mean anything.
    """

    name: ClassVar[str]
    when: str = dataclasses.field(default="", kw_only=True)


@dataclasses.dataclass(frozen=True)
class Same(Claim):
    """Loss and every gradient are those of the slot's `plain` technique (its default, where none is named).

    `draws`: also where something is drawn at random, as by dropout. `tighten`: options with which it acts at the size
    of a small copy as it does at full size.
    """

    name = "same"
    plain: str = ""
    draws: bool = True
    tighten: Mapping[str, Any] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class SameSteps(Claim):
    """After two steps every weight is as with the slot's default."""

    name = "same-steps"


@dataclasses.dataclass(frozen=True)
class KeepsLess(Claim):
    """When the backward pass begins, fewer bytes are held than with the slot's default."""

    name = "keeps-less"


@dataclasses.dataclass(frozen=True)
class RunsAgain(Claim):
    """The FLOPs of a step are more by what `Technique.again` says."""

    name = "runs-again"


@dataclasses.dataclass(frozen=True)
class TrainsOnly(Claim):
    """After some steps exactly these weights have moved: `adapters`' own, those that `Technique.trainable` counts
    (`chosen`), or `all`.
    """

    name = "trains-only"
    what: Literal["adapters", "chosen", "all"] = "all"


@dataclasses.dataclass(frozen=True)
class EveryGradient(Claim):
    """Every trained tensor has a gradient that is not zero within the first steps."""

    name = "every-gradient"


@dataclasses.dataclass(frozen=True)
class Rests(Claim):
    """Excuses parameters with this part in their name from having a gradient at every step. Nothing is tried for it."""

    name = "rests"
    part: str = ""
