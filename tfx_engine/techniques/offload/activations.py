"""Offload activations: what the backward pass needs waits in the host's memory instead of the device's.

What it is: during the forward pass every tensor that autograd wants to keep is copied to the host, and the device's
copy is freed as soon as nothing else uses it. When the backward pass asks for it, it is copied back. Weights stay where
they are (the device holds them anyway), and so does what is smaller than the given size. The results are the same to
the bit: a copy is a copy.

Formula: on the device stay about one block's activations; each step moves 2 · kept bytes over the bus

What it costs: time on the bus. A PCIe 4 connection moves around 25 GB/s each way at best, which a large model's
activations keep busy for longer than the matrix products take. Pinned host memory makes the copies several times faster
and lets them be queued without waiting; it must be there, and cannot be swapped out. In this plain form a copy and the
computing that follows it take turns, since both are in the device's one queue. A tensor that several operations keep is
copied for each of them.

With recompute it combines well: the offload lies outside, the recompute inside, so that what travels is a block's input
and nothing else. That order is fixed here; the other way round would move nothing at all.

When to choose it: when recompute alone does not fit, or, with recompute, when contexts are so long that block inputs
fill the memory. When not: as the first thing to try, since recompute alone usually costs less time. On a CPU, and on
Apple's GPU, which shares the host's memory, there is nowhere to go and it is refused; so it is with a compiled model,
whose kept tensors are not handed out one by one.

Paper: Rhu and others, "vDNN: Virtualized Deep Neural Networks for Scalable, Memory-Efficient Neural Network Design"
(2016), arXiv:1602.08124. Torch's `save_on_cpu` is the same, with the weights moved too.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any, NamedTuple, TypeAlias

import torch
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks

from tfx_engine.protocol.cards import Effect, Guide, Rule
from tfx_engine.protocol.config import Config
from tfx_engine.protocol.options import option
from tfx_engine.protocol.problems import Problem
from tfx_engine.techniques.claims import KeepsLess, Same
from tfx_engine.techniques.context import AttentionContext
from tfx_engine.techniques.devices import device_kind
from tfx_engine.techniques.tape import Value
from tfx_engine.techniques.technique import Technique

_OWN_MEMORY = ("cuda", "xpu")  # kinds of devices whose memory is not the host's


class Waiting(NamedTuple):
    """A copy on the host, of a tensor of that shape on that device; `strides` are those of what is to come back."""

    device: torch.device
    shape: torch.Size
    strides: tuple[int, ...]
    host: Tensor


Packed: TypeAlias = Tensor | Waiting


@dataclasses.dataclass(frozen=True)
class Options:
    """What can be chosen."""

    pinned: bool = option(
        True, kind="bool", label="pinned memory",
        help="Wait in host memory that cannot be swapped out: copies are faster and need not be waited for.",
    )
    smallest: int = option(
        65_536, kind="int", label="smallest tensor", low=0, high=2**40, unit="bytes",
        help="Tensors with fewer bytes stay on the device: a copy costs more time than they cost memory.",
    )


def check(options: Options, config: Config) -> Iterator[Problem]:
    """There must be somewhere else to go."""
    kind = device_kind(config)
    if kind not in _OWN_MEMORY:
        yield Problem(
            code="not-on-this-device", path="techniques.offload.use", args={"kind": kind},
            template="has nowhere to go: on the device {kind!r} activations are in the host's memory already.",
            hint_template='Use "none", and recompute if they are too large.',
        )


def is_weight(tensor: Tensor) -> bool:
    """Whether it is a parameter, or a view of one such as a transposed matrix."""
    return isinstance(tensor, nn.Parameter) or isinstance(tensor._base, nn.Parameter)


def pack(options: Options, tensor: Tensor) -> Packed:
    """The tensor's copy on the host and where it came from; the tensor itself where it is to stay."""
    if is_weight(tensor) or tensor.numel() * tensor.element_size() < options.smallest:
        return tensor
    pinned = options.pinned and tensor.is_cuda
    # Numbers that share their place, as those of a mask for all heads do, are copied once.
    once = tensor[tuple(slice(0, 1) if step == 0 else slice(None) for step in tensor.stride())]
    host = torch.empty(once.shape, dtype=tensor.dtype, pin_memory=pinned)
    strides = host.stride() if _has_gaps(once) else once.stride()
    return Waiting(tensor.device, tensor.shape, strides, host.copy_(once, non_blocking=pinned))


def _has_gaps(tensor: Tensor) -> bool:
    """Whether less than half of the memory that it spans is its own, as with one of several streams."""
    return 1 + sum((n - 1) * step for n, step in zip(tensor.shape, tensor.stride(), strict=True)) > 2 * tensor.numel()


def unpack(packed: Packed) -> Tensor:
    """Back where it came from, laid out as it was: kernels ask for rows that begin at multiples of 16 bytes."""
    if isinstance(packed, Tensor):
        return packed
    host = packed.host
    back = torch.empty_strided(host.shape, packed.strides, dtype=host.dtype, device=packed.device)
    return back.copy_(host, non_blocking=host.is_pinned()).expand(packed.shape)


def build(options: Options, config: Config) -> Callable[[], AbstractContextManager[Any]]:
    """The hooks of autograd that do it."""
    return lambda: saved_tensors_hooks(functools.partial(pack, options), unpack)


def reference(block: nn.Module, x_BTD: Tensor, context: AttentionContext) -> Tensor:
    """The block as it is: a copy changes no number."""
    return block(x_BTD, context)


def memory(options: Options, device: str) -> Callable[[Value], int | None]:
    """Large tensors wait in the host's memory; where that is the device's, they only lose what they shared."""
    def pack(x: Value) -> int | None:
        if x.bytes < options.smallest:
            return None
        return 0 if device in _OWN_MEMORY else x.bytes

    return pack


TECHNIQUE = Technique(
    module=__name__,
    slot="offload",
    order=1,
    title="Offload activations",
    short="to the host",
    summary="What the backward pass needs waits in the host's memory instead of the device's.",
    paper="Rhu et al. 2016, arXiv:1602.08124",
    guide=Guide(
        choose="recompute alone does not make the activations fit, and the host has memory to spare.",
        avoid="the model fits by other means: the bus is slower than computing things again.",
    ),
    build=build,
    reference=reference,
    memory=memory,
    options=Options,
    check=check,
    requires=(
        Rule(slot="compile", names=("none",), reason="A compiled model does not hand out what it keeps one by one."),
    ),
    effects=(
        Effect(quantity="activations", sign="-", formula="about one block's on the device, all of them on the host"),
        Effect(quantity="time", sign="+", formula="2 × kept bytes / speed of the bus"),
        Effect(quantity="flops", sign="0", formula="0"),
    ),
    claims=(Same(tighten={"smallest": 0}), KeepsLess()),
)
