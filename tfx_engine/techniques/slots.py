"""The slots of a transformer and its training, and what a technique of each must provide.

Shapes: B batch, T tokens, D width, H query heads, G key heads, K head width, V vocabulary (or value width of a head),
F numbers of a frame. Logits are [B, T, V]; of A answers at each token [B, T, A, V]; of C classes [B, C].
`stream` is x_BTD, or several of them where the residual has more. `context` is an `AttentionContext`, `shape` a
`HeadShape`. Where nothing else is said, the technique has `build(options, config)`, which gives:

| slot | build gives |
| --- | --- |
| embedding | nn.Module: tokens_BT or frames_BTF -> x_BTD, `.weight`; `.normed`, `.dropout`: of the sum with positions |
| position | Position (an nn.Module): what it adds to x_BTD, how it rotates q and k, what it adds to the scores |
| mixer | `build(options, config, make_attention)`: nn.Module (x_BTD, context) -> x_BTD |
| attention | `build(options, config, make_scores)`: nn.Module (x_BTD, context) -> x_BTD; see `scores.py` |
| mask | Mask: `.is_causal`, `.is_full`, `.seen_by_all`, `.allowed(T, device)` -> bool [T, T] |
| window | Window: `.size(layer)` -> tokens that a query sees, or None |
| qk_norm | `build(options, config, shape)`: nn.Module (q_BHTK, k_BGTK) -> (q_BHTK, k_BGTK), or None |
| softcap | a function scores -> scores, or None |
| sink | `build(options, config, heads)`: nn.Module () -> logit_H, or None |
| gate | `build(options, config, shape)`: nn.Module (x_BTD, y_BHTV) -> y_BHTV, or None |
| kernel | Kernel: `.attend(q, k, v, scoring)` -> (y_BHTV, name of what was really used) |
| feedforward | nn.Module: x_BTD -> x_BTD; `.auxiliary`, where it has one, is a loss to be added; see `model/` |
| norm | nn.Module: x_BTD -> x_BTD |
| placement | Placement: `.block(parts)`: (stream, context) -> stream; `.final_norm`, what it counts, `.gain` |
| residual | Residual: `.connection(layer, branch)`: (stream, Branch, skip) -> stream, `.enter`, `.leave` |
| head | `build(options, config, embedding, multiplier)`: nn.Module x_BTD -> logits, and `.project`; see `loss/` |
| loss | Loss: (head, x_BTD, targets_BT, counted) -> nats |
| init | Initial: `.fill(name, parameter, generator)`, `.rate`, `.attention_scale`, `.output_multiplier` |
| recompute | Recompute: (index, block, stream, context) -> stream |
| offload | () -> context manager around forward and loss |
| accumulation | int: pieces that the batch is cut into |
| precision | Precision: `.context(device_type)` -> context manager, `.dtype`, `.scaler`, `.convert`, `.tolerance` |
| compile | function -> function |
| adapter | Adapter: `.apply(model)`, `.merge(model)`, `.unmerge(model)`, `.rate` |
| optimizer | `build(options, named, rate)`: torch.optim.Optimizer over the trainable ones of (name, parameter) pairs |
| clip | (parameters) -> None, which bounds their gradients in place; or None |
| update | Update: `.attach(model, make_optimizer)` -> torch.optim.Optimizer |
| schedule | `build(options, total_steps)`: step (from 0) -> factor on the learning rate |

`reference` is the slow and obvious form that the contract test compares with, outputs and gradients:

| slot | reference |
| --- | --- |
| embedding | (module, tokens_BT or frames_BTF) -> x_BTD |
| position | (module, x_BTD, q_BHTK, k_BGTK, layer) -> Positioned |
| feedforward, norm | (module, x_BTD) -> x_BTD |
| mixer, attention | (module, x_BTD, context) -> x_BTD, with no other technique that acts on the scores |
| mask | (T) -> bool [T, T]; with options: (T, options, config) |
| window | (T, layer, options, config) -> bool [T, T] |
| qk_norm | (module, q_BHTK, k_BGTK) -> (q_BHTK, k_BGTK) |
| softcap | (scores, options) -> scores |
| sink | (module, scores_HTS) -> weights_HTS |
| gate | (module, x_BTD, y_BHTV) -> y_BHTV |
| kernel | (q_BHTK, k_BGSK, v_BGSV, scoring) -> y_BHTV |
| placement, recompute, offload | (block, x_BTD, context) -> x_BTD |
| residual | (module, stream, branch, skip) -> stream |
| head | (module, x_BTD) -> logits |
| loss | (options, head, x_BTD, targets_BT) -> nats |
| init | (options, config, name, parameter) -> (mean, deviation) of its numbers |
| accumulation | (options, loss_of, batch) -> nats: a loss of the whole batch |
| adapter | (layer, x) -> y; of one that acts on the scores (attention, x_BTD, context) -> x_BTD |
| precision | (function, *inputs) -> float32 result |
| compile | (function, *inputs) -> result |
| optimizer | (options, weight, gradients) -> weight after them |
| clip | (options, gradients) -> gradients |
| update | (weights, gradients, rate) -> weights after one step of plain descent |
| schedule | (options, total_steps, step) -> factor |

A module whose parameters begin otherwise than the slot `init` says has `initialise_parameter(name, parameter,
generator)`, which returns whether it did it. A module that must do something after each step has `after_step()`.
"""

from __future__ import annotations

from tfx_engine.protocol.cards import SlotCard
from tfx_engine.protocol.marker import tr_mark
from tfx_engine.protocol.tasks import CLASSIFICATION

