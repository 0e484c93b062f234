"""The task `digits`: which digit is it? Images of 8 × 8 as 16 patches of 2 × 2, as a vision transformer takes them.

1797 images, written by hand and scanned; `resources/data/digits.txt` names their source and licence. Which of them are
held out is the same for every seed. B batch, T patches, F numbers of a patch.
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import torch
from torch import Tensor

from tfx_engine.data.frames import FrameTask
from tfx_engine.data.task import Batch, sha256_of
from tfx_engine.protocol.cards import resource
from tfx_engine.protocol.config import Config
from tfx_engine.techniques.initial import generator_for

SOURCE = "Optical Recognition of Handwritten Digits, Alpaydin and Kaynak 1998, CC BY 4.0 (resources/data/digits.npz)"
_SIDE, _PATCH, _WHITE = 8, 2, 16
_ACROSS = _SIDE // _PATCH


class DigitsTask(FrameTask):
    """Tell handwritten digits apart."""

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        classes_N = _digits()[1]
        held_out = max(1, int(len(classes_N) * config.data.held_out))
        order = torch.randperm(len(classes_N), generator=generator_for(0, "digits"))
        self._training, self._held_out = order[:-held_out], order[-held_out:]
        self.held_out_batches = -(-held_out // self.batch_size)
        self.evaluated_batches = self.held_out_batches  # a share of right answers wants every one of them

    def _make(self, generator: torch.Generator, size: int) -> Batch:
        return self._pick(self._training[torch.randint(len(self._training), (size,), generator=generator)])

    def _make_held_out(self, index: int) -> Batch:
        return self._pick(self._held_out[index * self.batch_size : (index + 1) * self.batch_size])

    def _pick(self, numbers: Tensor) -> Batch:
        frames_NTF, classes_N = _digits()
        return frames_NTF[numbers].float() / _WHITE, classes_N[numbers].long()

    def facts(self) -> dict[str, Any]:
        """Source and hash of the images and their classes, and how many are held out."""
        return {"source": SOURCE, "sha256": sha256_of(*_digits()), "samples": len(_digits()[1]),
                "held_out_samples": len(self._held_out)}

    def frame_text(self, frame: int) -> str:
        """Row and column of the patch, from 1."""
        return f"{frame // _ACROSS + 1},{frame % _ACROSS + 1}"


@functools.cache
def _digits() -> tuple[Tensor, Tensor]:
    """All of them: uint8 patches [N, 16, 4] in the order of reading, and the digits [N]."""
    with np.load(resource("data", "digits.npz"), allow_pickle=False) as file:
        images, classes = torch.from_numpy(file["images"]), torch.from_numpy(file["classes"])
    grid = images.view(-1, _ACROSS, _PATCH, _ACROSS, _PATCH)
    return grid.transpose(2, 3).reshape(len(images), _ACROSS**2, _PATCH**2), classes
