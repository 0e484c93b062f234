"""Which tokens a token reads: in each layer, token by token, and in the whole model. Hidden means: not one bit changes.

Shapes: B batch, T tokens, D width.
"""

from __future__ import annotations

import dataclasses

import torch
from torch import Tensor

from tfx_engine.model.assemble import make_precision
from tfx_engine.model.transformer import Transformer
from tfx_engine.protocol.marker import tr_mark
from tfx_engine.techniques.catalogue import technique_for
from tfx_engine.techniques.claims import Hides, NoLeak, Rests, Shows
from tfx_engine.techniques.context import AttentionContext
from tfx_engine.techniques.counts import chosen
from tfx_engine.techniques.scores import Scores
from tfx_engine.worker.audit.case import Case
from tfx_engine.worker.audit.finding import Evidence, Untried, broken, held, judged
from tfx_engine.worker.audit.stand import Stand, with_choice

MOST_LAYERS = 4  # in which single tokens are changed
PUT_TOGETHER = 1e-5  # how equal results are, relative, where tokens are put together anew and so rounded otherwise

_HIDDEN = tr_mark("No token reads what it should not: {tries} were changed, one at a time (layers tried: {layers}).")
_SEEN = tr_mark("In layer {layer} token {query} reads token {key}, which it should not see.")
_READ = tr_mark("Every one of {tries} changed tokens is read by those that should see it (layers tried: {layers}).")
_UNREAD = tr_mark("In layer {layer} token {query} does not read token {key}, which it should see.")
_SATURATED = tr_mark(
    "With the run's weights token {query} of layer {layer} gives token {key} a weight that is rounded to nothing; with "
    "first weights it reads what it should."
)
_OWN = tr_mark("The attention has no scores that a mask could act on: which tokens it reads is its own affair.")
_NOT_FINITE = tr_mark("With the run's weights layer {layer} gives numbers that are not finite, so nothing can be told.")
_NONE_SEES = tr_mark("There is no other token that should be seen.")
_CLEAN = tr_mark("With everything from token {place} on changed, the {place} tokens before it stay equal to the bit.")
_CLEAN_ROUNDED = tr_mark("With everything from token {place} on changed, those before it move by {off} (rounding).")
_LEAK = tr_mark("With everything from token {place} on changed, token {token} before it changes by {off}.")
_NO_FUTURE = tr_mark("No token is hidden from any other.")
_SHORT = tr_mark("The sample is too short for it.")


@dataclasses.dataclass(frozen=True)
class Reading:
    """Of one layer: who changed, bool [tries, T], when one token was changed, whose places are `keys`."""

    layer: int
    keys: list[int]
    changed_NT: Tensor
    mask_TT: Tensor  # bool, as the reference of the slot `mask` says
    window_TT: Tensor  # the same of the slot `window`


def hides(case: Case, claim: Hides) -> Evidence:
    """No query changes with a key that the technique hides from it."""
    readings = readings_of(_token_by_token(case.stand))
    for reading in readings:
        hidden_TT = ~_own(case, reading)
        for row_T, key in zip(reading.changed_NT, reading.keys, strict=True):
            wrong_T = row_T & hidden_TT[:, key]
            if wrong_T.any():
                return broken("seen", _SEEN, layer=reading.layer + 1, query=int(wrong_T.nonzero()[0]), key=key)
    return held("hidden", _HIDDEN, layers=len(readings), tries=sum(len(r.keys) for r in readings))


def shows(case: Case, claim: Shows) -> Evidence:
    """Somebody on each side reads each key; where nothing fades with distance, some of the farthest that may do too."""
    exact = with_choice(case.stand.config, "precision", "float32", {})  # where little is not rounded away
    is_exact = exact.techniques["precision"] == case.stand.config.techniques["precision"]
    stand = case.stand if is_exact else case.stand.of(exact)
    found = _shown(stand)
    if found.ok is False and not _has_scores(stand) and stand.config.use("mixer") == "attention":
        raise Untried("own", _OWN)
    if found.ok is False and stand.has_weights and _shown(stand.untrained()).ok:
        raise Untried("saturated", _SATURATED, **found.args)
    return found


def _shown(stand: Stand) -> Evidence:
    readings, tries = readings_of(stand), 0
    edges: list[tuple[bool, int, int, int]] = []  # whether it was read, layer, query, key
    for reading in readings:
        allowed_TT = reading.mask_TT & reading.window_TT
        for row_T, key in zip(reading.changed_NT, reading.keys, strict=True):
            may = [q for q in allowed_TT[:, key].nonzero().flatten().tolist() if q != key]
            for side in ([q for q in may if q < key], [q for q in may if q > key]):
                if not side:
                    continue
                tries += 1
                near, far = min(side, key=lambda q: abs(q - key)), max(side, key=lambda q: abs(q - key))
                if not row_T[side].any():
                    return broken("unread", _UNREAD, layer=reading.layer + 1, query=near, key=key)
                edges.append((bool(row_T[far]), reading.layer, far, key))
    if not tries:
        raise Untried("nobody", _NONE_SEES)
    farthest = max(abs(query - key) for *_, query, key in edges)
    edges = [edge for edge in edges if abs(edge[2] - edge[3]) == farthest]
    if not _fades(stand) and not any(read for read, *_ in edges):
        _, layer, query, key = edges[0]
        return broken("unread", _UNREAD, layer=layer + 1, query=query, key=key)
    return held("read", _READ, layers=len(readings), tries=tries)


