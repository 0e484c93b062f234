"""What the techniques of the training step are for: they change memory, time or step sizes, and nothing else."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from tests.helpers.tiny import loss_of, tiny_config
from tests.helpers.training import recorded, small_setup, split_of_step
from tfx_engine.estimate import flops_per_token
from tfx_engine.measure.budget import Budget
from tfx_engine.measure.memory_split import MemorySplit
from tfx_engine.model.assemble import assemble
from tfx_engine.model.validate import validate
from tfx_engine.protocol.config import parse_config
from tfx_engine.protocol.metrics import CATEGORIES
from tfx_engine.protocol.problems import errors_among
from tfx_engine.techniques.offload import activations as offloading
from tfx_engine.train.setup import Setup
from tfx_engine.train.step import cut, train_step

SIZES = {"width": 32, "layers": 4, "heads": 2, "head_width": None, "context": 64, "vocab": 64}


def own_peak(split: MemorySplit, category: str) -> int:
    return int(split.category_peak[CATEGORIES.index(category)])


def gradients_of_step(setup: Setup, batch: tuple[Tensor, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
    """The loss of one step, and the gradients as they were before the weights moved."""
    found: dict[str, Tensor] = {}
    hooks = [
        parameter.register_hook(lambda g, n=name: found.__setitem__(n, found.get(n, 0) + g.detach().clone()))
        for name, parameter in setup.training.model.named_parameters() if parameter.requires_grad
    ]
    loss = train_step(setup.training, batch, 0)
    for hook in hooks:
        hook.remove()
    return loss, found


def uneven_batch(setup: Setup) -> tuple[Tensor, Tensor]:
    """Four samples of which the second has a single target that counts, and a model that is bad at just that one."""
    inputs_BT, targets_BT = (x.clone() for x in setup.task.batch(0))
    targets_BT[1, :-1] = -100
    return inputs_BT, targets_BT


@pytest.mark.parametrize("pieces", [2, 3, 4])
def test_micro_batches_give_loss_and_gradients_of_the_whole_batch_whatever_counts_in_them(pieces: int) -> None:
    whole = small_setup(run={"batch": 4})
    cut_up = small_setup({"accumulation": {"use": "micro_batches", "pieces": pieces}}, run={"batch": 4})
    batch = uneven_batch(whole)
    loss, gradients = gradients_of_step(whole, batch)
    same_loss, same_gradients = gradients_of_step(cut_up, batch)
    torch.testing.assert_close(same_loss, loss, rtol=1e-6, atol=1e-6)
    assert gradients.keys() == same_gradients.keys()
    for name, gradient in gradients.items():
        torch.testing.assert_close(same_gradients[name], gradient, rtol=1e-4, atol=1e-6)


def test_the_mean_of_the_pieces_means_would_be_something_else() -> None:
    setup = small_setup(run={"batch": 4})
    batch, model = uneven_batch(setup), setup.training.model

    def mean(piece: tuple[Tensor, Tensor]) -> Tensor:
        return F.cross_entropy(model(piece[0]).flatten(0, 1), piece[1].flatten(), ignore_index=-100)

    with torch.no_grad():
        model.embedding.weight.mul_(3)  # losses that differ from sample to sample
        whole, naive = mean(batch), torch.stack([mean(piece) for piece in cut(batch, 4)]).mean()
    assert abs(naive - whole) > 0.02


def test_more_pieces_than_samples_are_as_many_as_there_are_samples() -> None:
    batch = torch.zeros(3, 5), torch.zeros(3, 5)
    assert [len(inputs) for inputs, _ in cut(batch, 5)] == [1, 1, 1]
    assert [len(inputs) for inputs, _ in cut(batch, 2)] == [2, 1]


def test_micro_batches_keep_the_activations_of_one_piece() -> None:
    sections: dict[str, Any] = {"model": SIZES, "run": {"batch": 8}}
    whole = split_of_step(small_setup(**sections), step=2)
    pieces = split_of_step(small_setup({"accumulation": {"use": "micro_batches", "pieces": 4}}, **sections), step=2)
    assert own_peak(pieces, "activations") == pytest.approx(own_peak(whole, "activations") / 4, rel=0.1)
    assert own_peak(pieces, "gradients") == own_peak(whole, "gradients")
    assert sum(pieces.at_peak.values()) == pieces.peak_bytes


@pytest.mark.parametrize(("optimizer", "bytes_per_weight"), [
    ({"use": "sgd", "momentum": 0.0}, 0), ("sgd", 4), ("lion", 4), ("adamw", 8), ("muon", 4.3),
    ({"use": "adamw_8bit", "smallest": 1}, 2.2), ("adafactor", 0.08),
], ids=str)  # fmt: skip
def test_the_memory_split_finds_the_state_that_an_optimizer_keeps(optimizer: Any, bytes_per_weight: float) -> None:
    sizes = {**SIZES, "width": 128, "layers": 3}
    setup = small_setup({"optimizer": optimizer, "position": "none"}, model=sizes, run={"batch": 2})
    split = split_of_step(setup, step=2)
    weights = sum(p.numel() for p in setup.training.model.parameters())
    assert own_peak(split, "optimizer") / weights == pytest.approx(bytes_per_weight, rel=0.15, abs=0.05)
    assert split.timeline[-1, CATEGORIES.index("temporary")] == 0


# -------------------------------------------------------------------------- weights that move within the backward pass

IN_BACKWARD = {"update": "in_backward"}


@pytest.mark.parametrize("techniques", [
    {"optimizer": {"use": "sgd", "momentum": 0.0}}, {"optimizer": "adamw"}, {"optimizer": "muon"},
    {"optimizer": "lion"}, {"optimizer": "adafactor"}, {"optimizer": {"use": "adamw_8bit", "smallest": 1, "block": 8}},
    {"recompute": "every_block", "schedule": "linear"}, {"adapter": "lora"}, {"head": "untied", "schedule": "cosine"},
], ids=str)  # fmt: skip
def test_moving_weights_within_the_backward_pass_changes_no_number_of_training(techniques: dict[str, Any]) -> None:
    usual, passing = small_setup(techniques), small_setup({**techniques, **IN_BACKWARD})
    for index in range(4):
        batch = usual.task.batch(index)
        losses = [train_step(setup.training, batch, index) for setup in (usual, passing)]
        assert torch.equal(*losses)
    for ours, theirs in zip(usual.training.model.parameters(), passing.training.model.parameters(), strict=True):
        assert torch.equal(theirs, ours)


def test_gradients_that_do_not_stay_are_measured_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Budget, "has_room_in_steps", lambda *_: True)  # however busy the machine is
    sections: dict[str, Any] = {"run": {"warmup_steps": 1, "measure_steps": 12, "memory_every": 5}}
    usual = recorded(small_setup({"schedule": "linear"}, **sections))
    passing = recorded(small_setup({"schedule": "linear", **IN_BACKWARD}, **sections))
    assert passing.losses == usual.losses
    for ours, theirs in zip(usual.readings, passing.readings, strict=True):
        assert theirs.probed == ours.probed and theirs.learning_rate == ours.learning_rate
        if ours.probed:
            np.testing.assert_allclose(theirs.layer_grad_norm, ours.layer_grad_norm, rtol=1e-5)
            assert theirs.grad_norm == pytest.approx(ours.grad_norm)
        assert (theirs.update_ratio is None) == (ours.update_ratio is None)
        assert ours.update_ratio is None or theirs.update_ratio == pytest.approx(ours.update_ratio, rel=1e-4)


@pytest.mark.parametrize("optimizer", ["adamw", {"use": "sgd", "momentum": 0.0}], ids=str)
def test_moving_weights_within_the_backward_pass_keeps_few_gradients_at_a_time(optimizer: Any) -> None:
    sections: dict[str, Any] = {"model": {**SIZES, "width": 128, "context": 8}, "run": {"batch": 1}}
    techniques = {"optimizer": optimizer, "head": "untied"}
    usual = split_of_step(small_setup(techniques, **sections), step=3)
    setup = small_setup({**techniques, **IN_BACKWARD}, **sections)
    passing = split_of_step(setup, step=3)
    weights = 4 * sum(p.numel() for p in setup.training.model.parameters())
    assert own_peak(usual, "gradients") == weights
    assert 0 < own_peak(passing, "gradients") < 0.25 * weights
    assert passing.peak_bytes < usual.peak_bytes - 0.6 * weights
    assert own_peak(passing, "optimizer") == own_peak(usual, "optimizer")
    assert own_peak(passing, "temporary") <= own_peak(usual, "temporary") + weights / 10
    assert sum(passing.at_peak.values()) == passing.peak_bytes
    assert [name for name, _, _ in passing.phases] == ["forward", "loss", "backward", "optimizer"]
    assert setup.training.optimizer.watchers == []


@pytest.mark.parametrize("precision", ["float32", "float16_autocast"])  # whose gradients are scaled before
def test_gradients_are_measured_then_clipped_and_then_move_the_weights(precision: str) -> None:
    clip = {"use": "norm", "maximum": 1e-3}
    descent = {"use": "sgd", "momentum": 0.0, "learning_rate": 1.0}
    setup = small_setup({"clip": clip, "optimizer": descent, "precision": precision})
    model, measured = setup.training.model, []
    before = [p.detach().clone() for p in model.parameters()]

    def measure() -> None:
        measured.extend(p.grad.norm() for p in model.parameters() if p.grad is not None)

    train_step(setup.training, setup.task.batch(0), 0, on_gradients=measure)
    moved = torch.stack([(p.detach() - b).norm() for p, b in zip(model.parameters(), before, strict=True)]).norm()
    assert 0.1 < torch.stack(measured).norm() < 100
    assert moved.item() == pytest.approx(1e-3, rel=0.01)


def test_an_update_within_the_backward_pass_refuses_what_needs_all_gradients_at_once() -> None:
    wanted = {"update": "in_backward", "clip": "norm", "accumulation": "micro_batches"}
    _, problems = parse_config({"techniques": wanted})
    assert sorted(problem.args["slot"] for problem in problems) == ["accumulation", "clip"]


def test_an_update_within_the_backward_pass_refuses_loss_scaling() -> None:
    assert not validate(tiny_config(IN_BACKWARD))
    problems = errors_among(validate(tiny_config({**IN_BACKWARD, "precision": "float16_autocast"})))
    assert [problem.path for problem in problems] == ["techniques.update.use"]


# --------------------------------------------------------------------------------------------- recompute and offload

SELECTIVE: list[dict[str, Any]] = [
    {}, {"keep": ["matmuls"]}, {"keep": ["attention"]}, {"operators": "gelu addmm"}, {"every": 2}, {"operators": "mm"},
]


@pytest.mark.parametrize("placement", ["pre_norm", "post_norm"])
@pytest.mark.parametrize("options", SELECTIVE, ids=str)
def test_selective_recompute_changes_no_bit_of_any_gradient(options: dict[str, Any], placement: str) -> None:
    found = []
    for recompute in ("none", {"use": "selective", **options}):
        torch.manual_seed(0)
        adapter = {"use": "lora", "dropout": 0.3}
        setup = small_setup({"placement": placement, "recompute": recompute, "adapter": adapter})
        found.append(gradients_of_step(setup, setup.task.batch(0)))
    (loss, plain), (same_loss, again) = found
    assert torch.equal(loss, same_loss) and plain.keys() == again.keys()
    assert all(torch.equal(plain[name], again[name]) for name in plain)


@pytest.mark.parametrize("kernel", [SDPBackend.MATH, SDPBackend.FLASH_ATTENTION])
@pytest.mark.parametrize("options", [*SELECTIVE, {"keep": ["matmuls"], "every": 2}], ids=str)
@pytest.mark.parametrize("techniques", [
    {}, {"placement": "post_norm"}, {"adapter": {"use": "lora", "rank": 2}}, {"feedforward": {"bias": False}},
], ids=str)  # fmt: skip
def test_what_selective_recompute_declares_is_what_torch_counts(
    techniques: dict[str, Any], options: dict[str, Any], kernel: SDPBackend
) -> None:
    config = tiny_config({**techniques, "recompute": {"use": "selective", **options}}, model={"layers": 3})
    model, tokens_BT = assemble(config, "cpu"), torch.zeros(2, config.model.context, dtype=torch.int64)
    with sdpa_kernel(kernel), FlopCounterMode(display=False) as counter:
        loss_of(model, tokens_BT, tokens_BT).backward()
    declared = flops_per_token(config)
    if kernel is SDPBackend.MATH:  # of the CPU's own kernel torch counts nothing
        assert counter.get_total_flops() == declared.hardware * tokens_BT.numel()
    if not options:
        assert declared.recompute == 0


def test_selective_recompute_keeps_less_than_everything_and_more_than_nothing_and_marks_what_runs_again() -> None:
    sections: dict[str, Any] = {"model": SIZES, "run": {"batch": 4}}
    kept = {}
    for name in ("none", "selective", "every_block"):
        split = split_of_step(small_setup({"recompute": name}, **sections), step=2)
        kept[name] = own_peak(split, "activations")
        assert [n for n, _, _ in split.phases].count("recompute") == (0 if name == "none" else SIZES["layers"])
        assert sum(split.at_peak.values()) == split.peak_bytes
    assert kept["every_block"] < 0.8 * kept["selective"] and kept["selective"] < 0.9 * kept["none"]


@pytest.mark.parametrize(("operators", "said"), [
    ("mm, adddmm", "names 'adddmm', which is no operator of this torch. Did you mean 'addmm'?"),
    ("mm.fast", "names 'mm.fast', which is no operator"), (" , ", "names no operator"),
    ("linear", "names 'linear', which is made of other operators"), ("mm addmm.default bmm", ""),
])  # fmt: skip
def test_operators_to_keep_must_be_ones_that_reach_the_device(operators: str, said: str) -> None:
    problems = validate(tiny_config({"recompute": {"use": "selective", "operators": operators}}))
    assert [p.path for p in problems] == ["techniques.recompute.operators"] * bool(said)
    assert said in "".join(p.sentence() for p in problems)


def test_offload_is_refused_where_activations_are_in_the_hosts_memory_already(monkeypatch: pytest.MonkeyPatch) -> None:
    config = tiny_config({"offload": "activations"})
    assert "nowhere to go: on the device 'cpu'" in validate(config)[0].sentence()
    monkeypatch.setattr(offloading, "device_kind", lambda config: "cuda")
    assert not validate(config)


@pytest.mark.parametrize("recompute", ["none", "every_block", "selective"])
def test_offload_takes_activations_and_no_weights_and_changes_no_bit(recompute: str, monkeypatch: Any) -> None:
    moved: list[Tensor] = []
    real = offloading.pack

    def pack(options: Any, tensor: Tensor) -> Any:
        packed = real(options, tensor)
        if not isinstance(packed, Tensor):
            moved.append(tensor)
        return packed

    monkeypatch.setattr(offloading, "pack", pack)
    usual = small_setup({"recompute": recompute})
    away = small_setup({"recompute": recompute, "offload": {"use": "activations", "smallest": 0}})
    batch = usual.task.batch(0)
    (loss, plain), (same_loss, same) = gradients_of_step(usual, batch), gradients_of_step(away, batch)
    assert torch.equal(loss, same_loss) and plain.keys() == same.keys()
    assert all(torch.equal(plain[name], same[name]) for name in plain)
    weights = {p.untyped_storage().data_ptr() for p in away.training.model.parameters()}
    assert moved and not any(t.untyped_storage().data_ptr() in weights for t in moved)
    inputs = [t for t in moved if t.shape == (3, 9, 7)]
    assert len(inputs) >= 2, "with recompute inside, at least the blocks' inputs travel"
    if recompute == "every_block":
        assert len(moved) < 20, "and hardly anything else"


def test_small_tensors_stay_where_they_are() -> None:
    options = offloading.Options(smallest=10**6)
    packed = [offloading.pack(options, torch.zeros(count)) for count in (10, 10**6)]
    assert [isinstance(p, Tensor) for p in packed] == [True, False]
    assert offloading.unpack(packed[1]).shape == (10**6,)


def test_what_comes_back_lies_as_it_lay_and_shared_numbers_travel_once() -> None:
    padded = torch.randn(1, 1, 5, 8)[..., :7].expand(2, 3, 5, 7)  # as a kernel is given a mask: rows begin at 16 bytes
    packed = offloading.pack(offloading.Options(smallest=0), padded)
    assert not isinstance(packed, Tensor) and packed.host.numel() == 5 * 7
    back = offloading.unpack(packed)
    assert torch.equal(back, padded) and back.stride()[-2:] == (8, 1) and back.stride()[:2] == (0, 0)
    stream = torch.randn(4, 6, 8)[:, 2]  # one of six: the gaps come not back
    back = offloading.unpack(offloading.pack(offloading.Options(smallest=0), stream))
    assert torch.equal(back, stream) and back.untyped_storage().nbytes() == 4 * stream.numel()
    for other in (torch.tensor(3.0), torch.randn(4, 6).t(), torch.randn(4, 6)[::2], torch.empty(0, 3)):
        assert torch.equal(offloading.unpack(offloading.pack(offloading.Options(smallest=0), other)), other)
