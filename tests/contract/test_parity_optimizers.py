"""Optimisers are those of torch, transformers and torchao, step for step, where these have them."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from tfx_engine.protocol.config import Choice
from tfx_engine.techniques.catalogue import technique_for
from tfx_engine.techniques.optimizer import Together, implementation_of, muon
from tfx_engine.techniques.optimizer.adamw_8bit import OwnAdamW8bit, packed, steps
from tfx_engine.train.step import set_learning_rate

MATRIX, STEPS = "blocks.0.feedforward.up.weight", 6


def build(name: str, named: list[tuple[str, nn.Parameter]], **options: Any) -> torch.optim.Optimizer:
    technique, chosen = technique_for("optimizer", Choice(name, options))
    return technique.build(chosen, named)


def weights(dtype: torch.dtype, *shapes: tuple[int, ...]) -> list[nn.Parameter]:
    generator = torch.Generator().manual_seed(1)
    return [nn.Parameter(torch.randn(shape, generator=generator, dtype=dtype)) for shape in shapes]


def moved(optimizer: torch.optim.Optimizer, parameters: list[nn.Parameter]) -> list[Tensor]:
    """The parameters after the same few gradients as everybody else gets."""
    generator = torch.Generator().manual_seed(2)
    for _ in range(STEPS):
        for parameter in parameters:
            parameter.grad = torch.randn(parameter.shape, generator=generator, dtype=parameter.dtype)
        optimizer.step()
    return [parameter.detach().clone() for parameter in parameters]


@pytest.mark.parametrize("options", [{}, {"nesterov": False}, {"scale": "original"}], ids=str)
@pytest.mark.parametrize("shape", [(5, 9), (9, 5), (4, 4)], ids=str)
def test_muon_is_torchs_muon_and_so_is_our_own_to_the_bit(
    options: dict[str, Any], shape: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    (theirs,), (ours,), (own,) = (weights(torch.float32, shape) for _ in range(3))
    adjust = "original" if "scale" in options else "match_rms_adamw"
    wanted = moved(torch.optim.Muon([theirs], nesterov=options.get("nesterov", True), adjust_lr_fn=adjust), [theirs])
    optimizer = build("muon", [(MATRIX, ours)], **options)
    assert implementation_of(optimizer) == "Muon (torch)"
    assert torch.equal(moved(optimizer, [ours])[0], wanted[0])
    monkeypatch.delattr(torch.optim, "Muon")
    optimizer = build("muon", [(MATRIX, own)], **options)
    assert implementation_of(optimizer) == "Muon (own)"
    assert torch.equal(moved(optimizer, [own])[0], wanted[0])


@pytest.mark.parametrize("shape", [(6, 11), (11, 6)], ids=str)
def test_the_iteration_is_its_polynomial_on_the_singular_values(shape: tuple[int, int]) -> None:
    (matrix,) = weights(torch.float64, shape)
    u, s, v = torch.linalg.svd(matrix.detach(), full_matrices=False)
    s = s / s.square().sum().sqrt()
    a, b, c = muon.COEFFICIENTS
    for _ in range(muon.ITERATIONS):
        s = a * s + b * s**3 + c * s**5
    assert (s > 0.6).all() and (s < 1.3).all()
    wanted = u * s @ v
    assert (muon.orthogonalised(matrix.detach()).double() - wanted).norm() < 0.03 * wanted.norm()


def test_muon_moves_the_matrices_of_blocks_and_adamw_everything_else() -> None:
    names = ["embedding.weight", MATRIX, "blocks.0.feedforward.up.bias", "blocks.0.feedforward.experts", "head.weight"]
    shapes = [(7, 4), (5, 4), (5,), (2, 5, 4), (7, 4)]
    parameters, plain = weights(torch.float32, *shapes), weights(torch.float32, *shapes)
    optimizer = build("muon", list(zip(names, parameters, strict=True)))
    assert implementation_of(optimizer) == "Muon (torch), AdamW (fused)"
    adamw = build("adamw", list(zip(names, plain, strict=True)))
    same = [torch.equal(a, b) for a, b in zip(moved(optimizer, parameters), moved(adamw, plain), strict=True)]
    assert same == [True, False, True, True, True]
    assert optimizer.state[parameters[1]].keys() == {"momentum_buffer"}
    assert len(optimizer.state) == 5


def test_several_optimizers_in_one_follow_the_schedule_and_come_back_from_their_state() -> None:
    names, shapes = ["embedding.weight", MATRIX], [(7, 4), (5, 4)]
    first, second = weights(torch.float32, *shapes), weights(torch.float32, *shapes)
    optimizer, other = (build("muon", list(zip(names, p, strict=True))) for p in (first, second))
    assert isinstance(optimizer, Together)
    moved(optimizer, first)
    with torch.no_grad():
        for a, b in zip(second, first, strict=True):
            a.copy_(b)
    other.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    for each in (optimizer, other):
        set_learning_rate(each, 0.5)
        assert [g["lr"] for part in each.parts for g in part.param_groups] == [5e-4, 5e-4]
    for a, b in zip(moved(optimizer, first), moved(other, second), strict=True):
        assert torch.equal(a, b)
    set_learning_rate(other, 0.0)
    before = [p.detach().clone() for p in second]
    assert all(torch.equal(a, b) for a, b in zip(moved(other, second), before, strict=True))


@pytest.mark.parametrize("implementation", ["auto", "fused", "foreach", "loop"])
def test_every_implementation_of_adamw_is_the_same_optimizer(implementation: str) -> None:
    (theirs,), (ours,) = (weights(torch.float64, (5, 9)) for _ in range(2))
    optimizer = build("adamw", [(MATRIX, ours)], implementation=implementation)
    group = optimizer.param_groups[0]
    assert not (group["fused"] and group["foreach"])
    assert implementation_of(optimizer) == f"AdamW ({'fused' if implementation == 'auto' else implementation})"
    plain = torch.optim.AdamW([theirs], betas=(0.9, 0.95), weight_decay=0.1, foreach=False)
    torch.testing.assert_close(moved(optimizer, [ours]), moved(plain, [theirs]), rtol=1e-12, atol=1e-12)


def test_adafactor_is_that_of_transformers() -> None:
    from transformers.optimization import Adafactor

    shapes = [(5, 9), (7,)]
    ours, theirs = weights(torch.float64, *shapes), weights(torch.float64, *shapes)
    optimizer = build("adafactor", [(f"blocks.0.{i}", p) for i, p in enumerate(ours)])
    other = Adafactor(theirs, lr=1e-2, scale_parameter=True, relative_step=False, warmup_init=False)
    torch.testing.assert_close(moved(optimizer, ours), moved(other, theirs), rtol=1e-10, atol=1e-10)


# ------------------------------------------------------------------------------------------- 8-bit states


@pytest.fixture
def torchao_optim() -> Iterator[Any]:
    """torchao's optimisers, uncompiled; importing them warns of libraries for GPUs that are not here."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from torchao import optim
    with torch.compiler.set_stance("force_eager"):
        yield optim


