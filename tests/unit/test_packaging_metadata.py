"""What desktops are told: it agrees with the program and with itself, and the validators of each format are content."""

from __future__ import annotations

import argparse
import configparser
import gzip
import os
import sqlite3
import struct
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from xml.etree import ElementTree

import pytest

from metadata import icons, identity, manpages, share
from metadata.checking import verdicts
from tests.helpers.synthetic_run import write_run
from tfx_engine.__main__ import _parser as engine_parser
from tfx_workbench.app.main import APP_ID
from tfx_workbench.commands.parser import COMMANDS, command_parser

PNG_HEAD = b"\x89PNG\r\n\x1a\n"


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("share")
    share.write_share(folder)
    return folder


def side_of(png: bytes) -> int:
    assert png.startswith(PNG_HEAD)
    width, height = struct.unpack(">II", png[16:24])
    assert width == height
    return int(width)


def test_every_validator_that_is_installed_is_content(written: Path) -> None:
    found = list(verdicts(written))
    assert [verdict for verdict in found if verdict.ok is False] == []
    if missing := sorted({verdict.tool for verdict in found if verdict.ok is None}):
        pytest.skip(f"not installed: {', '.join(missing)}")


def test_a_fault_in_the_manual_is_found(tmp_path: Path) -> None:
    page = tmp_path / "man" / "man1" / "x.1.gz"
    share.write_share(tmp_path)
    page.write_bytes(gzip.compress(b".TH X 1\n.SH NAME\n.XX no such request\n"))
    said = [verdict for verdict in verdicts(tmp_path) if verdict.file == "x.1" and verdict.ok is not None]
    if not said:
        pytest.skip("neither man nor mandoc is installed")
    assert all(verdict.ok is False for verdict in said)


def test_desktop_entry_metainfo_mime_type_and_window_have_one_name(written: Path) -> None:
    entry = configparser.ConfigParser(interpolation=None)
    entry.read(written / share.DESKTOP_FILE, encoding="utf-8")
    desktop = entry["Desktop Entry"]
    metainfo = ElementTree.parse(written / share.METAINFO_FILE)
    mime = ElementTree.parse(written / share.MIME_FILE).find("{*}mime-type")
    assert mime is not None
    assert APP_ID == identity.APP_ID == metainfo.findtext("id") == desktop["Icon"] == metainfo.findtext("icon")
    assert metainfo.findtext("launchable") == f"{APP_ID}.desktop"
    assert mime.attrib["type"] == identity.RUN_MIME == desktop["MimeType"].rstrip(";")
    assert metainfo.findtext("provides/mediatype") == identity.RUN_MIME
    assert desktop["Exec"].split() == [identity.PROGRAM, "%F"]
    assert (metainfo.findtext("name"), metainfo.findtext("summary")) == (identity.NAME, identity.SUMMARY)
    assert desktop["Comment"] == identity.SUMMARY


def test_the_newest_release_in_the_metainfo_is_this_version(written: Path) -> None:
    release = ElementTree.parse(written / share.METAINFO_FILE).find("releases/release")
    assert release is not None
    assert release.attrib["version"] == identity.version()
    assert identity.release_date().isoformat() == release.attrib["date"]


def test_the_changelog_has_this_version_below_what_is_not_released_yet(repo: Path) -> None:
    titles = [line for line in (repo / "CHANGELOG.md").read_text(encoding="utf-8").splitlines() if line[:3] == "## "]
    assert titles[:2] == ["## [Unreleased]", f"## [{identity.version()}] - {identity.release_date().isoformat()}"]


def test_a_run_is_known_by_its_content_and_another_sqlite_file_is_not(written: Path, tmp_path: Path) -> None:
    write_run(tmp_path / "finished.tfx", steps=5).rename(tmp_path / "finished")
    with closing(sqlite3.connect(tmp_path / "other")) as other:
        other.execute("CREATE TABLE t (x)")
    (tmp_path / "named.tfx").write_bytes(b"")
    names = ("finished", "other", "named.tfx")
    code = ("import sys; from PySide6.QtCore import QMimeDatabase as D\n"
            "print(*(D().mimeTypeForFile(name).name() for name in sys.argv[1:]))")
    empty = tmp_path / "empty"
    environment = {**os.environ, "XDG_DATA_HOME": str(written), "XDG_DATA_DIRS": str(empty)}
    done = subprocess.run([sys.executable, "-c", code, *(str(tmp_path / name) for name in names)],
                          env=environment, capture_output=True, text=True, check=True)
    finished, other, named = done.stdout.split()
    assert finished == named == "application/x-tfx-run"
    assert other.endswith("sqlite3")  # vnd.sqlite3, or x-sqlite3 in older data bases


def test_the_manual_has_every_command_with_every_option() -> None:
    pages = manpages.pages()
    for command in COMMANDS:
        section = pages["tfx-workbench.1"].partition(f".SS {manpages._escaped(command)}\n")[2].partition(".SS ")[0]
        shown = [action for action in command_parser(command)._actions if action.help != argparse.SUPPRESS]
        options = [option for action in shown for option in action.option_strings]
        missing = [o for o in options if rf"\fB{manpages._escaped(o)}\fR" not in section]
        assert missing == ["-h", "--help"], command  # which goes without saying
    for command in engine_parser()._actions[-1].choices or ():
        assert f".SS {command}\n" in pages["tfx-engine.1"]
    assert not any(line.startswith("'") or line in (".", r"\&.") for p in pages.values() for line in p.splitlines())


def test_the_same_sources_give_the_same_bytes(written: Path, tmp_path: Path) -> None:
    again = share.write_share(tmp_path)
    assert {f.relative_to(tmp_path): f.read_bytes() for f in again} == {
        f.relative_to(written): f.read_bytes() for f in written.rglob("*") if f.is_file()}


def test_the_icons_of_windows_and_macos_hold_the_pictures_that_they_say(tmp_path: Path) -> None:
    ico = icons.write_ico(tmp_path / "app.ico").read_bytes()
    _zero, kind, count = struct.unpack("<HHH", ico[:6])
    assert kind == 1 and count >= 7
    for number in range(count):
        side, _, _, _, _, bits, length, offset = struct.unpack("<BBBBHHII", ico[6 + 16 * number:22 + 16 * number])
        assert (side or 256, bits) == (side_of(ico[offset:offset + length]), 32)
    icns = icons.write_icns(tmp_path / "app.icns").read_bytes()
    assert (icns[:4], struct.unpack(">I", icns[4:8])[0]) == (b"icns", len(icns))
    at, sides = 8, {}
    while at < len(icns):
        name, length = struct.unpack(">4sI", icns[at:at + 8])
        sides[name] = side_of(icns[at + 8:at + length])
        at += length
    assert sides[b"ic07"] == 128 and sides[b"ic12"] == 64 and sides[b"ic10"] == 1024


def test_the_icon_is_visible_on_light_and_dark_from_16_pixels_on() -> None:
    from PySide6.QtGui import QColor, QImage

    for side in (16, 32, 256):
        image = QImage.fromData(icons.png(side))
        bars = [image.pixelColor(side * 5 // 16, side * row // 16).name() for row in (5, 8, 11)]
        assert bars == ["#f0a35e", "#48b8a0", "#5b8def"], side  # whole pixels: nothing is blurred away
        assert image.pixelColor(0, 0).alpha() < 128 < image.pixelColor(side // 2, 0).alpha()
        assert image.pixelColor(side // 2, 0).lightness() > QColor("#14171C").lightness()
