"""The script of a run that is recorded: what its file says of it."""

from __future__ import annotations

import hashlib
import os
from contextlib import closing
from pathlib import Path
from typing import Any

from tfx_engine.model.weights import weights_beside
from tfx_engine.protocol.config import parse_config
from tfx_engine.protocol.marker import tr_mark
from tfx_engine.protocol.problems import ConfigError, Problem
from tfx_engine.runfile.errors import failure
from tfx_engine.runfile.reader import RunReader
from tfx_engine.runfile.store import absolute
from tfx_engine.runfile.tables import SUFFIX
from tfx_engine.script.make import Recorded, make_script
from tfx_engine.script.source import NoScript

_WITHOUT_PROGRAM = "profile"  # its steps change no weight, and are not the configuration's
_NOT_ENDED = tr_mark("has not ended: its status is {status}.")
_NO_STEP = tr_mark("has no step with a loss to compare with: {reason}")
_NO_WEIGHTS = tr_mark("began with the weights in {file}, which cannot be read any more: {error}.")
_CANNOT = tr_mark("cannot be written as a script. {reason}")
_WAIT = tr_mark("Wait for its end, or stop it.")
_OTHERS = tr_mark("The formats csv, json and bundle take any run that has ended.")
_LOSSES = 64  # of so many steps


def script_of_run(path: str | os.PathLike[str]) -> str:
    """The text of the script. Raises ConfigError (why there is none) and RunFileError."""
    path = Path(path)
    with closing(RunReader(path)) as reader:
        info, facts = reader.info(), reader.facts()
        steps = reader.steps(limit=_LOSSES, columns=("step", "phase", "loss", "process"))
        count = reader.count_steps()
    if info.status in ("queued", "running"):
        raise _refused(path, _NOT_ENDED, status=info.status)
    own = [process == steps["process"][0] and phase != _WITHOUT_PROGRAM  # another process of the run begins anew
           for process, phase in zip(steps["process"], steps["phase"], strict=True)]
    losses = [float(loss) for loss, is_own in zip(steps["loss"], own, strict=True) if is_own]
    if not losses or "params" not in facts or steps["step"][0] != 1:
        raise _refused(path, _NO_STEP, reason=info.reason or info.status)
    config, problems = parse_config(info.config)
    if problems:
        raise ConfigError(problems)
    params = [facts["params"].get(key) for key in ("total", "trainable")]
    if not all(type(n) is int for n in params):
        raise failure("damaged", path, error="its number of parameters is none")
    recorded = Recorded(
        name=info.name, steps=min(count, config.run.warmup_steps + config.run.measure_steps),
        parameters=params[0], trainable=params[1],
        losses=losses, data_sha256=(facts.get("corpus") or {}).get("sha256", ""), made_with=_made_with(facts),
        weights_sha256=_weights_sha256(path, config.run.start_from), version=info.engine_version,
    )
    try:
        return make_script(config, recorded)
    except NoScript as error:
        raise _refused(path, _CANNOT, reason=str(error)) from None


def _made_with(facts: dict[str, Any]) -> dict[str, Any]:
    return {
        "torch": facts.get("torch"), "cpu": facts.get("cpu_capability"), "machine": facts.get("machine"),
        "threads": facts.get("threads"), "device": (facts.get("device") or {}).get("kind"),
    }


def _weights_sha256(run: Path, start_from: str | None) -> str:
    if start_from is None:
        return ""
    path = absolute(start_from)
    path = weights_beside(path) if path.suffix == SUFFIX else path
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise _refused(run, _NO_WEIGHTS, file=str(path), error=error.strerror or str(error)) from None


def _refused(path: Path, template: str, **args: Any) -> ConfigError:
    hint = _WAIT if template == _NOT_ENDED else _OTHERS
    return ConfigError([Problem(code="no-script", path=str(path), template=template, hint_template=hint, args=args)])
