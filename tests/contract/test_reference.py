"""Every technique does what its slow and obvious reference does: outputs and gradients, in float64, on odd sizes.

Memory is poisoned, so that a number that was never written shows as NaN, and everything runs twice, to the bit.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from tests.helpers.tiny import tiny_config
from tfx_engine.protocol.config import Choice, Config
from tfx_engine.techniques.catalogue import discover, technique_for
from tfx_engine.techniques.technique import Technique

pytestmark = pytest.mark.usefixtures("poisoned_memory")

# What is tried besides the defaults. An option that is missing here is tried at its default only.
VARIANTS: dict[str, list[dict[str, Any]]] = {
    "attention.multi_head": [{"bias": True}, {"bias": False}],
    "norm.layer_norm": [{"epsilon": 0.1}],
    "feedforward.gelu": [{"approximate": "tanh"}, {"width": 5, "bias": False}, {"width": 1}],
    "embedding.token": [{"scale": True}, {"scale": False}, {"dropout": 0.5}],
    "head.tied": [{"softcap": 2.0}],
    "head.untied": [{"softcap": 2.0}],
    "recompute.every_block": [{"every": 2}],
    "adapter.lora": [{"rank": 1}, {"rank": 9, "alpha": 1.0}, {"dropout": 0.5}],
    "optimizer.adamw": [{"weight_decay": 0.0, "beta1": 0.0}, {"epsilon": 0.1, "beta2": 0.5, "weight_decay": 0.5}],
    "optimizer.sgd": [{"momentum": 0.0}, {"nesterov": True, "weight_decay": 0.5}],
    "schedule.cosine": [{"warmup_steps": 0}, {"warmup_steps": 3, "final": 0.5}, {"warmup_steps": 4}],
}
TRAINING = ("optimizer", "schedule")  # these two have tests of their own below
SIZES = [{}, {"width": 1, "heads": 1, "head_width": 1}, {"context": 2, "bias": False}]
MASKS = ("causal", "bidirectional")


def cases() -> Iterator[Any]:
    for technique in discover().values():
        name = f"{technique.slot}.{technique.name}"
        for options in ({}, *VARIANTS.get(name, ())):
            yield pytest.param(technique, options, id=f"{name}-{options or 'defaults'}")


def options_of(technique: Technique, given: dict[str, Any]) -> Any:
    return technique.options(**given)


def randomised(module: nn.Module) -> nn.Module:
    """The module in float64 and evaluation mode, every parameter away from zero and one."""
    module = module.double().eval()
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.normal_(0.3, 0.7, generator=generator)
    return module


def built(slot: str, config: Config, name: str | None = None) -> Any:
    """What fills a slot by default."""
    choice = config.techniques[slot] if name is None else Choice(name)
    technique, options = technique_for(slot, choice)
    return technique.build(options, config)


def stream(config: Config) -> Tensor:
    shape = (config.run.batch, config.model.context, config.model.width)
    return torch.randn(shape, generator=torch.Generator().manual_seed(2), dtype=torch.float64)


def block_of(config: Config, placement: Any) -> nn.Module:
    parts = built("attention", config), built("feedforward", config)
    return randomised(placement.block(*parts, lambda: built("norm", config)))


def check(actual: Callable[..., Tensor], reference: Callable[..., Tensor], module: nn.Module, *inputs: Tensor) -> None:
    """Equal outputs, equal gradients of inputs and parameters, and the same bits a second time."""
    first, second, wanted = (run(fn, module, inputs) for fn in (actual, actual, reference))
    for name, value in wanted.items():
        assert torch.equal(first[name], second[name]), f"{name} is not the same twice"
        assert torch.allclose(first[name], value, rtol=1e-9, atol=1e-9), f"{name} is {first[name]}, wanted {value}"


def run(fn: Callable[..., Tensor], module: nn.Module, inputs: tuple[Tensor, ...]) -> dict[str, Tensor]:
    leaves = [x.clone().requires_grad_(x.is_floating_point()) for x in inputs]
    module.zero_grad()
    output = fn(*leaves)
    (output * torch.linspace(-1, 1, output.numel(), dtype=output.dtype).view_as(output)).sum().backward()
    found = {"output": output.detach()}
    found |= {f"gradient of input {i}": x.grad for i, x in enumerate(leaves) if x.grad is not None}
    found |= {f"gradient of {n}": p.grad.clone() for n, p in module.named_parameters() if p.grad is not None}
    return found


@pytest.mark.parametrize("sizes", SIZES, ids=str)
@pytest.mark.parametrize(("technique", "given"), [c for c in cases() if c.values[0].slot not in TRAINING])
def test_it_equals_its_reference(technique: Technique, given: dict[str, Any], sizes: dict[str, Any]) -> None:
    config = tiny_config(model=sizes)
    HARNESS[technique.slot](technique, options_of(technique, given), config)


def of_module(technique: Technique, options: Any, config: Config) -> None:
    module = randomised(technique.build(options, config))
    check(module, lambda x: technique.reference(module, x), module, stream(config))


def of_embedding(technique: Technique, options: Any, config: Config) -> None:
    module = randomised(technique.build(options, config))
    tokens = torch.randint(config.vocab, (3, config.model.context), generator=torch.Generator().manual_seed(2))
    check(module, lambda t: technique.reference(module, t), module, tokens)


def of_attention(technique: Technique, options: Any, config: Config) -> None:
    module = randomised(technique.build(options, config))
    for name in MASKS:
        mask = built("mask", config, name)
        reference = functools.partial(technique.reference, mask=mask)
        check(lambda x, m=mask: module(x, m), lambda x, r=reference: r(module, x), module, stream(config))


def of_mask(technique: Technique, options: Any, config: Config) -> None:
    mask = technique.build(options, config)
    for tokens in (1, 2, config.model.context):
        allowed = mask.allowed(tokens)
        assert torch.equal(allowed, technique.reference(tokens))
        assert allowed.any(dim=1).all(), "a query without any key has no defined output"
        if mask.is_causal:
            assert torch.equal(allowed, torch.ones(tokens, tokens, dtype=torch.bool).tril())
        elif mask.bias(tokens, torch.device("cpu")) is None:
            assert allowed.all()


def of_placement(technique: Technique, options: Any, config: Config) -> None:
    block, mask = block_of(config, technique.build(options, config)), built("mask", config)
    check(lambda x: block(x, mask), lambda x: technique.reference(block, x, mask), block, stream(config))


def of_recompute(technique: Technique, options: Any, config: Config) -> None:
    recompute = technique.build(options, config)
    block, mask = block_of(config, built("placement", config)), built("mask", config)
    for index in range(3):
        check(lambda x, i=index: recompute(i, block, x, mask), lambda x: technique.reference(block, x, mask), block,
              stream(config))


def of_head(technique: Technique, options: Any, config: Config) -> None:
    embedding = built("embedding", config)
    module = randomised(technique.build(options, config, embedding))
    check(module, lambda x: technique.reference(module, x), module, stream(config))


def of_adapter(technique: Technique, options: Any, config: Config) -> None:
    for bias in (True, False):
        model = nn.Module()
        model.query = nn.Linear(config.model.width, 5, bias)
        technique.build(options, config).apply(model)
        randomised(model)
        check(model.query, functools.partial(technique.reference, model.query), model, stream(config))


def of_precision(technique: Technique, options: Any, config: Config) -> None:
    precision = technique.build(options, config)
    torch.manual_seed(0)
    layer, x = nn.Linear(33, 17), torch.randn(5, 33)
    with precision.context("cpu"):
        actual = layer(x).float()
    wanted = technique.reference(layer, x)
    assert (actual - wanted).norm() <= precision.tolerance * wanted.norm()


HARNESS: dict[str, Callable[[Technique, Any, Config], None]] = {
    "position": of_module, "feedforward": of_module, "norm": of_module, "embedding": of_embedding,
    "attention": of_attention, "mask": of_mask, "placement": of_placement, "recompute": of_recompute,
    "head": of_head, "adapter": of_adapter, "precision": of_precision,
}  # fmt: skip


@pytest.mark.parametrize(("technique", "given"), [c for c in cases() if c.values[0].slot == "optimizer"])
@pytest.mark.parametrize("shape", [(3, 5), (7,), (2, 3, 4)], ids=str)
def test_an_optimizer_moves_weights_as_its_reference_does(technique: Technique, given: dict, shape: tuple) -> None:
    options, generator = options_of(technique, given), torch.Generator().manual_seed(3)
    begin, *slopes = torch.randn((6, *shape), generator=generator, dtype=torch.float64)
    weight, frozen = nn.Parameter(begin.clone()), nn.Parameter(begin.clone(), requires_grad=False)
    optimizer = technique.build(options, [weight, frozen])
    for slope in slopes:
        weight.grad = slope.clone()
        optimizer.step()
    torch.testing.assert_close(weight.detach(), technique.reference(options, begin, slopes), rtol=1e-9, atol=1e-9)
    assert torch.equal(frozen, begin)


@pytest.mark.parametrize(("technique", "given"), [c for c in cases() if c.values[0].slot == "schedule"])
@pytest.mark.parametrize("total", [1, 5, 33])
def test_a_schedule_gives_the_factors_of_its_reference(technique: Technique, given: dict, total: int) -> None:
    options = options_of(technique, given)
    refused = list(technique.check(options, tiny_config(run={"warmup_steps": 0, "measure_steps": total})))
    if refused:
        assert total <= options.warmup_steps, "only a warm-up that leaves no step is refused"
        return
    factor = technique.build(options, total)
    for step in range(total):
        assert factor(step) == pytest.approx(technique.reference(options, total, step), abs=1e-12)
        assert 0 <= factor(step) <= 1
    assert 0 <= factor(total + 100) <= factor(total - 1), "after the last step it does not rise again"
