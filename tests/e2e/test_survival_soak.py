"""Two minutes of rows at 1,000 a second in a window with twelve panels, fed faster: `tests/survival/soak.py`, small.

The hour in real time, with its slope of memory and its stalls, is by command; what depends on time is told here and not
promised.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.survival import soak

ROWS = 120 * soak.RATE


@pytest.mark.skipif(sys.platform != "linux", reason="what a thread waited for is read from /proc")
def test_two_minutes_of_rows_are_all_kept_and_shown_and_none_is_held(tmp_path: Path) -> None:
    rows = soak.hurried(tmp_path / "home", ROWS)
    print(*rows, sep="\n")
    assert not [row for row in rows if row.holds is False]
