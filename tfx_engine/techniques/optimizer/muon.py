"""Muon: the running gradient of each matrix is made orthogonal before it is followed.

What it is: momentum as in SGD, and then a matrix operation. The sum of gradients of a weight matrix is usually
dominated by a few directions; five steps of a Newton-Schulz iteration bring all its singular values to about one, so
that every direction of the matrix is learnt at about the same speed. That makes sense only for matrices that multiply
activations: embeddings, the head, norms, biases and anything that is not a plain matrix of a block get AdamW with the
same learning rate and decay. Both are one optimizer here.

Formula, for a matrix of A × B numbers:
    u ← μ u + (1 - μ) g        n = μ u + (1 - μ) g (Nesterov), or u        X = n / ‖n‖
    five times: X ← a X + (b Y + c Y²) X with Y = X Xᵀ and (a, b, c) = (3.4445, -4.7750, 2.0315)
    W ← W - η λ W - η · s · X
    s = 0.2 · sqrt(max(A, B)), as large as AdamW's steps usually are, or sqrt(max(1, A / B)), the original

What it costs: one number per weight of the matrices, 4 bytes, two for the rest. The iteration is 15 matrix products per
matrix, in bfloat16: independent of the batch, so it is dear for small batches and cheap for large ones.

When to choose it: to pre-train with large batches; its authors, and Liu and others at scale, report AdamW's loss with
about half of the FLOPs. At the sizes of a quick experiment it need not beat a tuned AdamW. When not: for fine-tuning
models that were pre-trained with AdamW, for adapters, or where matrices are tiny. Torch's own Muon is used where torch
has one, else the same algorithm from this file; the run says which.

Paper: Jordan and others, "Muon: An optimizer for hidden layers in neural networks" (2024), kellerjordan.github.io; Liu
and others, "Muon is Scalable for LLM Training" (2025), arXiv:2502.16982.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from tfx_engine.protocol.cards import Effect, Guide
from tfx_engine.protocol.options import option
from tfx_engine.techniques.claims import MovesAll
from tfx_engine.techniques.optimizer import (
    Group,
    Named,
    Rate,
    adamw,
    decay_groups,
    is_hidden_matrix,
    largest,
    same_rate,
    together,
)
from tfx_engine.techniques.tape import Weight
from tfx_engine.techniques.technique import Technique

COEFFICIENTS, ITERATIONS, EPSILON = (3.4445, -4.7750, 2.0315), 5, 1e-7


@dataclasses.dataclass(frozen=True)
class Options:
    """What can be chosen."""

    learning_rate: float = option(
        1e-3, kind="float", label="learning rate", low=0.0, high=10.0,
        help="Size of a step, η, of the matrices and of what AdamW moves.",
    )
    momentum: float = option(
        0.95, kind="float", label="momentum", low=0.0, high=0.9999, help="How slowly the running gradient follows, μ."
    )
    nesterov: bool = option(
        True, kind="bool", label="Nesterov", help="Look one step of momentum ahead before the step is made orthogonal."
    )
    scale: str = option(
        "as_adamw", kind="choice", label="scale of steps", choices=("as_adamw", "original"),
        help="as_adamw: steps as large as AdamW's, so that its learning rates fit. original: as first published.",
    )
    beta1: float = option(
        0.9, kind="float", label="β₁", low=0.0, high=0.9999,
        help="How slowly AdamW's mean follows, for what is no matrix of a block.",
    )
    beta2: float = option(
        0.95, kind="float", label="β₂", low=0.0, high=0.999999,
        help="How slowly AdamW's mean of squares follows, for what is no matrix of a block.",
    )
    weight_decay: float = option(
        0.1, kind="float", label="weight decay", low=0.0, high=10.0,
        help="Share of a matrix, times the learning rate, that goes at every step, λ.",
    )


def orthogonalised(u: Tensor) -> Tensor:
    """The Newton-Schulz iteration in bfloat16: about U Vᵀ where u = U S Vᵀ."""
    a, b, c = COEFFICIENTS
    x = u.bfloat16()
    is_tall = x.shape[0] > x.shape[1]
    x = x.T if is_tall else x
    x = x / x.norm().clamp(min=EPSILON)
    for _ in range(ITERATIONS):
        y = x @ x.T
        x = torch.addmm(x, torch.addmm(y, y, y, beta=b, alpha=c), x, beta=a)
    return x.T if is_tall else x


class OwnMuon(torch.optim.Optimizer):
    """What `torch.optim.Muon` does, for a torch without it."""

    def __init__(self, groups: list[Group], **defaults: Any) -> None:
        super().__init__(groups, defaults)

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Move every matrix that has a gradient."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            mu = group["momentum"]
            for weight in group["params"]:
                if (gradient := weight.grad) is not None:
                    state = self.state[weight]
                    if not state:
                        state["momentum_buffer"] = torch.zeros_like(gradient)
                    u = state["momentum_buffer"]
                    u.lerp_(gradient, 1 - mu)
                    x = orthogonalised(gradient.lerp(u, mu) if group["nesterov"] else u)
                    weight.mul_(1 - group["lr"] * group["weight_decay"])
                    weight.add_(x, alpha=-group["lr"] * factor(group["adjust_lr_fn"], *weight.shape))
        return loss


def factor(name: str, rows: int, columns: int) -> float:
    """The scale s of a step."""
    return 0.2 * math.sqrt(max(rows, columns)) if name == "match_rms_adamw" else math.sqrt(max(1, rows / columns))


def build(options: Options, named: Named, rate: Rate = same_rate) -> torch.optim.Optimizer:
    """Muon over the matrices of the blocks and AdamW over the other trainable ones, as one optimiser."""
    trained = [(name, p) for name, p in named if p.requires_grad]
    matrices = [(name, p) for name, p in trained if is_hidden_matrix(name, p)]
    others = [(name, p) for name, p in trained if not is_hidden_matrix(name, p)]
    parts: list[torch.optim.Optimizer] = []
    if matrices:
        kind = getattr(torch.optim, "Muon", OwnMuon)
        muon = kind(
            decay_groups(matrices, options.learning_rate, options.weight_decay, rate), lr=options.learning_rate,
            weight_decay=options.weight_decay, momentum=options.momentum, nesterov=options.nesterov,
            adjust_lr_fn="match_rms_adamw" if options.scale == "as_adamw" else "original",
        )
        muon.implementation = "Muon (own)" if kind is OwnMuon else "Muon (torch)"
        parts.append(muon)
    if others:
        parts.append(adamw.build(_for_adamw(options), others, rate))
    return together(parts)


def _for_adamw(options: Options) -> adamw.Options:
    return adamw.Options(
        learning_rate=options.learning_rate, beta1=options.beta1, beta2=options.beta2, weight_decay=options.weight_decay
    )


def reference(options: Options, weight: Tensor, gradients: Sequence[Tensor]) -> Tensor:
    """The weight after these gradients, as of a block; that the iteration rounds to bfloat16 is part of it."""
    if weight.dim() != 2:
        return adamw.reference(_for_adamw(options), weight, gradients)
    rows, columns = weight.shape
    scale = 0.2 * max(rows, columns) ** 0.5 if options.scale == "as_adamw" else max(1.0, rows / columns) ** 0.5
    u = torch.zeros_like(weight)
    for g in gradients:
        u = options.momentum * u + (1 - options.momentum) * g
        ahead = options.momentum * u + (1 - options.momentum) * g if options.nesterov else u
        weight = weight - options.learning_rate * options.weight_decay * weight
        weight = weight - options.learning_rate * scale * orthogonalised(ahead).to(weight.dtype)
    return weight


def memory(options: Options, weights: Sequence[Weight]) -> tuple[int, int]:
    """One moment for each matrix within the blocks, two for all else; products of one matrix at a time."""
    hidden = [w for w in weights if w.is_hidden and len(w.shape) == 2]
    others = [w for w in weights if not (w.is_hidden and len(w.shape) == 2)]
    state, _ = adamw.memory(_for_adamw(options), others)
    return state + sum(w.numbers * w.width for w in hidden), 3 * largest(hidden)


TECHNIQUE = Technique(
    module=__name__,
    slot="optimizer",
    order=2,
    title="Muon",
    short="Muon",
    summary="The running gradient of each matrix is made orthogonal before it is followed.",
    paper="Jordan et al. 2024; Liu et al. 2025, arXiv:2502.16982",
    guide=Guide(
        choose="you pre-train with large batches and fewer steps are worth some more matrix products.",
        avoid="you fine-tune a model that was trained with AdamW, or batches are small.",
    ),
    build=build,
    reference=reference,
    memory=memory,
    options=Options,
    effects=(
        Effect(quantity="optimizer", sign="-", formula="4 bytes per weight of the blocks' matrices, 8 per other"),
        Effect(quantity="time", sign="+", formula="15 matrix products per matrix and step, whatever the batch"),
    ),
    claims=(MovesAll(),),
)
