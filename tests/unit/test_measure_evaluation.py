"""Held-out loss, accuracy and bits per byte: plain definitions, whatever the task and however the work is cut."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.nn import functional as F

from tests.helpers.training import small_setup
from tfx_engine.data.task import IGNORED
from tfx_engine.measure import evaluation
from tfx_engine.measure.evaluation import HeldOut, evaluate
from tfx_engine.train.setup import Setup


def evaluated(setup: Setup) -> tuple[HeldOut, torch.Tensor, torch.Tensor]:
    """The evaluation, and all its logits and targets, one row for each target that counts."""
    batches = [setup.task.held_out(i) for i in range(2)]
    training = setup.training
    found = evaluate(training.model, batches, setup.task, training.precision)
    training.model.eval()
    with torch.no_grad():
        logits = torch.cat([training.model(inputs).flatten(0, -2) for inputs, _ in batches])
    targets = torch.cat([targets.flatten() for _, targets in batches])
    return found, logits[targets != IGNORED], targets[targets != IGNORED]


@pytest.mark.parametrize("task", ["copy", "multi_lag", "digits", "recall"])
@pytest.mark.parametrize("at_once", [2**24, 1])
def test_loss_and_accuracy_are_means_over_the_targets_that_count(task: str, at_once: int, monkeypatch: Any) -> None:
    monkeypatch.setattr(evaluation, "_LOGITS_AT_ONCE", at_once)
    found, logits, targets = evaluated(small_setup(data={"task": task}, model={"vocab": 16}))
    assert found.tokens == len(targets)
    assert found.loss == pytest.approx(F.cross_entropy(logits, targets).item(), rel=1e-5)
    assert found.accuracy == pytest.approx((logits.argmax(-1) == targets).float().mean().item())
    assert found.bits_per_byte is None


@pytest.mark.parametrize("data", [{"tokenizer": "bytes"}, {"tokenizer": "bpe", "bpe_vocab": 300}], ids=["bytes", "bpe"])
def test_bits_per_byte_are_the_same_nats_over_the_bytes_of_the_targets(data: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "text.txt"
    path.write_text("the same old song again and again, " * 100)
    setup = small_setup(data={"task": "text", "path": str(path), **data}, model={"vocab": None})
    found, logits, targets = evaluated(setup)
    signs = {"␣": " "}
    length = sum(len("".join(signs.get(c, c) for c in setup.task.token_text(t))) for t in targets.tolist())
    nats = F.cross_entropy(logits, targets, reduction="sum").item()
    assert found.accuracy is None and found.bits_per_byte == pytest.approx(nats / math.log(2) / length, rel=1e-5)
    assert (length == len(targets)) == (data["tokenizer"] == "bytes")


def test_a_loss_that_is_no_number_has_no_accuracy() -> None:
    setup = small_setup()
    with torch.no_grad():
        setup.training.model.embedding.weight.fill_(math.nan)
    found = evaluate(setup.training.model, [setup.task.held_out(0)], setup.task, setup.training.precision)
    assert math.isnan(found.loss) and found.accuracy is None


def test_low_precision_is_evaluated_in_float32() -> None:
    setup = small_setup({"precision": "bfloat16_autocast"})
    rows = list(evaluation._answers(setup.training.model.bfloat16(), *setup.task.held_out(0)))
    assert all(logits.dtype == torch.float32 for logits, _ in rows)
