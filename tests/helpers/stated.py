"""Whether what a bench found is as good as what the program states of its own error."""

from __future__ import annotations

import math
from collections.abc import Sequence

from tfx_engine.protocol.ledger import OwnError

_SIGMAS = 2.0  # so many configurations more may lie beyond, as they are drawn


def is_no_worse(errors: Sequence[float], stated: OwnError) -> bool:
    """Whether half of `errors` (per cent, either sign) are within what is stated of half, and 95 of 100 likewise; as
    far as a sample of their number can tell."""
    shares = ((0.5, stated.median), (0.05, stated.within_95))
    return all(sum(abs(error) > bound for error in errors) <= _most(share, len(errors)) for share, bound in shares)


def _most(share: float, count: int) -> float:
    """How many of `count` lie beyond what a share of all lies beyond, at most."""
    return share * count + _SIGMAS * math.sqrt(share * (1 - share) * count)
