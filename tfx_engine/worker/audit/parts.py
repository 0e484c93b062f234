"""What single parts of the model claim: norms, bounds, tables, routing, order. Looked at in copies of the model.

Shapes: B batch, T tokens, D width, H query heads, G key heads, K head width, S keys.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from tfx_engine.protocol.config import Config
from tfx_engine.protocol.marker import tr_mark
from tfx_engine.techniques.claims import (
    Bounded,
    Normed,
    OwnTable,
    Quiet,
    Routes,
    Shares,
    TellsNoOrder,
    TellsOrder,
    UnitSize,
)
from tfx_engine.techniques.position import Position
from tfx_engine.techniques.scores import Scores
from tfx_engine.worker.audit.case import Case
from tfx_engine.worker.audit.finding import Evidence, Untried, broken, held, judged
from tfx_engine.worker.audit.stand import with_choice
from tfx_engine.worker.audit.steps import is_tied

LOUD = 1e3  # what inputs are multiplied by, so that an epsilon in a root no longer counts
LOUDEST = 1e6
EXACT = 1e-3
DIFFERENT = 1e-6

_UNIT = tr_mark("Sizes of {count} vectors lie between {low} and {high}; 1 is said.")
_NORMED = tr_mark("{count} norms: mean square between {low} and {high}, mean at most {mean} off 0; zeros stay finite.")
_NOT_NORMED = tr_mark("A norm gives mean squares between {low} and {high} and means up to {mean}.")
_NOT_FINITE = tr_mark("A token of zeros becomes something that is not finite.")
_BOUND = tr_mark("The largest number is {found} for inputs up to {inputs}; the bound is {bound}.")
_NO_CAP = tr_mark("The scores of layer {layer} reach the kernel without a bound.")
_SHARED = tr_mark("Head and embedding are one tensor, also after some steps.")
_COPIED = tr_mark("The head has another tensor than the embedding: {bytes} bytes more.")
_OWN = tr_mark("Head and embedding are two tensors.")
_NOT_OWN = tr_mark("Head and embedding are one tensor.")
_ROUTED = tr_mark("Of {tokens} tokens each goes to the {chosen} experts with the highest scores.")
_MISROUTED = tr_mark("{wrong} of {tokens} tokens go to others than the {chosen} experts with the highest scores.")
_WEIGHTS = tr_mark("The weights of a token's experts add up to {low} to {high}.")
_QUIET = tr_mark("Two passes in evaluation are equal to the bit, and two in training are not.")
_LOUD = tr_mark("Two passes in evaluation differ.")
_DEAD = tr_mark("Two passes in training are equal: nothing is drawn.")
_ORDER = tr_mark("Equal tokens at different places differ: {where}.")
_NO_ORDER = tr_mark("Equal tokens at different places are equal everywhere.")
_ABSENT = tr_mark("The model has no such part.")


def unit_size(case: Case, claim: UnitSize) -> Evidence:
    """Loud queries and keys through the norm of every layer, with its first weights."""
    sizes = []
    for norm in _first_of(case, "qk_norm"):
        q_BHTK, k_BGTK = norm(*_loud_queries(case.stand.config, norm))
        for x in (k_BGTK,) if claim.length else (q_BHTK, k_BGTK):
            dims = (1, 3) if claim.over == "heads" else (3,)
            square = x.double().square()
            sizes.append((square.sum(dims) if claim.length else square.mean(dims)).sqrt().flatten())
    if not sizes:
        raise Untried("absent", _ABSENT)
    found = torch.cat(sizes)
    low, high = float(found.min()), float(found.max())
    ok = low >= 1 - EXACT and high <= 1 + EXACT
    return judged(ok, "unit" if ok else "not-unit", _UNIT, count=len(found), low=f"{low:.4f}", high=f"{high:.4f}")


def _first_of(case: Case, attribute: str) -> list[nn.Module]:
    """What the attention layers of a fresh model in float32 have under that name."""
    model = case.stand.fresh(with_choice(case.stand.config, "precision", "float32", {})).model.eval()
    found = [getattr(m, attribute) for m in model.modules() if isinstance(m, Scores)]
    return [part.requires_grad_(False) for part in found if part is not None]


def _loud_queries(config: Config, norm: nn.Module) -> tuple[Tensor, Tensor]:
    """q_BHTK and k_BGTK as the attention makes them, of another size for every token."""
    from tfx_engine.techniques.counts import head_shape

    shape, device = head_shape(config), next(iter(norm.parameters())).device
    sizes_T1 = LOUD * torch.logspace(0, 1, 5)[:, None]
    generator = torch.Generator().manual_seed(0)
    q = torch.randn(1, shape.heads, 5, shape.width, generator=generator) * sizes_T1
    k = torch.randn(1, shape.key_heads, 5, shape.width, generator=generator) * sizes_T1
    return q.to(device), k.to(device)


@torch.no_grad()
def normed(case: Case, claim: Normed) -> Evidence:
    """Every norm of the model, with its first weights, on tokens of very different size and mean."""
    stand = case.stand
    model = stand.fresh(with_choice(stand.config, "precision", "float32", {})).model.eval()
    norms = alike(model, case.technique.build(case.options, stand.config))
    width = stand.config.model.width
    x_BTD = torch.randn(2, 5, width, generator=torch.Generator().manual_seed(0))
    x_BTD = (x_BTD * LOUD * torch.logspace(0, 2, 5)[:, None] + LOUD).to(stand.device)
    low, high, mean = 1.0, 1.0, 0.0
    for norm in norms:
        if not norm(torch.zeros_like(x_BTD)).isfinite().all():
            return broken("not-finite", _NOT_FINITE)
        y_BTD = norm(x_BTD).double()
        square = y_BTD.square().mean(-1)
        low, high = min(low, float(square.min())), max(high, float(square.max()))
        mean = max(mean, float(y_BTD.mean(-1).abs().max()))
    if not norms or width < 2:
        raise Untried("absent", _ABSENT)
    ok = low >= 1 - 1e-2 and high <= 1 + 1e-2 and (mean <= 1e-2 or not claim.centred)
    words = {"low": f"{low:.4f}", "high": f"{high:.4f}", "mean": f"{mean:.1e}", "count": len(norms)}
    return judged(ok, "normed" if ok else "not-normed", _NORMED if ok else _NOT_NORMED, **words)


def alike(model: nn.Module, built: nn.Module) -> list[nn.Module]:
    """The modules of a model that are of the same kind as one that a technique has built."""
    return [m for m in model.modules() if type(m) is type(built)]


@torch.no_grad()
def bounded(case: Case, claim: Bounded) -> Evidence:
    """Far too large inputs: for the head its own vectors, for scores any numbers."""
    stand, bound = case.stand, float(getattr(case.options, claim.bound))
    model = stand.shared()
    if case.technique.slot == "head":
        x_BTD = model.hidden(stand.batch[0][:1])[:, :4]
        found = float(model.head(LOUDEST * x_BTD).abs().max())
    else:
        layers = [m for m in model.modules() if isinstance(m, Scores)]
        if any(layer.softcap is None for layer in layers):
            return broken("not-there", _NO_CAP, layer=next(m.layer + 1 for m in layers if m.softcap is None))
        scores = torch.linspace(-LOUDEST, LOUDEST, 101)
        found = max((float(layer.softcap(scores).abs().max()) for layer in layers if layer.softcap), default=0.0)
    ok = 0.9 * bound <= found <= bound * (1 + EXACT)
    return judged(ok, "within" if ok else "beyond", _BOUND, found=f"{found:.4g}", inputs=f"{LOUDEST:.0e}",
                  bound=f"{bound:.4g}")


def shares(case: Case, claim: Shares) -> Evidence:
    """The storage of both tables, after a step too."""
    if not case.stand.steps().is_tied:
        head = case.stand.shared().head.weight
        return broken("copied", _COPIED, bytes=head.numel() * head.element_size())
    return held("one", _SHARED)


def own_table(case: Case, claim: OwnTable) -> Evidence:
    """The same, the other way round."""
    one = is_tied(case.stand.shared())
    return judged(not one, "two" if not one else "one", _OWN if not one else _NOT_OWN)


@torch.no_grad()
def routes(case: Case, claim: Routes) -> Evidence:
    """What the router of each layer makes of the run's own tokens."""
    stand = case.stand
    model = stand.shared()
    seen: list[tuple[nn.Module, Tensor, Any]] = []
    routers = [m.router for m in model.modules() if isinstance(getattr(m, "router", None), nn.Module)]
    hooks = [r.register_forward_hook(lambda m, inputs, out: seen.append((m, inputs[0], out))) for r in routers]
    model.hidden(stand.batch[0])
    for hook in hooks:
        hook.remove()
    if not seen:
        raise Untried("absent", _ABSENT)
    wrong = tokens = 0
    low, high = 1.0, 1.0
    for router, x_SD, (weights_SK, experts_SK) in seen:
        scores_SE = (x_SD @ router.weight.T).softmax(-1)
        votes = getattr(router, "votes_E", None)
        scores_SE = scores_SE + case.options.balance_rate * votes if votes is not None else scores_SE
        wanted_SK = scores_SE.topk(case.options.top_k, dim=-1).indices
        lowest_S = scores_SE.gather(-1, wanted_SK).amin(-1) * (1 - 1e-5)
        taken_SK = scores_SE.gather(-1, experts_SK)
        repeated_S = (experts_SK.sort(-1).values.diff(dim=-1) == 0).any(-1)
        few = experts_SK.shape[-1] != case.options.top_k
        wrong += len(x_SD) if few else int(((taken_SK.amin(-1) < lowest_S) | repeated_S).sum())
        tokens += len(x_SD)
        total_S = weights_SK.sum(-1)
        low, high = min(low, float(total_S.min())), max(high, float(total_S.max()))
    if case.options.normalise and not (low >= 1 - EXACT and high <= 1 + EXACT):
        return broken("weights", _WEIGHTS, low=f"{low:.4f}", high=f"{high:.4f}")
    return judged(not wrong, "routed" if not wrong else "misrouted", _MISROUTED if wrong else _ROUTED, wrong=wrong,
                  tokens=tokens, chosen=case.options.top_k)


