"""The task `noise`: frames of random numbers and a random class. There is nothing to learn in it, and much to measure.

It gives a model of images or sounds inputs of any number and size: what such a model costs does not depend on what it
sees. B batch, T frames, F numbers of a frame.
"""

from __future__ import annotations

from typing import Any

import torch

from tfx_engine.data.frames import FrameTask
from tfx_engine.data.task import Batch, sha256_of
from tfx_engine.protocol.config import Config
from tfx_engine.techniques.initial import generator_for


class NoiseTask(FrameTask):
    """Frames and classes drawn anew for every sample."""

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self.held_out_batches = self.evaluated_batches = 1

    def _make(self, generator: torch.Generator, size: int) -> Batch:
        frames_BTF = 2 * torch.rand(size, self.card.frames, self.card.features, generator=generator) - 1
        return frames_BTF, torch.randint(self.card.classes, (size,), generator=generator)

    def _make_held_out(self, index: int) -> Batch:
        return self._make(generator_for(self.seed, "held out", index), self.batch_size)

    def facts(self) -> dict[str, Any]:
        """That there is nothing behind it, and the hash of the first batch."""
        return {"source": "made: random numbers, the hash is that of the first batch",
                "sha256": sha256_of(*self.batch(0)), "held_out_samples": self.batch_size}

    def frame_text(self, frame: int) -> str:
        """Its number."""
        return str(frame + 1)
