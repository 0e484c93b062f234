"""The phase `audit` of a run: its findings are in the run file, and nothing that was measured depends on it."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from tests.helpers.tiny import tiny_config
from tests.helpers.worker import queue_run, read
from tfx_engine.data import make_task
from tfx_engine.model import weights
from tfx_engine.model.assemble import assemble
from tfx_engine.protocol.claims import CLAIMS
from tfx_engine.techniques.adapter import is_adapter
from tfx_engine.train.control import ON_REQUEST, StopFlag
from tfx_engine.worker import run as run_module
from tfx_engine.worker.audit import PROOFS, phase, stand
from tfx_engine.worker.audit.finding import broken
from tfx_engine.worker.run import execute
from tfx_workbench.runs.rundata import RunData

STEPS = {"warmup_steps": 1, "measure_steps": 2, "audit": True}
LORA = {"adapter": {"use": "lora", "rank": 2}, "recompute": {"use": "every_block"}}


def summary_of(path: Path) -> dict:
    run = RunData(path)
    try:
        return run.load().complete_summary()
    finally:
        run.close()


@pytest.fixture
def audited(tmp_path: Path) -> Path:
    path = queue_run(tmp_path, run=STEPS, techniques=LORA)
    assert execute(path).status == "finished"
    return path


def test_what_the_audit_found_is_in_the_run_file_and_in_the_summary(audited: Path) -> None:
    rows = read(audited, "audit")
    assert {("recompute", "every_block", "same"), ("adapter", "lora", "trains-only")} <= {
        (row.slot, row.technique, row.claim) for row in rows}  # fmt: skip
    assert all(row.ok is not False for row in rows) and {row.claim for row in rows} <= CLAIMS.keys()
    assert all("{" not in row.message for row in rows)
    summary = summary_of(audited)
    assert [(row["technique"], row["claim"], row["ok"], row["detail"]) for row in summary["audit"]] == [
        (row.technique, row.claim, row.ok, row.message) for row in rows]  # fmt: skip
    assert "audit" not in summary["missing"]
    stand_ = summary["audit_stand"]
    assert (stand_["layers"], stand_["of_samples"], stand_["weights"]) == (2, 2, "run")
    last = [event.code for event in read(audited, "events") if event.kind == "phase"][-1]
    assert last == "audit", "the first figures are not kept waiting"


@pytest.mark.parametrize("switch", ["audit", "probes"])
def test_an_audit_that_is_switched_off_says_so(tmp_path: Path, switch: str) -> None:
    path = queue_run(tmp_path, run={**STEPS, switch: False})
    assert execute(path).status == "finished"
    assert not read(path, "audit") and f"({switch} = false)" in summary_of(path)["missing"]["audit"]


@pytest.mark.parametrize("adapter", ["none", "lora"])
def test_a_copy_with_fewer_blocks_has_the_weights_on_disk_in_those_that_it_keeps(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, adapter: str
) -> None:
    deep = {"layers": 5}
    trained = assemble(tiny_config(model=deep), "cpu")
    with torch.no_grad():
        for parameter in trained.parameters():
            parameter.fill_(0.25)
    weights.save(trained, tmp_path / "trained.safetensors", tiny_config(model=deep))
    run = {"start_from": str(tmp_path / "trained.safetensors"), "device": "cpu"}
    config = tiny_config({"adapter": adapter}, model=deep, run=run)
    monkeypatch.setattr(stand, "MULTIPLY_ADDS", 1.0)
    made = stand.Stand(config, torch.device("cpu"), make_task(config))
    assert made.config.model.layers == stand.FEWEST_LAYERS < config.model.layers
    for model, noise in ((made.fresh().model, 0.0), (made.model(), 10 * stand.NOISE)):
        own = {n: p for n, p in model.named_parameters() if not is_adapter(n)}
        assert {n for n in own if n.startswith("blocks.1.")}
        assert all((p - 0.25).abs().max() <= noise for p in own.values()), "and not random ones"


@pytest.mark.parametrize(("precision", "own"), [("bfloat16_autocast", True), ("bfloat16", False)])
def test_a_small_stand_says_so_and_steps_with_the_weights_of_the_run(
    precision: str, own: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tiny_config({"precision": precision}, model={"layers": 5, "context": 90})
    weights_ = {n: torch.full_like(p, 0.25) for n, p in assemble(config, "cpu").named_parameters()}
    monkeypatch.setattr(stand, "MULTIPLY_ADDS", 1.0)
    made = stand.Stand(config, torch.device("cpu"), make_task(config), weights_)
    assert made.facts == {
        "layers": 2, "of_layers": 5, "tokens": 64, "of_tokens": 90, "samples": 2, "of_samples": 3, "weights": "run",
        "precision": precision, "steps_precision": precision if own else "float32",
    }  # fmt: skip
    began: list[bool] = []
    take_steps = stand.take_steps

    def watched(training, batch, draws):
        began.extend(bool((p == 0.25).all()) for p in training.model.parameters())
        return take_steps(training, batch, draws)

    monkeypatch.setattr(stand, "take_steps", watched)
    assert made.steps().moved and began and all(began)
    diverged = {name: p / 0 for name, p in weights_.items()}
    assert stand.Stand(config, torch.device("cpu"), make_task(config), diverged).facts["weights"] == "first"


def test_the_weights_and_the_state_of_the_run_are_as_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = queue_run(tmp_path, run=STEPS, techniques=LORA)
    seen = []

    def watched(setup, writer, stop):
        model, optimizer = setup.training.model, setup.training.optimizer
        tensors = [*model.state_dict().values(), *(v for s in optimizer.state.values() for v in s.values())]
        before = [t.clone() for t in tensors]
        phase.audit_run(setup, writer, stop)
        seen.append(all(torch.equal(a, b) for a, b in zip(before, tensors, strict=True)))
        seen.append(all(p.grad is None for p in model.parameters()))

    monkeypatch.setattr(run_module, "audit_run", watched)
    assert execute(path).status == "finished" and seen == [True, True] and read(path, "audit")


def test_a_run_that_is_stopped_in_its_audit_is_finished_and_says_what_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, stop = queue_run(tmp_path, run=STEPS, techniques=LORA), StopFlag()
    kind = next(k for k in PROOFS if k.name == "trains-only")
    proof = PROOFS[kind]

    def stopped(case, claim):
        stop.set("stopped", ON_REQUEST)
        return proof(case, claim)

    monkeypatch.setitem(PROOFS, kind, stopped)
    outcome = execute(path, stop)
    assert (outcome.status, outcome.reason) == ("finished", "")
    rows, missing = read(path, "audit"), summary_of(path)["missing"]
    assert rows and "every-gradient" not in {row.claim for row in rows}
    assert "before its audit was done" in missing["audit"]


def test_a_broken_claim_is_a_red_row_and_an_event(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kind = next(k for k in PROOFS if k.name == "trains-only")
    monkeypatch.setitem(PROOFS, kind, lambda case, claim: broken("planted", "{what} moved.", what="Everything"))
    path = queue_run(tmp_path, run=STEPS, techniques=LORA)
    assert execute(path).status == "finished"
    assert [row.message for row in read(path, "audit") if row.ok is False] == ["Everything moved."]
    (event,) = [event for event in read(path, "events") if event.code == "audit-broken"]
    assert event.kind == "warning" and "lora" in event.message and "Everything moved." in event.message


def test_an_audit_that_breaks_down_leaves_the_run_finished(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def breaks(*arguments):
        raise RuntimeError("no stand")

    monkeypatch.setattr(phase, "Stand", breaks)
    path = queue_run(tmp_path, run=STEPS)
    assert execute(path).status == "finished"
    assert "RuntimeError: no stand" in summary_of(path)["missing"]["audit"]
    assert any("Traceback" in line.text and "in breaks" in line.text for line in read(path, "logs"))


