"""The bundle for macOS, as far as another system can tell: its layout, what it says of itself, the order of signing."""

from __future__ import annotations

import plistlib
import sys
from pathlib import Path

import pytest

from formats import macos
from formats.bundle import CONTENTS, is_code, signing_order
from metadata import identity
from product import Product
from set_up.progress import Refusal
from tests.helpers.frozen_standin import MACHO, write_standin


@pytest.fixture
def app(tmp_path: Path) -> Path:
    app = write_standin(tmp_path / "app", program=MACHO)
    framework = app / CONTENTS / "PySide6" / "Qt" / "lib" / "QtCore.framework"
    (framework / "Versions" / "A").mkdir(parents=True)
    (framework / "Versions" / "A" / "QtCore").write_bytes(MACHO)
    (framework / "QtCore").symlink_to("Versions/A/QtCore")
    (app / CONTENTS / "QtCore").symlink_to("PySide6/Qt/lib/QtCore.framework/Versions/A/QtCore")
    return app


@pytest.fixture
def bundle(app: Path, tmp_path: Path) -> Path:
    return macos.make_bundle(app, Product("1.2rc3", 0), tmp_path / "image")


def test_the_program_finds_every_file_where_it_looks(app: Path, bundle: Path) -> None:
    for file in (app / CONTENTS).rglob("*"):
        if file.is_file():
            there = bundle / "Contents" / "Frameworks" / file.relative_to(app / CONTENTS)
            assert there.read_bytes() == file.read_bytes(), there
    for name in (identity.PROGRAM, identity.ENGINE):
        assert (bundle / "Contents" / "MacOS" / name).read_bytes() == MACHO


def test_codesign_meets_no_data_among_code_and_no_dot_in_a_folder(bundle: Path) -> None:
    code = bundle / "Contents" / "Frameworks"
    ours = [path for path in code.rglob("*") if ".framework" not in str(path.relative_to(code))]
    real = [path for path in ours if not path.is_symlink()]
    assert [path for path in real if path.is_file() and not is_code(path)] == []
    assert [path for path in real if path.is_dir() and "." in path.name] == []
    assert not any(is_code(file) for file in (bundle / "Contents" / "Resources").rglob("*") if file.is_file())
    links = [path for path in bundle.rglob("*") if path.is_symlink()]
    assert links and all(path.exists() and bundle.resolve() in path.resolve().parents for path in links)


def test_what_is_inside_is_signed_first_and_programs_get_the_entitlements(bundle: Path, tmp_path: Path) -> None:
    order = signing_order(bundle)
    assert order[-1] == bundle and len(order) == len(set(order))
    for place, code in enumerate(order):
        assert not any(code in later.parents for later in order[place + 1:]), code
    commands = macos.sign_commands(bundle, "Developer ID", tmp_path / "e.plist")
    entitled = {Path(command[-1]).name for command in commands if "--entitlements" in command}
    assert entitled == {identity.PROGRAM, identity.ENGINE, bundle.name}
    assert all("runtime" in command and "--timestamp" in command for command in commands)
    assert set(plistlib.loads(plistlib.dumps(macos.ENTITLEMENTS)).values()) == {True}


def test_apple_is_asked_with_a_profile_of_the_users_keychain_or_of_the_one_that_is_named() -> None:
    usual = macos.notary_command(Path("x.dmg"), "mine", None)
    assert usual[:3] == ["xcrun", "notarytool", "submit"] and "--wait" in usual and "--keychain" not in usual
    other = macos.notary_command(Path("x.dmg"), "mine", "/tmp/a b.keychain-db")
    assert other[other.index("--keychain") + 1] == "/tmp/a b.keychain-db"
    assert other[other.index("--keychain-profile") + 1] == usual[usual.index("--keychain-profile") + 1] == "mine"


def test_the_property_list_is_valid_and_owns_the_suffix_of_runs(bundle: Path) -> None:
    info = plistlib.loads((bundle / "Contents" / "Info.plist").read_bytes())
    assert (info["CFBundleIdentifier"], info["CFBundleVersion"]) == (identity.APP_ID, "1.2.3")
    assert (bundle / "Contents" / "MacOS" / info["CFBundleExecutable"]).is_file()
    assert (bundle / "Contents" / "Resources" / info["CFBundleIconFile"]).is_file()
    declared = info["UTExportedTypeDeclarations"][0]
    assert info["CFBundleDocumentTypes"][0]["LSItemContentTypes"] == [declared["UTTypeIdentifier"]]
    assert declared["UTTypeTagSpecification"]["public.filename-extension"] == ["tfx"]
    assert not set(info["CFBundleIdentifier"]) - set("abcdefghijklmnopqrstuvwxyz0123456789.-")  # what Apple allows


@pytest.mark.skipif(sys.platform == "darwin", reason="here it can be done")
def test_off_macos_the_bundle_is_made_and_a_sentence_says_what_is_missing(
    app: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(macos, "BUILD", tmp_path / "build")
    with pytest.raises(Refusal, match="needs macOS"):
        macos.build(app, Product("1.0", 0), tmp_path / "dist")
    assert (tmp_path / "build" / "macos" / "image" / f"{identity.NAME}.app" / "Contents" / "Info.plist").is_file()
