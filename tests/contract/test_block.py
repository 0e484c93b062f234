"""How blocks are put together: norms, placements, residual connections, and what they cost."""

from __future__ import annotations

import itertools
import random
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from tests.helpers.tiny import gradients, loss_of, tiny_config
from tfx_engine.data import make_task
from tfx_engine.estimate import count_parameters, flops_per_token
from tfx_engine.model.assemble import assemble, make_precision
from tfx_engine.model.validate import validate
from tfx_engine.protocol.config import Config
from tfx_engine.techniques.catalogue import discover

PLACEMENTS = [name for slot, name in discover() if slot == "placement"]
RESIDUALS = [name for slot, name in discover() if slot == "residual"]
# Of an own module it is not known what reads what: with an adapter its gradients are an estimate.
FEEDFORWARDS = [name for slot, name in discover() if slot == "feedforward" and name != "own_module"]
NORMS = [name for slot, name in discover() if slot == "norm"]
DROP_HALF = {"use": "stochastic_depth", "rate": 0.5}


def tokens_for(config: Config, batch: int = 2) -> Tensor:
    return torch.randint(config.vocab, (batch, config.model.context), generator=torch.Generator().manual_seed(0))


def counted_flops(config: Config) -> tuple[int, int]:
    """(forward, forward and backward) per token, as torch counts them."""
    model, tokens_BT = assemble(config, "cpu"), tokens_for(config)
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as forward:
        model(tokens_BT)
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as whole:
        loss_of(model, tokens_BT, tokens_BT).backward()
    return forward.get_total_flops() // tokens_BT.numel(), whole.get_total_flops() // tokens_BT.numel()


def drawn(seed: int) -> Config:
    """A legal configuration whose blocks are put together at random."""
    pick = random.Random(seed).choice
    residual: Any = {"use": pick(RESIDUALS)}
    if residual["use"] == "hyper_connections":
        residual |= {"streams": pick([1, 2, 3]), "dynamic": pick([True, False])}
    techniques = {
        "placement": pick(PLACEMENTS), "residual": residual, "norm": pick(NORMS), "feedforward": pick(FEEDFORWARDS),
        "embedding": {"norm": pick([True, False])}, "head": pick(["tied", "untied"]),
        "recompute": pick(["none", {"use": "every_block", "every": pick([1, 2])}]),
        "adapter": pick(["none", "none", {"use": "lora", "rank": 2, "targets": pick([["key"], ["feedforward"]])}]),
    }  # fmt: skip
    if techniques["placement"] == "parallel" and techniques["adapter"] != "none":
        techniques["recompute"] = "none"  # its first block runs a frozen feed-forward again, or not, as torch likes
    sizes = {"width": pick([6, 10]), "heads": pick([1, 2]), "head_width": pick([2, 5]), "layers": pick([1, 2, 3]),
             "bias": pick([True, False])}  # fmt: skip
    return tiny_config(techniques, model=sizes)


@pytest.mark.parametrize("seed", range(60))
def test_flops_and_parameters_in_closed_form_are_those_that_torch_counts(seed: int) -> None:
    config = drawn(seed)
    expected = flops_per_token(config)
    assert counted_flops(config) == (expected.forward, expected.hardware)
    assert count_parameters(config).total == sum(p.numel() for p in assemble(config, "meta").parameters())


@pytest.mark.parametrize(("placement", "residual"), list(itertools.product(PLACEMENTS, RESIDUALS)))
def test_every_residual_works_with_every_placement_and_recompute_changes_no_bit(placement: str, residual: str) -> None:
    found = []
    for recompute in ("none", "every_block"):
        config = tiny_config({"placement": placement, "residual": residual, "recompute": recompute})
        torch.manual_seed(3)
        model = assemble(config, "cpu")
        loss_of(model, *make_task(config).batch(0)).backward()
        assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())
        found.append(gradients(model))
    assert found[0].keys() == found[1].keys()
    assert all(torch.equal(found[0][name], found[1][name]) for name in found[0])


@pytest.mark.parametrize("placement", PLACEMENTS)
@pytest.mark.parametrize("dynamic", [True, False])
def test_hyper_connections_begin_as_the_plain_residual(placement: str, dynamic: bool) -> None:
    hyper = {"use": "hyper_connections", "streams": 3, "dynamic": dynamic}
    configs = [tiny_config({"placement": placement, "residual": r}) for r in ("plain", hyper)]
    plain, several = (assemble(c, "cpu", torch.float64)(tokens_for(c)) for c in configs)
    torch.testing.assert_close(several, plain, rtol=1e-9, atol=1e-9)


def test_autocast_does_not_round_the_streams_of_hyper_connections() -> None:
    config = tiny_config({"residual": "hyper_connections", "precision": "bfloat16_autocast"})
    model, kept = assemble(config, "cpu"), []
    for block in model.blocks:
        block.register_forward_hook(lambda module, given, stream: kept.append(stream.dtype))
    with make_precision(config).context("cpu"):
        model(tokens_for(config))
        rounded = torch.randn(2, 3, 4, config.model.width, dtype=torch.bfloat16)
        kept.append(model.blocks[0].attention_residual(rounded, torch.sin).dtype)
    assert kept == [torch.float32] * 3


