"""Every number that is shown: its name, unit, definition and formula, one hover away."""

from __future__ import annotations

from typing import Literal

import msgspec

from tfx_engine.protocol.marker import tr_mark

Better = Literal["higher", "lower", "neither"]


class Metric(msgspec.Struct, frozen=True, kw_only=True):
    """One measured quantity. `unit` is the unit of the stored value; the window scales it."""

    name: str
    title: str
    unit: str
    definition: str
    better: Better = "neither"


METRICS: dict[str, Metric] = {m.name: m for m in (
    Metric(name="loss", title=tr_mark("loss"), unit="nats", better="lower",
           definition=tr_mark("Mean cross-entropy of the step's targets, natural logarithm.")),
    Metric(name="held_out_loss", title=tr_mark("held-out loss"), unit="nats", better="lower",
           definition=tr_mark("Mean cross-entropy on data the model never trains on, without dropout.")),
    Metric(name="accuracy", title=tr_mark("accuracy"), unit="", better="higher",
           definition=tr_mark("Share of the held-out targets to which the model gives the highest score.")),
    Metric(name="bits_per_byte", title=tr_mark("bits per byte"), unit="bits", better="lower",
           definition=tr_mark("Held-out loss in bits for each byte of text, whatever the tokens: "
                              "nats / ln 2 / bytes.")),
    Metric(name="step_ms", title=tr_mark("step time"), unit="ms", better="lower",
           definition=tr_mark("Wall time of one optimiser update, device-synchronised; of our probes only the gradient "
                              "norms are in it.")),
    Metric(name="tokens_per_s", title=tr_mark("throughput"), unit="tokens/s", better="higher",
           definition=tr_mark("Tokens in the step / wall time of the step. Reported: the median over measured steps.")),
    Metric(name="learning_rate", title=tr_mark("learning rate"), unit="",
           definition=tr_mark("Learning rate of the first parameter group at this step.")),
    Metric(name="grad_norm", title=tr_mark("gradient norm"), unit="",
           definition=tr_mark("L2 norm over all gradients, before clipping.")),
    Metric(name="layer_grad_norm", title=tr_mark("gradient norm by layer"), unit="",
           definition=tr_mark("L2 norm over the gradients of one layer, before clipping.")),
    Metric(name="update_ratio", title=tr_mark("update ratio"), unit="",
           definition=tr_mark("L2 norm of the step's weight change / L2 norm of the weights; trainable parameters.")),
    Metric(name="layer_update_ratio", title=tr_mark("update ratio by layer"), unit="",
           definition=tr_mark("L2 norm of the weight change / L2 norm of the weights, per layer.")),
    Metric(name="allocated_bytes", title=tr_mark("allocated"), unit="bytes", better="lower",
           definition=tr_mark("Bytes handed out by torch's allocator: the maximum within the step.")),
    Metric(name="reserved_bytes", title=tr_mark("reserved"), unit="bytes", better="lower",
           definition=tr_mark("Bytes that torch's allocator holds from the device.")),
    Metric(name="device_bytes", title=tr_mark("device memory"), unit="bytes", better="lower",
           definition=tr_mark("Bytes in use on the device, by all processes, as the device reports them.")),
    Metric(name="rss_bytes", title=tr_mark("process memory"), unit="bytes", better="lower",
           definition=tr_mark("Resident set size of the worker process.")),
)}

CATEGORIES = ("parameters", "gradients", "optimizer", "activations", "adapters", "temporary", "other")
CATEGORY_DEFINITIONS = {
    "parameters": tr_mark("Weights and biases of the model, without adapters."),
    "gradients": tr_mark("Gradients of all trainable parameters, those of adapters included."),
    "optimizer": tr_mark("State that the optimiser keeps between steps, such as moments."),
    "activations": tr_mark("Made in the forward pass (or made again by recompute) and kept for the backward pass."),
    "adapters": tr_mark("Weights that an adapter adds."),
    "temporary": tr_mark("Scratch within an operator or a phase: gone before the phase ends."),
    "other": tr_mark("What is left: buffers, masks, the batch."),
}
