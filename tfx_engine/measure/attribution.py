"""Where in the step and in the model each event of a profile belongs.

The profiler's events form a tree in time: ranges of the step's parts, of modules and of slots, operators, allocations.
What happens within a module's range is that module's. The backward pass has no such ranges; there each of autograd's
nodes carries the number of the operator that made it in the forward pass, and belongs where that operator was. Adding a
gradient to its parameter has no number: it follows at once upon the node that made the gradient.
"""

from __future__ import annotations

import bisect
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import torch
from torch import nn

from tfx_engine.measure.parts import PREFIX
from tfx_engine.techniques.owners import owners
from tfx_engine.techniques.ranges import MODULE, SLOT
from tfx_engine.techniques.recompute import RECOMPUTE_MARK

RECOMPUTE = RECOMPUTE_MARK.removeprefix(PREFIX)
_NODE = "autograd::engine::evaluate_function: "
_ACCUMULATE = _NODE + "torch::autograd::AccumulateGrad"
_OPTIMIZER = "Optimizer.step#"  # torch's own range around the step of every optimizer
_FORWARD = frozenset({"forward", "loss"})
OPERATOR = torch._C._profiler._EventType.TorchOp
ALLOCATION = torch._C._profiler._EventType.Allocation
START = {  # component at the beginning of each part, until a module or a slot is at work
    "data": "data", "forward": "other", "loss": "loss", "backward": "autograd", "recompute": "other",
    "measure": "measuring", "optimizer": "optimizer",
}


def starts(is_compiled: bool) -> dict[str, str]:
    """`START`, of a compiled model."""
    return {**START, "forward": "compiled", "loss": "compiled"} if is_compiled else START


def slots_of(model: nn.Module) -> dict[str, str]:
    """The slot of every module, by its name."""
    return {name: owner.slot for name, owner in owners(model).items()}


class Where(NamedTuple):
    """A place: the part of the step as the step itself marks it, what is going on within it, the module, the slot.

    `slot` is empty where neither a module nor a technique is at work; `module` is empty outside all modules.
    """

    outer: str = ""
    part: str = ""
    module: str = ""
    slot: str = ""


class Placed(NamedTuple):
    """An event of the profiler with its place."""

    event: Any
    where: Where
    is_operator: bool  # not a range, an allocation or one of autograd's nodes

    @property
    def own_ns(self) -> int:
        """Its time without that of the events within it."""
        if self.event.tag != OPERATOR:
            return 0
        within = sum(child.duration_time_ns for child in self.event.children if child.tag == OPERATOR)
        return int(self.event.duration_time_ns - within)


class Attribution:
    """Walks profiles of one model. `slots`: module name -> slot. `start`: slot at the beginning of each part."""

    def __init__(self, slots: dict[str, str], start: dict[str, str] | None = None) -> None:
        self._slots, self._start = slots, start or {}

    def walk(self, roots: Sequence[Any]) -> Iterator[Placed]:
        """Every event of one thread after the other, parents before children, each thread in the order of time."""
        made: dict[int, Where] = {}  # number of autograd's node -> where it was made
        node: dict[int, Where] = {}  # thread -> the place of autograd's newest node
        parts = _Parts(roots)
        stack: list[tuple[Any, Where | None]] = [(event, None) for event in reversed(roots)]
        while stack:
            event, above = stack.pop()
            before = parts.at(event.start_time_ns) if above is None else above
            where = self._place(event, before, made, node)
            children = event.children
            is_operator = event.tag == OPERATOR and where is before and not event.name.startswith(_NODE)
            yield Placed(event, where, is_operator)
            stack += [(child, where) for child in reversed(children)]

    def _place(self, event: Any, above: Where, made: dict[int, Where], node: dict[int, Where]) -> Where:
        """Where an event belongs that happens within `above`."""
        if event.tag != OPERATOR:
            return above
        name: str = event.name
        if name.startswith("tfx"):
            return self._within_ours(name, above)
        if name.startswith(_NODE):
            return self._of_node(event, above, made, node)
        if name.startswith(_OPTIMIZER):
            return Where(above.outer, "optimizer", "", "optimizer")
        number = event.extra_fields.sequence_number
        if number >= 0 and above.part in _FORWARD:
            made[number] = above  # the last operator that has the number is the one that makes the node
        return above

    def _within_ours(self, name: str, above: Where) -> Where:
        if name.startswith(MODULE):
            module = name.removeprefix(MODULE)
            return Where(above.outer, above.part, module, self._slots.get(module, ""))
        if name.startswith(SLOT):
            return Where(above.outer, above.part, above.module, name.removeprefix(SLOT))
        if name.startswith(PREFIX):
            part = name.removeprefix(PREFIX)
            slot = self._start.get(part, "")
            return Where(above.outer or part, part, "", slot)
        return above

    def _of_node(self, event: Any, above: Where, made: dict[int, Where], node: dict[int, Where]) -> Where:
        if event.name.startswith(_ACCUMULATE):
            origin = node.get(event.start_tid)
        else:
            origin = made.get(event.extra_fields.sequence_number)
        found = Where(above.outer, above.part, origin.module, origin.slot) if origin else above
        node[event.start_tid] = found
        return found


class _Parts:
    """The step's parts by time: what another thread does, as autograd's for a GPU, belongs to the part at that time."""

    def __init__(self, roots: Sequence[Any]) -> None:
        found = [e for e in roots if e.tag == OPERATOR and e.name.startswith(PREFIX)]
        self._found = sorted((e.start_time_ns, e.end_time_ns, e.name.removeprefix(PREFIX)) for e in found)
        self._starts = [start for start, _, _ in self._found]

    def at(self, t_ns: int) -> Where:
        i = bisect.bisect_right(self._starts, t_ns) - 1
        if i < 0 or t_ns > self._found[i][1]:
            return Where()
        part = self._found[i][2]
        return Where(outer=part, part=part)
