"""A whole step, known from few of its blocks, experts, tokens and pieces: the course of its memory, its operators."""

from __future__ import annotations

import dataclasses

import torch

from tfx_engine.protocol.config import Config
from tfx_engine.trace import course as course_
from tfx_engine.trace import operators as operators_
from tfx_engine.trace.axes import STEPS, Axis, NotAlike, Point, axis, extended
from tfx_engine.trace.course import Course, Kinds, course_of
from tfx_engine.trace.depth import depth_axes, with_blocks
from tfx_engine.trace.fake import EVERYTHING, fake_step, kind_here
from tfx_engine.trace.manners import PATIENT, Manners, Patience
from tfx_engine.trace.operators import Operators
from tfx_engine.trace.routing import Routing, Rule, evenly

_FEW_STEPS = 4  # those at the ends are like no other, and the first gradients are added up in another way
_FEW_EXPERTS = 1  # of a group


@dataclasses.dataclass(frozen=True)
class Look:
    """What a step does."""

    course: Course
    operators: Operators


def look(config: Config, kind: str, rule: Rule = evenly, patience: Patience | None = None) -> Look:
    """A step of a configuration on a device of a kind.

    Where it turns out not to repeat itself along an axis, as much is run there as there is. Raises `GivenUp`, where
    `patience` ends, and whatever techniques raise under fake tensors.
    """
    known: Kinds = {}
    routing = rule(config)

    def run(point: Point) -> Look:
        step = fake_step(with_blocks(config, point), kind, routing, point, patience)
        return Look(course_of(step, known), step.operators)

    axes = axes_of(config, kind, routing)
    while True:
        try:
            return extended(axes, run, _repeated, EVERYTHING)
        except NotAlike as error:
            axes = tuple(a for a in axes if a.name != error.axis)


def operators_of(config: Config, device: torch.device, manners: Manners = PATIENT) -> Operators:
    """How often each operator runs in a step. Raises as `look` does."""
    return look(config, device.type, evenly, manners.begun()).operators


def axes_of(config: Config, kind: str, routing: Routing) -> tuple[Axis, ...]:
    """The axes of a configuration, the longest first.

    The longest is the outermost: what is within is written out in full, what is outermost is only counted.
    """
    is_stepwise = config.use("mixer") == "gru" and kind_here(kind) == "cpu"
    found = [*depth_axes(config), axis(STEPS, _FEW_STEPS, 1, config.model.context) if is_stepwise else None]
    if config.use("feedforward") == "mixture_of_experts":
        found += [axis(name, _FEW_EXPERTS, 1, number) for name, number in routing.groups.items()]
    return tuple(sorted((a for a in found if a is not None), key=lambda a: -a.times))


def _repeated(few: Look, many: Look, times: int) -> Look | None:
    longer = course_.repeated(few.course, many.course, times)
    if longer is None:
        return None
    return Look(longer, operators_.repeated(few.operators, many.operators, times))

