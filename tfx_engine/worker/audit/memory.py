"""Recompute and offload: fewer bytes are kept, and what is not kept is computed again. Both are counted, not timed."""

from __future__ import annotations

import dataclasses
import gc

import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from tfx_engine.data.task import IGNORED
from tfx_engine.estimate import flops_per_token
from tfx_engine.estimate.memory import kept_for_backward
from tfx_engine.measure.memory_events import AllocatorRecording
from tfx_engine.measure.memory_split import can_split
from tfx_engine.protocol.config import Config
from tfx_engine.protocol.marker import tr_mark
from tfx_engine.techniques.claims import KeepsLess, RunsAgain
from tfx_engine.techniques.counts import chosen
from tfx_engine.train.step import Batch, Training, cut, losses, no_name, train_step
from tfx_engine.worker.audit.case import Case
from tfx_engine.worker.audit.finding import Evidence, Untried, judged
from tfx_engine.worker.audit.stand import with_choice

ROUNDING = 0.02  # of the FLOPs that are said to run again

_KEEPS = tr_mark(
    "{ours} bytes are kept for the backward pass, with {plain} {theirs}: {saved} are saved, {said} are predicted, and "
    "at least {share} % of these must be."
)
_NOTHING_SAID = tr_mark("At this size nothing is predicted to be left out.")
_AGAIN = tr_mark("{found} FLOPs more than with {plain} in one step; {said} are said.")
_SILENT = tr_mark("torch's allocator for this device tells the profiler nothing.")
_NOTHING = tr_mark("Nothing in the first block needs a gradient, so there is nothing that could be left out.")
_UNSEEN = tr_mark("What is said to run again are operators whose FLOPs torch does not count, such as a fused LSTM.")
_UNKNOWN = tr_mark("Nobody knows beforehand what runs again.")


def keeps_less(case: Case, claim: KeepsLess) -> Evidence:
    """The bytes that are held when the backward pass begins."""
    stand, plain = case.stand, case.stand.plain(case.technique.slot)
    if not can_split(stand.device):
        raise Untried("silent", _SILENT)
    training = stand.training()
    if not reaches_first_block(training):
        raise Untried("nothing", _NOTHING)
    ours, theirs = kept_bytes(training, stand.batch), kept_bytes(stand.training(plain), stand.batch)
    before, after = (kept_for_backward(of_length(c, stand.batch[0]), stand.device.type) for c in (plain, stand.config))
    saved, said = theirs - ours, before - after
    if said <= 0 and saved <= 0:
        raise Untried("nothing", _NOTHING_SAID)
    ok = saved > 0 and saved >= claim.share * said
    name = f"{case.technique.slot} = {plain.use(case.technique.slot)}"
    return judged(ok, "less" if ok else "not-less", _KEEPS, ours=ours, theirs=theirs, plain=name, saved=saved,
                  said=said, share=round(100 * claim.share))


def reaches_first_block(training: Training) -> bool:
    """Whether the backward pass goes through the first block."""
    model = training.model
    before = (*model.embedding.parameters(), *model.position.parameters(), *model.blocks[0].parameters())
    return any(p.requires_grad for p in before)


def kept_bytes(training: Training, batch: Batch) -> int:
    """What the first piece's forward pass and loss have allocated and not given back.

    Without the states of the random generator that recompute remembers, which do not grow with the model.
    """
    counted = (batch[1] != IGNORED).sum()
    piece = next(cut(batch, training.pieces))
    losses(training, piece, counted, no_name)  # makes what is made once
    gc.collect()  # what a cycle still holds of it would be given back in between
    with AllocatorRecording(batch[0].device) as recording:
        kept = losses(training, piece, counted, no_name)
    del kept
    state = torch.get_rng_state().nbytes
    return sum(change.size for change in recording.changes if abs(change.size) != state)


def runs_again(case: Case, claim: RunsAgain) -> Evidence:
    """The FLOPs of a step, with attention in its plain form, of which torch counts every product."""
    stand, slot = case.stand, case.technique.slot
    if any(t.again is None for t, _ in chosen(stand.config)) or not all(t.is_counted for t, _ in chosen(stand.config)):
        raise Untried("unknown", _UNKNOWN)
    config = of_length(with_choice(stand.config, "kernel", "eager", {}), stand.batch[0])
    plain = with_choice(config, slot, stand.plain(slot).use(slot), {})
    if not reaches_first_block(stand.training(config)):
        raise Untried("nothing", _NOTHING)
    tokens = config.model.context  # of the one sample
    without = flops(case, plain)
    found = flops(case, config) - without
    whole = tokens * flops_per_token(plain).hardware
    said = round(tokens * flops_per_token(config).hardware - whole)
    sees_all = abs(without - whole) <= ROUNDING * whole  # torch counts nothing for some fused operators
    # A sink is one key more than is said.
    most = said * (stand.config.model.context + 1) / stand.config.model.context
    if found == 0 < said <= whole - without:
        raise Untried("unknown", _UNSEEN)
    ok = abs(found - said) <= ROUNDING * said if sees_all or said == 0 else 0 < found <= most
    return judged(ok, "as-said" if ok else "not-as-said", _AGAIN, found=found, said=said,
                  plain=f"{slot} = {plain.use(slot)}")


def of_length(config: Config, inputs: Tensor) -> Config:
    """The configuration with a context as long as samples of the stand are."""
    if inputs.is_floating_point():
        return config
    return dataclasses.replace(config, model=dataclasses.replace(config.model, context=inputs.shape[1]))


def flops(case: Case, config: Config) -> int:
    """Of one step, as torch counts them."""
    training = case.stand.training(config)
    torch.manual_seed(0)
    with FlopCounterMode(display=False) as counter:
        train_step(training, (case.stand.batch[0][-1:], case.stand.batch[1][-1:]), 0)
    return int(counter.get_total_flops())
