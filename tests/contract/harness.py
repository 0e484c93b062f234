"""How a technique of each slot is compared with its own reference: outputs and gradients, in float64, to the bit twice.

`HARNESS[slot](technique, options, config)` fails where they differ. Shapes as in `tfx_engine/techniques/slots.py`.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tests.helpers.tiny import tiny_config
from tfx_engine.model.assemble import assemble
from tfx_engine.protocol.config import Choice, Config
from tfx_engine.techniques.catalogue import technique_for
from tfx_engine.techniques.context import AttentionContext
from tfx_engine.techniques.kernel import Scoring, eager_attention
from tfx_engine.techniques.loss import IGNORED
from tfx_engine.techniques.position import Position
from tfx_engine.techniques.scores import HeadShape, Scores
from tfx_engine.techniques.technique import Technique
from tfx_engine.train.step import cut

Run = Callable[..., Any]
MASKS = ("causal", "bidirectional")


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def normal(seed: int, *shape: int) -> Tensor:
    return torch.randn(shape, generator=seeded(seed), dtype=torch.float64)


def randomised(module: nn.Module) -> nn.Module:
    """The module in float64 and evaluation mode, every parameter away from zero and one."""
    module = module.double().eval()
    generator = seeded(1)
    with torch.no_grad():
        for parameter in module.parameters():
            if parameter.is_floating_point():  # what is packed in 4 bits has been drawn already
                parameter.normal_(0.3, 0.7, generator=generator)
    return module


def built(slot: str, config: Config, name: str | None = None, *more: Any) -> Any:
    """What fills a slot, by default as the configuration says."""
    choice = config.techniques[slot] if name is None else Choice(name)
    technique, options = technique_for(slot, choice)
    return technique.build(options, config, *more)


def make_scores(shape: HeadShape, layer: int = 0, **parts: Any) -> Scores:
    """Scores without any technique that acts on them, but for those given."""
    plain = {"window": None, "softcap": None, "qk_norm": None, "sink": None, "gate": None}
    kernel = built("kernel", tiny_config(), "auto")
    return Scores(layer=layer, **{"scale": shape.scale or shape.width**-0.5, "kernel": kernel, **plain, **parts})


def context_of(config: Config, mask: str = "causal") -> AttentionContext:
    return AttentionContext(built("mask", config, mask), Position())


def stream(config: Config) -> Tensor:
    return normal(2, config.run.batch, config.model.context, config.model.width)


def block_of(config: Config, placement: Any = None) -> nn.Module:
    """A block as the configuration has it, or as another placement puts it together."""
    model = assemble(config, "cpu", torch.float64)
    if placement is None:
        return randomised(model.blocks[0])
    from tfx_engine.model import assemble as assembling

    residual = built("residual", config)
    return randomised(assembling._block(config, placement, residual, 0)).double()


def outcome(fn: Run, module: nn.Module, inputs: Iterable[Tensor]) -> dict[str, Tensor]:
    """Outputs of a function, and the gradients of a sum over them in the inputs and the module's parameters."""
    leaves = [x.clone().requires_grad_(x.is_floating_point()) for x in inputs]
    module.zero_grad()
    result = fn(*leaves)
    outputs = [y for y in (result if isinstance(result, tuple) else (result,)) if y is not None]
    total = sum((y * torch.linspace(-1, 1, y.numel(), dtype=y.dtype).view_as(y)).sum() for y in outputs)
    if total.requires_grad:
        total.backward()
    found = {f"output {i}": y.detach() for i, y in enumerate(outputs)}
    found |= {f"gradient of input {i}": x.grad for i, x in enumerate(leaves) if x.grad is not None}
    return found | {f"gradient of {n}": p.grad.clone() for n, p in module.named_parameters() if p.grad is not None}


def check(actual: Run, reference: Run, module: nn.Module | None, *inputs: Tensor, tolerance: float = 1e-9) -> None:
    """Equal outputs, equal gradients of inputs and parameters, and the same bits a second time."""
    module = nn.Module() if module is None else module
    first, second, wanted = (outcome(fn, module, inputs) for fn in (actual, actual, reference))
    assert wanted and first.keys() == wanted.keys()
    for name, value in wanted.items():
        assert torch.equal(first[name], second[name]), f"{name} is not the same twice"
        assert torch.allclose(first[name], value, rtol=tolerance, atol=tolerance, equal_nan=False), (
            f"{name} is {first[name]}, wanted {value}"
        )


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


HARNESS: dict[str, Callable[[Technique, Any, Config], None]] = {
    "position": of_position, "attention": of_attention, "placement": of_placement, "norm": of_module,
    "feedforward": of_module, "residual": of_residual, "embedding": of_embedding, "head": of_head, "mixer": of_mixer,
    "init": of_init, "mask": of_mask, "window": of_window, "qk_norm": of_qk_norm, "softcap": of_softcap,
    "sink": of_sink, "gate": of_gate, "kernel": of_kernel, "recompute": of_recompute, "offload": of_offload,
    "accumulation": of_accumulation, "precision": of_precision, "compile": of_compile, "adapter": of_adapter,
    "optimizer": of_optimizer, "schedule": of_schedule, "loss": of_loss, "clip": of_clip, "update": of_update,
}  # fmt: skip
WITHOUT_SIZES = frozenset(
    {"precision", "compile", "optimizer", "schedule", "clip", "update", "window", "softcap", "init", "kernel"}
)
