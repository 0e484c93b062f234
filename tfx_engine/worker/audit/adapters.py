"""Adapters begin at the model that they adapt, and end within it; optimisers move what has a gradient."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from tfx_engine.model.assemble import make_adapter
from tfx_engine.protocol.marker import tr_mark
from tfx_engine.techniques.claims import BeginsAtBase, Merges, MovesAll, SameSteps
from tfx_engine.train.step import train_step
from tfx_engine.worker.audit.case import Case
from tfx_engine.worker.audit.finding import Evidence, Untried, broken, held, judged
from tfx_engine.worker.audit.stand import with_choice
from tfx_engine.worker.audit.trained import some

ROUNDING = 1e-4  # of outputs in float32 that are computed in another way

_BASE = tr_mark("Outputs are those of the frozen model within {off}.")
_NOT_BASE = tr_mark("Outputs are off by {off} from those of the frozen model.")
_MERGED = tr_mark("Merged, outputs are the same within {off}; unmerged, every weight is as it was.")
_NOT_MERGED = tr_mark("Merged, outputs are off by {off}.")
_NOT_UNMERGED = tr_mark("Unmerged, not all tensors are as they were: {names}. (Tensors: {count}.)")
_CANNOT = tr_mark("It is not merged: nothing but its own layers knows of it.")
_ALL_MOVED = tr_mark("All {count} tensors that had a gradient moved within {steps} steps.")
_STOOD = tr_mark("Not all tensors that had a gradient moved in {steps} steps: {names} did not. (Tensors: {count}.)")
_NO_RATE = tr_mark("The learning rate is 0, so nothing is to move.")
_EQUAL = tr_mark("After two steps every weight is as with {plain}, within {off}.")
_OTHERWISE = tr_mark("After two steps {name} is off by {off} from what it is with {plain}.")


@torch.no_grad()
def begins_at_base(case: Case, claim: BeginsAtBase) -> Evidence:
    """Fresh models with it and without."""
    stand, found = case.stand, []
    config = with_choice(stand.config, "precision", "float32", {})
    for each in (config, with_choice(config, case.technique.slot, "none", {})):
        found.append(stand.fresh(each).model.eval()(stand.batch[0][:1]))
    off = _off(*found)
    ok = off <= ROUNDING
    return judged(ok, "at-base" if ok else "elsewhere", _BASE if ok else _NOT_BASE, off=f"{off:.1e}")


@torch.no_grad()
def merges(case: Case, claim: Merges) -> Evidence:
    """Outputs before, with the adapter merged, and all weights after it was taken out again."""
    stand = case.stand
    config = with_choice(stand.config, "precision", "float32", {})
    adapter, model = make_adapter(config), stand.model(config).eval()
    if not adapter.merges:
        raise Untried("cannot", _CANNOT)
    before = {name: t.clone() for name, t in model.state_dict().items()}
    wanted = model(stand.batch[0][:1])
    adapter.merge(model)
    off = _off(model(stand.batch[0][:1]), wanted)
    adapter.unmerge(model)
    if off > ROUNDING:
        return broken("not-merged", _NOT_MERGED, off=f"{off:.1e}")
    if wrong := {name for name, t in model.state_dict().items() if not torch.equal(t, before[name])}:
        return broken("not-unmerged", _NOT_UNMERGED, count=len(wrong), names=some(wrong))
    return held("merged", _MERGED, off=f"{off:.1e}")


def moves_all(case: Case, claim: MovesAll) -> Evidence:
    """Of the steps with the run's own optimiser."""
    if not getattr(case.options, "learning_rate", 1.0):
        raise Untried("no-rate", _NO_RATE)
    found = case.stand.steps()
    if stood := found.had_gradient - found.moved - found.too_small:
        return broken("stood-still", _STOOD, count=len(stood), names=some(stood), steps=found.taken)
    return held("moved", _ALL_MOVED, count=len(found.had_gradient), steps=found.taken)


def same_steps(case: Case, claim: SameSteps) -> Evidence:
    """Two steps of two fresh models."""
    stand, slot = case.stand, case.technique.slot
    config = with_choice(stand.config, "precision", "float32", {})
    plain = with_choice(config, slot, stand.plain(slot).use(slot), {})
    ours, theirs = (_weights_after_two(case, each) for each in (config, plain))
    worst, name = max(((_off(ours[key], theirs[key]), key) for key in ours), default=(0.0, ""))
    ok = worst <= ROUNDING
    return judged(ok, "equal" if ok else "otherwise", _EQUAL if ok else _OTHERWISE, name=name, off=f"{worst:.1e}",
                  plain=f"{slot} = {plain.use(slot)}")


def _weights_after_two(case: Case, config: object) -> dict[str, Tensor]:
    training = case.stand.fresh(config)  # type: ignore[arg-type]
    torch.manual_seed(0)
    for step in range(2):
        train_step(training, case.stand.batch, step)
    return {name: p.detach() for name, p in training.model.named_parameters() if p.is_floating_point()}


def _off(found: Tensor | nn.Parameter, wanted: Tensor | nn.Parameter) -> float:
    """Relative to the largest number; infinite where one is none."""
    off = float((found.float() - wanted.float()).abs().max() / (wanted.float().abs().max() + 1e-12))
    return off if off == off else float("inf")
