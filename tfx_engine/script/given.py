"""What the writer of a script fills in: a configuration, and what was recorded of a run.

The values here stand for those; nothing runs with them.
"""

from __future__ import annotations

import dataclasses
from typing import Any

from tfx_engine.protocol.config import Choice
from tfx_engine.protocol.sections import Data, Model, Run


@dataclasses.dataclass(frozen=True)
class TaskFacts:
    """What the task is like."""

    name: str
    kind: str  # "language": the next token; "answers": several per token; "classes": one per sample
    classes: int
    answers: int
    frames: int  # of a sample; 0: it has tokens
    features: int  # of a frame
    next_token: bool  # whether the answers are the tokens that follow


@dataclasses.dataclass(frozen=True)
class Config:
    """The configuration, as far as this model, its data and its training ask for it."""

    seed: int
    model: Model
    techniques: dict[str, Choice]
    data: Data
    run: Run
    task: TaskFacts
    vocab: int  # different tokens
    head_width: int

    def use(self, slot: str) -> str:
        """The name of what fills a slot."""
        return self.techniques[slot].use


CONFIG: Any = None
STEPS = 0  # as many as the run had
PARAMETERS = 0
TRAINABLE = 0
LOSSES: list[float] = []  # of the first steps, in nats
DATA_SHA256 = ""
WEIGHTS_SHA256 = ""  # of the file that the run began with
RECORDED_WITH: dict[str, Any] = {}  # torch, CPU, threads and device of the run
TOLERANCE = 0.0  # share of the loss by which another device may differ at the first step
