"""What a picture of the throughput costs while runs are live: counted, not timed."""

from __future__ import annotations

import contextlib

import numpy as np
import pytest

from tests.helpers.exhibits import views
from tests.helpers.synthetic_run import running, write_run
from tfx_workbench.exhibits import throughput
from tfx_workbench.exhibits.exhibit import Line
from tfx_workbench.exhibits.format import percent
from tfx_workbench.exhibits.kind import exhibit_type

SIZES = {"layers": 3, "heads": 2, "context": 16, "width": 32}


def test_of_many_live_runs_no_more_than_one_interval_is_worked_out_for_a_picture(tmp_path, monkeypatch):
    worked_out = []
    real = throughput.median_interval
    monkeypatch.setattr(throughput, "median_interval", lambda v: worked_out.append(len(v)) or real(v))
    with contextlib.ExitStack() as stack:
        live = [stack.enter_context(running(tmp_path / f"{i}.tfx", steps=4000, **SIZES)) for i in range(4)]

        def picture(*steps):
            for run, count in zip(live, steps, strict=True):
                run.advance(count)
                run.writer.flush()
            for view in shown:
                view.data.load()
            worked_out.clear()
            exhibit_type("throughput").make(shown, {})
            return len(worked_out)

        shown = views([run.writer.path for run in live], focus=0)
        assert picture(100, 100, 100, 100) == 4, "none is known yet"
        assert picture(0, 0, 0, 0) == picture(2, 2, 2, 2) == 0, "too few are new"
        assert picture(50, 60, 70, 80) == 1
        assert [picture(0, 0, 0, 0) for _ in range(5)] == [1, 1, 1, 0, 0], "the others follow, each once"
        for _ in range(8):
            assert picture(40, 40, 40, 40) == 1
        for run in live:
            run.end("finished")
    for view in shown:
        view.data.load()
    exhibit = exhibit_type("throughput").make(shown, {})
    scale = {"k tokens/s": 1e3, "tokens/s": 1.0, "M tokens/s": 1e6}[exhibit.plots[0].y.unit]
    drawn = {layer.colour: layer for layer in exhibit.plots[0].layers if isinstance(layer, Line)}
    for view in shown:  # a run that has ended has its median exactly
        exact = real(view.data.measured("tokens_per_s"))
        line = drawn[view.colour_name]
        assert (line.value * scale, line.low * scale, line.high * scale) == pytest.approx(
            (exact.median, exact.low, exact.high), rel=1e-12)


def test_a_run_that_has_ended_promises_no_step(tmp_path):
    with running(tmp_path / "live.tfx", steps=20, **SIZES) as run:
        run.advance(1)
        run.writer.flush()
        said = [str(exhibit_type("throughput").make(views([path]), {}).sentence) for path in (
            run.writer.path, write_run(tmp_path / "one.tfx", steps=1, warmup_steps=0, **SIZES))]
    assert said[0].endswith("no measured step yet") and said[1].endswith("no measured step")


def test_mfu_stands_beside_the_throughput_with_its_denominators(tmp_path):
    (view,) = views([write_run(tmp_path / "run.tfx", steps=40, **SIZES)])
    facts = view.data.facts
    done = facts["flops_per_token"]["model"] * float(np.median(view.data.measured("tokens_per_s")))
    measured, published = exhibit_type("throughput").make([view], {}).notes
    assert f"MFU {percent(100 * done / 4e11)}" in str(measured)
    assert "of the 400 GFLOP/s that products in float32 reach here" in str(measured)
    assert f"{percent(100 * done / 6e11)} of the 600 GFLOP/s that the maker publishes" in str(published)
    view.data.facts = {**facts, "peak_flops_per_s": {**facts["peak_flops_per_s"], "measured": 1.0}}
    assert exhibit_type("throughput").make([view], {}).notes == ()
