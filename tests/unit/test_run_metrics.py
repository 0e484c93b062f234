"""Figures of a run by the names under which experiments ask for them."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest

from tests.helpers.synthetic_run import write_run
from tfx_workbench.runs.run_metrics import read_metric
from tfx_workbench.runs.rundata import RunData


def test_names_lead_into_the_summary_and_to_what_is_made_of_it(tmp_path: Path) -> None:
    with closing(RunData(write_run(tmp_path / "a.tfx", steps=97, warmup_steps=3))) as run:
        summary = run.load().complete_summary()
        assert read_metric(run, "step_ms.median") == summary["step_ms"]["median"]
        assert read_metric(run, "params.total") == summary["params"]["total"]
        losses = run.steps.raw("loss")
        assert read_metric(run, "loss.last") == pytest.approx(losses[90:100].mean())
        peak, predicted = summary["memory_bytes"]["peak"], summary["predicted"]["memory_bytes"]["peak"]
        assert read_metric(run, "predicted.error_percent") == pytest.approx(100 * abs(predicted / peak - 1)) != 0


def test_what_a_run_does_not_have_is_none(tmp_path: Path) -> None:
    with closing(RunData(write_run(tmp_path / "a.tfx", status="queued"))) as run:
        names = ("loss.last", "loss.final", "predicted.error_percent", "no.such.name", "name", "params", "loss.first.x")
        assert [read_metric(run.load(), name) for name in names] == [None] * len(names)