@pytest.mark.parametrize("is_signed", [True, False])
def test_the_steps_are_torchaos_and_every_number_goes_to_the_nearest(torchao_optim: Any, is_signed: bool) -> None:
    from torchao.optim.quant_utils import create_dynamic_map, quantize_8bit_with_qmap, scale_tensor

    known = steps(is_signed, torch.device("cpu"))
    assert torch.equal(known, torch.tensor(create_dynamic_map(is_signed)))
    x = torch.randn(4096, generator=torch.Generator().manual_seed(0))
    x = x if is_signed else x.square()
    codes, scale = packed(x, 256, known)
    scaled, wanted_scale = scale_tensor(x, 256)
    assert torch.equal(scale, wanted_scale)
    differ = codes != quantize_8bit_with_qmap(scaled, known)
    assert differ.float().mean() < 1e-3  # only what lies in the middle of two steps, to the last bit
    distance = (known[codes.int()] - scaled).abs()
    assert torch.allclose(distance, (known[:, None] - scaled).abs().amin(dim=0), atol=1e-7)


def test_our_own_8_bit_adamw_is_torchaos(torchao_optim: Any) -> None:
    (ours,), (theirs,) = (weights(torch.float32, (64, 128)) for _ in range(2))
    optimizer = build("adamw_8bit", [(MATRIX, ours)], implementation="own")
    other = build("adamw_8bit", [(MATRIX, theirs)], implementation="torchao")
    assert [implementation_of(o) for o in (optimizer, other)] == ["AdamW8bit (own)", "AdamW8bit (torchao)"]
    (mine,), (wanted,) = moved(optimizer, [ours]), moved(other, [theirs])
    assert isinstance(optimizer, OwnAdamW8bit) and isinstance(other, torchao_optim.AdamW8bit)
    start = weights(torch.float32, (64, 128))[0].detach()
    assert (mine - wanted).norm() < 1e-3 * (wanted - start).norm()
    set_learning_rate(other, 0.5)
    assert float(other.param_groups[0]["lr"]) == pytest.approx(5e-4)


