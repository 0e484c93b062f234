"""One run, from a queued file to its end: everything is in the file, also what went wrong."""

from __future__ import annotations

import datetime
import logging
import re
import threading
import time
from contextlib import closing

import numpy as np
import pytest
import torch

import tfx_engine.api as tfx
from tfx_engine.estimate import Parameters
from tfx_engine.measure.device import NoGpu
from tfx_engine.protocol.messages import Control
from tfx_engine.protocol.metrics import CATEGORIES
from tfx_engine.runfile.create import create
from tfx_engine.runfile.errors import RunFileError
from tfx_engine.runfile.lock import is_locked
from tfx_engine.runfile.mailbox import post
from tfx_engine.runfile.reader import RunReader
from tfx_engine.runfile.store import new_run_path
from tfx_engine.train import stepping
from tfx_engine.train.control import StopFlag
from tfx_engine.worker.run import execute
from tfx_workbench.runs.rundata import RunData

PATIENCE_S = 120.0  # far more than anything takes, also on a machine with ten times as much to do as it can
TINY = {
    "name": "tiny", "seed": 3, "model": {"width": 16, "layers": 2, "heads": 2, "context": 16},
    "run": {
        "batch": 2, "warmup_steps": 2, "measure_steps": 6, "device": "cpu", "threads": 1, "audit": False,
        "profile": False,
    },
}


def queued(store, **changes):
    data = {**TINY, **{k: {**TINY.get(k, {}), **v} if isinstance(v, dict) else v for k, v in changes.items()}}
    config = tfx.load_config(data)
    path = new_run_path(store, config.name, datetime.datetime.now())
    create(path, config, "")
    return path


def read(path, what):
    with closing(RunReader(path)) as reader:
        return getattr(reader, what)()


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    run = {"audit": True, "probe_budget_percent": 100}  # a step of so small a model has no room for anything
    path = queued(tmp_path_factory.mktemp("store"), run=run)
    assert execute(path).status == "finished"
    return path


def test_the_file_says_that_it_is_finished_and_is_given_back(finished):
    info = read(finished, "info")
    assert (info.status, info.reason) == ("finished", "") and info.started_at < info.ended_at
    assert not is_locked(finished) and not finished.with_name(finished.name + "-wal").exists()


def test_every_step_is_in_the_file(finished):
    steps = read(finished, "steps")
    assert steps["step"].tolist() == list(range(1, 10))
    assert steps["phase"].tolist() == ["warmup"] * 2 + ["measure"] * 6 + ["probe"]
    for column in ("loss", "step_ms", "tokens_per_s", "learning_rate"):
        assert (steps[column] > 0).all(), column
    for column in ("grad_norm", "rss_bytes"):  # the 2nd and the 5th measured step go without probes
        assert np.flatnonzero(np.isnan(steps[column])).tolist() == [3, 6] and np.nanmin(steps[column]) > 0, column
    assert np.isnan(steps["reserved_bytes"]).all()


def test_layers_are_in_the_file_and_agree_with_the_global_norm(finished):
    with closing(RunReader(finished)) as reader:
        names, (at, norms) = reader.facts()["layer_names"], reader.layer_steps("layer_grad_norm")
        overall = reader.steps()["grad_norm"]
    overall = overall[np.isfinite(overall)]
    assert names == ["embedding", "block 1", "block 2", "head"] and norms.shape == (len(at), 4)
    np.testing.assert_allclose(np.sqrt((norms.astype(float) ** 2).sum(axis=1)), overall, rtol=1e-5)


def test_memory_attention_and_evaluations_are_in_the_file(finished):
    with closing(RunReader(finished)) as reader:
        probes, captures = reader.memory_probes(), reader.attention_captures()
        weights = reader.attention(captures[0].capture, 1)
        tokens, evaluations = reader.attention_tokens(captures[0].capture), reader.evaluations()
    assert [p.phase for p in probes] == ["warmup", "probe"]
    assert all(sum(p.composition.values()) == p.peak_bytes for p in probes)
    assert set(probes[0].category_peak) == set(CATEGORIES)
    assert weights.shape == (2, 16, 16) and len(tokens) == 16
    assert evaluations[0].step == 0 and evaluations[-1].step == captures[-1].step == 8


