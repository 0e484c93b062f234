"""The disk image for macOS: a bundle with the frozen program in it, signed, notarised where there is an identity.

The bundle is laid out on any system and looked at by the tests; `codesign`, `notarytool`, `stapler` and `hdiutil` exist
on macOS alone. What signs is told by variables: TFX_CODESIGN_IDENTITY (left out: signed for this machine alone, which
others' Macs refuse until their user allows it), TFX_NOTARY_PROFILE, a profile that `notarytool` has stored, and
TFX_NOTARY_KEYCHAIN, the keychain in which that was done, where it is not the user's own.
"""

from __future__ import annotations

import os
import plistlib
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from formats import Installed
from formats.bundle import lay_out, signing_order
from formats.described import describe
from metadata import identity
from product import BUILD, Product
from set_up.progress import CommandFailed, Refusal

SYSTEM = "darwin"
TOOLS: dict[str, str] = {}  # what it calls comes with macOS
OLDEST_MACOS = "14.0"  # what torch is built for
RUN_TYPE = f"{identity.APP_ID}.run"  # the uniform type identifier of `.tfx`
# The hardened runtime, which notarisation asks for, refuses these three unless they are named here.
ENTITLEMENTS = {
    "com.apple.security.cs.allow-jit": True,
    "com.apple.security.cs.allow-unsigned-executable-memory": True,  # ctypes makes functions while it runs
    "com.apple.security.cs.disable-library-validation": True,  # techniques of one's own, and what torch compiles
}


def build(app: Path, product: Product, dist: Path) -> Path:
    """Write `dist/tfx-workbench-VERSION.dmg`. Raises Refusal off macOS, once the bundle is laid out."""
    bundle = make_bundle(app, product, BUILD / "macos" / "image")
    if sys.platform != "darwin":
        raise Refusal(f"The bundle is laid out in {bundle}; to sign it and to make a disk image of it needs macOS.")
    signer = os.environ.get("TFX_CODESIGN_IDENTITY", "-")
    sign(bundle, signer)
    dist.mkdir(parents=True, exist_ok=True)
    image = dist / f"{identity.PROGRAM}-{product.version}.dmg"
    (bundle.parent / "Applications").symlink_to("/Applications")
    _run(["hdiutil", "create", "-volname", identity.NAME, "-srcfolder", str(bundle.parent), "-format", "ULMO",
          "-ov", str(image)])
    if signer != "-":
        _run(["codesign", "--sign", signer, "--timestamp", str(image)])
    if profile := os.environ.get("TFX_NOTARY_PROFILE"):
        _run(notary_command(image, profile, os.environ.get("TFX_NOTARY_KEYCHAIN")))
        _run(["xcrun", "stapler", "staple", str(image)])
    return image


def make_bundle(app: Path, product: Product, folder: Path) -> Path:
    """`folder/TFX Workbench.app`, made anew from the frozen program; nothing is signed yet."""
    shutil.rmtree(folder, ignore_errors=True)
    contents = folder / f"{identity.NAME}.app" / "Contents"
    lay_out(app, contents)
    (contents / "Info.plist").write_bytes(plistlib.dumps(info(product)))
    with tempfile.TemporaryDirectory() as icons:
        describe("icons", Path(icons))
        shutil.copyfile(Path(icons) / "app.icns", contents / "Resources" / "app.icns")
    return contents.parent


