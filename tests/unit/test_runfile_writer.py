"""What a writer is told is in the file, soon, in order, whatever it was told with."""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from contextlib import closing

import numpy as np
import pytest

from tests.helpers.synthetic_run import make_config, running, write_run
from tfx_engine.protocol.metrics import CATEGORIES
from tfx_engine.runfile.buffer import Buffer, Item
from tfx_engine.runfile.create import create
from tfx_engine.runfile.errors import RunFileError
from tfx_engine.runfile.reader import RunReader
from tfx_engine.runfile.store import side_files
from tfx_engine.runfile.tables import COLUMNS, TABLES, schema
from tfx_engine.runfile.writer import RunWriter


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "run.tfx"
    create(path, make_config("a run"), "name = 'a run'")
    return path


def test_the_columns_in_python_are_those_of_the_schema(path):
    with closing(sqlite3.connect(path)) as connection:
        tables = {
            table: [row[1] for row in connection.execute(f"PRAGMA table_info({table})")] for table in TABLES
        }
    for table, columns in COLUMNS.items():
        assert [c for c in tables[table] if c in columns or c != "seq"] == list(columns)
    assert sorted(tables) == sorted(
        line.split()[2] for line in schema().splitlines() if line.startswith("CREATE TABLE")
    )


def test_a_run_from_its_first_state_to_its_last(path):
    with RunReader(path) as reader:
        info = reader.info()
        assert (info.status, info.name, info.config_toml) == ("queued", "a run", "name = 'a run'")
        with RunWriter(path) as writer:
            writer.state("running")
            info = reader.info()
            assert (info.status, info.pid, info.is_locked, info.ended_at) == ("running", os.getpid(), True, None)
            assert info.started_at > info.created_at
            writer.state("failed", "It broke.")
        info = reader.info()
        assert (info.status, info.reason, info.is_locked) == ("failed", "It broke.", False)
        assert info.ended_at >= info.started_at
        assert [(e.kind, e.code) for e in reader.events()] == [("state", "running"), ("state", "failed")]
    assert not any(file.exists() for file in side_files(path))


def test_every_kind_of_row_comes_back_as_it_went_in(path):
    weights = np.random.default_rng(0).random((2, 4, 4)).astype(np.float16)
    timeline = np.arange(14).reshape(2, 7)
    with RunWriter(path) as writer:
        writer.step(step=1, phase="warmup", t_ms=1.5, loss=np.float32(2.5), step_ms=10, tokens=np.int64(20),
                    taint="probe", grad_norm=None, layer_grad_norm=np.float64([1, np.inf, np.nan]))
        writer.memory_probe(step=1, phase="measure", t_ms=2.0, peak_bytes=3, composition={"gradients": 1, "other": 2},
                            category_peak={"gradients": 9}, timeline_ms=[0.0, 1.0], timeline=timeline,
                            phases=[("forward", 0.0, 1.0)])
        writer.attention(0, 1, 2.5, [weights, weights / 2], 2, np.arange(8), layer_indices=[0, 3])
        writer.attention(1, 1, 2.5, [weights[:1]], 1, head=1, layer_indices=[2])
        writer.evaluation(step=1, t_ms=3.0, held_out_loss=np.nan, tokens=64)
        writer.device_sample(t_ms=4.0, cpu_percent=50, power_w=np.float32(0.5))
        writer.event("warning", "hot", "{degrees} degrees.", degrees=np.float64(90), file="\udcff")
        writer.log("stderr", "a line\udcff")
        writer.fact("sizes", {"a": np.arange(2), "b": float("nan")})
        writer.missing("power_w", "no sensor")
        writer.prediction("step_ms", 1.25, "instant")
    with RunReader(path) as reader:
        steps = reader.steps()
        first = {name: values[0] for name, values in steps.items()}
        assert (first["loss"], first["tokens_per_s"], first["phase"], first["taint"]) == (2.5, 2000, "warmup", "probe")
        assert steps["seq"].dtype == steps["step"].dtype == np.int64 and np.isnan(steps["grad_norm"][0])
        np.testing.assert_array_equal(reader.layer_steps("layer_grad_norm")[1], np.float32([[1, np.inf, np.nan]]))
        (probe,) = reader.memory_probes()
        assert probe.composition == {**dict.fromkeys(CATEGORIES, 0), "gradients": 1, "other": 2}
        assert probe.category_peak["gradients"] == 9 and probe.phases == (("forward", 0.0, 1.0),)
        np.testing.assert_array_equal(probe.timeline, timeline)
        every, one = reader.attention_captures()
        assert (every.layers, every.heads, every.pool, every.head, every.queries) == ((0, 3), 2, 2, None, 4)
        assert (one.layers, one.heads, one.head) == ((2,), 1, 1)
        np.testing.assert_array_equal(reader.attention(0, 3), weights / 2)
        np.testing.assert_array_equal(reader.attention_tokens(0), np.arange(8))
        assert reader.attention_tokens(1) is None
        assert np.isnan(reader.evaluations()[0].held_out_loss)
        device = reader.device_samples()
        assert device["power_w"][0] == 0.5 and np.isnan(device["temperature_c"][0])
        assert reader.events()[0].message == "90.0 degrees."
        assert reader.logs()[0].text == "a line?"
        assert reader.facts()["sizes"] == {"a": [0, 1], "b": None}
        assert reader.missing() == {"power_w": "no sensor"}
        assert reader.predictions()["step_ms"].value == 1.25


