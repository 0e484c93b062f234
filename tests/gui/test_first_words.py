"""What the window says when the engine has told what this machine has."""

from __future__ import annotations

from pathlib import Path

import pytest
from PySide6.QtCore import QProcess
from PySide6.QtWidgets import QFileDialog

from tests.helpers.windows import spend, wait, window
from tfx_engine.protocol.messages import Reply
from tfx_workbench.app.device_chip import DeviceChip
from tfx_workbench.app.window import MainWindow

FINE = {"store_refusal": "", "store_free_bytes": 2**40, "automatic_device": "cpu", "cpu": "A CPU", "unused_gpu": None}
OLD = {"names": ["NVIDIA RTX 4090"], "driver": "470.82", "cuda": "11.4", "why": "old-driver", "needs_driver": "525.60"}


def told(made: MainWindow, **facts: object) -> str:
    chip(made)._on_doctor(Reply(id=1, ok=True, result={**FINE, "torch_cuda": "12.8", **facts}))
    return made.messages.text


def chip(made: MainWindow) -> DeviceChip:
    return next(child for child in made.children() if isinstance(child, DeviceChip))


def test_where_all_is_well_nothing_is_said(tmp_path: Path) -> None:
    with window(tmp_path) as made:
        assert told(made) == ""


def test_a_folder_that_cannot_be_written_is_a_warning_that_stays(tmp_path: Path) -> None:
    with window(tmp_path) as made:
        text = told(made, store_refusal="/ro/runs: cannot be written: Read-only file system. Choose a folder")
        assert "Runs cannot be kept" in text and "/ro/runs" in text
        assert made.messages.property("level") == "warning"


def test_another_folder_is_chosen_in_the_window_which_opens_again_on_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[list[str]] = []
    monkeypatch.setattr(QProcess, "startDetached", lambda _program, more: (started.append(more), (True, 1))[1])
    with window(tmp_path) as made:
        told(made, store_refusal="/ro/runs: cannot be written: Read-only file system.")
        made.messages._action.click()
        (dialog,) = made.findChildren(QFileDialog)
        (tmp_path / "file").write_text("")
        dialog.fileSelected.emit(str(tmp_path / "file"))  # one that cannot be written either
        assert "cannot be written" in made.messages.text and started == [] and made.isVisible()
        dialog.fileSelected.emit(str(tmp_path / "other"))
        assert started == [["-m", "tfx_workbench", "--store", str(tmp_path / "other")]]
        assert not made.isVisible()


def test_a_gpu_that_is_not_used_is_told_and_stands_at_the_device(tmp_path: Path) -> None:
    with window(tmp_path) as made:
        text = told(made, unused_gpu=OLD)
        assert "470.82" in text and "525.60" in text and made.messages.property("level") == "info"
        assert "470.82" in chip(made)._tip()
        assert told(made, unused_gpu=OLD, store_free_bytes=2**20).startswith("Only 1")  # what hinders comes first


def test_settings_that_cannot_be_kept_are_said_and_everything_else_goes_on(tmp_path: Path) -> None:
    (tmp_path / "home").write_text("a file where the folder should be")
    with window(tmp_path / "home") as made:
        assert "is not kept" in told(made)
        made.settings.theme = "dark"
        made.settings.keep_draft({})
        made.settings.sync()
        spend(0.1)
        wait(lambda: made.pane.isVisible())
