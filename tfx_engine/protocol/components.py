"""The parts of a training step and the components of a model, in words: what time and memory are attributed to.

A component is the slot of the technique that did it, or one of the few here that no slot stands for.
"""

from __future__ import annotations

from tfx_engine.protocol.marker import tr_mark

PARTS: dict[str, str] = {  # in the order of a step
    "data": tr_mark("data"),
    "forward": tr_mark("forward"),
    "loss": tr_mark("loss"),
    "backward": tr_mark("backward"),
    "recompute": tr_mark("recompute"),
    "measure": tr_mark("measuring"),
    "optimizer": tr_mark("optimizer"),
    "other": tr_mark("between the parts"),
}
PART_DEFINITIONS: dict[str, str] = {
    "data": tr_mark("Making the batch and bringing it to the device."),
    "forward": tr_mark("From the tokens to what the head reads."),
    "loss": tr_mark("The head and the loss."),
    "backward": tr_mark("The gradients, without what is computed again."),
    "recompute": tr_mark("Activations computed again within the backward pass."),
    "measure": tr_mark("The workbench's own readings within the step, such as gradient norms."),
    "optimizer": tr_mark("Clipping and the weights' update."),
    "other": tr_mark("What is left of the step: starting its parts, waiting."),
}
COMPONENTS: dict[str, str] = {
    "embedding": tr_mark("embedding"), "position": tr_mark("position"), "norm": tr_mark("norm"),
    "attention": tr_mark("attention"), "mixer": tr_mark("mixer"), "kernel": tr_mark("attention kernel"),
    "mask": tr_mark("mask"), "window": tr_mark("window"), "qk_norm": tr_mark("query-key norm"),
    "softcap": tr_mark("soft cap"), "sink": tr_mark("attention sink"), "gate": tr_mark("attention gate"),
    "feedforward": tr_mark("feed-forward"), "placement": tr_mark("placement"), "residual": tr_mark("residual"),
    "head": tr_mark("output head"), "adapter": tr_mark("adapter"), "loss": tr_mark("loss"),
    "optimizer": tr_mark("optimizer"), "clip": tr_mark("clipping"), "offload": tr_mark("offload"),
    "data": tr_mark("data"), "measuring": tr_mark("measuring"), "compiled": tr_mark("compiled graph"),
    "autograd": tr_mark("autograd"), "idle": tr_mark("device idle"), "other": tr_mark("other"),
}
COMPONENT_DEFINITIONS: dict[str, str] = {
    "kernel": tr_mark("Scores, softmax and values: what the attention kernel computes, without the projections."),
    "attention": tr_mark("The projections of queries, keys, values and output."),
    "compiled": tr_mark("A compiled graph tells nobody which module its operators come from."),
    "autograd": tr_mark("What runs in the backward pass between the gradients of modules."),
    "idle": tr_mark("The device waits: for the host that starts its work, or for data."),
    "other": tr_mark("No module's: what the model's skeleton and torch do around them."),
}