def info(product: Product) -> dict[str, Any]:
    """`Info.plist`: who the program is, and that it owns `.tfx`."""
    return {
        "CFBundleIdentifier": identity.APP_ID,
        "CFBundleName": identity.NAME,
        "CFBundleDisplayName": identity.NAME,
        "CFBundleExecutable": identity.PROGRAM,
        "CFBundleIconFile": "app.icns",
        "CFBundlePackageType": "APPL",
        "CFBundleInfoDictionaryVersion": "6.0",
        "CFBundleDevelopmentRegion": "en",
        "CFBundleLocalizations": ["en", "ko"],
        "CFBundleShortVersionString": ".".join(map(str, identity.version_quad(product.version)[:3])),
        "CFBundleVersion": ".".join(map(str, identity.version_quad(product.version)[:3])),
        "LSApplicationCategoryType": "public.app-category.developer-tools",
        "LSMinimumSystemVersion": OLDEST_MACOS,
        "NSHighResolutionCapable": True,
        "NSHumanReadableCopyright": f"{identity.PUBLISHER}, {identity.LICENSE}",
        "NSPrincipalClass": "NSApplication",
        "CFBundleDocumentTypes": [{
            "CFBundleTypeName": identity.RUN_KIND, "CFBundleTypeRole": "Viewer", "LSHandlerRank": "Owner",
            "CFBundleTypeIconFile": "app.icns", "LSItemContentTypes": [RUN_TYPE],
        }],
        "UTExportedTypeDeclarations": [{
            "UTTypeIdentifier": RUN_TYPE, "UTTypeDescription": identity.RUN_KIND, "UTTypeIconFile": "app.icns",
            "UTTypeConformsTo": ["public.data", "public.database"],
            "UTTypeTagSpecification": {
                "public.filename-extension": [identity.RUN_SUFFIX.lstrip(".")], "public.mime-type": [identity.RUN_MIME],
            },
        }],
    }


def sign(bundle: Path, signer: str) -> None:
    """Sign what is inside first, then the bundle, and let macOS judge all of it."""
    with tempfile.TemporaryDirectory() as folder:
        entitlements = Path(folder) / "entitlements.plist"
        entitlements.write_bytes(plistlib.dumps(ENTITLEMENTS))
        for command in sign_commands(bundle, signer, entitlements):
            _run(command)
    _run(["codesign", "--verify", "--deep", "--strict", "--verbose=2", str(bundle)])


def sign_commands(bundle: Path, signer: str, entitlements: Path) -> list[list[str]]:
    """Every call of `codesign` in its order; programs get the entitlements, libraries do not."""
    programs = {bundle / "Contents" / "MacOS" / name for name in (identity.PROGRAM, identity.ENGINE)}
    commands = []
    for code in signing_order(bundle):
        stamp = ["--timestamp"] if signer != "-" else []
        given = ["--entitlements", str(entitlements)] if code in programs or code == bundle else []
        commands.append(["codesign", "--force", "--options", "runtime", *stamp, *given, "--sign", signer, str(code)])
    return commands


def notary_command(image: Path, profile: str, keychain: str | None) -> list[str]:
    """The call that has Apple look at the image, and waits for the answer; it searches one keychain alone."""
    named = ["--keychain", keychain] if keychain else []
    return ["xcrun", "notarytool", "submit", str(image), "--keychain-profile", profile, *named, "--wait"]


def _run(command: Sequence[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, errors="replace")
    if done.returncode:
        raise CommandFailed(f"{' '.join(command)}\n{done.stdout}{done.stderr}")


def install(installer: Path) -> Installed:
    """Copy the program out of the image into the user's Applications, as a hand would."""
    target = Path.home() / "Applications" / f"{identity.NAME}.app"
    with tempfile.TemporaryDirectory() as volume:
        _run(["hdiutil", "attach", str(installer), "-nobrowse", "-readonly", "-mountpoint", volume])
        try:
            shutil.rmtree(target, ignore_errors=True)
            shutil.copytree(Path(volume) / target.name, target, symlinks=True)
        finally:
            _run(["hdiutil", "detach", volume])
    programs = target / "Contents" / "MacOS"
    return Installed(target, programs / identity.PROGRAM, programs / identity.ENGINE)


def uninstall(installed: Installed) -> list[str]:
    """Into the bin; a bundle is all there is of it."""
    shutil.rmtree(installed.folder)
    return [str(installed.folder)] if installed.folder.exists() else []
