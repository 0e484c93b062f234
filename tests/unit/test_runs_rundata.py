"""A run as its readers see it: live and ended, short and long, in bounded memory."""

from __future__ import annotations

import contextlib
import itertools
import shutil
import sqlite3

import numpy as np
import pytest

from tests.helpers.synthetic_run import make_config, running, write_run
from tfx_engine.protocol.metrics import CATEGORIES
from tfx_engine.runfile.create import create
from tfx_engine.runfile.errors import RunFileError
from tfx_engine.runfile.reader import RunReader
from tfx_engine.runfile.rows import AttentionCapture, Evaluation
from tfx_engine.runfile.writer import RunWriter
from tfx_workbench.runs import detail, rollupcolumns, stepcolumns
from tfx_workbench.runs.rundata import RunData
from tfx_workbench.runs.stepcolumns import CAPACITY, read_measured
from tfx_workbench.runs.thinned import (
    MOST_CAPTURES,
    MOST_EVALUATIONS,
    MOST_PROBES,
    thinned_captures,
    thinned_evaluations,
    thinned_probes,
)


@pytest.fixture
def opened():
    """Opens runs and closes them at the end."""
    runs: list[RunData] = []

    def open_run(path) -> RunData:
        runs.append(RunData(path))
        return runs[-1]

    yield open_run
    for run in runs:
        run.close()


@pytest.fixture(scope="module")
def long_run(tmp_path_factory):
    """A run of 20,000 steps with one spike, and its path."""
    path = tmp_path_factory.mktemp("long") / "long.tfx"
    config = make_config("long", steps=20_000, warmup_steps=0)
    create(path, config, "")
    with RunWriter(path) as writer:
        writer.state("running")
        for step in range(1, 20_001):
            spike = 90.0 if step == 777 else 0.0
            columns = {"step_ms": 4.0 + step % 3 + spike, "tokens": 100, "loss": 5.0 - step / 10_000}
            writer.step(step=step, phase="measure", t_ms=5.0 * step,
                        layer_grad_norm=np.array([1.0, spike], np.float32), **columns)
        writer.state("finished")
    return path


def test_a_finished_run_is_read_whole_and_then_rests(opened, tmp_path):
    run = opened(write_run(tmp_path / "a.tfx", steps=40))
    assert {"info", "steps", "memory", "attention", "device", "evaluations", "events"} <= run.refresh()
    while run.refresh():
        pass
    assert len(run.series("loss")) == len(run.steps) == 43
    assert run.refresh() == frozenset()


def test_a_live_run_gives_what_was_added_since(opened, tmp_path):
    with running(tmp_path / "a.tfx") as writing:
        run = opened(writing.writer.path).load()
        assert run.is_live
        writing.advance(5)
        writing.writer.flush()
        assert "steps" in run.refresh()
        assert len(run.steps) == 5
        assert run.refresh() - {"info"} == frozenset()
        writing.advance(2)
        writing.writer.flush()
        run.refresh()
        assert run.series("loss").x.tolist() == [1, 2, 3, 4, 5, 6, 7]
        writing.end("finished")
    run.load()
    assert run.status == "finished"


def test_live_and_reopened_show_the_same(opened, tmp_path):
    with running(tmp_path / "a.tfx", steps=100) as writing:
        live = opened(writing.writer.path)
        for _ in range(20):
            writing.advance(5)
            writing.writer.flush()
            live.refresh()
        writing.end("finished")
    live.load()
    again = opened(tmp_path / "a.tfx").load()
    for column in ("loss", "step_ms", "tokens_per_s", "rss_bytes"):
        assert np.array_equal(live.series(column).mean, again.series(column).mean, equal_nan=True)
    assert np.array_equal(live.layers("layer_grad_norm")[1], again.layers("layer_grad_norm")[1])
    assert live.summary() == again.summary()


def test_what_is_added_to_an_ended_run_is_in_its_summary_at_once(opened, tmp_path):
    path = write_run(tmp_path / "a.tfx", steps=20)
    run = opened(path).load()
    before = len(run.summary()["audit"])  # of this moment, which no later one may live on
    with contextlib.closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("INSERT INTO audit (t_ms, slot, technique, claim, ok, code, template) "
                           "VALUES (1, 'norm', 'layer_norm', 'normed', 1, 'normed', 'It is.')")
    assert "audit" in run.refresh()
    assert len(run.summary()["audit"]) == before + 1


