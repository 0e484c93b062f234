"""What the writer of a script fills in from the techniques: what fills each slot, and what they know of a block."""

from __future__ import annotations

from typing import Any, NamedTuple

from tfx_engine.techniques.costs import Work


class Used(NamedTuple):
    """What fills a slot: what builds it, with which options."""

    build: Any
    options: Any


TECHNIQUES: dict[str, Used] = {}
BLOCK_PARTS: list[Work] = []  # the linear layers of a block, which adapters choose from
DIGITS = ""  # the images of the task `digits`: a file of numpy's, in base 85
