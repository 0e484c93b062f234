"""The phase of a run in which its techniques are audited, after everything else has been measured and saved."""

from __future__ import annotations

import logging

from tfx_engine.protocol.marker import tr_mark
from tfx_engine.runfile.writer import RunWriter
from tfx_engine.train.control import StopFlag
from tfx_engine.train.setup import Setup
from tfx_engine.worker.audit import audit
from tfx_engine.worker.audit.finding import Finding
from tfx_engine.worker.audit.stand import Stand

_BROKEN = tr_mark("The audit found that {technique} ({slot}) does not do what it claims: {message}")
_FAILED = tr_mark("The audit failed: {error}")
_STOPPED = tr_mark("The run was told to end before its audit was done.")
STAND = "audit_stand"  # the fact that says on what the claims were tried
_LOG = logging.getLogger(__name__)


def audit_run(setup: Setup, writer: RunWriter, stop: StopFlag) -> None:
    """Audit the techniques of a trained setup and write what comes of it. Whatever goes wrong, the run stands."""
    weights = {name: p.detach() for name, p in setup.training.model.named_parameters()}
    try:
        stand = Stand(setup.config, setup.device, setup.task, weights, stop.is_set, setup.training)
        writer.fact(STAND, stand.facts)
        for finding in audit(stand):
            if stop.is_set():
                writer.missing("audit", _STOPPED)
                return
            record(finding, writer)
    except Exception as error:
        _LOG.exception("The audit failed.")
        writer.missing("audit", _FAILED.format(error=f"{type(error).__name__}: {error}"))


def record(finding: Finding, writer: RunWriter) -> None:
    """One row; what is not true is an event as well."""
    evidence = finding.evidence
    writer.audit(
        slot=finding.slot, technique=finding.technique, claim=finding.claim, ok=evidence.ok, code=evidence.code,
        template=evidence.template, args=evidence.args,
    )
    if evidence.ok is False:
        writer.event("warning", "audit-broken", _BROKEN, technique=finding.technique, slot=finding.slot,
                     claim=finding.claim, message=evidence.message)
