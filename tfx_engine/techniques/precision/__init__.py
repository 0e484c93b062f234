"""Slot `precision`: in which number format the model computes."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any, Protocol


class Precision(Protocol):
    """How forward and loss are run. `tolerance`: error relative to float32 that one layer may show."""

    tolerance: float

    def context(self, device_type: str) -> AbstractContextManager[Any]:
        """What to put around forward and loss (not around backward), once a step."""