def test_the_facts_tell_what_one_must_know_to_repeat_it(finished):
    facts = read(finished, "facts")
    model = tfx.build_model(tfx.load_config(TINY))
    assert facts["params"] == {"total": sum(p.numel() for p in model.parameters()),
                               "trainable": sum(p.numel() for p in model.parameters())}
    assert facts["device"]["kind"] == "cpu" and facts["device"]["name"] and facts["torch"] == torch.__version__
    assert facts["seed"] == 3 and facts["threads"] == 1 and facts["planned_steps"] == 8
    assert len(facts["corpus"]["sha256"]) == 64 and len(facts["token_text"]) == 256
    assert facts["flops_per_token"]["model"] > 0 and facts["capacity_bytes"] > facts["process_base_rss_bytes"] > 0
    assert facts["kernel"] == "flash" and facts["optimizer"] == "AdamW (fused)"


def test_the_kernel_that_was_used_is_told_also_where_nothing_else_is_measured(tmp_path):
    path = queued(tmp_path, techniques={"kernel": "cudnn"}, run={"probes": False})
    execute(path)
    facts = read(path, "facts")
    assert facts["kernel"] == "flash" and facts["kernel_by_layer"] == ["flash", "flash"]
    assert "kernel" not in read(path, "missing")
    with closing(RunReader(path)) as reader:
        (event,) = [e for e in reader.events() if e.code == "another-kernel"]
    assert "cudnn" in event.template.format_map(event.args) and event.kind == "warning"


def test_what_is_missing_has_its_reason(finished):
    missing = read(finished, "missing")
    for key in ("allocated_bytes", "reserved_bytes", "device_bytes", "overhead_percent", "power_w"):
        assert missing[key].endswith("."), key


class RefusingGpu(NoGpu):
    """A driver that refuses a reading only when it is asked for it."""

    def read(self):
        self.missing["power_w"] = "The NVIDIA driver says: Not Supported."
        return {}


def test_what_the_driver_refuses_later_is_missing_with_its_reason_too(tmp_path, monkeypatch):
    monkeypatch.setattr("tfx_engine.measure.device.find_gpu", lambda device: RefusingGpu("cpu"))
    path = queued(tmp_path)
    execute(path)
    assert read(path, "missing")["power_w"] == "The NVIDIA driver says: Not Supported."


def test_flops_are_missing_where_the_techniques_declare_another_model_than_there_is(tmp_path, monkeypatch):
    monkeypatch.setattr("tfx_engine.worker.facts.count_parameters", lambda config: Parameters(1, 1))
    path = queued(tmp_path)
    assert execute(path).status == "finished"
    assert "declare: 1." in read(path, "missing")["flops_per_token.model"]
    assert "flops_per_token" not in read(path, "facts")


def test_the_phases_are_events_in_order(finished):
    phases = [event.code for event in read(finished, "events") if event.kind == "phase"]
    assert phases == ["build", "warmup", "measure", "probe", "audit"]


def test_two_runs_of_one_configuration_have_the_same_losses_to_the_bit(finished, tmp_path):
    again = queued(tmp_path)
    execute(again)
    assert read(again, "steps")["loss"].tolist() == read(finished, "steps")["loss"].tolist()


def test_the_caller_hears_when_the_warm_up_is_over(tmp_path):
    heard = []
    execute(queued(tmp_path), on_warmed_up=heard.append)
    assert heard == ["cpu"]


def test_without_probes_everything_else_is_missing_with_its_reason(tmp_path):
    path = queued(tmp_path, run={"probes": False})
    assert execute(path).status == "finished"
    assert read(path, "missing")["grad_norm"] == "Measuring is switched off for this run (probes = false)."
    assert np.isnan(read(path, "steps")["rss_bytes"]).all() and not read(path, "memory_probes")


def test_python_logging_goes_into_the_file(tmp_path):
    path = queued(tmp_path)
    execute(path, on_warmed_up=lambda device: logging.getLogger("somebody").warning("look out"))
    assert "WARNING somebody: look out" in [line.text for line in read(path, "logs")]


def test_a_failure_is_a_sentence_in_the_file_and_its_traceback_is_in_the_log(tmp_path, monkeypatch):
    def broken(*arguments):
        raise ValueError("the wheel came off\nand rolled away")

    monkeypatch.setattr(stepping, "train_step", broken)
    path = queued(tmp_path)
    outcome = execute(path)
    assert (outcome.status, outcome.reason) == ("failed", "ValueError: the wheel came off")
    info = read(path, "info")
    assert (info.status, info.reason) == ("failed", outcome.reason)
    assert any("Traceback" in line.text for line in read(path, "logs"))
    assert not is_locked(path)