@torch.no_grad()
def quiet(case: Case, claim: Quiet) -> Evidence:
    """Passes with other seeds; in training the whole batch several times over, so that something is drawn."""
    stand = case.stand
    training = stand.training()
    found: dict[bool, list[Tensor]] = {True: [], False: []}
    for is_training in (False, True):
        training.model.train(is_training)
        for seed in range(2 if not is_training else 8):
            torch.manual_seed(seed)
            with training.precision():
                found[is_training].append(training.model.hidden(stand.batch[0]))
    if not torch.equal(*found[False]):
        return broken("loud", _LOUD)
    first, *others = found[True]
    if all(torch.equal(first, other) for other in others):
        return broken("dead", _DEAD)
    return held("quiet", _QUIET)


@torch.no_grad()
def tells_order(case: Case, claim: TellsOrder | TellsNoOrder) -> Evidence:
    """Equal vectors, queries and keys at all places: where places show."""
    stand, where = case.stand, []
    model = stand.shared()
    position, inputs = model.position, stand.batch[0][:1]
    with watched_rotation(position) as calls:
        model.hidden(inputs)
    x_BTD = torch.ones(1, stand.config.model.context, stand.config.model.width, device=stand.device)
    if _varies(position(x_BTD)[0]):
        where.append("x")
    for q_BHTK, k_BGTK, layer in calls:
        q, k = position.rotate(q_BHTK[:, :, :1].expand_as(q_BHTK), k_BGTK[:, :, :1].expand_as(k_BGTK), layer)
        if _varies(q[0, 0]) or _varies(k[0, 0]):
            where.append(f"q, k ({layer + 1})")
    bias = position.bias(x_BTD.shape[1], stand.device, torch.float32)
    if bias is not None and _varies(bias[0]):
        where.append("scores")
    if isinstance(claim, TellsNoOrder):
        return judged(not where, "silent" if not where else "order", _ORDER if where else _NO_ORDER,
                      where=", ".join(where[:3]))
    return judged(bool(where), "order" if where else "silent", _ORDER if where else _NO_ORDER,
                  where=", ".join(where[:3]))


@contextlib.contextmanager
def watched_rotation(position: Position) -> Iterator[list[tuple[Tensor, Tensor, int]]]:
    """Keeps the queries, keys and layer numbers that positions are given to rotate."""
    calls: list[tuple[Tensor, Tensor, int]] = []
    inner = position.rotate

    def rotate(q_BHTK: Tensor, k_BGTK: Tensor, layer: int) -> tuple[Tensor, Tensor]:
        calls.append((q_BHTK, k_BGTK, layer))
        return inner(q_BHTK, k_BGTK, layer)

    setattr(position, "rotate", rotate)  # noqa: B010  before the class's own
    try:
        yield calls
    finally:
        delattr(position, "rotate")


def _varies(rows: Tensor) -> bool:
    """Whether rows differ from each other."""
    return rows.shape[0] > 1 and float((rows - rows[:1]).abs().max()) > DIFFERENT