def test_what_is_handed_over_is_visible_to_a_reader_within_a_quarter_of_a_second_without_asking(path):
    with RunWriter(path) as writer, RunReader(path) as reader:
        writer.flush()
        delays = []
        for step in range(1, 5):
            writer.step(step=step, phase="measure")
            start = time.perf_counter()
            while reader.count_steps() < step and time.perf_counter() - start < 5:
                time.sleep(0.005)
            delays.append(time.perf_counter() - start)
    assert min(delays) < 0.25  # the least of four: this machine may be busy


def test_reading_goes_on_from_where_it_stopped(path):
    with RunWriter(path) as writer, RunReader(path) as reader:
        for step in range(1, 8):
            writer.step(step=step, phase="measure", layer_update_ratio=np.float32([step]))
        writer.flush()
        assert reader.steps(limit=4)["step"].tolist() == [1, 2, 3, 4]
        assert reader.steps(after_seq=np.int64(4), columns=["step"])["step"].tolist() == [5, 6, 7]
        assert reader.layer_steps("layer_update_ratio", after_seq=5)[1].tolist() == [[6], [7]]
        assert reader.newest()["step"] == reader.count_steps() == 7


def test_only_one_process_writes_a_run(path):
    with RunWriter(path), pytest.raises(RunFileError) as refused:
        RunWriter(path)
    assert refused.value.problem.code == "in-use"
    assert str(os.getpid()) in refused.value.problem.sentence()


def test_a_run_that_is_closed_while_it_runs_is_interrupted(path):
    with RunWriter(path) as writer:
        writer.state("running")
    with RunReader(path) as reader:
        assert (reader.info().recorded_status, reader.info().reason != "") == ("interrupted", True)


@pytest.mark.parametrize("columns", [{"step": 1}, {"phase": "measure"}, {"step": 1, "phase": "measure", "speed": 3}])
def test_a_step_without_what_it_needs_or_with_what_there_is_not_is_refused_at_once(path, columns):
    with RunWriter(path) as writer, pytest.raises(TypeError, match="a step"):
        writer.step(**columns)


