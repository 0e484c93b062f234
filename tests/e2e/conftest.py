"""Nobody whom these tests start asks a network for anything."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

OVERHEARD = Path(__file__).resolve().parent.parent / "helpers" / "overheard"
_ALLOWED = frozenset({"test_report_in_a_browser"})  # a browser is not ours


@pytest.fixture(autouse=True, scope="module")
def nobody_asks_a_network(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Every Python process that a test starts notes what it binds, connects to and looks up: there must be nothing."""
    file = tmp_path_factory.mktemp("overheard") / "addresses"
    before = {name: os.environ.get(name) for name in ("PYTHONPATH", "TFX_TESTS_OVERHEARD")}
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(OVERHEARD), before["PYTHONPATH"]]))
    os.environ["TFX_TESTS_OVERHEARD"] = str(file)
    yield
    for name, value in before.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value
    if file.exists() and request.module.__name__.rpartition(".")[2] not in _ALLOWED:
        pytest.fail("a network was asked:\n" + file.read_text(encoding="utf-8"))
