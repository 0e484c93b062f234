"""Selective recompute: keep the results of chosen operators, and compute only the rest of a block again.

What it is: activation checkpointing with exceptions. While a block runs, the results of the operators that are listed
are put aside; when the block runs again in the backward pass, they are taken from there and only what lies between them
is computed. Matrix products take nearly all of the time of a block but make only some of its tensors; norms,
activation functions, residual sums and casts take little time and make the rest. Keeping the former and recomputing the
latter saves memory for hardly any FLOPs. Gradients are the same to the bit.

Formula: kept = the block's input + results of the listed operators; computed again = everything else

What it costs: with matrix products and attention kept, no FLOPs at all, only the small operations twice. With `keep` =
matmuls the attention runs again: that is the selective recompute of Korthikanti and others, right where attention
writes out its scores, which are large and quick to make again. Keeping attention alone recomputes the linear layers.
Every operation passes through Python on its way, which shows in small models; a compiled model does not pay that.

`operators` replaces `keep` by a list of torch's own operators, such as "mm, addmm.default, gelu". Only those count that
reach the device's kernels: `linear` and `matmul` are made of mm, addmm and bmm, and are refused for that reason. Which
operator fused attention is depends on the device; `keep` knows them all, and counts bmm among them, the products of
attention where there is no fused kernel.

When to choose it: if full recompute costs too much time and keeping everything too much memory. When not: if every byte
counts, `every_block` keeps less.

Paper: Korthikanti and others, "Reducing Activation Recomputation in Large Transformer Models" (2022), arXiv:2205.05198.
"""

from __future__ import annotations

import dataclasses
import functools
import re
from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from typing import Any

import torch
from torch import Tensor, nn

from tfx_engine.protocol.cards import Effect, Guide
from tfx_engine.protocol.config import Config
from tfx_engine.protocol.options import option
from tfx_engine.protocol.problems import Problem, nearest
from tfx_engine.techniques.claims import KeepsLess, RunsAgain, Same
from tfx_engine.techniques.context import AttentionContext
from tfx_engine.techniques.costs import ATTENTION, Run
from tfx_engine.techniques.recompute import Checkpointed, Recompute, ran_again
from tfx_engine.techniques.tape import Tape
from tfx_engine.techniques.technique import Technique

OPERATORS = {  # those that this torch does not have are left out
    "matmuls": ("mm", "addmm", "_grouped_mm"),
    "attention": (
        "_scaled_dot_product_flash_attention", "_scaled_dot_product_flash_attention_for_cpu",
        "_scaled_dot_product_efficient_attention", "_scaled_dot_product_cudnn_attention",
        "_scaled_dot_product_fused_attention_overrideable", "bmm", "baddbmm",
    ),
}


@dataclasses.dataclass(frozen=True)
class Options:
    """What can be chosen."""

    keep: tuple[str, ...] = option(
        ("matmuls", "attention"), kind="set", label="keep", choices=tuple(OPERATORS),
        help="Results that are kept: of the linear layers, of attention.",
    )
    operators: str | None = option(
        None, kind="str", label="operators", automatic="as keep says",
        help='Names of torch operators whose results are kept instead, such as "mm, addmm.default, gelu".',
    )
    every: int = option(
        1, kind="int", label="every", low=1, high=10_000, unit="blocks",
        help="Do so in one block of so many, beginning with the first; the others keep their activations.",
    )


def _listed(options: Options) -> list[str]:
    """The operators that are to be kept, by name, as far as torch has them or the user wrote them."""
    if options.operators is not None:
        return re.findall(r"[^\s,;]+", options.operators)
    return [name for kind in options.keep for name in OPERATORS[kind] if hasattr(torch.ops.aten, name)]


def check(options: Options, config: Config) -> Iterator[Problem]:
    """Every operator must be one of torch's, and one that does its work itself."""
    path, names = "techniques.recompute.operators", _listed(options)
    if not names:
        yield Problem(
            code="nothing-listed", path=path, template="names no operator.",
            hint_template='Write for instance "mm, addmm", leave it out, or use "every_block".',
        )
    for name in names:
        if not _overloads(name):
            near = nearest(name, _all_operators())
            yield Problem(
                code="unknown-operator", path=path, template="names {name!r}, which is no operator of this torch.",
                hint_template="Did you mean {near!r}?" if near else "Operators are named as in torch.ops.aten.",
                args={"name": name, "near": near},
            )
        elif all(torch._C._dispatch_has_kernel_for_dispatch_key(o.name(), "CompositeImplicitAutograd")
                 for o in _overloads(name) if not o.name().endswith("out")):  # fmt: skip
            yield Problem(
                code="does-not-fit", path=path, args={"name": name},
                template="names {name!r}, which is made of other operators: it never reaches the device by that name.",
                hint_template='Name those that it is made of: "mm, addmm" for linear, "bmm" for matmul.',
            )


@functools.cache
def _all_operators() -> tuple[str, ...]:
    names = {name.removeprefix("aten::").partition(".")[0] for name in torch._C._dispatch_get_all_op_names()
             if name.startswith("aten::")}  # fmt: skip
    return tuple(sorted(names))


def _overloads(name: str) -> list[Any]:
    """torch's operator of that name, in all its forms or in the one that is named; none where there is none."""
    packet, _, form = name.partition(".")
    found = getattr(torch.ops.aten, packet, None) if packet in _all_operators() else None
    if found is None or (form and form not in found.overloads()):
        return []
    return [getattr(found, each) for each in ([form] if form else found.overloads())]


def build(options: Options, config: Config) -> Recompute:
    """The way to run a block."""
    return Checkpointed(options.every, [o for name in _listed(options) for o in _overloads(name)])


def again(options: Options, config: Config, runs: Sequence[Run]) -> int | Fraction:
    """What is not kept."""
    names = {name.partition(".")[0] for name in _listed(options)}
    if names & set(OPERATORS["attention"]):
        names.add(ATTENTION)
    return ran_again(options.every, runs, names)


def reference(block: nn.Module, x_BTD: Tensor, context: AttentionContext) -> Tensor:
    """The block as it is: recompute changes no number."""
    return block(x_BTD, context)


def memory(tape: Tape, options: Options, layer: int) -> Callable[[str], bool] | None:
    """What the listed operators give is kept."""
    names = {name.partition(".")[0] for name in _listed(options)}
    return None if layer % options.every else names.__contains__


TECHNIQUE = Technique(
    module=__name__,
    slot="recompute",
    order=2,
    title="Selective recompute",
    short="selective",
    summary="The results of chosen operators are kept, and only the rest of a block is computed again.",
    paper="Korthikanti et al. 2022, arXiv:2205.05198",
    guide=Guide(
        choose="activations fill the memory and the time of full recompute is too much.",
        avoid="every byte counts: recompute whole blocks; or models are so small that Python is what one waits for.",
    ),
    build=build,
    reference=reference,
    memory=memory,
    options=Options,
    check=check,
    again=again,
    effects=(
        Effect(quantity="activations", sign="-", formula="block inputs + results of the kept operators"),
        Effect(quantity="flops", sign="+", formula="0 where matrix products and attention are kept"),
        Effect(quantity="time", sign="+", formula="the small operations of each block twice"),
    ),
    # Where a block has many small results beside its products, the closed form promises more than torch can save.
    claims=(Same(), KeepsLess(share=0.1), RunsAgain()),
)
