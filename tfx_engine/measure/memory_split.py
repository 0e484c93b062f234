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

import bisect
import dataclasses
import itertools
from collections.abc import Iterable, Sequence

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.profiler import record_function
from torch.utils._python_dispatch import is_traceable_wrapper_subclass

from tfx_engine.measure.memory_events import AllocatorRecording, Change, Range
from tfx_engine.measure.parts import MEASURE, PREFIX
from tfx_engine.protocol.metrics import CATEGORIES
from tfx_engine.techniques.adapter import is_adapter
from tfx_engine.techniques.recompute import RECOMPUTE_MARK
from tfx_engine.techniques.update import watchers_of

RECOMPUTE = RECOMPUTE_MARK.removeprefix(PREFIX)
GRADIENT = "gradient"  # a moment at which one gradient was there that did not stay until the backward pass was over
TIMELINE_POINTS = 400
_NUMBER = {name: i for i, name in enumerate(CATEGORIES)}
_KEPT_FOR_BACKWARD = frozenset({"forward", "loss", RECOMPUTE})
_FOREVER = 2**63 - 1

Storages = dict[int, tuple[int, str]]  # address -> (bytes, category)


@dataclasses.dataclass(frozen=True)
class MemorySplit:
    """One step's memory. `timeline` is int64 [n, 7] in the order of `CATEGORIES`, at `timeline_ms` within the step."""

    peak_bytes: int
    at_peak: dict[str, int]  # adds up to peak_bytes
    category_peak: np.ndarray  # int64 [7]: each category's own maximum
    timeline_ms: np.ndarray  # float64 [n]
    timeline: np.ndarray
    phases: list[tuple[str, float, float]]  # (name, start_ms, end_ms), profiler's cost included
    kernels: tuple[str, ...] = ()  # the attention kernels that torch used


@dataclasses.dataclass
class _Block:
    ptr: int
    size: int
    born_ns: int
    died_ns: int = _FOREVER
    category: str = "temporary"


def can_split(device: torch.device) -> bool:
    """Whether torch's allocator for a device tells the profiler what it does."""
    return device.type in ("cpu", "cuda", "xpu")


def known_storages(
    model: nn.Module, optimizer: Optimizer | None, batch: Iterable[Tensor], device: torch.device
) -> Storages:
    """The storages that the training holds on the device now, each once: the first owner in this order has it."""
    storages: Storages = {}
    for name, p in model.named_parameters():
        _hold(storages, p, "adapters" if is_adapter(name) else "parameters", device)
    for p in model.parameters():
        if p.grad is not None:
            _hold(storages, p.grad, "gradients", device)
    for tensor in _state_tensors(optimizer):
        _hold(storages, tensor, "optimizer", device)
    for tensor in [*model.buffers(), *batch]:
        _hold(storages, tensor, "other", device)
    return storages


def _hold(storages: Storages, tensor: Tensor, category: str, device: torch.device) -> None:
    storage = tensor.untyped_storage()
    if tensor.device.type == device.type and storage.nbytes():
        storages.setdefault(storage.data_ptr(), (storage.nbytes(), category))


def _state_tensors(optimizer: Optimizer | None) -> list[Tensor]:
    if optimizer is None:
        return []
    kept = [v for state in optimizer.state.values() for v in state.values() if isinstance(v, Tensor)]
    return [plain for tensor in kept for plain in _plain(tensor)]


def _plain(tensor: Tensor) -> list[Tensor]:
    """The tensor, or those that a wrapper such as a quantised one consists of."""
    if not is_traceable_wrapper_subclass(tensor):
        return [tensor]
    names, _ = tensor.__tensor_flatten__()
    return [plain for name in names for plain in _plain(getattr(tensor, name))]


