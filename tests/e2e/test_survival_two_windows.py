"""Two windows on one library: the campaign of `tests/survival/two_windows.py` with the stand-in worker."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.survival import two_windows


def test_each_window_shows_what_the_other_did_and_both_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(two_windows, "SEEN_WITHIN_S", 30.0)  # how soon it is seen the command tells
    rows = two_windows.both(tmp_path / "home", worker="tests.helpers.standin_worker")
    assert not [row for row in rows if row.holds is False]
