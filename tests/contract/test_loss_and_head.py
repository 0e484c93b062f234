"""Chunked loss and multi-token head: the same numbers as the plain way, less memory, and costs as declared."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from tests.helpers.tiny import tiny_config
from tests.helpers.training import small_setup, split_of_step
from tfx_engine.estimate import flops_per_token
from tfx_engine.model.assemble import assemble, make_loss
from tfx_engine.model.validate import validate
from tfx_engine.protocol.config import Config
from tfx_engine.techniques.loss import IGNORED, predictions, shifted
from tfx_engine.train.step import train_step

CHUNKED = "chunked_cross_entropy"
HEADS: list[dict[str, Any]] = [
    {"use": "tied"}, {"use": "untied", "softcap": 3.0}, {"use": "multi_token", "tokens": 3, "weight": 0.4},
    {"use": "multi_token", "tokens": 2, "shared": False, "tied": False},
]  # fmt: skip


def loss_and_gradients(config: Config) -> tuple[Tensor, dict[str, Tensor], str]:
    """Of a batch, in float64, with weights away from where they begin."""
    model, loss = assemble(config, "cpu", torch.float64), make_loss(config)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=torch.Generator().manual_seed(1)) / 3)
    inputs_BT = torch.randint(config.vocab, (3, config.model.context), generator=torch.Generator().manual_seed(2))
    targets_BT = inputs_BT.roll(-1, 1)
    targets_BT[0, :4] = targets_BT[2, -1] = IGNORED
    nats = loss(model.head, model.hidden(inputs_BT), targets_BT, (targets_BT != IGNORED).sum())
    nats.backward()
    return nats.detach(), {n: p.grad for n, p in model.named_parameters() if p.grad is not None}, loss.implementation


@pytest.mark.parametrize("head", HEADS, ids=str)
@pytest.mark.parametrize("given", [{}, {"label_smoothing": 0.1}, {"z_loss": 0.01}], ids=str)
@pytest.mark.parametrize("rows", [None, 1, 4])
def test_in_pieces_loss_and_gradients_are_those_of_the_whole(head: dict, given: dict, rows: int | None) -> None:
    whole, wanted, _ = loss_and_gradients(tiny_config({"head": head, "loss": {"use": "cross_entropy", **given}}))
    for implementation in ("auto", "recompute"):
        chunked = {"use": CHUNKED, "rows": rows, "implementation": implementation, **given}
        nats, gradients, _ = loss_and_gradients(tiny_config({"head": head, "loss": chunked}))
        torch.testing.assert_close(nats, whole, rtol=1e-10, atol=1e-10)
        assert gradients.keys() == wanted.keys()
        for name, gradient in wanted.items():
            torch.testing.assert_close(gradients[name], gradient, rtol=1e-10, atol=1e-10)


HAS_TORCHS = hasattr(F, "linear_cross_entropy")


@pytest.mark.parametrize(
    ("techniques", "given", "torchs"),
    [
        ({}, {}, True),
        ({"head": "multi_token"}, {}, True),
        ({}, {"implementation": "recompute"}, False),
        ({}, {"z_loss": 0.1}, False),
        ({}, {"label_smoothing": 0.1}, False),
        ({"head": {"use": "tied", "softcap": 9.0}}, {}, False),
        ({"precision": "bfloat16_autocast"}, {}, False),
    ],
)
def test_torchs_own_is_taken_where_it_can_all_and_what_was_taken_is_named(techniques, given, torchs: bool) -> None:
    config = tiny_config({**techniques, "loss": {"use": CHUNKED, **given}})
    torchs = torchs and HAS_TORCHS
    assert make_loss(config).implementation == ("chunked by torch" if torchs else "chunked by recompute")
    if not torchs and given.get("implementation") != "recompute":
        config = tiny_config({**techniques, "loss": {"use": CHUNKED, "implementation": "torch", **given}})
        (problem,) = validate(config)
        assert problem.path == "techniques.loss.implementation" and "'recompute'" in problem.hint


@pytest.mark.parametrize("implementation", ["auto", "recompute"])
def test_without_the_logits_of_a_large_vocabulary_the_peak_falls(implementation: str) -> None:
    model = {"vocab": 20_000, "width": 8, "heads": 1, "layers": 1, "context": 64}
    peaks = {}
    for loss in ({"use": "cross_entropy"}, {"use": CHUNKED, "rows": 16, "implementation": implementation}):
        split = split_of_step(small_setup({"loss": loss}, model=model, run={"batch": 4}), step=2)
        peaks[loss["use"]] = split.peak_bytes
    logits_bytes = 4 * 64 * 20_000 * 4
    assert peaks["cross_entropy"] - peaks[CHUNKED] > logits_bytes
    assert peaks["cross_entropy"] > 2 * logits_bytes


@pytest.mark.parametrize("head", HEADS, ids=str)
@pytest.mark.parametrize("loss", [{"use": "cross_entropy"}, {"use": CHUNKED, "rows": 5, "implementation": "recompute"}],
                         ids=str)  # fmt: skip
@pytest.mark.parametrize("adapter", ["none", "lora"])
def test_flops_of_a_step_are_those_that_torch_counts(head: dict, loss: dict, adapter: str) -> None:
    setup = small_setup({"head": head, "loss": loss, "adapter": adapter})
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        train_step(setup.training, setup.task.batch(0), 0)
    assert counter.get_total_flops() == flops_per_token(setup.config).hardware * setup.tokens_per_step


@pytest.mark.parametrize("options", [{}, {"shared": False}, {"tied": False, "tokens": 2}])
def test_a_multi_token_head_predicts_each_token_as_the_slow_way_does(options: dict) -> None:
    config = tiny_config({"head": {"use": "multi_token", "weight": 0.5, **options}})
    model, loss = assemble(config, "cpu", torch.float64), make_loss(config)
    head = model.head
    for further in head.further:
        torch.nn.init.normal_(further.turn.weight, generator=torch.Generator().manual_seed(3))
    x_BTD = torch.randn(2, 9, 7, dtype=torch.float64, generator=torch.Generator().manual_seed(4))
    targets_BT = torch.randint(11, (2, 9), generator=torch.Generator().manual_seed(5))
    targets_BT[0, 2] = IGNORED
    total = 0.0
    for b in range(2):
        for t in range(9):
            for k in range(1 + len(head.further)):
                if t + k < 9 and (target := int(targets_BT[b, t + k])) != IGNORED:
                    h_D, table = x_BTD[b, t], head.weight
                    if k:
                        further = head.further[k - 1]
                        turned = further.turn.weight @ h_D + further.turn.bias
                        h_D = h_D + turned * torch.sigmoid(turned)
                        table = head.weight if further.weight is None else further.weight
                    total += (1.0 if k == 0 else 0.5) * -torch.log_softmax(table @ h_D, 0)[target]
    torch.testing.assert_close(loss(head, x_BTD, targets_BT, torch.tensor(17)), total / 17)


def test_further_tokens_begin_as_the_next_one_and_share_its_table_or_have_their_own() -> None:
    for shared in (True, False):
        model = assemble(tiny_config({"head": {"use": "multi_token", "tokens": 3, "shared": shared}}), "cpu")
        assert model.head.weight is model.embedding.weight
        x_BTD = torch.randn(1, 4, 7)
        first, *further = predictions(model.head, x_BTD)
        assert [p.shift for p in further] == [1, 2] and all(torch.equal(p.x_BTD, x_BTD) for p in further)
        assert all((p.head is model.head) == shared for p in further) and first.head is None
        names = {name for name, _ in model.named_parameters() if name.startswith("head.")}
        assert ("head.further.0.weight" in names) == (not shared)


def test_more_tokens_than_a_sample_has_are_refused() -> None:
    (problem,) = validate(tiny_config({"head": {"use": "multi_token", "tokens": 10}}))
    assert problem.path == "techniques.head.tokens" and problem.hint == "Choose at most 9."


def test_shifted_targets_end_with_places_that_do_not_count() -> None:
    targets_BT = torch.tensor([[1, 2, 3], [4, IGNORED, 6]])
    assert shifted(targets_BT, 0) is targets_BT
    assert shifted(targets_BT, 1).tolist() == [[2, 3, IGNORED], [IGNORED, 6, IGNORED]]
    assert shifted(targets_BT, 5).tolist() == [[IGNORED] * 3] * 2


def test_label_smoothing_and_z_loss_move_the_loss_as_they_should() -> None:
    values = {}
    for name, given in (("plain", {}), ("smoothed", {"label_smoothing": 0.1}), ("z", {"z_loss": 0.1})):
        values[name], _, _ = loss_and_gradients(tiny_config({"loss": {"use": "cross_entropy", **given}}))
    assert values["z"] > values["plain"] and values["smoothed"] != values["plain"]
    assert all(math.isfinite(value) for value in values.values())