class MemoryProbe:
    """Records one step: `with probe: ... probe.gradients_are_there() ...`, then `split()`."""

    def __init__(self, model: nn.Module, optimizer: Optimizer, batch: Iterable[Tensor], device: torch.device) -> None:
        self._model, self._optimizer, self._device = model, optimizer, device
        self._base = known_storages(model, optimizer, batch, device)
        self._uncounted = _beyond(self._base, device)
        self._gradients: set[int] = set()
        self._passing: list[int] = []  # addresses of gradients that do not stay, in the order in which they were there
        self._state: set[int] = set()
        self._recording = AllocatorRecording(device)

    def __enter__(self) -> MemoryProbe:
        if (watchers := watchers_of(self._optimizer)) is not None:
            watchers.append(self._passes)
        self._recording.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        self._state = {t.untyped_storage().data_ptr() for t in _state_tensors(self._optimizer)}
        self._recording.__exit__(*error)
        if (watchers := watchers_of(self._optimizer)) is not None:
            watchers.remove(self._passes)

    def _passes(self, parameter: nn.Parameter) -> None:
        with record_function(PREFIX + GRADIENT):
            if parameter.grad is not None:
                self._passing.append(parameter.grad.untyped_storage().data_ptr())

    def gradients_are_there(self) -> None:
        """To be called between backward and optimizer, while the gradients exist."""
        self._gradients = {p.grad.untyped_storage().data_ptr() for p in self._model.parameters() if p.grad is not None}

    def split(self) -> MemorySplit:
        """What was recorded, by category."""
        recording = self._recording
        blocks = _blocks(self._base, recording.changes)
        moments = [r.start_ns for r in recording.ranges if r.name == GRADIENT]
        ranges = [r for r in recording.ranges if r.name != GRADIENT]
        passing = set(zip(self._passing, moments, strict=False))
        _classify(blocks, ranges, self._gradients, self._state, passing)
        left = _left_over(recording.changes, self._base) if self._uncounted else []
        split = _replay([*blocks, *left], ranges, self._uncounted - sum(block.size for block in left))
        return dataclasses.replace(split, kernels=tuple(sorted(recording.kernels)))


def _beyond(base: Storages, device: torch.device) -> int:
    """Bytes that a counting allocator holds beyond the known storages (its rounding, and what others keep there)."""
    if device.type not in ("cuda", "xpu"):
        return 0
    return int(getattr(torch, device.type).memory_allocated(device)) - sum(size for size, _ in base.values())


def _blocks(base: Storages, changes: Sequence[Change]) -> list[_Block]:
    """Every block that lived during the step. A free of what is not known here is none of ours."""
    live = {ptr: _Block(ptr, size, born_ns=0, category=category) for ptr, (size, category) in base.items()}
    blocks = list(live.values())
    for change in changes:
        gone = live.pop(change.ptr, None)
        if gone is not None:  # or the address is used anew: the CPU's allocator reports no free of a block of the base
            gone.died_ns = change.t_ns
        if change.size > 0:
            live[change.ptr] = block = _Block(change.ptr, change.size, change.t_ns)
            blocks.append(block)
    return blocks


def _left_over(changes: Sequence[Change], base: Storages) -> list[_Block]:
    """What a counting allocator held beyond the known storages and gave back in the step: the last one's readings."""
    live, left = set(base), []
    for change in changes:
        if change.size > 0:
            live.add(change.ptr)
        elif change.ptr in live:
            live.remove(change.ptr)
        else:
            left.append(_Block(change.ptr, -change.size, 0, change.t_ns, "other"))
    return left


def _classify(
    blocks: Sequence[_Block], ranges: Sequence[Range], gradients: set[int], state: set[int],
    passing: Iterable[tuple[int, int]] = (),
) -> None:
    """Give every block of the step its category. `passing`: (address, moment) of gradients that did not stay."""
    outer, inner = map(_Timeline, _nested(ranges))
    passed = _alive(blocks, passing)
    backward_end = max((r.end_ns for r in ranges if r.name == "backward"), default=0)
    for block in blocks:
        if block.born_ns == 0:
            continue  # of the base
        part = inner.at(block.born_ns) or outer.at(block.born_ns)
        if id(block) in passed or (block.ptr in gradients and block.born_ns <= backward_end < block.died_ns):
            block.category = "gradients"
        elif block.ptr in state and block.died_ns == _FOREVER:
            block.category = "optimizer"
        elif part is None or part.name == MEASURE:
            block.category = "other"
        elif part.name in _KEPT_FOR_BACKWARD and block.died_ns > part.end_ns:
            block.category = "activations"


