"""Slot `schedule`: `build(options, total_steps)` gives a function step (from 0) -> factor on the learning rate."""

from __future__ import annotations

from collections.abc import Callable

Factor = Callable[[int], float]
