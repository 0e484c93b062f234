"""The attention kernels that only a CUDA device has: the one asked for is the one used, and they all agree."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from tests.helpers.tiny import loss_of, tiny_config
from tfx_engine.measure.memory_events import AllocatorRecording
from tfx_engine.model.assemble import assemble
from tfx_engine.techniques.scores import kernel_use

SIZES = {"width": 128, "layers": 2, "heads": 4, "head_width": 64, "context": 256, "vocab": 256}
CUDA = torch.device("cuda")


def loss_and_kernels(kernel: str, techniques: dict[str, Any]) -> tuple[float, float, set[str], set[str]]:
    config = tiny_config({"kernel": kernel, "precision": "bfloat16", **techniques}, model=SIZES)
    model = assemble(config, CUDA)
    tokens_BT = torch.randint(256, (2, 256), generator=torch.Generator().manual_seed(0)).to(CUDA)
    with AllocatorRecording(CUDA) as recording:
        loss = loss_of(model, tokens_BT, tokens_BT)
        loss.backward()
    slope = model.blocks[0].attention.query.weight.grad.float().norm().item()
    return loss.item(), slope, {use.used for use in kernel_use(model)}, recording.kernels


@pytest.mark.parametrize(("kernel", "techniques"), [
    ("math", {}), ("flash", {}), ("efficient", {}), ("cudnn", {}), ("flex", {}),
    ("efficient", {"window": "sliding"}), ("efficient", {"attention": "grouped_query"}),
    ("flex", {"window": "sliding"}), ("flex", {"softcap": "tanh"}), ("flex", {"attention": "grouped_query"}),
])  # fmt: skip
def test_the_kernel_that_is_asked_for_is_used_and_agrees(kernel: str, techniques: dict[str, Any]) -> None:
    loss, slope, told, seen = loss_and_kernels(kernel, techniques)
    wanted_loss, wanted_slope, *_ = loss_and_kernels("eager", techniques)
    assert told == seen == {kernel}
    assert loss == pytest.approx(wanted_loss, rel=1e-2) and slope == pytest.approx(wanted_slope, rel=5e-2)


def test_shared_keys_and_a_mask_do_not_end_in_the_plain_form() -> None:
    *_, told, seen = loss_and_kernels("auto", {"attention": "grouped_query", "window": "sliding"})
    assert told == seen and "math" not in told
