"""The settings' part about the Python in which runs are done: asked, kept, refused in words, given up."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.helpers.windows import wait
from tfx_engine.protocol import engine_python
from tfx_workbench.app.engine_box import EngineBox


@pytest.fixture
def box(qtbot, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> EngineBox:
    monkeypatch.setenv("TFX_HOME", str(tmp_path / "home"))
    monkeypatch.delenv(engine_python.VARIABLE, raising=False)
    shown = EngineBox()
    qtbot.addWidget(shown)
    return shown


def python(folder: Path, missing: str) -> str:
    """Something that answers as a Python would, at once."""
    found = f'{{"version": [3, 12, 1], "missing": [{missing}], "torch": "2.13.0", "devices": ["A card"]}}'
    file = folder / "python"
    file.write_text(f"#!/bin/sh\necho '{found}'\n")
    file.chmod(0o755)
    return str(file)


def test_a_python_that_can_is_kept_and_given_up_again(box: EngineBox, tmp_path: Path) -> None:
    path = python(tmp_path, "")
    box.ask(path)
    wait(lambda: "A card" in box.status.text())
    assert engine_python.chosen_python() == path
    box.built_in_button.click()
    assert engine_python.chosen_python() is None


def test_a_python_that_cannot_is_not_kept_and_the_reason_is_shown(box: EngineBox, tmp_path: Path) -> None:
    box.ask(python(tmp_path, '"msgspec"'))
    wait(lambda: "pip install msgspec" in box.status.text())
    assert engine_python.chosen_python() is None and box.choose_button.isEnabled()