def test_a_composition_that_does_not_add_up_is_refused_at_once(path):
    with RunWriter(path) as writer, pytest.raises(ValueError, match="adds up to 1, the peak is 2"):
        writer.memory_probe(step=1, phase="probe", peak_bytes=2, composition={"other": 1}, category_peak={},
                            timeline_ms=[], timeline=np.empty((0, 7)), phases=[])


def test_a_row_that_cannot_be_stored_costs_itself_alone(path):
    with RunWriter(path) as writer:
        for step in range(1, 40):
            writer.step(step=step, phase="measure", loss=object() if step == 20 else 1.0)
        writer.step(step=10**30, phase="measure")
        writer.attention(0, 1, None, [np.zeros((1, 2, 2), np.float16)])
        writer.attention(0, 2, None, [np.zeros((1, 2, 2), np.float16)])  # the same capture again
        writer.flush()
        assert writer.error is None
    with RunReader(path) as reader:
        assert reader.steps()["step"].tolist() == [*range(1, 20), *range(21, 40)]
        assert reader.rollup(1)["last_step"].tolist() == [16, 33]
        assert [e.args["table"] for e in reader.events() if e.code == "row-refused"] == ["step", "step", "attention"]
        assert len(reader.attention_captures()) == 1


def test_a_waiting_row_is_not_forgotten_by_closing(path):
    with RunWriter(path) as writer:
        for step in range(1, 5001):
            writer.step(step=step, phase="measure")
    with RunReader(path) as reader:
        assert reader.count_steps() == 5000
    with pytest.raises(ValueError, match="closed"):
        writer.step(step=1, phase="measure")


def test_threads_do_not_lose_each_others_rows(path):
    with RunWriter(path) as writer:
        threads = [
            threading.Thread(target=lambda: [writer.log("stdout", "x") for _ in range(500)]) for _ in range(4)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    with RunReader(path) as reader:
        assert reader.newest()["log"] == 2000


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_writer_whose_thread_broke_says_so_at_the_next_call(path):
    writer = RunWriter(path)
    writer.flush()
    writer._place.connection.close()  # no statement works from here on, and waiting will not help
    writer.log("stderr", "x")
    writer._recorder._thread.join(5)
    with pytest.raises(RunFileError, match="cannot be written"):
        writer.log("stderr", "y")
    with pytest.raises(RunFileError):
        writer.close()
    with RunReader(path) as reader:
        assert not reader.info().is_locked


def test_a_full_buffer_makes_its_caller_wait_and_an_urgent_item_ends_a_batch():
    buffer = Buffer(max_bytes=100)
    assert buffer.put(Item("log", 1, 60), 0.01)
    assert not buffer.put(Item("log", 2, 60), 0.01)
    assert [item.values for item in buffer.take(0.0)] == [1]
    assert buffer.put(Item("log", 3, 1000), 0.01)  # larger than all of it: let in alone
    buffer.take(0.0)
    buffer.put(Item("state", 4, 1, threading.Event()), 0.01)
    buffer.put(Item("log", 5, 1), 0.01)
    assert [[item.values for item in buffer.take(10.0)] for _ in range(2)] == [[4], [5]]


def test_a_live_synthetic_run_is_live(tmp_path):
    with running(tmp_path / "live.tfx", steps=50) as run, RunReader(run.writer.path) as reader:
        run.advance(20)
        run.writer.flush()
        assert (reader.info().status, reader.count_steps()) == ("running", 20)
        run.end("finished")
        assert reader.info().status == "finished"


@pytest.mark.parametrize("status", ["queued", "finished", "failed", "stopped", "interrupted"])
def test_a_synthetic_run_has_the_status_it_was_asked_for(tmp_path, status):
    path = write_run(tmp_path / "run.tfx", status=status, steps=30)
    with RunReader(path) as reader:
        assert reader.info().status == status
        assert reader.count_steps() == (0 if status == "queued" else 33)
        for probe in reader.memory_probes():
            assert sum(probe.composition.values()) == probe.peak_bytes == probe.timeline.sum(axis=1).max()
