"""Worker, service and window stopped for a moment: the campaign of `tests/survival/stops.py`, small.

Its window says after half a second what otherwise takes five, and its worker is the stand-in: no torch.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

import pytest

from tests.survival import stops
from tests.survival.table import CANNOT_BE_TOLD
from tests.survival.windows import RemoteWindow

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="processes cannot be stopped by a signal there")
STOP_S = 2.5


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """How soon all goes on is told by the command; here that it does, however busy the machine is."""
    monkeypatch.setattr(stops, "LONG_AFTER_S", 20.0)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[stops.Running]:
    home = tmp_path_factory.mktemp("stops") / "home"
    with RemoteWindow(home, worker="tests.helpers.standin_worker", silent_s=0.5, look_ms=150) as window:
        yield stops.Running(window, {"name": "endless"})


@pytest.mark.parametrize("stop", [stops.stop_worker, stops.stop_service, stops.stop_window_once])
def test_the_others_go_on_and_say_what_does_not_respond(running: stops.Running, stop: Any) -> None:
    rows = stop(running, STOP_S)
    assert not [row for row in rows if row.holds is False]


def test_beside_a_stopped_window_steps_go_on_and_the_service_grows_no_fatter(running: stops.Running) -> None:
    rows = stops.pace_beside_window(running, 1.0, pairs=1)
    assert not [row for row in rows if row.holds is False]
    assert CANNOT_BE_TOLD in [row.holds for row in rows], "one pair says nothing of a per cent"
