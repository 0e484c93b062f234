"""How far two passes over the same batch are from each other."""

from __future__ import annotations

from typing import NamedTuple

import torch

from tfx_engine.worker.audit.stand import Pass

FLOOR = 1e-2  # of the length of all gradients: what is small beside them is compared with this


class Difference(NamedTuple):
    """Relative to the second pass: of the loss, and of the gradient that is farthest off, with its name."""

    loss: float
    gradient: float
    name: str
    missing: tuple[str, ...] = ()  # gradients that one of both does not have

    @property
    def worst(self) -> float:
        """The larger of both."""
        return max(self.loss, self.gradient)


def difference(ours: Pass, theirs: Pass) -> Difference:
    """A number that is none counts as infinitely far."""
    missing = tuple(sorted(ours.gradients.keys() ^ theirs.gradients.keys()))
    total = size_of(theirs)
    worst, name = 0.0, ""
    for key in ours.gradients.keys() & theirs.gradients.keys():
        a, b = ours.gradients[key].float(), theirs.gradients[key].float()
        off = _number(float((a - b).norm() / (b.norm() + FLOOR * total + 1e-30)))
        if off > worst:
            worst, name = off, key
    loss = _number(abs(ours.loss - theirs.loss) / (abs(theirs.loss) + 1e-30))
    return Difference(loss, worst, name, missing)


def size_of(found: Pass) -> float:
    """L2 norm over all gradients."""
    return float(torch.stack([g.float().norm() for g in found.gradients.values()]).norm()) if found.gradients else 0.0


def cosine(ours: Pass, theirs: Pass) -> float:
    """Of the angle between all gradients as one vector; 0 where one of them has no direction."""
    keys = ours.gradients.keys() & theirs.gradients.keys()
    product = sum(float((ours.gradients[k].double() * theirs.gradients[k].double()).sum()) for k in keys)
    length = size_of(ours) * size_of(theirs)
    return product / length if length > 0 and product == product else 0.0


def _number(value: float) -> float:
    return value if value == value else float("inf")
