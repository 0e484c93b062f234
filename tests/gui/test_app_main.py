"""The program from the outside: it comes up without a display, takes its picture, runs its demonstration, and ends."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from PySide6.QtGui import QImage
from PySide6.QtWidgets import QApplication

from tests.helpers.synthetic_run import write_five, write_run
from tests.helpers.windows import window
from tfx_engine.protocol.problems import ConfigError
from tfx_workbench.app.demo import take_picture

STANDIN = "tests.helpers.standin_worker"  # no torch is imported for a picture


def program(home: Path, repo: Path, call: str, **variables: str) -> subprocess.CompletedProcess[str]:
    code = f"import sys; from tfx_workbench.app.main import main; sys.exit(main({call}))"
    environment = {**os.environ, "TFX_HOME": str(home), "PYTHONPATH": str(repo), "TFX_WORKER_MODULE": STANDIN,
                   **variables}
    command = [sys.executable, "-c", code]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=240)


def colours(path: Path) -> set[int]:
    """The colours on a picture, every tenth pixel in both directions."""
    image = QImage(str(path))
    return {image.pixel(x, y) for x in range(0, image.width(), 10) for y in range(0, image.height(), 10)}


def test_a_picture_in_both_themes_without_a_display(qapp: QApplication, tmp_path: Path, repo: Path) -> None:
    write_five(tmp_path / "runs", steps=30)
    kept = tmp_path / "draft.json"
    kept.write_text('{"configs": [{"name": "mine"}], "current": 0, "title": ""}')
    done = program(tmp_path, repo, f"headless=True, screenshot={str(tmp_path / 'w-{theme}.png')!r}")
    assert done.returncode == 0, done.stderr
    light, dark = (colours(tmp_path / f"w-{name}.png") for name in ("light", "dark"))
    assert QImage(str(tmp_path / "w-dark.png")).width() == 1680
    assert len(light) > 50 and len(dark) > 50
    assert 0xFFF3F5F8 in light and 0xFF14171C in dark
    assert kept.read_text() == '{"configs": [{"name": "mine"}], "current": 0, "title": ""}'


def test_the_demonstration_runs_by_itself_and_ends(qapp: QApplication, tmp_path: Path, repo: Path) -> None:
    picture = tmp_path / "demo.png"
    done = program(tmp_path, repo, f"demo=True, headless=True, screenshot={str(picture)!r}")
    assert done.returncode == 0, done.stderr
    assert len(list((tmp_path / "runs").glob("*.tfx"))) >= 6
    assert picture.is_file()


def test_a_demonstration_that_fails_says_so_with_its_exit_code(qapp: QApplication, tmp_path: Path, repo: Path) -> None:
    done = program(tmp_path, repo, "demo=True, headless=True", TFX_STANDIN="broken")
    assert done.returncode == 1, done.stderr


@pytest.mark.parametrize("factor", ["1.5", "2"])
def test_the_window_scales(qapp: QApplication, tmp_path: Path, repo: Path, factor: str) -> None:
    picture = tmp_path / "scaled.png"
    done = program(tmp_path, repo, f"headless=True, screenshot={str(picture)!r}", QT_SCALE_FACTOR=factor)
    assert done.returncode == 0, done.stderr
    assert QImage(str(picture)).width() == 1680 * float(factor)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="elsewhere there is always a display")
@pytest.mark.parametrize("told", [{}, {"DISPLAY": ":7777"}, {"QT_QPA_PLATFORM": "nonsense"}], ids=str)
def test_where_there_is_no_display_that_is_said_and_nothing_is_aborted(tmp_path: Path, told: dict[str, str]) -> None:
    displays = ("DISPLAY", "WAYLAND_DISPLAY", "QT_QPA_PLATFORM")
    env = {**{k: v for k, v in os.environ.items() if k not in displays}, "TFX_HOME": str(tmp_path), **told}
    done = subprocess.run([sys.executable, "-m", "tfx_workbench"], env=env, capture_output=True, text=True, timeout=60)
    assert done.returncode == 2, done.stderr
    assert done.stderr.startswith("The window cannot be opened: ") and len(done.stderr.splitlines()) == 1


def test_a_picture_replaces_no_run_and_nothing_that_is_no_picture(qapp: QApplication, tmp_path: Path) -> None:
    with window(tmp_path / "home") as shown:
        for name in ("run.tfx", "run.png", "notes.txt"):
            there = write_run(tmp_path / name, layers=1, heads=1, context=8, width=8, steps=5)
            before = there.read_bytes()
            with pytest.raises(ConfigError):
                take_picture(shown, there)
            assert there.read_bytes() == before
        take_picture(shown, tmp_path / "new" / "w.jpg")
        assert not QImage(str(tmp_path / "new" / "w.jpg")).isNull()


def test_a_picture_that_cannot_be_saved_is_said(qapp: QApplication, tmp_path: Path, repo: Path) -> None:
    (tmp_path / "file").write_text("")
    done = program(tmp_path, repo, f"headless=True, screenshot={str(tmp_path / 'file' / 'w.png')!r}")
    assert done.returncode == 1
    assert "cannot be saved" in done.stderr