@pytest.mark.parametrize("steps", [20, 9000, 21_000])
def test_steps_that_only_say_where_time_goes_are_in_no_curve(steps, opened, tmp_path):
    create(tmp_path / "a.tfx", make_config(warmup_steps=0), "")
    norms = np.ones(2, np.float32)
    with RunWriter(tmp_path / "a.tfx") as writer:
        writer.state("running")
        for step in range(1, steps + 9):
            is_last = step > steps
            writer.step(
                step=step, phase="profile" if is_last else "measure", taint="profile" if is_last else None,
                step_ms=900.0 if is_last else 1.0, tokens=1, loss=99.0 if is_last else 1.0, t_ms=float(step),
                layer_grad_norm=50 * norms if is_last else norms,
            )
    run = opened(tmp_path / "a.tfx").load()
    for window in (None, (steps - 15, steps + 20)):
        for column, value in (("loss", 1.0), ("step_ms", 1.0), ("tokens_per_s", 1000.0)):
            series = run.series(column, window=window)
            assert series.x[-1] == steps and set(series.low) == set(series.high) == {value}, column
    at, values = run.layers("layer_grad_norm")
    assert at[-1] <= steps and values.max() == 1.0
    assert run.measured("step_ms").max() == run.every_measured("step_ms").max() == 1.0


def test_the_final_loss_is_that_of_the_last_step_that_trained(opened, tmp_path):
    path = write_run(tmp_path / "a.tfx", steps=20)
    final = opened(path).load().summary()["loss"]["final"]
    with contextlib.closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("INSERT INTO step (step, phase, t_ms, loss) VALUES (999, 'profile', 1e9, 123.0)")
    assert opened(path).load().summary()["loss"]["final"] == final


def test_a_writer_that_is_gone_without_a_word_leaves_an_interrupted_run(opened, tmp_path):
    path = write_run(tmp_path / "a.tfx", status="running", steps=9)
    run = opened(path).load()
    assert run.status == "interrupted"
    assert run.summary()["steps"] == 12


def test_what_is_recorded_of_an_abandoned_run_later_is_seen(opened, tmp_path):
    with running(tmp_path / "live" / "a.tfx") as writing:
        writing.advance(5)
        writing.writer.flush()
        shutil.copytree(tmp_path / "live", tmp_path / "killed")
    path = tmp_path / "killed" / "a.tfx"
    run = opened(path).load()
    while run.refresh():
        pass
    assert (run.info.status, run.info.recorded_status, run.refresh()) == ("interrupted", "running", frozenset())
    with RunWriter(path) as writer:
        writer.state("failed", "It was killed.")
    assert "info" in run.refresh()
    assert (run.info.recorded_status, run.info.reason) == ("failed", "It was killed.")


def test_a_queued_run_has_no_steps_and_says_why_figures_are_missing(opened, tmp_path):
    run = opened(write_run(tmp_path / "a.tfx", status="queued")).load()
    summary = run.summary()
    assert summary["status"] == "queued"
    assert summary["tokens_per_s"]["median"] is None
    assert summary["missing"]["tokens_per_s.median"]
    assert len(run.series("loss")) == 0
    assert run.layers("layer_grad_norm")[0].size == 0
    assert run.progress().fraction == 0


def test_a_long_run_takes_bounded_memory_and_keeps_its_spike(opened, long_run):
    run = opened(long_run).load()
    series = run.series("step_ms", points=1000)
    assert len(series) <= 1000
    assert series.high.max() == 94.0  # 777 is divisible by 3
    assert series.x[-1] == 20_000
    assert np.all(np.diff(series.x) > 0)
    assert len(run.steps.raw("loss")) == CAPACITY
    assert run.layers("layer_grad_norm", 600)[1].max() == 90.0
    assert len(run.layers("layer_grad_norm", 600)[0]) <= 600


def test_a_long_run_has_the_same_shape_from_rollups_as_from_its_steps(opened, long_run):
    run = opened(long_run).load()
    by_step, by_time = run.series("loss"), run.series("loss", x="t_s")
    assert np.allclose(by_step.mean, 5.0 - by_step.x / 10_000, atol=0.01)
    assert np.allclose(by_time.x, by_step.x * 0.005)


def test_the_complete_summary_of_a_long_run_counts_every_step(opened, long_run):
    run = opened(long_run).load()
    assert run.summary()["step_ms"]["steps"] == CAPACITY
    complete = run.complete_summary()
    assert complete["step_ms"]["steps"] == complete["measured_steps"] == 20_000
    assert complete["step_ms"]["median"] == 5.0
    assert complete["loss"]["first"] == pytest.approx(4.9999)


