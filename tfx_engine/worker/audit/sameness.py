"""Techniques that save memory or time change no number: proved against the slot's plain form, on equal weights."""

from __future__ import annotations

import dataclasses

import torch

from tfx_engine.model.assemble import make_precision
from tfx_engine.protocol.marker import tr_mark
from tfx_engine.techniques.claims import Same, SameCompiled
from tfx_engine.techniques.update import watchers_of
from tfx_engine.worker.audit.case import Case
from tfx_engine.worker.audit.comparing import Difference, difference
from tfx_engine.worker.audit.finding import Evidence, Untried, broken, held, judged
from tfx_engine.worker.audit.stand import draws_at_random, observe, with_choice

TOLERANCE = 2e-4  # of float32 numbers that are added up in another order
_FUSED = 1e-3  # the same, where a compiler puts operations together
_AS_FAR = 3.0  # times as far from float32 as the plain form may a form in 16 bits be

_EQUAL = tr_mark("Loss and {count} gradients are equal to the last bit ({plain}).")
_CLOSE = tr_mark("Loss within {loss}, {count} gradients within {gradient} of {plain}; {limit} would be rounding.")
_FAR = tr_mark("Loss off by {loss}, the gradient of {name} by {gradient}, from {plain}; {limit} would be rounding.")
_DRAWS = tr_mark("What is drawn at random is drawn otherwise when it is compiled, so there is nothing to compare.")
_MOVES = tr_mark("Weights move within the backward pass, so the run's own model cannot be tried without changing it.")
_MISSING = tr_mark("With one of both, {names} has no gradient ({plain}).")


def same(case: Case, claim: Same) -> Evidence:
    """Loss and gradients of both forms, on the same weights and the same batch."""
    stand, slot = case.stand, case.technique.slot
    ours, plain = stand.tightened(slot, claim.tighten), stand.plain(slot, claim.plain)
    found, wanted = stand.passed(ours, claim.draws), stand.passed(plain, claim.draws)
    off, name = difference(found, wanted), f"{slot} = {plain.use(slot)}"
    if off.missing:
        return broken("gradient-missing", _MISSING, names=", ".join(off.missing[:3]), plain=name)
    if off.worst == 0.0:
        return held("equal", _EQUAL, count=len(found.gradients), plain=name)
    limit = TOLERANCE
    if make_precision(ours).dtype != torch.float32 or make_precision(ours).tolerance > 0:
        shadow = stand.passed(with_choice(plain, "precision", "float32", {}), claim.draws)
        limit += _AS_FAR * difference(wanted, shadow).worst
    return said(off, limit, len(found.gradients), name)


def same_compiled(case: Case, claim: SameCompiled) -> Evidence:
    """One model, whose functions are called compiled and as they are; neither moves a weight."""
    stand, config = case.stand, case.stand.full
    if draws_at_random(config):
        raise Untried("draws", _DRAWS)
    training, batch = (stand.run, stand.run_batch) if stand.run is not None else (None, stand.batch)
    if training is None:
        choice = config.techniques[case.technique.slot]
        training = stand.training(with_choice(stand.config, case.technique.slot, choice.use, choice.options))
    elif watchers_of(training.optimizer) is not None:
        raise Untried("moves", _MOVES)
    model = training.model
    kept = {name: buffer.clone() for name, buffer in model.named_buffers()}
    still = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=0.0)
    compiled = dataclasses.replace(training, optimizer=still, clip=None, scaler=None)
    plain = dataclasses.replace(compiled, forward=model.hidden, nats=training.loss)
    try:
        off = difference(observe(compiled, batch), observe(plain, batch))
    finally:
        for name, buffer in model.named_buffers():
            buffer.copy_(kept[name])
    limit = _FUSED + _AS_FAR * make_precision(config).tolerance
    return said(off, limit, sum(p.requires_grad for p in model.parameters()), f"{case.technique.slot} = none")


def said(off: Difference, limit: float, count: int, plain: str) -> Evidence:
    """How far it is, and whether that is rounding."""
    ok = off.worst <= limit
    return judged(
        ok, "close" if ok else "differs", _CLOSE if ok else _FAR, loss=f"{off.loss:.1e}",
        gradient=f"{off.gradient:.1e}", name=off.name, count=count, plain=plain, limit=f"{limit:.1e}",
    )
