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
class SameCompiled(Claim):
    """What the run has compiled gives the loss and the gradients that the same model gives as it is written."""

    name = "same-compiled"


@dataclasses.dataclass(frozen=True)
class SameSteps(Claim):
    """After two steps every weight is as with the slot's default."""

    name = "same-steps"


@dataclasses.dataclass(frozen=True)
class KeepsLess(Claim):
    """When the backward pass begins, fewer bytes are held than with the slot's default: by at least `share` of what the
    closed form (`estimate.memory`) predicts.
    """

    name = "keeps-less"
    share: float = 0.5


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


@dataclasses.dataclass(frozen=True)
class MovesAll(Claim):
    """After some steps every weight that had a gradient has moved, small ones as `reference` says."""

    name = "moves-all"


@dataclasses.dataclass(frozen=True)
class BeginsAtBase(Claim):
    """Before the first step the model computes what the same model without it does."""

    name = "begins-at-base"


@dataclasses.dataclass(frozen=True)
class Merges(Claim):
    """Merged into the weights it computes the same, and unmerged the weights are as they were to the bit."""

    name = "merges"


@dataclasses.dataclass(frozen=True)
class Near(Claim):
    """A step in this format against one in float32: the loss is off by no more than `loss` (relative), the gradients
    point the same way to a cosine of `cosine`, and are as long to within `size` (relative).
    """

    name = "near"
    loss: float = 0.02
    cosine: float = 0.97
    size: float = 0.1


@dataclasses.dataclass(frozen=True)
class Hides(Claim):
    """In each layer no token is read that `reference` says is hidden: not one bit changes with it."""

    name = "hides"


@dataclasses.dataclass(frozen=True)
class Shows(Claim):
    """In each layer the tokens that `reference` says are seen are read, to the last one at the edge."""

    name = "shows"


@dataclasses.dataclass(frozen=True)
class NoLeak(Claim):
    """In the whole model tokens that come later change nothing of what the earlier ones become."""

    name = "no-leak"


@dataclasses.dataclass(frozen=True)
class TellsOrder(Claim):
    """Equal tokens at different places differ: as vectors, in their scores, or in what is added to these."""

    name = "order"


@dataclasses.dataclass(frozen=True)
class TellsNoOrder(Claim):
    """Equal tokens at different places do not differ."""

    name = "no-order"


@dataclasses.dataclass(frozen=True)
class UnitSize(Claim):
    """Queries and keys have a size of 1 over each `head` or over all `heads`: their root mean square, or their length
    as vectors (of the keys).
    """

    name = "unit"
    over: Literal["head", "heads"] = "head"
    length: bool = False


@dataclasses.dataclass(frozen=True)
class Normed(Claim):
    """With its first weights each token has a root mean square of 1, and where `centred` a mean of 0; one of zeros
    stays finite.
    """

    name = "normed"
    centred: bool = False


@dataclasses.dataclass(frozen=True)
class Bounded(Claim):
    """What it gives never exceeds the option `bound`, however large the input."""

    name = "bounded"
    bound: str = "cap"


@dataclasses.dataclass(frozen=True)
class Shares(Claim):
    """The head's table is the embedding's own tensor, before and after training."""

    name = "shares"


@dataclasses.dataclass(frozen=True)
class OwnTable(Claim):
    """The head's table is a tensor of its own."""

    name = "own-table"


@dataclasses.dataclass(frozen=True)
class Routes(Claim):
    """Each token goes to different experts, those with the highest scores, with weights as the options say."""

    name = "routes"


@dataclasses.dataclass(frozen=True)
class Quiet(Claim):
    """Two passes in evaluation are equal to the bit, two in training are not."""

    name = "quiet"


@dataclasses.dataclass(frozen=True)
class Limits(Claim):
    """In a step with gradients far too large, those that move the weights are within the option `maximum`: together
    as one `norm`, or each `value`.
    """

    name = "limits"
    what: Literal["norm", "value"] = "norm"


@dataclasses.dataclass(frozen=True)
class Schedules(Claim):
    """The learning rate of a step is the first one times what `reference` says."""

    name = "schedules"


@dataclasses.dataclass(frozen=True)
class Begins(Claim):
    """Mean and deviation of the first weights are those that `reference` says."""

    name = "begins"


@dataclasses.dataclass(frozen=True)
class Reference(Claim):
    """It computes what its own `reference` computes. Every technique claims it."""

    name = "reference"
