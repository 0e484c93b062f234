"""Every technique computes what its own `reference` does, in the model as it stands: the claim that all of them make.

One function for each slot says where in a model its technique is found and gives pairs of what it computes and what its
reference computes, on a few of the run's own tokens, in float32. Slots that are not here are proved by other claims.
Shapes as in `techniques/slots.py`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, nn

from tfx_engine.model.transformer import Transformer
from tfx_engine.protocol.config import Config
from tfx_engine.protocol.marker import tr_mark
from tfx_engine.techniques.adapting import AdaptedLinear
from tfx_engine.techniques.context import AttentionContext
from tfx_engine.techniques.counts import WITHIN_ATTENTION
from tfx_engine.techniques.loss import IGNORED
from tfx_engine.techniques.scores import Scores
from tfx_engine.train.step import train_step
from tfx_engine.worker.audit.case import Case
from tfx_engine.worker.audit.finding import Evidence, Untried, judged
from tfx_engine.worker.audit.parts import alike, watched_rotation
from tfx_engine.worker.audit.stand import with_choice
from tfx_engine.worker.audit.visibility import entering

TOLERANCE = 1e-3  # relative to the largest number, in float32
TOKENS, PLACES = 8, 48  # that references, which go number by number, are asked for
MOST_NUMBERS = 4096  # of a tensor that is gone through one by one
LOUD = 30.0
LAYERS = 2
NOWHERE = "nowhere"  # the code of evidence that is not worth a word

Pair = tuple[Tensor, Tensor]
Pairs = Callable[[Case, Transformer], Iterator[Pair]]

_ALIKE = tr_mark("It is what the plain form computes, within {off} (places compared: {count}).")
_UNLIKE = tr_mark("It is off by {off} from what the plain form computes; {limit} would be rounding.")
_NOWHERE = tr_mark("This model has no place where it can be compared with its plain form.")


def reference(case: Case) -> Evidence:
    """The worst pair of all."""
    stand = case.stand
    config = with_choice(bared(case), "precision", "float32", {})
    with torch.set_grad_enabled(case.technique.slot == "optimizer"):
        model = stand.shared(config)
        pairs = list(PAIRS[case.technique.slot](dataclasses.replace(case, stand=stand.of(config)), model))
    if not pairs:
        raise Untried(NOWHERE, _NOWHERE)
    off = max(off_by(found, wanted) for found, wanted in pairs)
    ok = off <= TOLERANCE
    return judged(ok, "alike" if ok else "unlike", _ALIKE if ok else _UNLIKE, count=len(pairs), off=f"{off:.1e}",
                  limit=f"{TOLERANCE:.0e}")


def off_by(found: Tensor, wanted: Tensor) -> float:
    """Relative to the largest number; infinite where shapes differ or one is no number."""
    if found.shape != wanted.shape:
        return float("inf")
    if not found.numel():
        return 0.0
    found, wanted = found.detach().double(), wanted.detach().double()
    off = float((found - wanted).abs().max() / (wanted.abs().max() + 1e-6))
    return off if off == off else float("inf")


def bared(case: Case) -> Config:
    """The configuration without the other techniques of which references of that slot know nothing."""
    config = case.stand.config
    without = {"placement": ("residual",), "attention": (*WITHIN_ATTENTION[1:-1], "position", "adapter", "init")}
    for slot in without.get(case.technique.slot, ()):
        if slot in config.techniques:
            config = with_choice(config, slot, {"residual": "plain", "init": "default"}.get(slot, "none"), {})
    return config


def _sample(case: Case, tokens: int = TOKENS) -> Tensor:
    """A few tokens of one sample; of frames all, since some models count them."""
    inputs = case.stand.batch[0][:1]
    return inputs if inputs.is_floating_point() else inputs[:, :tokens]


def _stream(case: Case, model: Transformer) -> Tensor:
    return entering(model, _sample(case))[:, :PLACES]


def _of_modules(case: Case, model: Transformer) -> Iterator[Pair]:
    x_BTD = _stream(case, model)[:, :TOKENS]
    for module in alike(model, case.technique.build(case.options, case.stand.config))[:LAYERS]:
        yield module(x_BTD), case.technique.reference(module, x_BTD)


def _of_embedding(case: Case, model: Transformer) -> Iterator[Pair]:
    inputs = _sample(case)
    yield model.embedding(inputs), case.technique.reference(model.embedding, inputs)


def _of_position(case: Case, model: Transformer) -> Iterator[Pair]:
    position, inputs = model.position, case.stand.batch[0][:1]
    with watched_rotation(position) as calls:
        model.hidden(_sample(case, PLACES))
    x_BTD = model.embedding(inputs)[:, :PLACES]
    for q, k, layer in calls[:LAYERS] or [(x_BTD[:, None, :, :2], x_BTD[:, None, :, :2], 0)]:
        q, k = q[:, :, : x_BTD.shape[1]], k[:, :, : x_BTD.shape[1]]
        wanted = case.technique.reference(position, x_BTD, q, k, layer)
        yield position(x_BTD), wanted.x_BTD
        found = position.rotate(q, k, layer)
        yield found[0], wanted.q_BHTK
        yield found[1], wanted.k_BGTK
        bias = position.bias(q.shape[2], q.device, torch.float32)
        if bias is not None or wanted.bias_HTT is not None:
            nothing = q.new_zeros(0)
            yield (nothing if bias is None else bias), (nothing if wanted.bias_HTT is None else wanted.bias_HTT)


def _of_mixer(case: Case, model: Transformer) -> Iterator[Pair]:
    x_BTD = _stream(case, model)
    for block in list(model.blocks)[:LAYERS]:
        context = AttentionContext(model.mask, model.position, x_BTD)
        yield block.attention(x_BTD, context), case.technique.reference(block.attention, x_BTD, context)


def _of_placement(case: Case, model: Transformer) -> Iterator[Pair]:
    x_BTD = _stream(case, model)
    for block in list(model.blocks)[:LAYERS]:
        context = AttentionContext(model.mask, model.position, x_BTD)
        yield block(x_BTD, context), case.technique.reference(block, x_BTD, context)


def _of_residual(case: Case, model: Transformer) -> Iterator[Pair]:
    stream = model.residual.enter(_stream(case, model))
    kind = type(case.technique.build(case.options, case.stand.config).connection(0, "attention"))
    for module in [m for m in model.modules() if type(m) is kind][: 2 * LAYERS]:
        for skip in (1.0, 1.7):
            yield module(stream, torch.sin, skip), case.technique.reference(module, stream, torch.sin, skip)


def _of_mask(case: Case, model: Transformer) -> Iterator[Pair]:
    more = (case.options, case.stand.config) if dataclasses.fields(case.options) else ()
    for tokens in (1, 2, min(PLACES, case.stand.config.model.context)):
        yield model.mask.allowed(tokens).float(), case.technique.reference(tokens, *more).float()


def _of_window(case: Case, model: Transformer) -> Iterator[Pair]:
    window = case.technique.build(case.options, case.stand.config)
    for layer in range(len(model.blocks)):
        place_T = torch.arange(PLACES)
        size = window.size(layer) or PLACES
        seen_TT = (place_T[:, None] - place_T).abs() < size
        yield seen_TT.float(), case.technique.reference(PLACES, layer, case.options, case.stand.config).float()


def _attended(case: Case, model: Transformer) -> list[tuple[Any, tuple[Any, ...]]]:
    """What the kernels of the first layers are given: (kernel, (q, k, v, scoring))."""
    calls: list[tuple[Any, tuple[Any, ...]]] = []
    layers = [m for m in model.modules() if isinstance(m, Scores)][:LAYERS]
    kernels = [scores.kernel for scores in layers]
    for scores in layers:
        kernel = scores.kernel

        class Watched:
            """The kernel, and what it is asked for."""

            asked, reason = kernel.asked, kernel.reason

            def attend(self, *given: Any, kernel: Any = kernel) -> tuple[Tensor, str]:
                """As the kernel's own."""
                calls.append((kernel, given))
                return kernel.attend(*given)

        scores.kernel = Watched()
    try:
        model.hidden(_sample(case, PLACES))
    finally:
        for scores, kernel in zip(layers, kernels, strict=True):
            scores.kernel = kernel
    return calls


