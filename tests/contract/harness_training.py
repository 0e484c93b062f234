"""How a technique of each slot of the training is compared with its own reference; see `harness.py`."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tests.contract.comparing import (
    MASKS,
    built,
    check,
    context_of,
    make_scores,
    normal,
    randomised,
    seeded,
    stream,
)  # fmt: skip
from tests.helpers.tiny import tiny_config
from tfx_engine.protocol.config import Config
from tfx_engine.techniques.loss import IGNORED
from tfx_engine.techniques.technique import Technique
from tfx_engine.train.step import cut


def of_loss(technique: Technique, options: Any, config: Config) -> None:
    loss = technique.build(options, config)
    head = randomised(built("head", config, None, built("embedding", config), 1.0))
    targets_BT = torch.randint(config.vocab, (config.run.batch, config.model.context), generator=seeded(5))
    targets_BT[0, 0] = targets_BT[-1, -1] = IGNORED
    counted = (targets_BT != IGNORED).sum()
    check(lambda x: loss(head, x, targets_BT, counted), lambda x: technique.reference(options, head, x, targets_BT),
          head, 0.3 * stream(config))


def of_init(technique: Technique, options: Any, config: Config) -> None:
    initial = technique.build(options, config)
    shapes = {"embedding.weight": (311, 96), "blocks.0.attention.query.weight": (96, 96),
              "blocks.0.attention.output.weight": (96, 96), "blocks.0.feedforward.up.weight": (384, 96),
              "blocks.1.feedforward.down.weight": (96, 384), "blocks.0.attention.query.bias": (96,),
              "blocks.0.attention_norm.weight": (96,), "head.weight": (311, 96)}  # fmt: skip
    for name, shape in shapes.items():
        parameter = torch.full(shape, torch.nan)
        initial.fill(name, parameter, seeded(7))
        mean, deviation = technique.reference(options, config, name, parameter)
        assert abs(parameter.mean().item() - mean) <= 0.02 * deviation, name
        assert abs(parameter.std().item() - deviation) <= 0.02 * deviation, name


def of_accumulation(technique: Technique, options: Any, config: Config) -> None:
    """The sum over the pieces of (sum of a piece / targets that count in the whole batch) is the batch's mean loss."""
    pieces = technique.build(options, config)
    head = randomised(nn.Linear(config.model.width, 11))
    targets_BT = torch.randint(11, (5, config.model.context), generator=seeded(5))
    targets_BT[0, 1:], targets_BT[3, 0] = IGNORED, IGNORED  # pieces with different numbers of targets that count

    def mean(batch: tuple[Tensor, Tensor]) -> Tensor:
        return F.cross_entropy(head(batch[0]).flatten(0, 1), batch[1].flatten(), ignore_index=IGNORED)

    def summed(x_BTD: Tensor) -> Tensor:
        counted = (targets_BT != IGNORED).sum()
        return sum(
            F.cross_entropy(head(x).flatten(0, 1), t.flatten(), ignore_index=IGNORED, reduction="sum") / counted
            for x, t in cut((x_BTD, targets_BT), pieces)
        )  # type: ignore[return-value]

    check(summed, lambda x: technique.reference(options, mean, (x, targets_BT)), head,
          normal(2, 5, config.model.context, config.model.width))


def of_precision(technique: Technique, options: Any, config: Config) -> None:
    precision = technique.build(options, config)
    precision.settle()
    torch.manual_seed(0)
    layer, x = nn.Linear(48, 32), torch.randn(16, 48)
    wanted = technique.reference(layer, x)
    model = nn.Sequential(layer)
    precision.convert(model)
    model.to(precision.dtype)
    with precision.context("cpu"):
        actual = model(x.to(precision.dtype)).float()
    torch.set_float32_matmul_precision("highest")
    assert (actual - wanted).norm() <= precision.tolerance * wanted.norm()


def of_compile(technique: Technique, options: Any, config: Config) -> None:
    module = randomised(nn.Linear(config.model.width, 5))
    compiled = technique.build(options, config)(module)
    check(compiled, functools.partial(technique.reference, module), module, stream(config))


