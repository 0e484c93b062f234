"""A run that was double-clicked: the window opens on it, whichever way the system says so."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import QCoreApplication, QUrl
from PySide6.QtGui import QFileOpenEvent
from PySide6.QtWidgets import QApplication

from tests.helpers.synthetic_run import write_five, write_run
from tests.helpers.windows import wait, window
from tfx_workbench.app.file_open import FileOpenEvents
from tfx_workbench.app.main import _begin


def test_the_run_is_shown_and_in_focus_beside_a_library_full_of_others(tmp_path: Path) -> None:
    write_five(tmp_path / "runs", steps=20)
    path = write_run(tmp_path / "Downloads" / "a run of mine.tfx", name="from a colleague", steps=20)
    with window(tmp_path, begun=False) as made:
        _begin(made, [str(path)])
        wait(lambda: len(made.session.runs.rows) == 6 and made.session.runs.views(), "the run")
        assert made.session.runs.ticked == [str(path)]
        assert made.session.runs.focus == str(path)
        assert [line.name for line in made.session.runs.lines() if line.key == str(path)] == ["from a colleague"]


def test_a_file_that_the_system_hands_to_the_running_program_is_opened(qapp: QApplication, tmp_path: Path) -> None:
    path = write_run(tmp_path / "a run of mine.tfx", steps=20)
    opened: list[str] = []
    events = FileOpenEvents(qapp, opened.extend)
    QCoreApplication.sendEvent(qapp, QFileOpenEvent(str(path)))
    QCoreApplication.sendEvent(qapp, QFileOpenEvent(QUrl("tfx://something/that/is/no/file")))
    qapp.removeEventFilter(events)
    assert opened == [str(path)]