def _of_kernel(case: Case, model: Transformer) -> Iterator[Pair]:
    for kernel, (q, k, v, scoring) in _attended(case, model):
        for loud in (1.0, LOUD):
            found, _ = kernel.attend(loud * q, k, v, scoring)
            yield found, case.technique.reference(loud * q, k, v, scoring)


def _of_sink(case: Case, model: Transformer) -> Iterator[Pair]:
    """With values of 1 everywhere but at the sink, what is read is the weight that the sink leaves."""
    for kernel, (q, k, v, scoring) in _attended(case, model):
        real_S1 = (v != 0).any(dim=-1, keepdim=True)
        found, _ = kernel.attend(q, k, real_S1.to(v.dtype).expand_as(v).contiguous(), scoring)
        taken = 1 - found[..., 0]
        has_sink = any(m.sink is not None for m in model.modules() if isinstance(m, Scores))
        yield (taken > 1e-6).float(), torch.full_like(taken, float(has_sink))


def _of_part(attribute: str) -> Pairs:
    def pairs(case: Case, model: Transformer) -> Iterator[Pair]:
        calls: list[tuple[nn.Module, tuple[Any, ...]]] = []
        parts = [p for m in model.modules() if isinstance(m, Scores) if (p := getattr(m, attribute)) is not None]
        hooks = [part.register_forward_hook(lambda m, inputs, out: calls.append((m, inputs)))
                 for part in parts[:LAYERS]]  # fmt: skip
        model.hidden(case.stand.batch[0][:1])
        for hook in hooks:
            hook.remove()
        for part, inputs in calls:
            found, wanted = part(*inputs), case.technique.reference(part, *inputs)
            found, wanted = (x if isinstance(x, tuple) else (x,) for x in (found, wanted))
            yield from zip(found, wanted, strict=True)

    return pairs


