"""The slots of a transformer and its training, and what a technique of each must provide.

Shapes: B batch, T tokens, D width, H heads, K head width, V vocabulary. Where nothing else is said, the technique has
`build(options, config)`, which gives:

| slot | build gives |
| --- | --- |
| embedding | nn.Module: tokens_BT -> x_BTD, with `.weight` [V, D]; `.dropout` falls on the sum with the positions |
| position | nn.Module: x_BTD -> x_BTD |
| attention | nn.Module: (x_BTD, mask) -> x_BTD; records q, k for probes under its `.label` |
| mask | Mask: `.is_causal`, `.allowed(T, device)` -> bool [T, T], `.bias(T, device)` for the fused kernels |
| feedforward | nn.Module: x_BTD -> x_BTD |
| norm | nn.Module: x_BTD -> x_BTD |
| placement | Placement: `.final_norm`, `.block(attention, feedforward, make_norm)`: (x_BTD, mask) -> x_BTD |
| head | `build(options, config, embedding)`: nn.Module x_BTD -> logits_BTV |
| recompute | Recompute: (index, block, x_BTD, mask) -> x_BTD |
| adapter | Adapter: `.apply(model)`, `.merge(model)`, `.unmerge(model)` |
| precision | Precision: `.context(device_type)` -> context manager, `.tolerance` |
| optimizer | `build(options, params)`: torch.optim.Optimizer over the trainable ones |
| schedule | `build(options, total_steps)`: step (from 0) -> factor on the learning rate |

`reference` is the slow and obvious form that the contract test compares with, outputs and gradients:

| slot | reference |
| --- | --- |
| embedding | (module, tokens_BT) -> x_BTD |
| position, feedforward, norm | (module, x_BTD) -> x_BTD |
| attention | (module, x_BTD, mask) -> x_BTD |
| mask | (T) -> bool [T, T] |
| placement, recompute | (block, x_BTD, mask) -> x_BTD |
| head | (module, x_BTD) -> logits_BTV |
| adapter | (layer, x) -> y |
| precision | (function, *inputs) -> float32 result |
| optimizer | (options, weight, gradients) -> weight after them |
| schedule | (options, total_steps, step) -> factor |

A module whose parameters begin otherwise than `initial.py` says has `initialise_parameter(name, parameter, generator)`.
"""

from __future__ import annotations

from tfx_engine.protocol.cards import SlotCard
from tfx_engine.protocol.marker import tr_mark

_ARCHITECTURE, _SPEED, _TRAINING = tr_mark("Architecture"), tr_mark("Memory and speed"), tr_mark("Training")

SLOTS: dict[str, SlotCard] = {s.name: s for s in (
    SlotCard(name="position", title=tr_mark("Position"), group=_ARCHITECTURE, default="sinusoidal",
             summary=tr_mark("How the model knows the order of the tokens.")),
    SlotCard(name="attention", title=tr_mark("Attention"), group=_ARCHITECTURE, default="multi_head",
             summary=tr_mark("How tokens exchange information.")),
    SlotCard(name="mask", title=tr_mark("Attention mask"), group=_ARCHITECTURE, default="causal",
             summary=tr_mark("Which tokens may look at which.")),
    SlotCard(name="placement", title=tr_mark("Norm placement"), group=_ARCHITECTURE, default="pre_norm",
             summary=tr_mark("Where the norm stands relative to the residual sum.")),
    SlotCard(name="norm", title=tr_mark("Norm"), group=_ARCHITECTURE, default="layer_norm",
             summary=tr_mark("How activations are brought to a common scale.")),
    SlotCard(name="feedforward", title=tr_mark("Feed-forward"), group=_ARCHITECTURE, default="gelu",
             summary=tr_mark("What happens to each token by itself.")),
    SlotCard(name="embedding", title=tr_mark("Embedding"), group=_ARCHITECTURE, default="token",
             summary=tr_mark("How a token becomes a vector.")),
    SlotCard(name="head", title=tr_mark("Output head"), group=_ARCHITECTURE, default="tied",
             summary=tr_mark("How a vector becomes a distribution over tokens.")),
    SlotCard(name="recompute", title=tr_mark("Recompute"), group=_SPEED, default="none",
             summary=tr_mark("Which activations are computed again in the backward pass instead of being kept.")),
    SlotCard(name="precision", title=tr_mark("Precision"), group=_SPEED, default="float32",
             summary=tr_mark("In which number format the model computes.")),
    SlotCard(name="adapter", title=tr_mark("Adapter"), group=_TRAINING, default="none",
             summary=tr_mark("Which small set of weights is trained instead of the whole model.")),
    SlotCard(name="optimizer", title=tr_mark("Optimizer"), group=_TRAINING, default="adamw",
             summary=tr_mark("How gradients become weight changes.")),
    SlotCard(name="schedule", title=tr_mark("Schedule"), group=_TRAINING, default="constant",
             summary=tr_mark("How the learning rate changes over the run.")),
)}
