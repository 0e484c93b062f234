"""What is trained, and what is left alone: proved by some real steps with the run's own optimiser."""

from __future__ import annotations

from tfx_engine.protocol.marker import tr_mark
from tfx_engine.techniques.adapter import is_adapter
from tfx_engine.techniques.claims import EveryGradient, Rests, TrainsOnly
from tfx_engine.techniques.counts import chosen
from tfx_engine.worker.audit.case import Case
from tfx_engine.worker.audit.finding import Evidence, Untried, broken, held
from tfx_engine.worker.audit.steps import Steps

_EXACTLY = tr_mark("After {steps} steps exactly the {count} expected tensors are trained; all others are as they were.")
_MOVED = tr_mark("What should stay as it is has moved: {names}. (Tensors: {count}.)")
_OPEN = tr_mark("What should not be trained is: {names}. (Tensors: {count}.)")
_SHUT = tr_mark("What should be trained is not: {names}. (Tensors: {count}.)")
_COUNT = tr_mark("{found} numbers are trained, and the technique says {declared}.")
_ALL = tr_mark("All {count} trained tensors had a gradient within {steps} steps.")
_ZERO = tr_mark("Trained, but without a gradient other than zero in {steps} steps: {names}. (Tensors: {count}.)")

_FLAT = tr_mark(
    "With the run's weights {names} had no gradient but zero in {steps} steps, with first weights they had one: the "
    "run has led them to where the loss is flat. (Tensors: {count}.)"
)


def trains_only(case: Case, claim: TrainsOnly) -> Evidence:
    """The expected set is trained, and nothing else moves."""
    found = case.stand.steps()
    if stray := found.moved - found.trained:
        return broken("frozen-moved", _MOVED, count=len(stray), names=some(stray))
    if claim.what == "chosen":
        return _counted(case, found)
    wanted = {name for name in found.numbers if claim.what == "all" or is_adapter(name)}
    if more := found.trained - wanted:
        return broken("not-frozen", _OPEN, count=len(more), names=some(more))
    if fewer := wanted - found.trained:
        return broken("not-trained", _SHUT, count=len(fewer), names=some(fewer))
    return held("exactly", _EXACTLY, steps=found.taken, count=len(wanted))


def _counted(case: Case, found: Steps) -> Evidence:
    declared = case.technique.trainable(case.options, case.stand.config) if case.technique.trainable else 0
    numbers = sum(found.numbers[name] for name in found.trained)
    if numbers != declared:
        return broken("count", _COUNT, found=numbers, declared=declared)
    return held("exactly", _EXACTLY, steps=found.taken, count=len(found.trained))


def every_gradient(case: Case, claim: EveryGradient) -> Evidence:
    """No trained tensor goes without one, but what another technique excuses."""
    found = case.stand.steps()
    excused = [c.part for t, _ in chosen(case.stand.config) for c in t.claims if isinstance(c, Rests)]
    idle = {n for n in found.trained - found.had_gradient if not any(part in n.split(".") for part in excused)}
    if idle and case.stand.has_weights and not idle - case.stand.first_steps().had_gradient:
        raise Untried("saturated", _FLAT, count=len(idle), names=some(idle), steps=found.taken)
    if idle:
        return broken("zero-gradient", _ZERO, count=len(idle), names=some(idle), steps=found.taken)
    return held("all", _ALL, count=len(found.trained), steps=found.taken)


def some(names: set[str]) -> str:
    """The first few, in order."""
    listed = sorted(names)
    return ", ".join(listed[:3]) + (", ..." if len(listed) > 3 else "")
