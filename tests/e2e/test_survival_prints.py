"""Rubbish on a worker's stdout: the campaign of `tests/survival/prints.py` with the stand-in worker, without torch."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.survival import prints

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
