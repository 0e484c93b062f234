"""No adapter: every weight of the model is trained.

What it is: ordinary training. Every weight has a gradient and optimizer state. From random weights this is
pre-training; from weights that a file brings (`start_from`) it is full fine-tuning, the measure of every adapter: what
it reaches is what the others try to reach with fewer trained weights.

Formula: W ← W + ΔW, all of it

What it costs: with AdamW in float32, 16 bytes per weight: weight, gradient and two moments, 4 each. The backward pass
takes about twice the FLOPs of the forward pass, half of it for the weights' gradients and half for the activations'.
Every adapted version of a model is as large as the model.

Choose it for training from scratch, always, and for adapting where memory allows: it learns most. It wants a learning
rate about ten times smaller than adapters do, and it forgets more of what the model could do before. Rather not where
gradients and optimizer state do not fit, or where many versions of one model are to be kept: then choose LoRA, or
freezing for a part of the weights.

Paper: the baseline of Hu and others, "LoRA" (2021), arXiv:2106.09685.
"""

from __future__ import annotations

from torch import Tensor, nn

from tfx_engine.protocol.cards import Effect, Guide
from tfx_engine.protocol.config import Config
from tfx_engine.techniques.adapter import Adapter
from tfx_engine.techniques.claims import EveryGradient, TrainsOnly
from tfx_engine.techniques.technique import NoOptions, Technique, all_alike


class NoAdapter:
    """Leaves the model as it is."""

    merges = True

    def apply(self, model: nn.Module) -> None:
        """Nothing to add."""

    def merge(self, model: nn.Module) -> None:
        """Nothing to merge."""

    def unmerge(self, model: nn.Module) -> None:
        """Nothing to undo."""

    def rate(self, name: str, parameter: nn.Parameter) -> float:
        """One rate for all."""
        return 1.0


def build(options: NoOptions, config: Config) -> Adapter:
    """The adapter that does nothing."""
    return NoAdapter()


def reference(layer: nn.Linear, x: Tensor) -> Tensor:
    """The layer itself."""
    return layer(x)


TECHNIQUE = Technique(
    module=__name__,
    slot="adapter",
    order=0,
    title="Train everything",
    short="none",
    summary="Every weight of the model is trained.",
    paper="Hu et al. 2021, arXiv:2106.09685 (the baseline)",
    guide=Guide(
        choose="you train from scratch, or memory allows full fine-tuning.",
        avoid="the model is trained already, and gradients and optimizer state do not fit.",
    ),
    build=build,
    reference=reference,
    alike=all_alike,
    effects=(Effect(quantity="parameters", sign="0", formula="0"),),
    claims=(TrainsOnly("all"), EveryGradient()),
)
