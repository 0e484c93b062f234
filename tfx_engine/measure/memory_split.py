"""The memory of one step, split into the categories that everybody uses, exact to the byte at every moment.

The base is what lives when the step begins: weights, optimiser state, buffers, the batch; tied weights count once,
because storages are counted and not tensors. On top of it every allocation and free of the step is replayed. A block
belongs to a category for its whole life:

| category | which blocks of the step |
| --- | --- |
| gradients | the storages that `p.grad` holds when the backward pass is over, or held when weights moved within it |
| optimizer | the storages that the optimiser's state holds after the step |
| activations | made in forward, loss or recompute, and outliving that part |
| other | made outside every part, or for the workbench's own readings |
| temporary | all the rest: gone before its part of the step ends, or made and used up within backward |

So the categories add up to what is allocated at every event, by construction. On a device with a caching allocator,
sizes are those of its blocks, and what it holds beyond the known storages is in `other`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.utils._python_dispatch import is_traceable_wrapper_subclass

from tfx_engine.measure.attribution import slots_of
from tfx_engine.measure.memory_events import AllocatorRecording, Range, Recording, address_of
from tfx_engine.measure.memory_modules import Held, held_by
from tfx_engine.measure.memory_replay import (
    Block,
    MemorySplit,
    Storages,
    blocks_of,
    classify,
    left_over,
    replay,
)
from tfx_engine.protocol.metrics import CATEGORIES
from tfx_engine.techniques.adapter import is_adapter
from tfx_engine.techniques.update import watchers_of

GRADIENT = "gradient"  # a moment at which one gradient was there that did not stay until the backward pass was over


def can_split(device: torch.device) -> bool:
    """Whether torch's allocator for a device tells the profiler what it does."""
    return device.type in ("cpu", "cuda", "xpu")


def known_storages(
    model: nn.Module, optimizer: Optimizer | None, batch: Iterable[Tensor], device: torch.device,
    address: Callable[[Tensor], int] = address_of,
) -> Storages:
    """The storages that the training holds on the device now, each once: the first owner in this order has it."""
    storages: Storages = {}

    def hold(tensor: Tensor, category: str) -> None:
        size = tensor.untyped_storage().nbytes()
        if tensor.device.type == device.type and size:
            storages.setdefault(address(tensor), (size, category))

    for name, p in model.named_parameters():
        hold(p, "adapters" if is_adapter(name) else "parameters")
    for p in model.parameters():
        if p.grad is not None:
            hold(p.grad, "gradients")
    for tensor in _state_tensors(optimizer):
        hold(tensor, "optimizer")
    for tensor in [*model.buffers(), *batch]:
        hold(tensor, "other")
    return storages


def _state_tensors(optimizer: Optimizer | None) -> list[Tensor]:
    if optimizer is None:
        return []
    kept = [v for state in optimizer.state.values() for v in state.values() if isinstance(v, Tensor)]
    return [plain for tensor in kept for plain in _plain(tensor)]


def _plain_of(value: object) -> list[Tensor]:
    return _plain(value) if isinstance(value, Tensor) else []


def _plain(tensor: Tensor) -> list[Tensor]:
    """The tensor, or those that a wrapper such as a quantised one consists of."""
    if not is_traceable_wrapper_subclass(tensor):
        return [tensor]
    names, _ = tensor.__tensor_flatten__()
    return [plain for name in names for plain in _plain(getattr(tensor, name))]


class MemoryProbe:
    """Records one step: `with probe: ... probe.gradients_are_there() ...`, then `split()`.

    `recording`: who sees allocations and frees, if not torch's own allocator. `with_shapes`: tell the largest blocks
    one by one, too.
    """

    def __init__(
        self, model: nn.Module, optimizer: Optimizer, batch: Iterable[Tensor], device: torch.device,
        recording: Recording | None = None, is_compiled: bool = False, with_shapes: bool = False,
    ) -> None:
        self._model, self._optimizer, self._device = model, optimizer, device
        self._batch = tuple(batch)
        self._recording = recording or AllocatorRecording(device, model, is_compiled, with_shapes)
        self._base = known_storages(model, optimizer, self._batch, device, self._recording.address)
        self._uncounted = self._recording.beyond(sum(size for size, _ in self._base.values()))
        self._gradients: set[int] = set()
        self._passing: list[int] = []  # addresses of gradients that do not stay, in the order in which they were there
        self._state: set[int] = set()
        self._is_real = recording is None
        self._slots = slots_of(model)
        self._held = self._held_now()  # at the beginning
        self._held_gradients: dict[int, Held] = {}
        self._held_state: dict[int, Held] = {}

    def _held_now(self) -> dict[int, Held]:
        """Nobody asks a step that is only thought of whose its memory is."""
        if not self._is_real:
            return {}
        return held_by(self._model, self._optimizer, self._batch, self._recording.address, _plain_of)

    def __enter__(self) -> MemoryProbe:
        if (watchers := watchers_of(self._optimizer)) is not None:
            watchers.append(self._passes)
        self._recording.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        self._state = {self._recording.address(t) for t in _state_tensors(self._optimizer)}
        self._held_state = self._held_now()
        self._recording.__exit__(*error)
        if (watchers := watchers_of(self._optimizer)) is not None:
            watchers.remove(self._passes)

    def _passes(self, parameter: nn.Parameter) -> None:
        with self._recording.within(GRADIENT):
            if parameter.grad is not None:
                self._passing.append(self._recording.address(parameter.grad))

    def gradients_are_there(self) -> None:
        """To be called between backward and optimizer, while the gradients exist."""
        self._gradients = {self._recording.address(p.grad) for p in self._model.parameters() if p.grad is not None}
        self._held_gradients = self._held_now()

    def blocks(self) -> tuple[list[Block], list[Range]]:
        """(every block of the step with its category, the parts of the step)."""
        recording = self._recording
        blocks = blocks_of(self._base, recording.changes)
        moments = [r.start_ns for r in recording.ranges if r.name == GRADIENT]
        ranges = [r for r in recording.ranges if r.name != GRADIENT]
        passing = set(zip(self._passing, moments, strict=False))
        classify(blocks, ranges, self._gradients, self._state, passing)
        for block in blocks:
            self._give_owner(block)
        return blocks, ranges

    def _give_owner(self, block: Block) -> None:
        """Of a tensor that is held by name: the module that holds it, wherever it was made."""
        if block.born_ns == 0:
            block.held = self._held.get(block.ptr)
        elif block.category == "gradients":
            block.held = self._held_gradients.get(block.ptr)
        elif block.category == "optimizer":
            block.held = self._held_state.get(block.ptr)
        if block.held is not None:
            block.module = block.held.module
            block.slot = block.held.slot or self._slots.get(block.module, "")
        if block.category == "adapters":
            block.slot = "adapter"

    def split(self) -> MemorySplit:
        """What was recorded, by category."""
        blocks, ranges = self.blocks()
        left = left_over(self._recording.changes, self._base) if self._uncounted else []
        split = replay([*blocks, *left], ranges, self._uncounted - sum(block.size for block in left),
                       self._recording.shapes)
        return dataclasses.replace(split, kernels=tuple(sorted(self._recording.kernels)))


def resting_split(model: nn.Module, optimizer: Optimizer | None, device: torch.device) -> dict[str, int]:
    """Bytes by category of what the training holds now, without recording anything: for the words after running out."""
    sizes = dict.fromkeys(CATEGORIES, 0)
    for size, category in known_storages(model, optimizer, (), device).values():
        sizes[category] += size
    return sizes