@pytest.mark.parametrize(("x", "scale"), [("step", 1.0), ("t_s", 0.005)])
@pytest.mark.parametrize(("low", "high", "steps_per_point"), [
    (700, 860, 1), (1, 20_000, 32), (600, 3000, 4), (19_800, 20_000, 1), (11_000, 20_000, 16), (0, 10, 1)])
def test_a_stretch_of_a_long_run_is_shown_in_detail(opened, long_run, x, scale, low, high, steps_per_point):
    run = opened(long_run).load()
    series = run.series("step_ms", x, points=800, window=(low * scale, high * scale))
    assert (np.diff(series.x) > 0).all(), "in order, nothing twice"
    assert series.x[-1] == pytest.approx(20_000 * scale)
    inside = (series.x >= low * scale) & (series.x <= high * scale)
    assert np.diff(series.x[inside]).max() <= (steps_per_point + 0.5) * scale
    assert series.high.max() == 94.0, "the spike is there whether it is looked at or not"
    expected = {step: 4.0 + step % 3 + (90.0 if step == 777 else 0.0) for step in range(low, high + 1)}
    if steps_per_point == 1:
        for where, mean in zip(series.x[inside], series.mean[inside], strict=True):
            assert mean == expected[round(where / scale)]


def test_single_steps_are_reached_where_what_is_held_of_the_whole_is_far_too_coarse(opened, long_run, monkeypatch):
    monkeypatch.setattr(stepcolumns, "CAPACITY", 32)
    monkeypatch.setattr(rollupcolumns, "MOST_GROUPS", 4)  # as with ten million steps: groups of 4096
    monkeypatch.setattr(detail, "MOST_ROWS", 150)  # a stretch of three such buckets is 12,288 steps
    run = opened(long_run).load()
    series = run.series("step_ms", window=(727, 827))
    inside = (series.x >= 727) & (series.x <= 827)
    assert series.x[inside].tolist() == list(range(727, 828))
    assert series.mean[inside].tolist() == [4.0 + n % 3 + (90.0 if n == 777 else 0.0) for n in range(727, 828)]


def test_what_is_looked_at_closely_grows_with_a_live_run(tmp_path, opened, monkeypatch):
    monkeypatch.setattr(stepcolumns, "CAPACITY", 64)
    with running(tmp_path / "live.tfx", make_config("live", steps=4000)) as live:
        run = opened(tmp_path / "live.tfx")
        for count in (1000, 10, 30):
            live.advance(count)
            live.writer.flush()
            run.load()
            series = run.series("loss", window=(live.step - 200, live.step + 100))
            assert series.x[series.x > live.step - 190].tolist() == list(range(live.step - 189, live.step + 1))


def test_a_run_that_grows_looks_as_one_that_is_opened_late_and_takes_no_more_memory(tmp_path, opened, monkeypatch):
    monkeypatch.setattr(stepcolumns, "CAPACITY", 16)
    monkeypatch.setattr(rollupcolumns, "MOST_GROUPS", 8)
    with running(tmp_path / "live.tfx", make_config("live", steps=6000)) as live:
        grown = opened(tmp_path / "live.tfx")
        for count in (10, 20, 200, 30, 400, 3800, 16):
            live.advance(count)
            live.writer.flush()
            grown.load()
            late = opened(tmp_path / "live.tfx").load()
            every = late._reader.steps(after_seq=0, limit=10_000)
            for run, x in itertools.product((grown, late), ("step", "t_s")):
                series = run.series("loss", x)
                assert min(live.step, 10) <= len(series) <= 8 + 15 * 3 + 16 and (np.diff(series.x) > 0).all()
                assert (series.low.min(), series.high.max()) == (every["loss"].min(), every["loss"].max())
                size = series.steps_per_point
                assert series.x[[0, -1]].tolist() == ([size, live.step] if x == "step" else
                                                      [every["t_ms"][i] / 1000 for i in (size - 1, -1)])
                assert series.mean[0] == pytest.approx(every["loss"][:size].mean())
    assert live.step == 4476 and size == 512


