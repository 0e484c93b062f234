"""One pass through the model and the loss, written on a tape from what the techniques of a configuration declare."""

from __future__ import annotations

from tfx_engine.protocol.config import Config
from tfx_engine.techniques.costs import OUTSIDE
from tfx_engine.techniques.scores_memory import write_bias
from tfx_engine.techniques.tape import Tape, Value, Widths


def write_pass(config: Config, device: str, batch: int) -> tuple[Tape, Value, list[int]]:
    """The tape of one pass, the loss, and where on the tape each block begins; lastly where they end."""
    tape = Tape(config, device, batch, widths_of(config))
    x = tape.use("embedding")
    x = tape.places.add(tape, x)
    if getattr(tape.options("embedding"), "norm", False):
        x = tape.use("norm", x)
    x = tape.dropout(x, getattr(tape.options("embedding"), "dropout", 0.0))
    write_bias(tape)
    stream, begins = tape.streams.enter(tape, x), []
    for layer in range(config.model.layers):
        begins.append(len(tape.ops))
        tape.layer = layer
        stream = _block(tape, stream)
    begins.append(len(tape.ops))
    tape.layer = OUTSIDE
    x = tape.streams.leave(tape, stream)
    x = tape.use("norm", x) if tape.has_final_norm else x
    return tape, tape.use("loss", x), begins


def widths_of(config: Config) -> Widths:
    """The number formats of a configuration."""
    from tfx_engine.techniques.catalogue import technique_for

    technique, options = technique_for("precision", config.techniques["precision"])
    return technique.memory(options, config) if technique.memory else Widths()


def _block(tape: Tape, stream: Value) -> Value:
    """A block, which may be one operation that runs again."""
    keeps = tape.use("recompute", tape.layer)
    out: Value = tape.use("placement", stream) if keeps is None else tape.again(
        lambda: tape.use("placement", stream), keeps)
    return out
