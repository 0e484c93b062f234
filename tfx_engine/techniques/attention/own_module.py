"""A module of your own: any torch module that takes the stream and gives it back, mixing tokens as it likes.

What it is: a class that you wrote, named as "package.module:Class", stands where the attention would. It needs no
declaration: its parameters and linear layers are found by looking at it. The slots that act on attention scores
(window, soft cap, sink and so on) do not reach it, as it may have no scores at all, and neither do rotary positions or
biases; positions that are added to the token vectors do.

Formula: y = Class(width, ...)(x), x and y of the shape [batch, tokens, width]

The class is given those of `width`, `heads`, `head_width` and `context` that its constructor names. Before a run it is
tried on a few tokens. Refused is what writes into its input, gives another shape or precision, gives NaN, mixes the
samples of a batch (as BatchNorm does), or, under the causal mask, gives for a token what depends on later ones. Its
parameters begin as the slot `init` says; a method `initialise_parameter(name, parameter, generator)` that returns True
fills them otherwise. Its code runs with your rights in the worker, so the folder or package that it lies in must be
trusted first: `tfx-workbench trust FOLDER`. Without a name of your own an example runs: each token reads the mean of
the past.

What it costs: whatever it does. Its linear layers are counted; other products are not known, so that the FLOPs of such
a run are shown as missing rather than wrong.

Choose it when an idea is to be tried in minutes. Rather not when the result is to be believed by others: nobody has
compared the module with a slow and obvious form of itself.

Paper: none; averaging in place of attention: Zhang, Xiong, Su (2018), arXiv:1805.00631.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import torch
from torch import Tensor, nn

from tfx_engine.protocol.cards import Effect, Guide, Rule
from tfx_engine.protocol.config import Config
from tfx_engine.protocol.marker import tr_mark
from tfx_engine.protocol.options import option
from tfx_engine.protocol.problems import Problem
from tfx_engine.techniques.context import AttentionContext
from tfx_engine.techniques.costs import Work
from tfx_engine.techniques.module import check_module, make_module, params_of, work_of
from tfx_engine.techniques.scores import MakeScores
from tfx_engine.techniques.technique import Technique


@dataclasses.dataclass(frozen=True)
class Options:
    """What can be chosen."""

    module: str = option(
        "tfx_engine.techniques.module:MeanOfThePast", kind="str", label="class",
        help="The class, as package.module:Class; its folder must be trusted.",
    )


def check(options: Options, config: Config) -> Iterator[Problem]:
    """It must be there, be trusted, and keep the stream's shape."""
    yield from check_module(options.module, "techniques.attention.module", config)


class OwnAttention(nn.Module):
    """(x_BTD, context) -> x_BTD, through a module that knows no context."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, x_BTD: Tensor, context: AttentionContext) -> Tensor:
        """What the module gives."""
        return self.module(x_BTD)


def build(options: Options, config: Config, make_scores: MakeScores) -> nn.Module:
    """The module; the slots that act on scores do not reach it."""
    return OwnAttention(make_module(options.module, config))


def reference(module: OwnAttention, x_BTD: Tensor, context: AttentionContext) -> Tensor:
    """The module on one sample after the other: that is all that is known of it."""
    return torch.cat([module.module(x_TD[None]) for x_TD in x_BTD])


def work(options: Options, config: Config) -> Work:
    """The linear layers in it."""
    return work_of(options.module, config)


def params(options: Options, config: Config) -> int:
    """What is in it beside linear layers."""
    return params_of(options.module, config)


_NO_SCORES = tr_mark("A module of your own has no scores on which it could act.")
_ACT_ON_SCORES = ("window", "qk_norm", "softcap", "sink", "gate")

TECHNIQUE = Technique(
    module=__name__,
    slot="attention",
    order=90,
    title="Own attention",
    short="own",
    summary="A torch module of your own in place of the attention.",
    paper="Zhang et al. 2018, arXiv:1805.00631 (the example)",
    guide=Guide(
        choose="an idea is to be tried in minutes, with a class that you have.",
        avoid="others are to believe the result: write a technique file, which is proved against its reference.",
    ),
    build=build,
    reference=reference,
    options=Options,
    check=check,
    work=work,
    params=params,
    is_counted=False,
    requires=(
        *(Rule(slot=slot, names=("none",), reason=_NO_SCORES) for slot in _ACT_ON_SCORES),
        Rule(slot="kernel", names=("auto",), reason=_NO_SCORES),
        Rule(slot="position", names=("none", "sinusoidal", "learned"), reason=_NO_SCORES),
    ),
    excludes=(Rule(slot="adapter", names=("prefix",), reason=_NO_SCORES),),
    effects=(Effect(quantity="parameters", sign="+", formula="whatever the class has"),),
)