_ARCHITECTURE, _ATTENTION = tr_mark("Architecture"), tr_mark("Attention")
_SPEED, _TRAINING = tr_mark("Memory and speed"), tr_mark("Training")


def _for_classes(name: str) -> dict[str, str]:
    return dict.fromkeys(CLASSIFICATION, name)


SLOTS: dict[str, SlotCard] = {s.name: s for s in (
    SlotCard(name="position", title=tr_mark("Position"), group=_ARCHITECTURE, default="sinusoidal", common=True,
             summary=tr_mark("How the model knows the order of the tokens.")),
    SlotCard(name="attention", title=tr_mark("Attention"), group=_ARCHITECTURE, default="multi_head", common=True,
             summary=tr_mark("How tokens exchange information.")),
    SlotCard(name="placement", title=tr_mark("Norm placement"), group=_ARCHITECTURE, default="pre_norm", common=True,
             summary=tr_mark("Where the norm stands relative to the residual sum.")),
    SlotCard(name="norm", title=tr_mark("Norm"), group=_ARCHITECTURE, default="layer_norm", common=True,
             summary=tr_mark("How activations are brought to a common scale.")),
    SlotCard(name="feedforward", title=tr_mark("Feed-forward"), group=_ARCHITECTURE, default="gelu", common=True,
             summary=tr_mark("What happens to each token by itself.")),
    SlotCard(name="residual", title=tr_mark("Residual"), group=_ARCHITECTURE, default="plain",
             summary=tr_mark("How a branch joins the stream.")),
    SlotCard(name="embedding", title=tr_mark("Embedding"), group=_ARCHITECTURE, default="token",
             summary=tr_mark("How a token, or a frame of numbers, becomes a vector."),
             task_defaults=_for_classes("frames")),
    SlotCard(name="head", title=tr_mark("Output head"), group=_ARCHITECTURE, default="tied",
             summary=tr_mark("How vectors become a distribution over tokens, or over classes."),
             task_defaults={**_for_classes("classes"), "multi_lag": "untied"}),
    SlotCard(name="mixer", title=tr_mark("Mixer"), group=_ARCHITECTURE, default="attention",
             summary=tr_mark("Whether tokens exchange information by attention at all.")),
    SlotCard(name="init", title=tr_mark("Initial weights"), group=_ARCHITECTURE, default="default",
             summary=tr_mark("Which numbers the weights begin with.")),
    SlotCard(name="mask", title=tr_mark("Attention mask"), group=_ATTENTION, default="causal", common=True,
             summary=tr_mark("Which tokens may look at which."), task_defaults=_for_classes("bidirectional")),
    SlotCard(name="window", title=tr_mark("Window"), group=_ATTENTION, default="none",
             summary=tr_mark("How far back attention looks, layer by layer.")),
    SlotCard(name="qk_norm", title=tr_mark("Query-key norm"), group=_ATTENTION, default="none",
             summary=tr_mark("Whether queries and keys are normed before their scores.")),
    SlotCard(name="softcap", title=tr_mark("Soft cap"), group=_ATTENTION, default="none",
             summary=tr_mark("A smooth bound on the scores.")),
    SlotCard(name="sink", title=tr_mark("Attention sink"), group=_ATTENTION, default="none",
             summary=tr_mark("A place that takes attention and gives nothing.")),
    SlotCard(name="gate", title=tr_mark("Attention gate"), group=_ATTENTION, default="none",
             summary=tr_mark("Whether what attention read is let through or held back.")),
    SlotCard(name="kernel", title=tr_mark("Attention kernel"), group=_SPEED, default="auto",
             summary=tr_mark("Which code computes the attention.")),
    SlotCard(name="recompute", title=tr_mark("Recompute"), group=_SPEED, default="none", common=True,
             summary=tr_mark("Which activations are computed again in the backward pass instead of being kept.")),
    SlotCard(name="offload", title=tr_mark("Offload"), group=_SPEED, default="none",
             summary=tr_mark("Where activations wait for the backward pass.")),
    SlotCard(name="accumulation", title=tr_mark("Accumulation"), group=_SPEED, default="none",
             summary=tr_mark("In how many pieces a batch goes through the model.")),
    SlotCard(name="precision", title=tr_mark("Precision"), group=_SPEED, default="float32", common=True,
             summary=tr_mark("In which number format the model computes.")),
    SlotCard(name="compile", title=tr_mark("Compiling"), group=_SPEED, default="none",
             summary=tr_mark("Whether the model is compiled.")),
    SlotCard(name="adapter", title=tr_mark("Adapter"), group=_TRAINING, default="none", common=True,
             summary=tr_mark("Which small set of weights is trained instead of the whole model.")),
    SlotCard(name="optimizer", title=tr_mark("Optimizer"), group=_TRAINING, default="adamw", common=True,
             summary=tr_mark("How gradients become weight changes.")),
    SlotCard(name="schedule", title=tr_mark("Schedule"), group=_TRAINING, default="constant", common=True,
             summary=tr_mark("How the learning rate changes over the run.")),
    SlotCard(name="loss", title=tr_mark("Loss"), group=_TRAINING, default="cross_entropy",
             summary=tr_mark("What the training makes small.")),
    SlotCard(name="clip", title=tr_mark("Clipping"), group=_TRAINING, default="none",
             summary=tr_mark("A bound on gradients before they move weights.")),
    SlotCard(name="update", title=tr_mark("Weight update"), group=_TRAINING, default="after_backward",
             summary=tr_mark("When weights move.")),
)}
