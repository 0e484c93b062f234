"""The AppImage: the AppDir is as the format wants it, and the file is a runtime and a squashfs of the same bytes."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from formats import appimage
from freeze.licences import FILE
from metadata import identity
from product import Product
from set_up.progress import CommandFailed, Refusal
from tests.helpers.frozen_standin import write_standin

RUNTIME = b"\x7fELF\x02\x01\x01\0AI\x02" + b"\0" * 100  # begins like one, and runs nowhere
SAY = b'#!/bin/sh\necho "$(basename "$0") $*"\n'
# A file that unpacks itself as a runtime does; called otherwise, it does what it would do mounted.
WHOLE = """#!/bin/sh
if [ "$1" != --appimage-extract ]; then {mounted}; exit; fi
mkdir squashfs-root && printf '#!/bin/sh\\n{unpacked}\\n' > squashfs-root/AppRun && chmod +x squashfs-root/AppRun
"""

needs_squashfs = pytest.mark.skipif(
    not (shutil.which("mksquashfs") and shutil.which("unsquashfs")), reason="squashfs-tools is not installed")


@pytest.fixture
def app(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(appimage, "BUILD", tmp_path / "build")
    monkeypatch.delenv(appimage.RUNTIME, raising=False)
    return write_standin(tmp_path / "app", program=SAY)


def called(program: Path, *arguments: str, **variables: str) -> str:
    environment = {**os.environ, **variables}
    done = subprocess.run([program, *arguments], capture_output=True, text=True, check=True, env=environment)
    return done.stdout.strip()


def test_the_appdir_has_at_its_top_what_the_format_looks_for(app: Path, tmp_path: Path) -> None:
    folder = appimage.make_appdir(app, tmp_path / "AppDir")
    assert [p.name for p in folder.glob("*.desktop")] == [f"{identity.APP_ID}.desktop"]
    assert f"Icon={identity.APP_ID}\n" in (folder / f"{identity.APP_ID}.desktop").read_text(encoding="utf-8")
    assert (folder / f"{identity.APP_ID}.svg").is_file() and (folder / ".DirIcon").resolve().suffix == ".png"
    assert (folder / "usr/share/metainfo" / f"{identity.APP_ID}.metainfo.xml").is_file()
    assert os.access(folder / "AppRun", os.X_OK)
    links = [path for path in folder.rglob("*") if path.is_symlink()]
    assert all(path.exists() and not path.readlink().is_absolute() for path in links)


def test_one_file_is_both_commands_by_the_name_it_is_called_by(app: Path, tmp_path: Path) -> None:
    start = appimage.make_appdir(app, tmp_path / "Ap p Dir") / "AppRun"
    assert called(start, "a b") == "tfx-workbench a b"
    (tmp_path / "tfx-engine").symlink_to(start)
    assert called(tmp_path / "tfx-engine", "serve") == "tfx-engine serve"
    assert called(start, ARGV0="/home/me/bin/tfx-engine") == "tfx-engine"  # what a runtime says of the link
    assert called(start, APPDIR="/elsewhere", ARGV0="./TFX_Workbench.AppImage") == "tfx-workbench"


def test_the_texts_of_licences_are_those_of_the_program_and_of_the_runtime(app: Path, tmp_path: Path) -> None:
    (app / FILE).write_text("of the program\n")
    text = (appimage.make_appdir(app, tmp_path / "AppDir") / appimage.PLACE / FILE).read_text(encoding="utf-8")
    assert text.startswith("of the program\n") and "libfuse" in text and "Version 2.1, February 1999" in text
    assert (app / FILE).read_text() == "of the program\n"


def whole_file(folder: Path, mounted: str = "exit 9", unpacked: str = 'echo "${0##*/} $*"') -> Path:
    file = folder / "A b.AppImage"
    file.write_text(WHOLE.format(mounted=mounted, unpacked=unpacked))
    file.chmod(0o755)
    return file


def test_a_whole_file_is_unpacked_once_and_not_called_again(tmp_path: Path) -> None:
    file = whole_file(tmp_path)
    installed = appimage.install(file)
    file.unlink()
    assert called(installed.workbench, "--version") == "tfx-workbench --version"
    assert called(installed.engine, "serve") == "tfx-engine serve"
    assert appimage.uninstall(installed) == [] and not installed.folder.exists()


def test_whoever_ends_what_is_installed_ends_the_program_itself(tmp_path: Path) -> None:
    installed = appimage.install(whole_file(tmp_path, unpacked="echo up; exec sleep 60"))
    with subprocess.Popen([installed.workbench], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None and process.stdout.readline() == b"up\n"
        process.terminate()
        process.communicate(timeout=10)  # nobody else holds the pipe
    assert appimage.uninstall(installed) == []


def test_what_does_not_unpack_is_said_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    file = tmp_path / "x.AppImage"
    file.write_text("#!/bin/sh\necho no room >&2; exit 1\n")
    file.chmod(0o755)
    with pytest.raises(CommandFailed, match="no room"):
        appimage.install(file)
    assert list((tmp_path / "temporary").iterdir()) == []


@pytest.fixture
def can_mount(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine that could mount: its program for it."""
    program = tmp_path / "bin" / "fusermount3"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    (tmp_path / "fuse").touch()
    monkeypatch.setattr(appimage, "FUSE", tmp_path / "fuse")
    monkeypatch.setattr(appimage, "SYSTEM_PATH", f"{program.parent}:/usr/bin:/bin")
    return program


