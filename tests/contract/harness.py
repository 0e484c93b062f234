"""How a technique of each slot is compared with its own reference: outputs and gradients, in float64, to the bit twice.

`HARNESS[slot](technique, options, config)` fails where they differ. Shapes as in `tfx_engine/techniques/slots.py`.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from tests.contract.comparing import (
    MASKS,
    block_of,
    built,
    check,
    context_of,
    make_scores,
    normal,
    randomised,
    seeded,
    stream,
)
from tests.contract.harness_training import TRAINING
from tfx_engine.protocol.config import Config
from tfx_engine.techniques.context import AttentionContext
from tfx_engine.techniques.kernel import Scoring, eager_attention
from tfx_engine.techniques.position import Position
from tfx_engine.techniques.scores import HeadShape
from tfx_engine.techniques.technique import Technique


def of_module(technique: Technique, options: Any, config: Config) -> None:
    module = randomised(technique.build(options, config))
    check(module, functools.partial(technique.reference, module), module, stream(config))


def of_position(technique: Technique, options: Any, config: Config) -> None:
    position = randomised(technique.build(options, config))
    batch, tokens, heads, width = config.run.batch, config.model.context, config.model.heads, config.head_width
    q_BHTK, k_BHTK = normal(3, batch, heads, tokens, width), normal(4, batch, heads, tokens, width)
    for layer in range(config.model.layers):

        def actual(x: Tensor, q: Tensor, k: Tensor, layer: int = layer) -> tuple[Tensor | None, ...]:
            return position(x), *position.rotate(q, k, layer), position.bias(tokens, x.device, x.dtype)

        def reference(x: Tensor, q: Tensor, k: Tensor, layer: int = layer) -> tuple[Tensor | None, ...]:
            return tuple(technique.reference(position, x, q, k, layer))

        check(actual, reference, position, stream(config), q_BHTK, k_BHTK)


def of_embedding(technique: Technique, options: Any, config: Config) -> None:
    module = randomised(technique.build(options, config))
    inputs = torch.randint(config.vocab, (3, config.model.context), generator=seeded(2))
    if config.task.frames:
        inputs = normal(2, 3, config.task.frames, config.task.features)
    check(module, functools.partial(technique.reference, module), module, inputs)


def of_attention(technique: Technique, options: Any, config: Config) -> None:
    module = randomised(technique.build(options, config, make_scores))
    for mask in MASKS:
        check(
            lambda x, m=mask: module(x, context_of(config, m)),
            lambda x, m=mask: technique.reference(module, x, context_of(config, m)), module, stream(config),
        )


def of_mixer(technique: Technique, options: Any, config: Config) -> None:
    def make_attention() -> nn.Module:
        return built("attention", config, None, make_scores)

    module = randomised(technique.build(options, config, make_attention))
    context = context_of(config)
    check(lambda x: module(x, context), lambda x: technique.reference(module, x, context), module, stream(config))


def of_mask(technique: Technique, options: Any, config: Config) -> None:
    mask = technique.build(options, config)
    for tokens in (1, 2, config.model.context):
        allowed = mask.allowed(tokens)
        more = (options, config) if getattr(type(options), "__dataclass_fields__", {}) else ()
        assert torch.equal(allowed, technique.reference(tokens, *more))
        assert allowed.any(dim=1).all(), "a query without any key has no defined output"
        assert mask.is_causal <= torch.equal(allowed, torch.ones(tokens, tokens, dtype=torch.bool).tril())
        assert mask.is_full <= bool(allowed.all())
        assert mask.is_full or allowed[:, : mask.seen_by_all].all()
        ahead = allowed.triu(1)[:, mask.seen_by_all :]
        assert mask.is_full or not ahead.any(), "seen by some that come before it, but not by all"


def of_window(technique: Technique, options: Any, config: Config) -> None:
    window = technique.build(options, config)
    full = AttentionContext(built("mask", config, "bidirectional"), Position())
    for layer in range(4):
        for tokens in (1, 2, 9):
            seen_TT = full.allowed(tokens, torch.device("cpu"), window.size(layer))
            assert torch.equal(seen_TT, technique.reference(tokens, layer, options, config)), (layer, tokens)


def of_qk_norm(technique: Technique, options: Any, config: Config) -> None:
    for key_heads in (config.model.heads, 1):
        shape = HeadShape(config.model.heads, key_heads, config.head_width, config.head_width)
        module = technique.build(options, config, shape)
        module = None if module is None else randomised(module)
        q, k = (normal(seed, 2, heads, 5, shape.width) for seed, heads in ((3, shape.heads), (4, key_heads)))
        check(module or (lambda q, k: (q, k)), lambda q, k, m=module: technique.reference(m, q, k), module, q, k)


def of_softcap(technique: Technique, options: Any, config: Config) -> None:
    cap = technique.build(options, config) or (lambda scores: scores)
    check(cap, lambda scores: technique.reference(scores, options), None, 100 * normal(3, 2, 3, 5, 5))


def of_sink(technique: Technique, options: Any, config: Config) -> None:
    heads, tokens = config.model.heads, 5
    sink = technique.build(options, config, heads)
    sink = None if sink is None else randomised(sink)
    shape = HeadShape(heads, heads, tokens, tokens)
    scores = make_scores(shape, sink=sink, scale=1.0)
    context = context_of(config, "bidirectional")
    one_HTS = torch.eye(tokens, dtype=torch.float64).expand(1, heads, tokens, tokens)  # scores and weights as they are
    check(
        lambda scores_HTS: scores.attend(scores_HTS[None], one_HTS, one_HTS, context)[0],
        lambda scores_HTS: technique.reference(sink, scores_HTS), sink, normal(3, heads, tokens, tokens),
    )


def of_gate(technique: Technique, options: Any, config: Config) -> None:
    shape = HeadShape(config.model.heads, config.model.heads, config.head_width, config.head_width + 1)
    gate = technique.build(options, config, shape)
    gate = None if gate is None else randomised(gate)
    y_BHTV = normal(3, config.run.batch, shape.heads, config.model.context, shape.value_width)
    check(gate or (lambda x, y: y), lambda x, y: technique.reference(gate, x, y), gate, stream(config), y_BHTV)


def of_kernel(technique: Technique, options: Any, config: Config) -> None:
    kernel = technique.build(options, config)
    bias = torch.zeros(5, 5, dtype=torch.float64).masked_fill(torch.ones(5, 5, dtype=torch.bool).triu(1), -torch.inf)
    scorings = [
        Scoring(0.5, is_causal=True), Scoring(0.3), Scoring(0.3, bias=bias), Scoring(2.0, bias=normal(6, 4, 5, 5)),
        Scoring(2.0, is_causal=True, softcap=lambda s: 2 * torch.tanh(s / 2)),
    ]
    for key_heads in (4, 2, 1):
        q, k, v = normal(3, 2, 4, 5, 6), normal(4, 2, key_heads, 5, 6), normal(5, 2, key_heads, 5, 3)
        for scoring in scorings:
            if key_heads == 4:
                check(lambda q, k, v, s=scoring: eager_attention(q, k, v, s),
                      lambda q, k, v, s=scoring: technique.reference(q, k, v, s), None, q, k, v)
            check(lambda q, k, v, s=scoring: kernel.attend(q, k, v, s)[0],
                  lambda q, k, v, s=scoring: technique.reference(q, k, v, s), None, q, k, v)


def of_placement(technique: Technique, options: Any, config: Config) -> None:
    block, context = block_of(config, technique.build(options, config)), context_of(config)
    check(lambda x: block(x, context), lambda x: technique.reference(block, x, context), block, stream(config))


def of_residual(technique: Technique, options: Any, config: Config) -> None:
    residual = technique.build(options, config)
    x_BTD = stream(config)
    torch.testing.assert_close(residual.leave(residual.enter(x_BTD)), x_BTD)
    for layer, skip in ((0, 1.0), (1, 1.0), (1, 1.7)):
        module = randomised(residual.connection(layer, "attention"))
        check(lambda x, m=module, s=skip: residual.leave(m(residual.enter(x), torch.sin, s)),
              lambda x, m=module, s=skip: residual.leave(technique.reference(m, residual.enter(x), torch.sin, s)),
              module, x_BTD)


def of_recompute(technique: Technique, options: Any, config: Config) -> None:
    recompute = technique.build(options, config)
    block, context = block_of(config), context_of(config)
    for index in range(3):
        check(lambda x, i=index: recompute(i, block, x, context),
              lambda x: technique.reference(block, x, context), block, stream(config))


def of_offload(technique: Technique, options: Any, config: Config) -> None:
    offload = technique.build(options, config)
    block, context = block_of(config), context_of(config)

    def actual(x: Tensor) -> Tensor:
        with offload():
            return block(x, context)

    check(actual, lambda x: technique.reference(block, x, context), block, stream(config))


def of_head(technique: Technique, options: Any, config: Config) -> None:
    for multiplier in (1.0, 0.5):
        module = randomised(technique.build(options, config, built("embedding", config), multiplier))
        check(module, functools.partial(technique.reference, module), module, stream(config))


HARNESS: dict[str, Callable[[Technique, Any, Config], None]] = {
    "position": of_position, "attention": of_attention, "placement": of_placement, "norm": of_module,
    "feedforward": of_module, "residual": of_residual, "embedding": of_embedding, "head": of_head, "mixer": of_mixer,
    "mask": of_mask, "window": of_window, "qk_norm": of_qk_norm, "softcap": of_softcap, "sink": of_sink,
    "gate": of_gate, "kernel": of_kernel, "recompute": of_recompute, "offload": of_offload, **TRAINING,
}  # fmt: skip
WITHOUT_SIZES = frozenset(
    {"precision", "compile", "optimizer", "schedule", "clip", "update", "window", "softcap", "init", "kernel"}
)