def test_8_bit_states_leave_training_close_to_that_of_32_bit_ones() -> None:
    (ours,), (theirs,) = (weights(torch.float32, (64, 128)) for _ in range(2))
    start = ours.detach().clone()
    (mine,) = moved(build("adamw_8bit", [(MATRIX, ours)]), [ours])
    (wanted,) = moved(build("adamw", [(MATRIX, theirs)]), [theirs])
    assert 0 < (mine - wanted).norm() < 0.1 * (wanted - start).norm()


def kept(optimizer: torch.optim.Optimizer, parameter: nn.Parameter) -> set[torch.dtype]:
    return {t.dtype for t in optimizer.state[parameter].values() if isinstance(t, Tensor) and t.numel() > 100}


def test_embeddings_and_small_tensors_keep_32_bit_states() -> None:
    names = ["embedding.weight", MATRIX, "blocks.0.attention.query.weight"]
    parameters = weights(torch.float32, (64, 128), (64, 128), (20, 20))
    optimizer = build("adamw_8bit", list(zip(names, parameters, strict=True)))
    moved(optimizer, parameters)
    assert [kept(optimizer, p) for p in parameters] == [{torch.float32}, {torch.uint8}, {torch.float32}]


@pytest.mark.parametrize(("installed", "wanted", "device", "found"), [
    ({"torchao", "triton"}, "auto", "cuda", ["torchao"]), ({"torchao"}, "auto", "cuda", []),
    ({"torchao", "bitsandbytes"}, "auto", "cuda", ["bitsandbytes"]), ({"torchao", "triton"}, "auto", "cpu", []),
    ({"torchao"}, "torchao", "cpu", ["torchao"]), ({"torchao", "bitsandbytes"}, "own", "cuda", []),
])  # fmt: skip
def test_the_fastest_package_that_fits_is_tried_first(
    installed: set[str], wanted: str, device: str, found: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from tfx_engine.techniques.optimizer import adamw_8bit

    monkeypatch.setattr("importlib.util.find_spec", lambda name: name if name in installed else None)

    class Weight:
        pass

    Weight.device = torch.device(device)  # type: ignore[attr-defined]
    assert adamw_8bit._candidates(wanted, [{"params": [Weight]}]) == found


def test_a_package_that_cannot_be_used_is_named_and_the_plain_form_takes_its_place(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from tfx_engine.techniques.optimizer import adamw_8bit

    def broken(name: str) -> Callable[..., Any]:
        raise ImportError("undefined symbol")

    monkeypatch.setattr(adamw_8bit, "_candidates", lambda wanted, groups: ["torchao"])
    monkeypatch.setattr("importlib.import_module", broken)
    (weight,) = weights(torch.float32, (64, 128))
    optimizer = build("adamw_8bit", [(MATRIX, weight)])
    assert implementation_of(optimizer) == "AdamW8bit (own; torchao cannot be used here)"
    with pytest.raises(RuntimeError, match="torchao is installed, but cannot be used here: undefined symbol"):
        build("adamw_8bit", [(MATRIX, weight)], implementation="torchao")
