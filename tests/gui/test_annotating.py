"""Tags and notes: asked for, kept in the run's file, taken back."""

from __future__ import annotations

from pathlib import Path

import pytest
from PySide6.QtWidgets import QLineEdit

from tests.helpers.synthetic_run import write_run
from tests.helpers.windows import wait, window
from tfx_workbench.app.window import MainWindow
from tfx_workbench.runs.row import RunRow, read_row
from tfx_workbench.widgets import message_bar


def test_tags_and_notes_are_kept_in_the_files_and_one_undo_takes_them_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(message_bar, "_SHOWN_MS", 10**6)  # as long as the files take, the offer stands
    paths = [write_run(tmp_path / "runs" / f"{name}.tfx", name=name, steps=4) for name in ("a", "b")]
    with window(tmp_path) as made:
        annotating = made.commands._annotating
        keys = [str(path) for path in paths]
        wait(lambda: len(rows_of(made)) == 2)
        made.session.set_tags({keys[0]: ["old", "both"], keys[1]: ["both"]})
        wait(lambda: rows_of(made)[keys[0]].tags == ("old", "both") and rows_of(made)[keys[1]].tags == ("both",))
        dialog = annotating.ask_tags(keys)
        assert dialog.textValue() == "both", "only what all of them have"
        field = dialog.findChild(QLineEdit)
        field.setText("paper, figure 2")
        dialog.accept()
        wait(lambda: rows_of(made)[keys[1]].tags == ("paper", "figure 2"))
        assert read_row(paths[0]).tags == ("old", "paper", "figure 2")
        made.messages._action.click()
        wait(lambda: rows_of(made)[keys[1]].tags == ("both",))
        dialog = annotating.ask_note(keys[0])
        dialog.setTextValue("two\nlines <b>")
        dialog.accept()
        wait(lambda: rows_of(made)[keys[0]].note == "two\nlines <b>")


def rows_of(made: MainWindow) -> dict[str, RunRow]:
    return made.session.runs.rows