def of_adapter(technique: Technique, options: Any, config: Config) -> None:
    if len(inspect.signature(technique.reference).parameters) == 3:
        of_adapter_of_scores(technique, options, config)
        return
    for bias in (True, False):
        model = nn.ModuleDict({"attention": nn.ModuleDict(), "feedforward": nn.ModuleDict()})
        for part, names in (("attention", ("query", "key", "value", "output")), ("feedforward", ("up", "down"))):
            for name in names:
                model[part][name] = nn.Linear(config.model.width, 5, bias)
        technique.build(options, config).apply(model)
        randomised(model)
        layers = [layer for part in model.values() for layer in part.values()]
        adapted = [layer for layer in layers if type(layer) is not nn.Linear] or layers
        for layer in adapted:
            check(layer, functools.partial(technique.reference, layer), model, stream(config))


def of_adapter_of_scores(technique: Technique, options: Any, config: Config) -> None:
    model = nn.ModuleDict({"attention": built("attention", config, "multi_head", make_scores)})
    technique.build(options, config).apply(model)
    module = randomised(model)["attention"]
    for mask in MASKS:
        check(
            lambda x, m=mask: module(x, context_of(config, m)),
            lambda x, m=mask: technique.reference(module, x, context_of(config, m)), model, stream(config),
        )


def of_optimizer(technique: Technique, options: Any, config: Config) -> None:
    for shape in ((3, 5), (7,), (2, 3, 4)):
        begin, *slopes = normal(3, 6, *shape)
        weight, frozen = nn.Parameter(begin.clone()), nn.Parameter(begin.clone(), requires_grad=False)
        optimizer = technique.build(options, [("blocks.0.feedforward.up.weight", weight), ("frozen", frozen)])
        for slope in slopes:
            weight.grad = slope.clone()
            optimizer.step()
        wanted = technique.reference(options, begin, slopes)
        torch.testing.assert_close(weight.detach(), wanted, rtol=1e-9, atol=1e-9)
        assert torch.equal(frozen, begin)


def of_clip(technique: Technique, options: Any, config: Config) -> None:
    clip = technique.build(options, config)
    for size in (0.01, 1.0, 100.0):
        gradients = [size * normal(seed, *shape) for seed, shape in ((3, (4, 5)), (4, (7,)))]
        parameters = [nn.Parameter(torch.zeros_like(g)) for g in gradients] + [nn.Parameter(torch.zeros(2))]
        for parameter, gradient in zip(parameters, gradients, strict=False):
            parameter.grad = gradient.clone()
        if clip is not None:
            clip(parameters)
        for parameter, wanted in zip(parameters, technique.reference(options, gradients), strict=False):
            torch.testing.assert_close(parameter.grad, wanted, rtol=1e-5, atol=1e-7)
        assert parameters[-1].grad is None


def of_update(technique: Technique, options: Any, config: Config) -> None:
    model = randomised(nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2)))
    x = normal(3, 5, 3)
    before = [p.detach().clone() for p in model.parameters()]
    slopes = torch.autograd.grad(model(x).square().sum(), list(model.parameters()))
    update = technique.build(options, config)
    optimizer = update.attach(model, lambda named: torch.optim.SGD([p for _, p in named], lr=0.1))
    model(x).square().sum().backward()
    optimizer.step()
    for actual, wanted in zip(model.parameters(), technique.reference(before, slopes, 0.1), strict=True):
        torch.testing.assert_close(actual.detach(), wanted, rtol=1e-12, atol=1e-12)


def of_schedule(technique: Technique, options: Any, config: Config) -> None:
    for total in (1, 5, 33):
        refused = list(technique.check(options, tiny_config(run={"warmup_steps": 0, "measure_steps": total})))
        if refused:
            assert total <= options.warmup_steps, "only a warm-up that leaves no step is refused"
            continue
        factor = technique.build(options, total)
        for step in range(total):
            assert abs(factor(step) - technique.reference(options, total, step)) < 1e-12
            assert 0 <= factor(step) <= 1
        assert 0 <= factor(total + 100) <= factor(total - 1), "after the last step it does not rise again"


TRAINING: dict[str, Callable[[Technique, Any, Config], None]] = {
    "init": of_init, "accumulation": of_accumulation, "precision": of_precision, "compile": of_compile,
    "adapter": of_adapter, "optimizer": of_optimizer, "schedule": of_schedule, "loss": of_loss, "clip": of_clip,
    "update": of_update,
}  # fmt: skip
