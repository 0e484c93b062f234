"""What a trained model makes of held-out data of another length than that of its training."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from contextlib import nullcontext
from pathlib import Path

from tfx_engine.data import make_task
from tfx_engine.measure.evaluation import evaluate
from tfx_engine.model.assemble import assemble
from tfx_engine.protocol.config import Config


def measure(config: Config, options: Mapping[str, float], weights: Path | None) -> dict[str, float]:
    """`loss.held_out` in nats and `accuracy` (NaN where the task has none) at `context` tokens."""
    trained = dataclasses.replace(config, run=dataclasses.replace(config.run, start_from=str(weights)))
    context = int(options["context"])
    longer = dataclasses.replace(trained, model=dataclasses.replace(trained.model, context=context))
    model, task = assemble(longer, "cpu"), make_task(longer)
    batches = [task.held_out(i) for i in range(task.held_out_batches)]
    found = evaluate(model, batches, task, nullcontext)
    return {"loss.held_out": found.loss, "accuracy": math.nan if found.accuracy is None else found.accuracy}