def _nested(ranges: Sequence[Range]) -> tuple[list[Range], list[Range]]:
    """(the parts of a step, what lies within one of them: recomputation, readings while weights move)."""
    outer: list[Range] = []
    inner: list[Range] = []
    for r in ranges:
        (inner if outer and r.start_ns < outer[-1].end_ns else outer).append(r)
    return outer, inner


def _alive(blocks: Sequence[_Block], moments: Iterable[tuple[int, int]]) -> set[int]:
    """`id` of the block that lived at each (address, moment)."""
    at: dict[int, list[int]] = {}
    for ptr, t_ns in moments:
        at.setdefault(ptr, []).append(t_ns)
    return {id(b) for b in blocks if any(b.born_ns <= t_ns < b.died_ns for t_ns in at.get(b.ptr, ()))}


class _Timeline:
    """Ranges that do not overlap, to be asked by time."""

    def __init__(self, ranges: Sequence[Range]) -> None:
        self._ranges = ranges
        self._starts = [r.start_ns for r in ranges]

    def at(self, t_ns: int) -> Range | None:
        i = bisect.bisect_right(self._starts, t_ns) - 1
        return self._ranges[i] if i >= 0 and t_ns <= self._ranges[i].end_ns else None


def _replay(blocks: Sequence[_Block], ranges: Sequence[Range], uncounted: int) -> MemorySplit:
    start = np.zeros(len(CATEGORIES), np.int64)
    start[_NUMBER["other"]] = uncounted
    events: list[tuple[int, int, int]] = []  # (time, category, bytes)
    for block in blocks:
        number = _NUMBER[block.category]
        if block.born_ns == 0:
            start[number] += block.size
        else:
            events.append((block.born_ns, number, block.size))
        if block.died_ns != _FOREVER:
            events.append((block.died_ns, number, -block.size))
    # At one and the same moment frees go first: an address is free before it is used again.
    events.sort(key=lambda e: (e[0], e[2] > 0))
    change = np.zeros((len(events) + 1, len(CATEGORIES)), np.int64)
    change[0] = start
    for row, (_, number, size) in enumerate(events, start=1):
        change[row, number] = size
    bytes_NC = change.cumsum(axis=0)
    zero_ns = min([r.start_ns for r in ranges] + [t for t, _, _ in events], default=0)
    time_ms = np.array([0] + [t - zero_ns for t, _, _ in events], np.int64) / 1e6
    outer, inner = _nested(ranges)
    shown = sorted([*outer, *(r for r in inner if r.name == RECOMPUTE)], key=lambda r: r.start_ns)
    phases = [(r.name, (r.start_ns - zero_ns) / 1e6, (r.end_ns - zero_ns) / 1e6) for r in shown]
    return _summary(bytes_NC, time_ms, phases)


def _summary(bytes_NC: np.ndarray, time_ms: np.ndarray, phases: list[tuple[str, float, float]]) -> MemorySplit:
    total_N = bytes_NC.sum(axis=1)
    peak = int(total_N.argmax())
    keep = _extremes(total_N, TIMELINE_POINTS - len(CATEGORIES) - 3)
    keep = np.union1d(keep, [0, len(total_N) - 1, peak, *bytes_NC.argmax(axis=0)])
    return MemorySplit(
        peak_bytes=int(total_N[peak]),
        at_peak={name: int(value) for name, value in zip(CATEGORIES, bytes_NC[peak], strict=True)},
        category_peak=bytes_NC.max(axis=0), timeline_ms=time_ms[keep], timeline=bytes_NC[keep], phases=phases,
    )


def _extremes(values: np.ndarray, points: int) -> np.ndarray:
    """Indices of at most `points` values: the lowest and the highest of each of `points / 2` equal stretches."""
    if len(values) <= points:
        return np.arange(len(values))
    edges = np.linspace(0, len(values), points // 2 + 1).astype(int)
    picked = [a + f(values[a:b]) for a, b in itertools.pairwise(edges) for f in (np.argmin, np.argmax)]
    return np.unique(picked)


def resting_split(model: nn.Module, optimizer: Optimizer | None, device: torch.device) -> dict[str, int]:
    """Bytes by category of what the training holds now, without recording anything: for the words after running out."""
    sizes = dict.fromkeys(CATEGORIES, 0)
    for size, category in known_storages(model, optimizer, (), device).values():
        sizes[category] += size
    return sizes