def _token_by_token(stand: Stand) -> Stand:
    """The stand; with float32 where one token is rounded by what the others are, which is not the mask's doing."""
    if not getattr(make_precision(stand.config), "mixes_tokens", False):
        return stand
    return stand.of(with_choice(stand.config, "precision", "float32", {}))


def _own(case: Case, reading: Reading) -> Tensor:
    return reading.window_TT if case.technique.slot == "window" else reading.mask_TT


def _fades(stand: Stand) -> bool:
    """Whether what is far may be too light to be seen: by what positions add to the scores, or without attention."""
    return not _has_scores(stand) or stand.shared().position.bias(2, stand.device, torch.float32) is not None


def _has_scores(stand: Stand) -> bool:
    return any(isinstance(m, Scores) for m in stand.shared().modules())


def readings_of(stand: Stand) -> list[Reading]:
    """One for each of the first layers."""
    if "readings" not in stand.kept:
        stand.kept["readings"] = _read(stand)
    found: list[Reading] = stand.kept["readings"]
    return found


def _read(stand: Stand) -> list[Reading]:
    model = stand.model().eval()
    with torch.no_grad(), make_precision(stand.config).context(stand.device.type):
        x_BTD = entering(model, stand.batch[0][:1])
        return [_reading(stand, model, layer, x_BTD) for layer in range(min(MOST_LAYERS, len(model.blocks)))]


def entering(model: Transformer, inputs: Tensor) -> Tensor:
    """What the blocks are given, [B, T, D], with a scale of 1."""
    x_BTD = model.embedding_norm(model.position(model.embedding(inputs)))
    return x_BTD / x_BTD.float().square().mean().sqrt().clamp(min=1e-6).to(x_BTD.dtype)


def _reading(stand: Stand, model: Transformer, layer: int, x_BTD: Tensor) -> Reading:
    tokens = x_BTD.shape[1]
    if tokens < 2:
        raise Untried("short", _SHORT)
    mixer = model.blocks[layer].attention
    keys = sorted({0, 1, tokens // 3, tokens // 2, tokens - 2, tokens - 1} & set(range(tokens)))
    before_TD = mixer(x_BTD, AttentionContext(model.mask, model.position, x_BTD))[0]
    if not before_TD.isfinite().all():
        raise Untried("not-finite", _NOT_FINITE, layer=layer + 1)
    rows = []
    for key in keys:
        other_BTD = x_BTD.clone()
        other_BTD[:, key] = -1.5 * other_BTD[:, key].roll(1, dims=-1) + 0.5
        after_TD = mixer(other_BTD, AttentionContext(model.mask, model.position, other_BTD))[0]
        changed_T = (after_TD != before_TD).any(dim=-1).cpu()
        changed_T[key] = False
        rows.append(changed_T)
    return Reading(layer, keys, torch.stack(rows), *_said(stand, tokens, layer))


def _said(stand: Stand, tokens: int, layer: int) -> tuple[Tensor, Tensor]:
    """bool [T, T] twice: what the references of mask and window let see."""
    mask, options = technique_for("mask", stand.config.techniques["mask"])
    more = (options, stand.config) if dataclasses.fields(options) else ()
    window, own = technique_for("window", stand.config.techniques["window"])
    return mask.reference(tokens, *more), window.reference(tokens, layer, own, stand.config)


@torch.no_grad()
def no_leak(case: Case, claim: NoLeak) -> Evidence:
    """Everything from some token on is changed: those before it stay as they are."""
    stand = _token_by_token(case.stand)
    model = stand.model().eval()
    inputs = stand.batch[0][:1]
    with make_precision(stand.config).context(stand.device.type):
        before_TD = model.hidden(inputs)[0]
        tokens = before_TD.shape[0]
        allowed_TT, _ = _said(stand, tokens, 0)
        place = next((p for p in range(max(1, tokens // 2), tokens) if not allowed_TT[:p, p:].any()), None)
        if place is None:
            raise Untried("no-future", _NO_FUTURE if tokens > 1 else _SHORT)
        after_TD = model.hidden(changed(inputs, place - (tokens - inputs.shape[1]), stand.config.vocab))[0]
    if not before_TD.isfinite().all():
        raise Untried("not-finite", _NOT_FINITE, layer=len(model.blocks))
    off_T = (after_TD - before_TD).float().abs().amax(dim=-1)[:place]
    off, token = float(off_T.max()), int(off_T.argmax())
    if off == 0.0:
        return held("clean", _CLEAN, place=place)
    scale = float(before_TD.float().abs().max())
    rounded = any(isinstance(c, Rests) for t, _ in chosen(stand.config) for c in t.claims)
    ok = rounded and off <= PUT_TOGETHER * scale
    return judged(ok, "clean-rounded" if ok else "leak", _CLEAN_ROUNDED if ok else _LEAK, place=place, token=token,
                  off=f"{off:.1e}")


def changed(inputs: Tensor, place: int, vocab: int) -> Tensor:
    """Tokens, or frames, with other ones from a place on."""
    other = inputs.clone()
    tail = other[:, place:]
    other[:, place:] = (tail + 1) % vocab if not inputs.is_floating_point() else -1.5 * tail + 0.5
    return other