def test_tainted_and_warm_up_steps_do_not_count(opened, tmp_path):
    create(tmp_path / "a.tfx", make_config(warmup_steps=1), "")
    with RunWriter(tmp_path / "a.tfx") as writer:
        writer.state("running")
        writer.step(step=1, phase="warmup", step_ms=1.0, tokens=10)
        writer.step(step=2, phase="measure", step_ms=2.0, tokens=10)
        writer.step(step=3, phase="measure", step_ms=3.0, tokens=10, taint="clocks")
        writer.step(step=4, phase="measure", step_ms=4.0, tokens=10)
    run = opened(tmp_path / "a.tfx").load()
    assert run.measured("step_ms").tolist() == [2.0, 4.0]
    assert run.summary()["measured_steps"] == 2
    assert run.summary()["left_out_steps"] == 1
    assert run.series("step_ms").phase_mask.tolist() == [False, True, False, True]


def test_disturbed_steps_count_where_there_are_more_of_them_than_of_others(opened, tmp_path):
    create(tmp_path / "a.tfx", make_config(warmup_steps=0), "")
    taints = ["memory probe", "other programs", None, "other programs"]
    with RunWriter(tmp_path / "a.tfx") as writer:
        writer.state("running")
        for step, taint in enumerate(taints, start=1):
            writer.step(step=step, phase="measure", step_ms=float(step), tokens=10, taint=taint)
    run = opened(tmp_path / "a.tfx").load()
    assert run.measured("step_ms").tolist() == [2.0, 3.0, 4.0]
    assert read_measured(run._reader, "step_ms").tolist() == [2.0, 3.0, 4.0]
    summary = run.summary()
    assert (summary["measured_steps"], summary["left_out_steps"], summary["disturbed_steps"]) == (3, 1, 2)


def test_the_composition_at_the_peak_adds_up_to_the_peak(opened, tmp_path):
    memory = opened(write_run(tmp_path / "a.tfx")).load().summary()["memory_bytes"]
    assert memory["peak"] == sum(memory[name] for name in CATEGORIES)


def test_every_null_has_its_reason_and_every_reason_its_null(opened, tmp_path):
    summary = opened(write_run(tmp_path / "a.tfx")).load().summary()
    nulls = set(nulls_in({key: value for key, value in summary.items() if key not in ("missing", "predicted")}))
    assert nulls <= summary["missing"].keys() <= nulls | {"audit", "predicted"}
    assert summary["missing"]["memory_bytes.device"] == "This run is synthetic: there is no device."


def nulls_in(table, prefix=""):
    for key, value in table.items():
        if isinstance(value, dict):
            yield from nulls_in(value, f"{prefix}{key}.")
        elif value is None:
            yield f"{prefix}{key}"


def test_a_loss_that_is_not_a_number_is_null_with_a_reason(opened, tmp_path):
    create(tmp_path / "a.tfx", make_config(), "")
    with RunWriter(tmp_path / "a.tfx") as writer:
        writer.state("running")
        writer.step(step=1, phase="measure", step_ms=1.0, tokens=1, loss=float("nan"))
    summary = opened(tmp_path / "a.tfx").load().summary()
    assert summary["loss"]["final"] is None
    assert "not a number" in summary["missing"]["loss.final"]


def test_attention_maps_are_read_when_they_are_asked_for(opened, tmp_path):
    run = opened(write_run(tmp_path / "a.tfx", layers=2, heads=2)).load()
    capture = run.attention_captures[-1].capture
    weights = run.attention(capture, 1)
    assert weights.shape[0] == 2
    assert run.attention(capture, 1) is weights
    tokens = run.attention_tokens(capture)
    assert tokens is not None
    assert tokens.ndim == 1


def test_captures_are_read_from_the_newest_known_on(opened, tmp_path, monkeypatch):
    with running(tmp_path / "a.tfx") as writing:
        run, maps = opened(writing.writer.path).load(), np.ones((2, 4, 4), np.float16)
        asked: list[int] = []
        read = RunReader.attention_captures

        def watched(reader: RunReader, first: int = 0) -> list[AttentionCapture]:
            asked.append(first)
            return read(reader, first)

        monkeypatch.setattr(RunReader, "attention_captures", watched)
        for capture in (1, 2, 3):
            if capture == 3:  # its second map came after the first was read
                writing.writer.attention(2, 2, 2.0, [maps], layer_indices=[1])
            writing.writer.attention(capture, capture, float(capture), [maps])
            writing.writer.flush()
            assert "attention" in run.refresh()
        assert asked == [0, 1, 2]
        with contextlib.closing(RunReader(run.path)) as reader:
            assert run.attention_captures == read(reader)
    assert [capture.layers for capture in run.attention_captures] == [(0,), (0, 1), (0,)]