def _of_softcap(case: Case, model: Transformer) -> Iterator[Pair]:
    scores = torch.linspace(-200, 200, 401)
    for layer in [m for m in model.modules() if isinstance(m, Scores)][:LAYERS]:
        yield layer.softcap(scores) if layer.softcap else scores, case.technique.reference(scores, case.options)


def _of_head(case: Case, model: Transformer) -> Iterator[Pair]:
    tokens = max(1, min(TOKENS, 2**23 // model.head.weight.numel()))
    x_BTD = model.hidden(_sample(case))
    x_BTD = x_BTD if _sample(case).is_floating_point() else x_BTD[:, :tokens]
    yield model.head(x_BTD), case.technique.reference(model.head, x_BTD)


def _of_loss(case: Case, model: Transformer) -> Iterator[Pair]:
    """Where the head predicts one thing for each token; others have losses of their own."""
    if hasattr(model.head, "predictions") or case.stand.batch[1].dim() != 2:
        return
    training = case.stand.training(case.stand.tightened("loss", {"rows": 7}), model)
    inputs, targets = (t[:, :TOKENS] for t in case.stand.batch)
    x_BTD, counted = model.hidden(inputs), (targets != IGNORED).sum()
    if counted:
        found = training.loss(model.head, x_BTD, targets, counted)
        yield found, case.technique.reference(case.options, model.head, x_BTD, targets)


def _of_adapter(case: Case, model: Transformer) -> Iterator[Pair]:
    layers = [m for m in model.modules() if isinstance(m, AdaptedLinear)]
    for layer in [m for m in layers if m.in_features * m.out_features <= MOST_NUMBERS][:LAYERS]:
        x = torch.randn(2, layer.in_features, generator=torch.Generator().manual_seed(0)).to(case.stand.device)
        yield layer(x), case.technique.reference(layer, x)


def _of_optimizer(case: Case, model: Transformer) -> Iterator[Pair]:
    """Some tensors of a fresh model over two steps, where their rate is the one that the options say."""
    training = case.stand.fresh(with_choice(case.stand.config, "update", "after_backward", {}))
    training = dataclasses.replace(training, schedule=lambda step: 1.0)
    rate = case.options.learning_rate
    mine = {p for g in training.optimizer.param_groups if abs(g["lr"] - rate) < 1e-12 for p in g["params"]}
    named = [(n, p) for n, p in training.model.named_parameters()
             if p in mine and n.startswith("blocks.") and "value" in n and p.numel() <= MOST_NUMBERS]  # fmt: skip
    picked = [next(((n, p) for n, p in named if p.dim() == d), None) for d in (1, 2)]
    watched = {found[1]: found[1].detach().clone() for found in picked if found}
    seen: list[list[Tensor]] = [[] for _ in watched]
    inner = training.optimizer.step

    def step(*given: Any) -> Any:
        for p, kept in zip(watched, seen, strict=True):
            kept.append(torch.zeros_like(p) if p.grad is None else p.grad.detach().clone())
        return inner(*given)

    training.optimizer.step = step  # type: ignore[method-assign]
    torch.manual_seed(0)
    for index in range(2):
        train_step(training, case.stand.few, index)
    for (p, begin), gradients in zip(watched.items(), seen, strict=True):
        wanted = case.technique.reference(case.options, begin, gradients)
        if wanted.isfinite().all():  # some leave out what keeps a zero from being divided by a zero
            yield p.detach() - begin, wanted - begin


def _of_clip(case: Case, model: Transformer) -> Iterator[Pair]:
    clip = case.technique.build(case.options, case.stand.config)
    for size in (1e-3, 1.0, 1e3):
        gradients = [size * torch.randn(n, generator=torch.Generator().manual_seed(n)) for n in (20, 7)]
        parameters = [nn.Parameter(torch.zeros_like(g)) for g in gradients]
        for parameter, gradient in zip(parameters, gradients, strict=True):
            parameter.grad = gradient.clone()
        if clip is not None:
            clip(parameters)
        wanted = case.technique.reference(case.options, gradients)
        yield from ((p.grad, w) for p, w in zip(parameters, wanted, strict=True) if p.grad is not None)


PAIRS: dict[str, Pairs] = {
    "norm": _of_modules, "feedforward": _of_modules, "embedding": _of_embedding, "position": _of_position,
    "mixer": _of_mixer, "attention": _of_mixer, "placement": _of_placement, "residual": _of_residual,
    "mask": _of_mask, "window": _of_window, "kernel": _of_kernel, "sink": _of_sink, "qk_norm": _of_part("qk_norm"),
    "gate": _of_part("gate"), "softcap": _of_softcap, "head": _of_head, "loss": _of_loss, "adapter": _of_adapter,
    "optimizer": _of_optimizer, "clip": _of_clip,
}  # fmt: skip
