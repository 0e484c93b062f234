"""float8: the matrix products of the blocks in 8 bits, weights and sums in 32 or 16.

What it is: an 8-bit float has 4 significant bits and a range so narrow that every tensor needs a factor of its own that
brings it into it. torchao's float8 training computes that factor for inputs, weights and gradients of each linear layer
at every step, rounds them, multiplies in 8 bits on the card's units for it, and takes the factors out again. Sums are
float32; what does not pass through these layers is computed as in bfloat16 autocast, which this precision includes.
Weights, gradients and optimizer state stay float32. Embedding and head are left alone, and so are layers whose sizes 16
does not divide, which the units cannot take. With one factor for a whole tensor the rounding of every token depends on
the largest number of any, of those after it too; with one for each row it does not.

Formula: y = (f8(x / sₓ) · f8(W / s_w)) · sₓ · s_w; by tensor one s each, by row one for every row

What it costs: finding the factors and rounding reads every tensor once more. That is only won back by large products:
widths of several thousand, and compiled, so that the rounding is fused with what stands before it. For small models
float8 is slower than bfloat16. Memory is about as with bfloat16 autocast.

Choose it for large models on an NVIDIA card of compute capability 8.9 or newer (Ada, Hopper), together with compiling.
Rather not elsewhere: without these units it is refused, since torch would only imitate it, slowly. Adapters that put
something into the linear layers do not go with it.

Paper: Micikevicius and others, "FP8 Formats for Deep Learning" (2022), arXiv:2209.05433.
"""

from __future__ import annotations

import dataclasses
import importlib.util
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any

import torch
from torch import Tensor, nn

from tfx_engine.protocol.cards import Effect, Guide, Rule
from tfx_engine.protocol.config import Config
from tfx_engine.protocol.options import option
from tfx_engine.protocol.problems import Problem
from tfx_engine.techniques.claims import Near
from tfx_engine.techniques.counts import block_work
from tfx_engine.techniques.precision import PlainPrecision, Precision, not_here
from tfx_engine.techniques.tape import Widths
from tfx_engine.techniques.technique import Technique

_MULTIPLE = 16  # of what the units take
_CAPABILITY = (8, 9)


@dataclasses.dataclass(frozen=True)
class Options:
    """What can be chosen."""

    recipe: str = option(
        "tensorwise", kind="choice", label="factors", choices=("tensorwise", "rowwise"),
        help="tensorwise: one factor for each tensor, the fastest. rowwise: one for each row, more exact.",
    )


class Float8(PlainPrecision):
    """torchao's float8 layers in the blocks, bfloat16 autocast around them. `emulated`: with the rounding alone."""

    tolerance = 2.0**-4  # both factors are rounded to 4 bits, the result to 8
    product_format: str | None = "float8"

    def __init__(self, recipe: str, emulated: bool) -> None:
        self._recipe, self._emulated = recipe, emulated
        self.mixes_tokens = recipe == "tensorwise"  # one factor for all of them

    def convert(self, model: nn.Module) -> None:
        """Exchange the linear layers that the units can take."""
        from torchao.float8 import Float8LinearConfig, convert_to_float8_training

        recipe = Float8LinearConfig.from_recipe_name(self._recipe)
        recipe = dataclasses.replace(recipe, emulate=self._emulated)
        convert_to_float8_training(model, module_filter_fn=_fits, config=recipe)

    def context(self, device_type: str) -> AbstractContextManager[Any]:
        """What is no float8 layer computes in bfloat16."""
        return torch.autocast(device_type, torch.bfloat16)


def _fits(module: nn.Module, name: str) -> bool:
    return isinstance(module, nn.Linear) and not (module.in_features % _MULTIPLE or module.out_features % _MULTIPLE)


def build(options: Options, config: Config) -> Precision:
    """The precision; where the device has no units for it, with the rounding alone, which `check` refuses for runs."""
    return Float8(options.recipe, emulated=bool(not_here(config, _CAPABILITY)))


def check(options: Options, config: Config) -> Iterator[Problem]:
    """A card with the units, torchao, and sizes that fit."""
    reason = not_here(config, _CAPABILITY)
    if reason:
        yield Problem(
            code="not-on-this-device", path="techniques.precision.use", args={"reason": reason},
            template="cannot be had here: {reason}.", hint_template="Choose bfloat16_autocast.",
        )
    elif importlib.util.find_spec("torchao") is None:
        yield Problem(
            code="unavailable", path="techniques.precision.use",
            template="needs the package torchao, which is not installed.",
            hint_template="Install it: pip install torchao. Or choose bfloat16_autocast.",
        )
    linears = block_work(config).linears
    fitting = [linear for linear in linears if not (linear.inputs % _MULTIPLE or linear.outputs % _MULTIPLE)]
    if not fitting:
        yield Problem(
            code="sizes-do-not-fit", path="model.width", args={"multiple": _MULTIPLE},
            template="leaves no linear layer whose sizes {multiple} divides, so float8 would change nothing.",
            hint_template="Choose a width and heads that are multiples of {multiple}.",
        )
    elif config.use("compile") == "none" and not reason:
        yield Problem(
            code="slow-here", path="techniques.precision.use", level="warning",
            template="is slow without compiling: finding the factors takes longer than 8-bit products save.",
            hint_template="Choose compile = default.",
        )


def reference(fn: Callable[..., Tensor], *inputs: Tensor) -> Tensor:
    """The function in float32; `Float8.tolerance` says how far from it one layer may be."""
    return fn(*(x.float() for x in inputs))


_REASON = "It exchanges the linear layers for its own, and so does float8."


def memory(options: Options, config: Config) -> Widths:
    """Beside what is cast to one byte, as bfloat16 autocast."""
    return Widths(products=2)


TECHNIQUE = Technique(
    module=__name__,
    slot="precision",
    order=5,
    title="float8",
    short="float8",
    summary="The matrix products of the blocks in 8 bits, weights in 32.",
    paper="Micikevicius et al. 2022, arXiv:2209.05433",
    guide=Guide(
        choose="the model is large, the card of compute capability 8.9 or newer, and the model compiled.",
        avoid="widths are below a few thousand: finding the factors takes longer than 8-bit products save.",
    ),
    build=build,
    reference=reference,
    memory=memory,
    options=Options,
    check=check,
    excludes=(Rule(slot="adapter", names=("lora", "dora", "qlora", "ia3"), reason=_REASON),),
    effects=(
        Effect(quantity="activations", sign="-", formula="about as with bfloat16 autocast"),
        Effect(quantity="parameters", sign="0", formula="0; 8-bit copies live during the step"),
        Effect(quantity="time", sign="-", formula="where products are large and the hardware has float8 units"),
    ),
    claims=(Near(loss=0.1, cosine=0.9, size=0.3),),
)
