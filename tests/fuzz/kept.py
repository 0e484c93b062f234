"""Readers of what the program itself wrote, and of messages."""

from __future__ import annotations

import contextlib
import io
import json
import os
from pathlib import Path
from typing import Any

import msgspec

from tests.fuzz.mutate import as_json
from tests.fuzz.target import Seeds, Target, as_data
from tests.helpers.synthetic_run import make_config
from tfx_engine.protocol import ceilings, ledger, trust
from tfx_engine.protocol.codec import decode_line
from tfx_engine.protocol.experiment_files import shipped_experiments
from tfx_engine.protocol.messages import AnyRequest, Control, FromService
from tfx_engine.protocol.stdio import read_lines
from tfx_engine.protocol.worker_messages import FromWorker, ToWorker
from tfx_engine.runfile import spool
from tfx_engine.runfile.lock import holder, is_locked
from tfx_engine.runfile.mailbox import Mailbox
from tfx_engine.runfile.store import beside
from tfx_workbench.analysis.ablation import make_plan, request_from
from tfx_workbench.analysis.frontier_file import NAME as FRONTIERS
from tfx_workbench.analysis.frontier_file import read_frontiers
from tfx_workbench.runs.experiments import ResultStore
from tfx_workbench.runs.listing import listing_file, load_listing
from tfx_workbench.runs.noise import newest_noise


def _messages(_: Path) -> Seeds:
    config = make_config().as_dict()
    return [as_json(m) for m in (
        {"do": "hello", "id": 1, "protocol": 1, "client": "x"}, {"do": "submit", "id": 2, "runs": [{"config": config}]},
        {"do": "validate", "id": 3, "config": config}, {"do": "estimate", "id": 4, "config": config},
        {"do": "run", "path": "/x", "config": config}, {"do": "turn", "steps": 5}, {"do": "shutdown", "id": 5},
        {"say": "reply", "id": 1, "ok": False, "problems": [{"code": "x", "path": "a.b", "template": "{x}"}]},
        {"say": "notice", "kind": "state", "data": {"run": "x"}}, {"say": "ready"},
        {"say": "ended", "status": "failed"},
        {"id": "1", "action": "probe", "head": 1, "layer": 2},
    )]


def _protocol(data: bytes, _: Path) -> None:
    for line in read_lines(io.BufferedReader(io.BytesIO(data))):  # type: ignore[arg-type]
        for kind in (AnyRequest, FromService, ToWorker, FromWorker, Control):
            with contextlib.suppress(msgspec.DecodeError):
                decode_line(line, kind)


def _beside(data: bytes, folder: Path) -> None:
    """The small files beside a run: mailbox, lock, where it is recorded."""
    run = folder / "beside.tfx"
    for suffix in (".mail", ".lock", ".spool"):
        beside(run, suffix).write_bytes(data)
    Mailbox(run).poll()
    is_locked(run)
    holder(run)
    assert spool.recorded_at(run) == run




def _kept(_: Path) -> Seeds:
    """A file of every kind that the program reads again, as one table."""
    circumstances = {"kind": "cpu", "name": "x", "threads": 2, "torch": "2.9", "driver": "", "capability": ""}
    row = {"technique": "", "value": 4, "predicted_value": 4, "predicted_bytes": 100, "needed_bytes": None,
             "measured_bytes": 90, "reason": ""}
    return [
        as_json({"schema": 1,
                 "frontiers": {"batch": {"name": "a", "grow": "batch", "capacity_bytes": 9, "rows": [row]}}}),
        as_json({"folders": ["/x"], "packages": ["y"]}),
        as_json({"kind": "cpu", "level": "traced", "compiled": False, "predicted_bytes": 5, "measured_bytes": 6}),
        as_json({"circumstances": circumstances, "measured_at": "2026", "times": 1, "products": [], "copies": []}),
        as_json({"device": "cpu x", "percent": 3.0, "measured_at": "2026"}),
        as_json({"format": 1, "store": "/x", "rows": {"a.tfx": [[[1, 2], None], {"path": "a", "name": "n"}]}}),
        as_json({"experiment": "x", "fingerprint": "y", "values": {"a": {"0": {"value": 1.0}}}}),
        as_json({"base": {"name": "x"}, "design": "factorial", "seeds": 2,
                 "factors": [{"path": "model.width", "levels": [64, 128]},
                             {"path": "techniques.adapter", "levels": [{"use": "lora"}, {"use": "none"}]}]}),
    ]


def _keep(data: bytes, folder: Path) -> None:
    """The same bytes in the place of each of these files."""
    store = folder / "store"
    os.environ["TFX_HOME"] = str(folder / "home")
    experiment = shipped_experiments()[0]
    results = store / "experiments" / f"{experiment.name}.json"
    home = trust.settings_folder()
    for path in (store / FRONTIERS, home / "trusted.json", home / "own_catalogue.json", ledger.ledger_file(),
                 ceilings.folder() / "cpu-0.json", home / "noise" / "0.json", listing_file(store), results):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    read_frontiers(store)
    trusted = trust.load_trusted()
    trust.own_catalogue(trusted)
    trust.last_catalogue(trusted)
    ledger.kept()
    ledger.own_error("cpu", "traced", False)
    ceilings.all_ceilings()
    newest_noise()
    load_listing(store)
    ResultStore(store).load(experiment)
    with contextlib.suppress(ValueError, RecursionError):  # of Python's own JSON: runs are read by another
        _plan(json.loads(data))


def _plan(data: Any) -> None:
    if isinstance(data, dict):
        make_plan(request_from(data))


TARGETS = (
    Target("protocol", _messages, _protocol, as_data),
    Target("files beside a run", _messages, _beside, as_data),
    Target("files that were kept", _kept, _keep, as_data),
)
