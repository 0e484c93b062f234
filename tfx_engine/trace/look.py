"""A whole step, known from few of its blocks, experts, tokens and pieces: the course of its memory, its operators."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import torch

from tfx_engine.estimate.stretches import with_blocks
from tfx_engine.protocol.config import Config
from tfx_engine.techniques.counts import in_slot
from tfx_engine.trace import course as course_
from tfx_engine.trace import operators as operators_
from tfx_engine.trace.axes import STEPS, Axis, NotAlike, Point, axis, extended, pieces_axis
from tfx_engine.trace.course import Course, Kinds, course_of
from tfx_engine.trace.depth import depth_axes
from tfx_engine.trace.fake import EVERYTHING, fake_step, kind_here
from tfx_engine.trace.manners import PATIENT, Manners, Patience
from tfx_engine.trace.operators import Operators
from tfx_engine.trace.routing import Routing, Rule, evenly, samples_at_once

_FEW_STEPS = 4  # those at the ends are like no other, and the first gradients are added up in another way
_FEW_EXPERTS = 1  # of a group
_FEW_PIECES = 4  # as with steps

Groups = tuple[tuple[Axis, ...], ...]


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

    groups = axes_of(config, kind, routing)
    while True:
        try:
            return extended(groups, run, _repeated, EVERYTHING)
        except NotAlike as error:
            groups = _in_groups([[a for a in group if a.name != error.axis] for group in groups])


def operators_of(config: Config, device: torch.device, manners: Manners = PATIENT) -> Operators:
    """How often each operator runs in a step. Raises as `look` does."""
    return look(config, device.type, evenly, manners.begun()).operators


def axes_of(config: Config, kind: str, routing: Routing) -> Groups:
    """The axes of a configuration: what blocks and the loss are many of, and what a block is many of.

    The group with the longest of them is the outermost: what is within is written out in full, what is outermost is
    only counted.
    """
    is_stepwise = config.use("mixer") == "gru" and kind_here(kind) == "cpu"
    inside = [axis(STEPS, _FEW_STEPS, 1, config.model.context) if is_stepwise else None]
    if config.use("feedforward") == "mixture_of_experts":
        inside += [axis(name, _FEW_EXPERTS, 1, number) for name, number in routing.groups.items()]
    return _in_groups([[*depth_axes(config), *_of_the_loss(config)], inside])


def _of_the_loss(config: Config) -> list[Axis | None]:
    """One for each number of pieces that the loss takes a batch, or a part of it, in."""
    technique, options = in_slot(config, "loss")
    rows = getattr(technique.build(options, config), "rows", None)
    if rows is None:
        return []
    wholes = {samples * config.model.context // rows for samples in samples_at_once(config)}
    return [axis(pieces_axis(whole), _FEW_PIECES, 1, whole) for whole in sorted(wholes)]


def _in_groups(found: Sequence[Sequence[Axis | None]]) -> Groups:
    groups = [tuple(a for a in group if a is not None) for group in found]
    return tuple(sorted((g for g in groups if g), key=lambda group: -max(a.times for a in group)))


def _repeated(few: Look, longer: Sequence[tuple[Axis, Look]]) -> Look:
    return Look(
        course_.repeated(few.course, [(a, many.course) for a, many in longer]),
        operators_.repeated(few.operators, [(a, many.operators) for a, many in longer]),
    )
