"""Jobs for instruments as JSON lines: one comes in, its answer goes out, and at end-of-file the process ends."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from tfx_engine.client.own import keep_up
from tfx_engine.instruments import measure
from tfx_engine.model.validate import validate
from tfx_engine.protocol.codec import problem_to_data
from tfx_engine.protocol.config import parse_config
from tfx_engine.protocol.experiments import INSTRUMENTS
from tfx_engine.protocol.problems import ConfigError, Problem, errors_among
from tfx_engine.protocol.stdio import Lines


class Job(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One measurement. `weights`: the run, or file of weights, that it starts from."""

    instrument: str
    config: dict[str, Any]
    options: dict[str, float] = {}
    weights: str = ""


def answer_all(lines: Lines) -> None:
    """Answer each job with `{"metrics": {...}}`, or with `{"problems": [...]}`."""
    keep_up()
    for line in lines.receive():
        try:
            metrics = _measured(msgspec.json.decode(line, type=Job))
        except ConfigError as error:
            lines.send({"problems": [problem_to_data(problem) for problem in error.problems]})
        except msgspec.DecodeError as error:
            lines.send({"problems": [problem_to_data(_not_a_job(error))]})
        else:
            lines.send({"metrics": metrics})


def _measured(job: Job) -> dict[str, float]:
    if job.instrument not in INSTRUMENTS:
        raise ConfigError([Problem(
            code="unknown-instrument", path="instrument", template="There is no instrument {name!r}.",
            args={"name": job.instrument},
        )])
    config, problems = parse_config(job.config)
    if errors := errors_among(problems or validate(config)):
        raise ConfigError(errors)
    return measure(job.instrument, config, job.options, Path(job.weights) if job.weights else None)


def _not_a_job(error: Exception) -> Problem:
    return Problem(code="not-a-job", path="", template="This is no job: {error}.", args={"error": str(error)})
