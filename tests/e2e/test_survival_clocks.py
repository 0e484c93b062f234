"""Clocks that jump, sleep, and a stop of everything: the campaign of `tests/survival/clocks.py`, without torch."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.survival import clocks


@pytest.fixture(autouse=True)
def restored_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """The campaign sets it for good. A busy machine may let a step wait; no clock of a jump goes by so little."""
    monkeypatch.setenv(clocks.FILE, "")
    monkeypatch.setattr(clocks, "UNEVEN_MS", 20_000.0)


@pytest.mark.parametrize("part", [clocks.jumps, clocks.jumps_between_processes, clocks.sleeps,
                                  lambda home: clocks.all_stopped(home, 2.0)],
                         ids=["jumps", "between processes", "sleep", "all stopped"])
def test_no_clock_but_the_steady_one_says_how_long_anything_took(tmp_path: Path, part) -> None:
    assert not [row for row in part(tmp_path) if row.holds is False]
