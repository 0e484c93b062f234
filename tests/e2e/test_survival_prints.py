"""Rubbish on a worker's stdout, and run after run: `tests/survival/prints.py` and `many_runs.py`, without torch."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.survival import many_runs, prints

STANDIN = "tests.helpers.standin_worker"


@pytest.fixture(autouse=True)
def restored_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """The campaign sets it for good."""
    monkeypatch.setenv("TFX_WORKER_MODULE", STANDIN)


def test_a_megabyte_of_rubbish_from_c_is_in_the_log_and_nowhere_else(tmp_path: Path) -> None:
    rows = prints.noisy_runs(tmp_path / "runs", STANDIN, ("noisy", "noisy"))
    assert not [row for row in rows if row.holds is False]


def test_printing_never_waits_for_a_stopped_service(tmp_path: Path) -> None:
    rows = prints.beside_a_stopped_service(tmp_path / "runs", STANDIN, {"name": "noisy-endless"}, 2.0)
    assert not [row for row in rows if row.holds is False]


def test_one_run_after_the_other_leaves_nothing_behind_in_the_service(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(many_runs.MOST_BYTES, "service", 400_000.0)  # so few runs show no more than a leak of theirs
    rows = many_runs.in_a_service(tmp_path / "runs", runs=12, warm=4)
    assert not [row for row in rows if row.holds is False]
