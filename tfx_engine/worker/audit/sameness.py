"""Techniques that save memory or time change no number: proved against the slot's plain form, on equal weights."""

from __future__ import annotations

import torch

from tfx_engine.model.assemble import make_precision
from tfx_engine.protocol.marker import tr_mark
from tfx_engine.techniques.claims import Same
from tfx_engine.worker.audit.case import Case
from tfx_engine.worker.audit.comparing import Difference, difference
from tfx_engine.worker.audit.finding import Evidence, broken, held, judged
from tfx_engine.worker.audit.stand import with_choice

TOLERANCE = 2e-4  # of float32 numbers that are added up in another order
_AS_FAR = 3.0  # times as far from float32 as the plain form may a form in 16 bits be

_EQUAL = tr_mark("Loss and {count} gradients are equal to the last bit ({plain}).")
_CLOSE = tr_mark("Loss within {loss}, {count} gradients within {gradient} of {plain}; {limit} would be rounding.")
_FAR = tr_mark("Loss off by {loss}, the gradient of {name} by {gradient}, from {plain}; {limit} would be rounding.")
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


def said(off: Difference, limit: float, count: int, plain: str) -> Evidence:
    """How far it is, and whether that is rounding."""
    ok = off.worst <= limit
    return judged(
        ok, "close" if ok else "differs", _CLOSE if ok else _FAR, loss=f"{off.loss:.1e}",
        gradient=f"{off.gradient:.1e}", name=off.name, count=count, plain=plain, limit=f"{limit:.1e}",
    )