def test_data_that_vanished_fails_the_run_in_words(tmp_path):
    text = tmp_path / "text.txt"
    text.write_text("words " * 1000)
    path = queued(tmp_path, data={"path": str(text)})
    text.unlink()
    outcome = execute(path)
    assert outcome.status == "failed" and str(text) in outcome.reason and "Traceback" not in outcome.reason


def test_running_out_of_memory_says_what_where_and_what_was_held(tmp_path, monkeypatch):
    real = stepping.train_step

    def greedy(training, batch, index, part, *rest):
        if index == 4:
            with part("backward"):
                torch.empty(2**60)
        return real(training, batch, index, part, *rest)

    monkeypatch.setattr(stepping, "train_step", greedy)
    path = queued(tmp_path)
    outcome = execute(path)
    assert outcome.status == "failed"
    assert "Out of memory in the backward pass of step 5: 4,194,304.0 TiB more were asked for" in outcome.reason
    assert "Peak so far:" in outcome.reason and "parameters" in outcome.reason
    event = next(e for e in read(path, "events") if e.code == "out-of-memory")
    assert event.args["asked_bytes"] == 2**62 and event.args["step"] == 5
    assert read(path, "steps")["step"].tolist() == [1, 2, 3, 4]


def test_running_out_of_memory_before_any_split_names_what_lies_there(tmp_path, monkeypatch):
    def greedy(training, batch, index, part, *rest):
        with part("forward"):
            held = torch.ones(2**25)
            torch.empty(2**60)
            del held

    monkeypatch.setattr(stepping, "train_step", greedy)
    outcome = execute(queued(tmp_path))
    assert "in the forward pass of step 1" in outcome.reason
    found = re.search(r"Peak so far: (\d+)\.\d MiB .*activations and temporary", outcome.reason)
    assert found and int(found[1]) >= 128, "also what the step itself held, where the allocator keeps no count"


def test_the_mailbox_pauses_resumes_probes_and_stops_a_run(tmp_path):
    path = queued(tmp_path, run={"measure_steps": 1_000_000})
    for number, message in enumerate(({"action": "pause"}, {"action": "probe", "layer": 0, "head": 1})):
        post(path, Control(id=str(number), **message))
    stop = StopFlag()
    thread = threading.Thread(target=execute, args=(path, stop))
    thread.start()
    try:
        _until(lambda: any(c.head == 1 for c in read(path, "attention_captures")))
        _until(lambda: "paused" in _codes(path))  # it may answer before it holds
        before = read(path, "count_steps")
        post(path, Control(id="3", action="resume"))
        _until(lambda: read(path, "count_steps") > before + 3)
    finally:
        post(path, Control(id="4", action="stop"))
        thread.join(PATIENCE_S)
        stop.set("interrupted", "The test is over.")  # a run that goes on would disturb all that come after
        thread.join()
    info = read(path, "info")
    assert (info.status, info.reason) == ("stopped", "Stopped on request.")
    acknowledged = [e.args["id"] for e in read(path, "events") if e.kind == "control"]
    assert acknowledged == ["0", "1", "3", "4"]


def _codes(path):
    return [event.code for event in read(path, "events")]


def _until(condition):
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_run_that_is_interrupted_before_it_trains_says_so(tmp_path):
    stop = StopFlag()
    stop.set("interrupted", "The engine service ended.")
    path = queued(tmp_path)
    assert execute(path, stop).status == "interrupted"
    assert read(path, "info").reason == "The engine service ended." and read(path, "count_steps") == 0


def test_a_file_that_is_no_run_is_refused(tmp_path):
    path = tmp_path / "not.tfx"
    path.write_text("hello")
    with pytest.raises(RunFileError):
        execute(path)


@pytest.mark.parametrize(("factor", "code", "words"), [
    (0.0, "learns-nothing", "not one of its"), (np.inf, "origin-weight", "in the weights before step"),
])
def test_what_goes_wrong_in_training_is_in_the_file_and_shown(factor, code, words, tmp_path, monkeypatch):
    monkeypatch.setattr("tfx_engine.train.setup.make_schedule", lambda config: lambda index: factor)
    path = queued(tmp_path, techniques={"optimizer": "sgd"})
    outcome = execute(path)
    with closing(RunData(path)) as run:
        summary, logs = run.load().summary(), [line.text for line in run.logs]
    assert (outcome.status, outcome.reason) == ("finished", ""), logs
    assert words in {warning["code"]: warning["message"] for warning in summary["warnings"]}[code]
    assert summary["learns"] is False, "neither what stands still nor what is no number learns"
