"""Techniques of the user's own in the window: trusted in the settings, then a toggle like any other."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from PySide6.QtCore import Qt
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import QMessageBox

from tests.helpers.windows import wait, window
from tfx_engine.protocol.trust import load_trusted
from tfx_workbench.app.own_techniques import OwnTechniquesBox

pytestmark = pytest.mark.usefixtures("qapp")
LONG_S = 240.0  # a process of the engine, beside whatever else this machine does
DOCUMENT = Path(__file__).parents[2] / "docs" / "own_technique.md"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The ten-minute page's technique, in a home where nothing is trusted yet."""
    monkeypatch.setenv("TFX_HOME", str(tmp_path / "home"))
    found = re.search(r"```python\n(\"\"\"Sine.*?)```", DOCUMENT.read_text(encoding="utf-8"), re.DOTALL)
    assert found is not None
    place = tmp_path / "mine"
    place.mkdir()
    (place / "sine.py").write_text(found[1], encoding="utf-8")
    return place


def test_a_trusted_folder_adds_a_toggle_and_forgetting_it_takes_it_away(tmp_path: Path, folder: Path) -> None:
    with window(tmp_path) as made:
        box = OwnTechniquesBox(made.own)
        draft = made.session.draft
        draft.set_value("model.width", 96)
        made.own.add(folder)
        wait(lambda: draft.catalogue.find("feedforward", "sine"), "the technique in the catalogue", LONG_S)
        assert "feedforward = sine" in box.status.text() and box.places.count() == 1
        assert draft.values()["model.width"] == 96, "what was written stays"
        draft.choose("feedforward", "sine")
        text = (folder / "sine.py").read_text(encoding="utf-8")
        assert not draft.problems and made.pane.form.rows["feedforward"].chosen == "sine"
        (folder / "sine.py").write_text("raise ValueError('no luck')", encoding="utf-8")
        made.own.look()
        wait(lambda: made.own.found.faults, "the fault", LONG_S)
        assert "sine.py" in made.own.found.faults[0] and "no luck" in box.status.text()
        assert draft.problems, "the draft asks for what is not there any more"
        (folder / "sine.py").write_text(text, encoding="utf-8")
        QGuiApplication.instance().applicationStateChanged.emit(Qt.ApplicationState.ApplicationActive)
        wait(lambda: not draft.problems, "who comes back from the editor finds it mended", LONG_S)
        box.places.setCurrentRow(0)
        box.forget_button.click()
        assert not load_trusted() and box.places.count() == 0
        box.deleteLater()


def test_nobody_s_code_is_loaded_without_a_yes(tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with window(tmp_path) as made:
        box = OwnTechniquesBox(made.own)
        asked: list[str] = []

        def cancel(message: QMessageBox) -> int:
            asked.append(message.informativeText())
            return 0

        monkeypatch.setattr(QMessageBox, "exec", cancel)
        assert not box.confirmed(folder)
        assert "sine.py" in asked[0] and "with your rights" in asked[0]
        assert not load_trusted()
        box.deleteLater()