def test_hyper_connections_read_one_stream_after_the_other() -> None:
    config = tiny_config({"residual": {"use": "hyper_connections", "streams": 3}}, model={"layers": 2})
    blocks = assemble(config, "cpu").blocks
    read = [c.read for b in blocks for c in (b.attention_residual, b.feedforward_residual)]
    assert read == [0, 1, 2, 0]


def test_weight_decay_does_not_fall_on_how_streams_are_mixed() -> None:
    model = assemble(tiny_config({"residual": "hyper_connections"}), "cpu")
    matrices = {name.rpartition(".")[2] for name, p in model.named_parameters() if "residual" in name and p.dim() > 1}
    assert matrices == {"dynamic"}


def test_rezero_begins_as_the_identity_between_embedding_and_head() -> None:
    config = tiny_config({"residual": "rezero", "position": "none"})
    model, tokens = assemble(config, "cpu"), tokens_for(config)
    assert torch.equal(model.hidden(tokens), model.final_norm(model.embedding(tokens)))


def test_stochastic_depth_leaves_out_the_deeper_branches_more_often() -> None:
    config = tiny_config({"residual": {"use": "stochastic_depth", "rate": 0.8}}, model={"layers": 4})
    connections = [b.feedforward_residual for b in assemble(config, "cpu").blocks]
    assert [c.probability for c in connections] == pytest.approx([0.2, 0.4, 0.6, 0.8])
    torch.manual_seed(0)
    for connection in connections:
        x = torch.zeros(4000, 1, 1)
        y = connection(x, torch.ones_like)
        assert y.unique().tolist() == pytest.approx([0.0, 1 / (1 - connection.probability)])
        assert (y == 0).float().mean().item() == pytest.approx(connection.probability, abs=0.03)
        assert y.mean().item() == pytest.approx(1.0, abs=0.1)
        assert torch.equal(connection.eval()(x, torch.ones_like), torch.ones_like(x))


def test_stochastic_depth_draws_for_each_sample_and_repeats_itself_with_the_seed() -> None:
    config = tiny_config({"residual": DROP_HALF, "position": "none"}, model={"layers": 1})
    model = assemble(config, "cpu")
    tokens = tokens_for(config, batch=1).expand(32, -1)
    torch.manual_seed(1)
    first = model(tokens)
    assert len(first[:, -1].unique(dim=0)) > 1
    torch.manual_seed(1)
    assert torch.equal(model(tokens), first)
    assert not torch.equal(model(tokens), first)
    model.eval()
    assert torch.equal(model(tokens), model(tokens))


@pytest.mark.parametrize(("layers", "alpha", "beta"), [(2, 2**0.5, 0.5), (8, 2.0, 8**-0.5)])
def test_deep_norm_scales_stream_and_weights_by_the_depth(layers: int, alpha: float, beta: float) -> None:
    config = tiny_config({"placement": "deep_norm"}, model={"layers": layers})
    model, plain = (assemble(c, "cpu") for c in (config, tiny_config(model={"layers": layers})))
    assert all(block.alpha == pytest.approx(alpha) for block in model.blocks)
    ours, theirs = dict(model.named_parameters()), dict(plain.named_parameters())
    quiet = {n for n in ours if torch.is_nonzero(ours[n].abs().sum()) and not torch.equal(ours[n], theirs[n])}
    wanted = ("attention.value", "attention.output", "feedforward.up", "feedforward.down")
    assert quiet == {f"blocks.{i}.{part}.weight" for i in range(layers) for part in wanted}
    for name in quiet:
        torch.testing.assert_close(ours[name], theirs[name] * beta)


@pytest.mark.parametrize("given", [{"alpha": 2.0}, {"beta": 0.5}])
def test_deep_norms_alpha_and_beta_belong_together(given: dict[str, float]) -> None:
    (problem,) = validate(tiny_config({"placement": {"use": "deep_norm", **given}}))
    missing = "beta" if "alpha" in given else "alpha"
    assert problem.path == f"techniques.placement.{missing}" and "one without the other" in problem.message


def test_lora_begins_the_same_under_deep_norm() -> None:
    adapted = [assemble(tiny_config({"adapter": "lora", "placement": p}), "cpu") for p in ("pre_norm", "deep_norm")]
    one, other = (dict(m.named_parameters()) for m in adapted)
    thin = [name for name in one if "adapter_" in name]
    assert thin and all(torch.equal(one[name], other[name]) for name in thin)


@pytest.mark.parametrize("norm", NORMS)
def test_a_norm_after_the_embedding_falls_on_the_sum_with_the_positions(norm: str) -> None:
    config = tiny_config({"embedding": {"norm": True}, "norm": norm, "position": "learned"})
    model, tokens = assemble(config, "cpu"), tokens_for(config)
    entered: list[Tensor] = []
    model.blocks[0].register_forward_pre_hook(lambda block, given: entered.append(given[0]))
    model(tokens)
    wanted = model.embedding_norm(model.embedding.weight[tokens] + model.position.weight[: tokens.shape[1]])
    torch.testing.assert_close(entered[0], wanted)
    assert any(name.startswith("embedding_norm.") for name, _ in model.named_parameters())
