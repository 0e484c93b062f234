"""Cross-entropy: the surprise at the right answer.

What it is: the negative logarithm of the probability that the model gives to the target, in nats, as a mean over the
targets that count. It is 0 for a model that is always sure and right, and ln V for one that knows nothing.

Label smoothing spreads a share ε of the target over all tokens, so that the model is not driven to certainty; losses
with and without it cannot be compared. The z-loss keeps the logarithm of the softmax's denominator Z near zero, so that
logits do not drift.

Formula: loss = -log softmax(z)[target];  smoothed: (1 - ε) of it + ε / V of all tokens;  z-loss: + c · log² Z

What it costs: logits of the whole vocabulary for every token, and their gradient: 2 · V numbers per token.

Paper: Szegedy and others (2015), arXiv:1512.00567 (smoothing); Chowdhery and others, "PaLM" (2022), arXiv:2204.02311
(z-loss).
"""

from __future__ import annotations

import dataclasses

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tfx_engine.protocol.cards import Effect, Guide
from tfx_engine.protocol.config import Config
from tfx_engine.protocol.options import option
from tfx_engine.techniques.loss import IGNORED, Loss, predictions, shifted
from tfx_engine.techniques.technique import Technique


@dataclasses.dataclass(frozen=True)
class Options:
    """What can be chosen."""

    label_smoothing: float = option(
        0.0, kind="float", label="label smoothing", low=0.0, high=0.9,
        help="Share of the target that is spread over all tokens, ε.",
    )
    z_loss: float = option(
        0.0, kind="float", label="z-loss", low=0.0, high=1.0,
        help="Weight of the squared logarithm of the softmax's denominator, c. PaLM uses 1e-4.",
    )


@dataclasses.dataclass(frozen=True)
class CrossEntropy:
    """The loss over the whole vocabulary at once."""

    label_smoothing: float
    z_loss: float

    def __call__(self, head: nn.Module, x_BTD: Tensor, targets_BT: Tensor, counted: Tensor) -> Tensor:
        """Nats, computed in float32 or better whatever the model computes in."""
        total = x_BTD.new_zeros((), dtype=torch.promote_types(x_BTD.dtype, torch.float32))
        for prediction in predictions(head, x_BTD):
            logits = head.project(prediction.x_BTD)
            total = total + prediction.weight * self._sum(logits, shifted(targets_BT, prediction.shift))
        return total / counted

    def _sum(self, logits: Tensor, targets: Tensor) -> Tensor:
        exact = torch.promote_types(logits.dtype, torch.float32)
        flat, targets = logits.flatten(0, -2).to(exact), targets.flatten()
        loss = F.cross_entropy(flat, targets, ignore_index=IGNORED, reduction="sum",
                               label_smoothing=self.label_smoothing)
        if self.z_loss:
            loss = loss + self.z_loss * (flat.logsumexp(dim=-1).square() * (targets != IGNORED)).sum()
        return loss


def build(options: Options, config: Config) -> Loss:
    """The loss."""
    return CrossEntropy(options.label_smoothing, options.z_loss)


def reference(options: Options, head: nn.Module, x_BTD: Tensor, targets_BT: Tensor) -> Tensor:
    """The mean over the targets that count, one by one."""
    losses = []
    for logits_V, target in zip(head(x_BTD).flatten(0, -2), targets_BT.flatten().tolist(), strict=True):
        if target != IGNORED:
            log_z = logits_V.exp().sum().log()
            nats_V = log_z - logits_V
            smoothed = (1 - options.label_smoothing) * nats_V[target] + options.label_smoothing * nats_V.mean()
            losses.append(smoothed + options.z_loss * log_z**2)
    return torch.stack(losses).mean()


TECHNIQUE = Technique(
    module=__name__,
    slot="loss",
    order=0,
    title="Cross-entropy",
    short="cross-entropy",
    summary="The surprise at the right answer, in nats.",
    paper="Szegedy et al. 2015, arXiv:1512.00567",
    guide=Guide(
        choose="you want the standard.",
        avoid="the vocabulary is large and its logits fill the memory.",
    ),
    build=build,
    reference=reference,
    options=Options,
    effects=(Effect(quantity="activations", sign="+", formula="2 · vocabulary numbers per token"),),
)
