"""The end of a run that keeps its weights: what was learnt goes into a file beside the run file."""

from __future__ import annotations

from pathlib import Path

from tfx_engine.model import weights
from tfx_engine.model.assemble import make_adapter
from tfx_engine.protocol.marker import tr_mark
from tfx_engine.runfile.errors import words
from tfx_engine.runfile.writer import RunWriter
from tfx_engine.techniques.adapter import is_adapter
from tfx_engine.train.setup import Setup

_SAVED = tr_mark("The weights are in {file}.")
_NOT_SAVED = tr_mark("The weights could not be saved: {error}.")


def save_weights(setup: Setup, run: Path, writer: RunWriter) -> None:
    """Write the weights of a trained setup; an adapter's are merged into the model's first, where it can be done.

    Where the disk refuses, the run says so, and its measurements stand.
    """
    path = weights.weights_beside(run)
    adapter = make_adapter(setup.config)
    adapter.merge(setup.training.model)
    try:
        weights.save(setup.training.model, path, setup.config, lambda name: not (adapter.merges and is_adapter(name)))
    except OSError as error:
        writer.event("problem", "weights-not-saved", _NOT_SAVED, error=words(error))
        writer.missing("weights", _NOT_SAVED.format(error=words(error)))
    else:
        writer.event("state", "weights-saved", _SAVED, file=path.name)
        writer.fact("weights", path.name)
