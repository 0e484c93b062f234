"""An audit by itself: of a configuration, or of a run that has ended."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from tfx_engine.data import make_task
from tfx_engine.model.validate import pick_device, validate
from tfx_engine.model.weights import weights_beside
from tfx_engine.protocol.config import parse_config
from tfx_engine.protocol.problems import ConfigError, errors_among
from tfx_engine.runfile.writer import RunWriter
from tfx_engine.worker.audit import audit
from tfx_engine.worker.audit.phase import STAND, record
from tfx_engine.worker.audit.stand import Stand

BUDGET_S = 60.0  # somebody asked for it


def prove(data: Mapping[str, Any], run: str, is_stopped: Callable[[], bool]) -> dict[str, Any]:
    """The findings as data (`audit`), and on what they were tried (`audit_stand`, as the fact of a run).

    With the path of a run both are written to its file as well.

    Raises `ConfigError` where the configuration cannot be run, `RunFileError` where the file cannot be written.
    """
    config, problems = parse_config(dict(data))
    wrong = problems or errors_among(validate(config))
    if wrong:
        raise ConfigError(wrong)
    device, found = pick_device(config.run.device), []
    if config.run.threads is not None:
        torch.set_num_threads(config.run.threads)
    with ExitStack() as stack:
        writer = stack.enter_context(RunWriter(run)) if run else None  # first: a live run is refused at once
        stand = Stand(config, device, make_task(config), _saved(run, device), is_stopped)
        if writer is not None:
            writer.fact(STAND, stand.facts)
        for finding in audit(stand, BUDGET_S):
            if writer is not None:
                record(finding, writer)
            evidence = finding.evidence
            found.append({
                "slot": finding.slot, "technique": finding.technique, "claim": finding.claim, "ok": evidence.ok,
                "code": evidence.code, "template": evidence.template, "args": evidence.args,
            })
        if writer is not None and not is_stopped():
            writer.missing("audit", "")  # whatever kept the run itself from it
    return {"audit": found, STAND: stand.facts}


def _saved(run: str, device: torch.device) -> dict[str, Tensor]:
    """The weights beside a run; none where it has saved none."""
    path = weights_beside(run) if run else Path()
    if not run or not path.is_file():
        return {}
    from safetensors.torch import load_file

    return load_file(path, device=str(device))