def test_of_many_memory_probes_the_highest_stays(opened, tmp_path):
    probes = opened(write_run(tmp_path / "a.tfx")).load().memory_probes
    many = (probes * (5 * MOST_PROBES // len(probes) + 1))
    kept = thinned_probes(many)
    assert len(kept) <= MOST_PROBES
    assert max(p.peak_bytes for p in kept) == max(p.peak_bytes for p in probes)


def test_of_many_evaluations_first_last_and_every_extreme_stay():
    losses = {5: 9.0, 777: float("nan"), 2000: -1.0}
    many = [Evaluation(seq, 10 * seq, 1.0 * seq, losses.get(seq, 3.0), 64) for seq in range(1, 5001)]
    kept = thinned_evaluations(many)
    assert MOST_EVALUATIONS / 4 < len(kept) <= MOST_EVALUATIONS
    assert {1, 5, 777, 2000, 5000} <= {one.seq for one in kept}
    assert [one.seq for one in kept] == sorted({one.seq for one in kept})
    assert thinned_evaluations(many[:MOST_EVALUATIONS]) == many[:MOST_EVALUATIONS]


def test_of_many_captures_of_all_heads_some_stay_all_along_and_all_of_one_head():
    many = [AttentionCapture(i, 10 * i, 1.0 * i, (0,), 4, 1, 2 if i % 500 == 3 else None) for i in range(1, 4001)]
    kept = thinned_captures(many)
    whole, single = ([c.capture for c in kept if (c.head is None) == is_whole] for is_whole in (True, False))
    assert MOST_CAPTURES / 2 < len(whole) <= MOST_CAPTURES and (whole[0], whole[-1]) == (1, 4000)
    assert single == list(range(3, 4000, 500)) and max(np.diff(whole)) <= 2 * np.median(np.diff(whole)) + 1
    assert [c.capture for c in kept] == sorted(c.capture for c in kept)
    assert thinned_captures(many[:MOST_CAPTURES]) == many[:MOST_CAPTURES]


def test_what_is_thinned_again_and_again_keeps_its_beginning_too():
    losses: list[Evaluation] = []
    captures: list[AttentionCapture] = []
    for i in range(1, 5001):
        losses = thinned_evaluations([*losses, Evaluation(i, 10 * i, 1.0 * i, 3.0 + i % 7, 64)])
        captures = thinned_captures([*captures, AttentionCapture(i, 10 * i, 1.0 * i, (0,), 4, 1, None)])
    for steps in ([one.step for one in losses], [one.step for one in captures]):
        held = np.histogram(steps, bins=5, range=(0, 50_000))[0]
        assert held.min() > MOST_CAPTURES / 20 and (steps[0], steps[-1]) == (10, 50_000) and sum(held) <= MOST_CAPTURES


def test_the_evaluations_of_a_long_live_run_reach_from_its_beginning_to_now(opened, tmp_path):
    with running(tmp_path / "a.tfx") as writing:
        run = opened(writing.writer.path)
        for step in range(1, 3 * MOST_EVALUATIONS + 1):
            writing.writer.evaluation(step=step, held_out_loss=1.0 / step, tokens=8)
            if step % 500 == 0:
                writing.writer.flush()
                assert "evaluations" in run.refresh()
    assert len(run.evaluations) <= MOST_EVALUATIONS
    assert (run.evaluations[0].step, run.evaluations[-1].step) == (1, 3 * MOST_EVALUATIONS)


def test_progress_knows_how_long_the_rest_takes(opened, tmp_path):
    with running(tmp_path / "a.tfx", steps=97) as writing:
        writing.advance(50)
        writing.writer.flush()
        progress = opened(writing.writer.path).load().progress()
    assert (progress.done, progress.planned, progress.phase) == (50, 100, "measure")
    assert progress.fraction == 0.5
    step_s = writing.t_ms / 50 / 1000
    assert progress.eta_s == pytest.approx(50 * step_s, rel=0.5)


@pytest.mark.parametrize("content", [b"", b"SQLite format 3\0", b"just words"], ids=["empty", "cut off", "text"])
def test_what_is_no_run_file_is_refused_with_a_sentence(tmp_path, content):
    (tmp_path / "a.tfx").write_bytes(content)
    with pytest.raises(RunFileError, match=r"a\.tfx"):
        RunData(tmp_path / "a.tfx")
