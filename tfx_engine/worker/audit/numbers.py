"""Low precision stays near float32, first weights are what they should be, and the steps' rates and bounds hold."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import torch
from torch import Tensor, nn

from tfx_engine.model.assemble import make_schedule
from tfx_engine.protocol.marker import tr_mark
from tfx_engine.techniques.adapter import is_adapter
from tfx_engine.techniques.claims import Begins, Limits, Near, Schedules
from tfx_engine.techniques.counts import placement_of
from tfx_engine.train.step import train_step
from tfx_engine.worker.audit.case import Case
from tfx_engine.worker.audit.comparing import cosine, size_of
from tfx_engine.worker.audit.finding import Evidence, Untried, broken, held, judged
from tfx_engine.worker.audit.stand import with_choice

LARGE = 1e4  # what a loss is multiplied by, so that its gradients are far too large
EXACT = 1e-3  # of a norm in float32
NUMBERS = 2000  # a tensor needs so many for its deviation to be judged, to this share:
SHARE = 0.1
MOST_STEPS = 64

_NEAR = tr_mark(
    "Beside float32: loss off by {loss} (at most {most_loss} is stated), cosine of the gradients {cosine} (at least "
    "{least_cosine}), their length off by {size} (at most {most_size})."
)
_OVERFLOWN = tr_mark("The loss is {loss} in float32 and no finite number in this format: its range is left.")
_NO_NUMBERS = tr_mark("The loss is no finite number in float32 either, so there is nothing to compare.")
_NORM = tr_mark("Gradients of length {before} were cut to {after}; the bound is {bound}.")
_VALUE = tr_mark("The largest number of the gradients was cut from {before} to {after}; the bound is {bound}.")
_TURNED = tr_mark("The gradients were turned: the cosine with what they were is {cosine}.")
_RATES = tr_mark("The learning rates of {steps} steps are those of the formula, and a step of training uses its own.")
_RATE = tr_mark("At step {step} the factor is {found}, by the formula {wanted}.")
_UNUSED = tr_mark("A step of training uses the rate {found}, where {wanted} is due.")
_DRAWN = tr_mark("Mean and deviation of {count} tensors are as said.")
_ELSEWHERE = tr_mark("{name} has mean {mean} and deviation {deviation}; {wanted_mean} and {wanted} are said.")
_TOO_FEW = tr_mark("No tensor has numbers enough to be judged.")
_SMALL = tr_mark("No gradient of this model is large enough to be bounded.")
_MOVED_ON = tr_mark("The gradients are gone before they could be bounded.")


def near(case: Case, claim: Near) -> Evidence:
    """One step against the same step in float32."""
    stand = case.stand
    ours = stand.passed(draws=False)
    shadow = stand.passed(with_choice(stand.config, "precision", "float32", {}), draws=False)
    if not math.isfinite(shadow.loss):
        raise Untried("not-finite", _NO_NUMBERS)
    if not math.isfinite(ours.loss):
        return broken("overflown", _OVERFLOWN, loss=f"{shadow.loss:.4g}")
    loss = abs(ours.loss - shadow.loss) / (abs(shadow.loss) + 1e-30)
    angle, size = cosine(ours, shadow), abs(size_of(ours) / (size_of(shadow) + 1e-30) - 1)
    ok = loss <= claim.loss and angle >= claim.cosine and size <= claim.size
    return judged(
        ok, "near" if ok else "far", _NEAR, loss=f"{loss:.1e}", cosine=f"{angle:.4f}", size=f"{size:.1e}",
        most_loss=claim.loss, least_cosine=claim.cosine, most_size=claim.size,
    )


class Recording(torch.optim.SGD):
    """Keeps the gradients with which it is told to move the weights, and moves none."""

    def __init__(self, parameters: list[nn.Parameter]) -> None:
        super().__init__(parameters, lr=0.0)
        self.seen: list[Tensor] = []

    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        """Look, and leave everything as it is."""
        self.seen = [p.grad.detach().flatten().float().clone()
                     for group in self.param_groups for p in group["params"] if p.grad is not None]  # fmt: skip


def limits(case: Case, claim: Limits) -> Evidence:
    """A step whose loss is multiplied: what reaches the optimiser."""
    stand, found = case.stand, []
    config = with_choice(stand.config, "precision", "float32", {})
    for is_clipped in (False, True):
        fresh = stand.fresh(config)  # a step may leave something behind, such as votes for experts
        optimizer = Recording([p for p in fresh.model.parameters() if p.requires_grad])
        training = dataclasses.replace(
            fresh, optimizer=optimizer, clip=fresh.clip if is_clipped else None,
            nats=lambda *inputs, nats=fresh.nats: LARGE * nats(*inputs),
        )
        torch.manual_seed(0)
        train_step(training, stand.few, 0)
        if not optimizer.seen:
            raise Untried("gone", _MOVED_ON)
        found.append(torch.cat(optimizer.seen))
    before, after, bound = *found, case.options.maximum
    if not float(before.abs().max()) > bound:
        raise Untried("small", _SMALL)
    if claim.what == "value":
        sizes, template = (float(before.abs().max()), float(after.abs().max())), _VALUE
    else:
        sizes, template = (float(before.norm()), float(after.norm())), _NORM
        turned = float(torch.nn.functional.cosine_similarity(before.double(), after.double(), dim=0))
        if not turned > 1 - EXACT:
            return broken("turned", _TURNED, cosine=f"{turned:.4f}")
    ok = sizes[1] <= bound * (1 + EXACT) and sizes[1] > 0.5 * min(bound, sizes[0])
    return judged(ok, "within" if ok else "beyond", template, before=f"{sizes[0]:.3g}", after=f"{sizes[1]:.3g}",
                  bound=f"{bound:.3g}")


def schedules(case: Case, claim: Schedules) -> Evidence:
    """Every factor, and that the training step sets it."""
    stand = case.stand
    total = stand.config.run.warmup_steps + stand.config.run.measure_steps
    factor = make_schedule(stand.config)
    steps = sorted({round(i * (total - 1) / MOST_STEPS) for i in range(MOST_STEPS + 1)})
    for step in steps:
        wanted = case.technique.reference(case.options, total, step)
        if abs(factor(step) - wanted) > 1e-9:
            return broken("factor", _RATE, step=step, found=f"{factor(step):.6g}", wanted=f"{wanted:.6g}")
    training = stand.fresh()
    first = [group["lr"] for group in training.optimizer.param_groups]
    for step in (0, total - 1):
        train_step(training, stand.few, step)
        wanted = first[0] * case.technique.reference(case.options, total, step)
        found = float(training.optimizer.param_groups[0]["lr"])
        if abs(found - wanted) > 1e-6 * abs(first[0]):
            return broken("rate", _UNUSED, found=f"{found:.6g}", wanted=f"{wanted:.6g}")
    return held("as-said", _RATES, steps=len(steps))


def begins(case: Case, claim: Begins) -> Evidence:
    """Large tensors that no module fills itself."""
    stand, judged_tensors = case.stand, 0
    model = stand.fresh(with_choice(stand.config, "precision", "float32", {})).model
    gain = placement_of(stand.config).gain
    seen: set[nn.Parameter] = set()
    for module_name, module in model.named_modules():
        for name, parameter in module.named_parameters(recurse=False):
            full = f"{module_name}.{name}" if module_name else name
            mine = hasattr(module, "initialise_parameter") or is_adapter(full) or not parameter.is_floating_point()
            if mine or parameter in seen or parameter.numel() < NUMBERS:
                continue
            seen.add(parameter)
            mean, deviation = (x * gain(full) for x in case.technique.reference(
                case.options, stand.config, full, parameter))  # fmt: skip
            judged_tensors += 1
            found, spread = float(parameter.detach().mean()), float(parameter.detach().std())
            if abs(found - mean) > SHARE * deviation + 1e-6 or abs(spread - deviation) > SHARE * deviation + 1e-6:
                return broken("drawn-otherwise", _ELSEWHERE, name=full, mean=f"{found:.3g}", deviation=f"{spread:.3g}",
                              wanted_mean=f"{mean:.3g}", wanted=f"{deviation:.3g}")
    if not judged_tensors:
        raise Untried("too-few", _TOO_FEW)
    return held("drawn", _DRAWN, count=judged_tensors)