@pytest.mark.parametrize(("mounted", "fault"), [
    (f"command -v fusermount3 > /dev/null && echo {identity.PROGRAM} {identity.version()}", ""),
    ("echo No suitable fusermount; exit 127", "Exit code 127: No suitable"),
    (f"echo {identity.PROGRAM} 0.0.9", "0.0.9"), (f"echo {identity.version()}; exit 1", "Exit code 1"),
    ("exec sleep 60", "timed out"),
])
def test_where_it_can_be_mounted_it_must_say_its_version(
    tmp_path: Path, can_mount: Path, mounted: str, fault: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(appimage, "MOUNTED_S", 0.5 if "sleep" in mounted else 60)
    found = appimage.examine(whole_file(tmp_path, mounted))
    assert (len(found) == 1 and fault in found[0]) if fault else found == []


@pytest.mark.parametrize(("lacks", "words"), [
    ("runtime", "no runtime"), ("fuse", "cannot be used"), ("program", "no fusermount3")])
def test_where_it_cannot_be_mounted_that_is_said_and_no_error(
    tmp_path: Path, can_mount: Path, lacks: str, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    file = whole_file(tmp_path)
    if lacks == "runtime":
        file = file.rename(file.with_suffix(".squashfs"))
    (appimage.FUSE if lacks == "fuse" else can_mount).unlink()
    if lacks == "program" and any(shutil.which(name, path="/usr/bin:/bin") for name in ("fusermount3", "fusermount")):
        pytest.skip("this machine has its own")
    assert appimage.examine(file) == []
    assert "not mounted: " in (said := capsys.readouterr().out) and words in said


@needs_squashfs
def test_without_a_runtime_the_squashfs_is_made_tried_and_gone(app: Path, tmp_path: Path) -> None:
    packed = appimage.build(app, Product("1.0", 1_700_000_000), tmp_path / "dist")
    assert packed.suffix == ".squashfs" and packed.read_bytes()[:4] == b"hsqs"
    installed = appimage.install(packed)
    assert called(installed.workbench, "--version") == "tfx-workbench --version"
    assert called(installed.engine, "serve") == "tfx-engine serve"
    assert appimage.uninstall(installed) == [] and not installed.folder.exists()


@needs_squashfs
def test_the_same_files_give_the_same_bytes_behind_the_runtime(
    app: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "runtime").write_bytes(RUNTIME)
    monkeypatch.setenv(appimage.RUNTIME, str(tmp_path / "runtime"))
    monkeypatch.setenv(appimage.RUNTIME_SHA256, hashlib.sha256(RUNTIME).hexdigest())
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000001")
    first = appimage.build(app, Product("1.0", 1_700_000_000), tmp_path / "one")
    second = appimage.build(app, Product("1.0", 1_700_000_000), tmp_path / "two")
    assert first.name == f"TFX_Workbench-1.0-{os.uname().machine}.AppImage" and os.access(first, os.X_OK)
    assert first.read_bytes() == second.read_bytes()
    assert first.read_bytes()[:len(RUNTIME) + 4] == RUNTIME + b"hsqs"
    assert [path.name for path in (tmp_path / "one").iterdir()] == [first.name]
    unpack = ["unsquashfs", "-quiet", "-no-progress", "-offset", str(len(RUNTIME)), "-dest", tmp_path / "out", first]
    subprocess.run(unpack, check=True)  # what follows a runtime is the program
    assert called(tmp_path / "out" / "AppRun", "x") == "tfx-workbench x"


@pytest.mark.parametrize(("content", "sha256", "words"), [
    (b"#!/bin/sh\n", "", "no runtime"), (RUNTIME, "0" * 64, "SHA-256"), (RUNTIME, "", "pinned"), (None, "", "read")])
def test_another_file_is_no_runtime(tmp_path: Path, content: bytes | None, sha256: str, words: str) -> None:
    if content is not None:
        (tmp_path / "runtime").write_bytes(content)
    (tmp_path / "x.squashfs").write_bytes(b"hsqs")
    with pytest.raises(Refusal, match=words):
        appimage.join(tmp_path / "runtime", tmp_path / "x.squashfs", tmp_path / "x.AppImage", sha256)
    assert not (tmp_path / "x.AppImage").exists()
