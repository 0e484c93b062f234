"""Whose memory it is: blocks by module and slot at the peak, the largest of them one by one, slots over the step.

A block belongs to the module in whose forward pass, backward pass or recomputation it was made (`attribution.py`);
weights, gradients, buffers and optimizer state to the module that holds the weight. What is no module's has the name
"", and is told apart by its slot: the batch, the loss, the optimizer's scratch.
"""

from __future__ import annotations

import collections
import dataclasses
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from torch import Tensor, nn
from torch.optim import Optimizer

from tfx_engine.protocol.metrics import CATEGORIES

if TYPE_CHECKING:
    from tfx_engine.measure.memory_replay import Block

MOST_MODULES = 2048  # rows of one split; beyond them the deepest modules are put into those that hold them
MOST_OF_A_MODULE = 8  # blocks told one by one
MOST_BLOCKS = 512
_NUMBER = {name: i for i, name in enumerate(CATEGORIES)}


@dataclasses.dataclass(frozen=True)
class Held:
    """A tensor that somebody holds by name: a weight, its gradient, the optimizer's state of it, a buffer."""

    module: str
    name: str
    shape: tuple[int, ...] = ()
    dtype: str = ""
    slot: str = ""  # where no module says it


@dataclasses.dataclass(frozen=True)
class ModuleMemory:
    """One module's bytes at the peak, int64 [7] in the order of `CATEGORIES`. All modules add up to the peak."""

    module: str
    slot: str
    at_peak: np.ndarray


@dataclasses.dataclass(frozen=True)
class TensorMemory:
    """One block of memory that was there at the peak."""

    module: str
    slot: str
    category: str
    bytes: int
    name: str  # of a tensor that is held by name, else ""
    operator: str  # that made it, where it was made in the step
    shape: tuple[int, ...] | None
    dtype: str


@dataclasses.dataclass(frozen=True)
class Shape:
    """A tensor as an operator got it: of the storage at `ptr`, at that moment."""

    t_ns: int
    ptr: int
    sizes: tuple[int, ...]
    dtype: str
    bytes: int


def held_by(
    model: nn.Module, optimizer: Optimizer | None, batch: Iterable[Tensor], address: Callable[[Tensor], int],
    state_of: Callable[[Any], Sequence[Tensor]],
) -> dict[int, Held]:
    """By address: weights, gradients, state and buffers as they are now, each with its module; the batch."""
    found: dict[int, Held] = {}

    def hold(tensor: Tensor, module: str, name: str, slot: str = "") -> None:
        held = Held(module, name, tuple(tensor.shape), str(tensor.dtype).removeprefix("torch."), slot)
        found.setdefault(address(tensor), held)

    state = getattr(optimizer, "state", {})
    for path, parameter in model.named_parameters():
        module, _, name = path.rpartition(".")
        hold(parameter, module, name)
        if parameter.grad is not None:
            hold(parameter.grad, module, f"{name}.grad")
        for key, value in dict(state.get(parameter, {})).items():
            for tensor in state_of(value):
                hold(tensor, module, f"{name} {key}")
    for path, buffer in model.named_buffers():
        module, _, name = path.rpartition(".")
        hold(buffer, module, name)
    for tensor, name in zip(batch, ("inputs", "targets"), strict=False):
        hold(tensor, "", name, "data")
    return found


def by_module(alive: Sequence[Block], uncounted: int = 0) -> tuple[ModuleMemory, ...]:
    """The blocks put together, module by module; `uncounted` bytes of "other" are nobody's."""
    sizes: dict[tuple[str, str], np.ndarray] = collections.defaultdict(lambda: np.zeros(len(CATEGORIES), np.int64))
    for block in alive:
        sizes[block.module, block.slot or "other"][_NUMBER[block.category]] += block.size
    if uncounted:
        sizes["", "other"][_NUMBER["other"]] += uncounted
    while len(sizes) > MOST_MODULES and (deepest := max(module.count(".") for module, _ in sizes)):
        sizes = _folded(sizes, deepest)
    return tuple(ModuleMemory(module, slot, bytes_C) for (module, slot), bytes_C in sizes.items())


def _folded(sizes: Mapping[tuple[str, str], np.ndarray], deepest: int) -> dict[tuple[str, str], np.ndarray]:
    """Modules of the deepest level put into those that hold them; slots stay apart."""
    result: dict[tuple[str, str], np.ndarray] = {}
    for (module, slot), bytes_C in sizes.items():
        key = (module.rpartition(".")[0] if module.count(".") == deepest else module, slot)
        result[key] = result[key] + bytes_C if key in result else bytes_C
    return result


def largest(alive: Sequence[Block], shapes: Sequence[Shape]) -> tuple[TensorMemory, ...]:
    """The largest blocks of every module, at most `MOST_BLOCKS` in all, with their shapes where anybody saw them."""
    seen: dict[int, list[Shape]] = collections.defaultdict(list)
    for shape in shapes:
        seen[shape.ptr].append(shape)
    taken: dict[str, int] = collections.Counter()
    result: list[TensorMemory] = []
    for block in sorted(alive, key=lambda b: -b.size):
        if taken[block.module] < MOST_OF_A_MODULE and len(result) < MOST_BLOCKS:
            taken[block.module] += 1
            result.append(_tensor(block, seen[block.ptr]))
    return tuple(result)


def _tensor(block: Block, seen: Sequence[Shape]) -> TensorMemory:
    held = block.held
    shape, dtype = (held.shape, held.dtype) if held else (None, "")
    if held is None:
        fitting = [s for s in seen if block.born_ns <= s.t_ns < block.died_ns and s.bytes <= block.size]
        if fitting:
            whole = max(fitting, key=lambda s: s.bytes)
            shape, dtype = whole.sizes, whole.dtype
    return TensorMemory(
        block.module, block.slot or "other", block.category, block.size, held.name if held else "", block.operator,
        shape, dtype,
    )


def over_time(
    blocks: Sequence[Block], events: Sequence[tuple[int, bool, int]], keep: np.ndarray, uncounted: int
) -> tuple[tuple[str, ...], np.ndarray]:
    """(slots, bytes int64 [kept moments, slots]), as `memory_replay.series` has the categories."""
    names = sorted({block.slot or "other" for block in blocks} | {"other"})
    number = {name: i for i, name in enumerate(names)}
    change = np.zeros((len(events) + 1, len(names)), np.int64)
    change[0, number["other"]] = uncounted
    for block in blocks:
        if block.born_ns == 0:
            change[0, number[block.slot or "other"]] += block.size
    for row, (_, is_birth, i) in enumerate(events, start=1):
        change[row, number[blocks[i].slot or "other"]] = blocks[i].size if is_birth else -blocks[i].size
    return tuple(names), change.cumsum(axis=0)[keep]


def shape_of(tensor: Any, t_ns: int) -> Shape:
    """From the profiler's note of an operator's input."""
    sizes = tuple(tensor.sizes)
    return Shape(t_ns, tensor.storage_data_ptr, sizes, str(tensor.dtype).removeprefix("torch."),
                 math.prod(sizes) * tensor.dtype.itemsize)
