"""Loss and accuracy on held-out data, in evaluation mode and without gradients: the training does not notice.

N rows that are predicted from (tokens of a batch, or whole samples), V vocabulary or classes, A answers at a token.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tfx_engine.data.task import Task
from tfx_engine.measure.attention import evaluating
from tfx_engine.techniques.loss import IGNORED, predictions

_LOGITS_AT_ONCE = 2**24  # numbers: 64 MiB in float32, whatever the vocabulary


@dataclasses.dataclass(frozen=True)
class HeldOut:
    """One evaluation: the mean over all targets that count."""

    loss: float  # nats; NaN where it is none
    tokens: int  # targets that counted
    accuracy: float | None = None  # share of them that got the highest score; None where the task asks for none
    bits_per_byte: float | None = None  # None where the task is not made of text


@torch.no_grad()
def evaluate(
    model: nn.Module, batches: list[tuple[Tensor, Tensor]], task: Task,
    precision: Callable[[], AbstractContextManager[object]],
) -> HeldOut:
    """What the model makes of held-out batches, which are on its device. Waits for the device.

    Of a head that predicts several tokens the first counts, and the loss is the plain cross-entropy whatever the
    training makes small, so that all models can be compared.
    """
    nats, right, tokens, length = 0.0, 0, 0, 0
    with evaluating(model):
        for inputs, targets in batches:
            with precision():
                for logits_NV, targets_N in _answers(model, inputs, targets):
                    nats += F.cross_entropy(logits_NV, targets_N, ignore_index=IGNORED, reduction="sum").item()
                    right += int((logits_NV.argmax(dim=-1) == targets_N).sum())
            tokens += int((targets != IGNORED).sum())
            length += task.bytes_of(targets) or 0
    loss = nats / tokens if tokens else math.nan
    known = task.card.accuracy and math.isfinite(loss)
    return HeldOut(
        loss=loss, tokens=tokens, accuracy=right / tokens if known else None,
        bits_per_byte=nats / math.log(2) / length if length and math.isfinite(loss) else None,
    )


def _answers(model: nn.Module, inputs: Tensor, targets: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    """(logits_NV in float32 or better, targets_N), a stretch of the batch's rows at a time."""
    rows_ND = next(predictions(model.head, model.hidden(inputs))).x_BTD.flatten(0, -2)
    targets = targets.reshape(len(rows_ND), -1)  # [N, A]
    stretch = max(1, _LOGITS_AT_ONCE // model.head.project(rows_ND[:1]).numel())
    for some_ND, wanted in zip(rows_ND.split(stretch), targets.split(stretch), strict=True):
        logits = model.head.project(some_ND).flatten(0, -2)
        yield logits.to(torch.promote_types(logits.dtype, torch.float32)), wanted.flatten()
