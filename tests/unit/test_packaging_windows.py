"""The installer for Windows, as far as Linux can tell: its script compiles without a warning, and says who it is.

What it does is tried where Wine or Windows is: `python -m tests.packaging.windows_under_wine`.
"""

from __future__ import annotations

import shutil
import struct
from pathlib import Path

import pytest

import alone
from formats import Installed, windows
from metadata import identity
from product import Product
from set_up.progress import Refusal
from tests.helpers.frozen_standin import ODD, write_standin

needs_nsis = pytest.mark.skipif(shutil.which("makensis") is None, reason="makensis is not installed (Debian: nsis)")


@pytest.fixture(autouse=True)
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(windows, "BUILD", tmp_path)


@needs_nsis
def test_the_script_compiles_without_a_warning_into_a_program_with_name_and_version(tmp_path: Path) -> None:
    installer = windows.build(write_standin(tmp_path / "app", ".exe"), Product("1.2.3", 0), tmp_path / "dist")
    data = installer.read_bytes()
    assert installer.name == "tfx-workbench-1.2.3-setup.exe"
    pe = struct.unpack("<I", data[0x3C:0x40])[0]
    assert data[:2] == b"MZ" and data[pe:pe + 4] == b"PE\0\0"
    for text in ("ProductName", identity.NAME, "1.2.3", "1.2.3.0", identity.PUBLISHER):
        assert text.encode("utf-16-le") in data, text
    assert b"asInvoker" in data and b"requireAdministrator" not in data


def test_it_asks_for_no_administrator_and_speaks_korean() -> None:
    script = windows.SCRIPT.read_text(encoding="utf-8")
    assert "RequestExecutionLevel user" in script and "HKLM" not in script
    strings = [line.split()[1:3] for line in script.splitlines() if line.startswith("LangString")]
    english, korean = ([name for name, of in strings if of == f"${{LANG_{t}}}"] for t in ("ENGLISH", "KOREAN"))
    assert english and english == korean


def test_what_is_installed_is_removed_by_name_and_nothing_else(tmp_path: Path) -> None:
    app = write_standin(tmp_path / "app", ".exe")
    brought = [line for line in windows.install_lines(app) if line.startswith("  File ")]
    removed = [line.split('"', 1)[1][:-1] for line in windows.remove_lines(app) if line.startswith("  Delete ")]
    folders = [line.split('"')[1] for line in windows.remove_lines(app) if line.startswith("  RMDir ")]
    assert len(brought) == len(removed) == sum(file.is_file() for file in app.rglob("*"))
    assert "$INSTDIR\\_internal\\data\\" + ODD.replace("$", "$$") in removed
    assert folders[-1] == "$INSTDIR\\_internal" and folders.index("$INSTDIR\\_internal\\torch\\lib") < folders.index(
        "$INSTDIR\\_internal\\torch")
    assert not any("/r" in line for line in windows.remove_lines(app))


def test_a_program_that_was_frozen_elsewhere_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Refusal, match="frozen on Windows"):
        windows.build(write_standin(tmp_path / "app"), Product("1.2.3", 0), tmp_path / "dist")


def test_the_smoke_test_tells_a_program_what_windows_itself_needs_and_nothing_of_ours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SYSTEMROOT", r"C:\Windows")
    assert "SYSTEMROOT" not in alone.environment(tmp_path)
    monkeypatch.setattr("sys.platform", "win32")
    told = alone.environment(tmp_path, DISPLAY=":9")
    assert told["SYSTEMROOT"] == r"C:\Windows" and told["LOCALAPPDATA"] == str(tmp_path) and told["DISPLAY"] == ":9"
    assert not told.keys() & {"PATH", "PYTHONPATH", "PYTHONHOME"}


def test_a_desktop_opens_the_twin_without_a_console_on_windows_and_the_workbench_elsewhere() -> None:
    assert Installed(Path("p"), Path("p/tfx-workbench.exe"), Path("e")).window == Path("p/tfx-workbench-gui.exe")
    assert Installed(Path("p"), Path("p/tfx-workbench"), Path("e")).window == Path("p/tfx-workbench")


@pytest.mark.parametrize(("kind", "command", "words"), [
    ("TFXWorkbench.Run", '"p/tfx-workbench-gui.exe" "%1"', ""), (None, None, "no kind"), ("x.y", None, "None"),
    ("TFXWorkbench.Run", '"p/tfx-workbench.exe" "%1"', "does not start"),
    ("TFXWorkbench.Run", '"p/tfx-workbench-gui.exe"', "does not start"),
])
def test_a_run_leads_to_the_program_by_the_registry(
    kind: str | None, command: str | None, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    values = {windows.CLASSES + r"\.tfx": kind, rf"{windows.CLASSES}\{kind}\shell\open\command": command}
    monkeypatch.setattr(windows, "_registered", lambda name, path: None if name else values[path])
    found = windows.associated(Installed(Path("p"), Path("p/tfx-workbench.exe"), Path("p/tfx-engine.exe")))
    assert (len(found) == 1 and words in found[0]) if words else found == []


@pytest.mark.parametrize(("version", "quad"), [
    ("0.1.0", [0, 1, 0, 0]), ("1.0rc2", [1, 0, 2, 0]), ("2.3.4.dev5+gabc12", [2, 3, 4, 5])])
def test_a_version_becomes_four_numbers(version: str, quad: list[int]) -> None:
    assert identity.version_quad(version) == quad
