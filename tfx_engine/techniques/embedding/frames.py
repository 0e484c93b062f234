"""Frames: a linear layer turns each frame of numbers into a vector.

What it is: the way into a transformer for what is not made of tokens. An image is cut into patches and each patch
written out as a row of numbers, as the Vision Transformer (ViT) does; a sound is cut into short windows and each
described by its spectrum, as the Audio Spectrogram Transformer and Whisper do. One linear layer, the same for every
place, makes a vector of the model's width from each of these frames. From there on an image is a sequence like any
other: without positions the model sees a bag of patches.

A class token is one more vector, trained and the same for every sample, put before the first frame. It has nothing of
its own to say and collects, block by block, what the frames have; the head reads it off there. Positions count it: it
stands at place 0, and a sample is one token longer. The other way, which needs no such token, is the mean over all
places; see the head `classes`.

Formula: x[t] = W f[t] + b;  with a class token: x = [c, W f[1] + b, …, W f[T] + b]

What it costs: F · d + d parameters (W, b) and d for the class token, 2 · F · d FLOPs for each frame. Its inputs are
data and need no gradient, so its backward pass costs as much as its forward pass and not twice that. With a class token
attention works on T + 1 places.

Choose it wherever the task gives numbers instead of tokens (`digits`, `audio`); for text take `token`. The class token
begins at zero, as in the code of ViT's authors.

Paper: Dosovitskiy and others, "An Image is Worth 16x16 Words" (2020), arXiv:2010.11929; for sounds Gong and others,
"AST" (2021), arXiv:2104.01778. The class token comes from Devlin and others, "BERT" (2018), arXiv:1810.04805.
"""

from __future__ import annotations

import dataclasses
from fractions import Fraction

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tfx_engine.protocol.cards import Effect, Guide
from tfx_engine.protocol.config import Config
from tfx_engine.protocol.options import option
from tfx_engine.techniques.claims import Quiet
from tfx_engine.techniques.costs import INPUT, Linear, Work, bias_of
from tfx_engine.techniques.tape import FLOAT, Tape, Value
from tfx_engine.techniques.technique import Technique


@dataclasses.dataclass(frozen=True)
class Options:
    """What can be chosen."""

    class_token: bool = option(
        False, kind="bool", label="class token",
        help="Put a trained vector before the frames, from which the head can read the class.",
    )
    bias: bool | None = option(
        None, kind="bool", label="bias", automatic="as the model's linear layers",
        help="Add a trained vector to the linear layer's output.",
    )
    norm: bool = option(
        False, kind="bool", label="norm", help="Norm the sum of frame vectors and positions.",
    )
    dropout: float = option(
        0.0, kind="float", label="dropout", low=0.0, high=0.9,
        help="Share of the sum of frame vectors and positions that is set to zero in training.",
    )


class FrameEmbedding(nn.Module):
    """frames_BTF -> x_BTD, or [B, T + 1, D] with a class token. Norm and dropout come later."""

    def __init__(self, features: int, width: int, bias: bool, options: Options) -> None:
        super().__init__()
        self.normed, self.dropout = options.norm, options.dropout
        self.weight = nn.Parameter(torch.empty(width, features))
        self.bias = nn.Parameter(torch.empty(width)) if bias else None
        self.class_token = nn.Parameter(torch.empty(width)) if options.class_token else None

    def forward(self, frames_BTF: Tensor) -> Tensor:
        """Each frame by itself, in the number format of the weights."""
        x_BTD = F.linear(frames_BTF.to(self.weight.dtype), self.weight, self.bias)
        if self.class_token is None:
            return x_BTD
        first_B1D = self.class_token.to(x_BTD.dtype).expand(x_BTD.shape[0], 1, -1)
        return torch.cat([first_B1D, x_BTD], dim=1)

    def initialise_parameter(self, name: str, parameter: Tensor, generator: torch.Generator) -> bool:
        """The class token begins at zero."""
        if name == "class_token":
            parameter.zero_()
        return name == "class_token"


def build(options: Options, config: Config) -> nn.Module:
    """A layer from the task's frames to the model's width."""
    return FrameEmbedding(config.task.features, config.model.width, bias_of(options.bias, config), options)


def reference(module: FrameEmbedding, frames_BTF: Tensor) -> Tensor:
    """Frame by frame."""
    samples = []
    for frames_TF in frames_BTF:
        rows = [] if module.class_token is None else [module.class_token]
        for frame_F in frames_TF:
            x_D = (module.weight * frame_F).sum(dim=1)
            rows.append(x_D if module.bias is None else x_D + module.bias)
        samples.append(torch.stack(rows))
    return torch.stack(samples)


def work(options: Options, config: Config) -> Work:
    """One layer, through which all tokens but the class token pass."""
    bias, features = bias_of(options.bias, config), config.task.features
    share = Fraction(config.task.frames, config.model.context)
    return Work((Linear("embedding", features, config.model.width, bias, source=INPUT, share=share),))


def memory(tape: Tape, options: Options) -> Value:
    """A projection of the frames, which need no gradient."""
    config = tape.config
    frames = Value(tape.batch * config.task.frames * config.task.features, FLOAT, False, is_given=True)
    x = tape.linear("embedding", tape.cast(frames, tape.widths.weights))
    if not options.class_token:
        return x
    return tape.make(x, numbers=tape.tokens * config.model.width, weights=tape.parameter("class", config.model.width))


TECHNIQUE = Technique(
    module=__name__,
    slot="embedding",
    order=1,
    title="Frame embedding",
    short="frames",
    summary="A linear layer turns each frame of numbers, such as a patch of an image, into a vector.",
    paper="Dosovitskiy et al. 2020, arXiv:2010.11929",
    guide=Guide(
        choose="the input is made of numbers: patches of images, spectra of sounds.",
        avoid="the input is made of tokens from a fixed vocabulary.",
    ),
    build=build,
    reference=reference,
    memory=memory,
    options=Options,
    params=lambda options, config: config.model.width if options.class_token else 0,
    work=work,
    effects=(
        Effect(quantity="parameters", sign="-", formula="features × width, where a table has vocabulary × width"),
        Effect(quantity="flops", sign="+", formula="2 · features · width per frame"),
    ),
    kinds=("classes",),
    claims=(Quiet(when="dropout"),),
)
