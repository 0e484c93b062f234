"""A module of your own: any torch module that takes the stream and gives it back, token by token.

What it is: a class that you wrote, named as "package.module:Class", stands where the feed-forward would. It needs no
declaration: its parameters and linear layers are found by looking at it. That makes it the quickest way to try an
idea; a technique file (see docs/own_technique.md) is the way to make one that explains and proves itself.

Formula: y = Class(width, ...)(x), x and y of the shape [batch, tokens, width]

The class is given those of `width`, `heads`, `head_width` and `context` that its constructor names. Before a run it is
tried on a few tokens. Refused is what writes into its input, gives another shape or precision, gives NaN, mixes the
samples of a batch (as BatchNorm does), or, under the causal mask, gives for a token what depends on later ones. Its
parameters begin as the slot `init` says; a method `initialise_parameter(name, parameter, generator)` that returns True
fills them otherwise. Its code runs with your rights in the worker, so the folder or package that it lies in must be
trusted first: `tfx-workbench trust FOLDER`. Without a name of your own an example runs: two linear layers with a sine
between them.

What it costs: whatever it does. Its linear layers are counted; other products are not known, so that the FLOPs of such
a run are shown as missing rather than wrong.

Choose it when an idea is to be tried in minutes. Rather not when the result is to be believed by others: nobody has
compared the module with a slow and obvious form of itself.

Paper: none; the example's sine follows Sitzmann and others (2020), arXiv:2006.09661.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import torch
from torch import Tensor, nn

from tfx_engine.protocol.cards import Effect, Guide
from tfx_engine.protocol.config import Config
from tfx_engine.protocol.options import option
from tfx_engine.protocol.problems import Problem
from tfx_engine.techniques.costs import Work
from tfx_engine.techniques.module import check_module, make_module, params_of, work_of
from tfx_engine.techniques.technique import Technique


@dataclasses.dataclass(frozen=True)
class Options:
    """What can be chosen."""

    module: str = option(
        "tfx_engine.techniques.module:SineFeedForward", kind="str", label="class",
        help="The class, as package.module:Class; its folder must be trusted.",
    )


def check(options: Options, config: Config) -> Iterator[Problem]:
    """It must be there, be trusted, and keep the stream's shape."""
    yield from check_module(options.module, "techniques.feedforward.module", config)


def build(options: Options, config: Config) -> nn.Module:
    """The module."""
    return make_module(options.module, config)


def reference(module: nn.Module, x_BTD: Tensor) -> Tensor:
    """The module on one sample after the other: that is all that is known of it."""
    return torch.cat([module(x_TD[None]) for x_TD in x_BTD])


def work(options: Options, config: Config) -> Work:
    """The linear layers in it."""
    return work_of(options.module, config)


def params(options: Options, config: Config) -> int:
    """What is in it beside linear layers."""
    return params_of(options.module, config)


TECHNIQUE = Technique(
    module=__name__,
    slot="feedforward",
    order=90,
    title="Own feed-forward",
    short="own",
    summary="A torch module of your own in place of the feed-forward.",
    paper="Sitzmann et al. 2020, arXiv:2006.09661 (the example)",
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
    effects=(Effect(quantity="parameters", sign="+", formula="whatever the class has"),),
)
