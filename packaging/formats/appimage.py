"""One file that runs on any Linux: an AppImage, which is a small static program before a squashfs of the AppDir.

That program, the type-2 runtime, mounts the squashfs, for which it calls `fusermount3`, and starts `AppRun` in it. No
package registry has it, so whoever makes a release brings it: TFX_APPIMAGE_RUNTIME names the file, which must be the
release that is pinned here by its hash, or the one that TFX_APPIMAGE_RUNTIME_SHA256 names. Without it the squashfs
alone is made, and can be tried.

An AppImage runs where the C library is not older than the one it was frozen with.
"""

from __future__ import annotations

import hashlib
import os
import platform
import shutil
import subprocess
import tempfile
from pathlib import Path

from alone import environment
from formats import Installed
from formats.described import describe
from freeze.licences import FILE, TEXTS
from metadata import identity
from metadata.share import DESKTOP_FILE, SVG_FILE, png_file
from product import BUILD, Product
from set_up.progress import CommandFailed, Refusal, say

SYSTEM = "linux"
TOOLS = {"mksquashfs": "squashfs-tools"}
LEVEL = "22"  # of zstd: the runtime reads zstd and zlib, and no xz
RUNTIME, RUNTIME_SHA256 = "TFX_APPIMAGE_RUNTIME", "TFX_APPIMAGE_RUNTIME_SHA256"
RELEASE = "20251108"  # of AppImage/type2-runtime; several projects pin this same hash of it
PINNED = {"x86_64": "2fca8b443c92510f1483a883f60061ad09b46b978b2631c807cd873a47ec260d"}
RUNTIME_TEXTS = ("type2-runtime", "LGPL-2.1")  # below freeze/texts
RUNTIME_LICENCES = "MIT AND LGPL-2.1-only AND BSD-2-Clause AND BSD-3-Clause AND Zlib"
_MAGIC = b"AI\x02"  # at byte 8 of a runtime: an AppImage of type 2
PLACE = Path("usr/lib") / identity.PROGRAM  # of the frozen program in the AppDir
UNPACKED = "squashfs-root"  # as the runtime calls the folder
FUSE, SYSTEM_PATH = Path("/dev/fuse"), "/usr/sbin:/usr/bin:/sbin:/bin"
MOUNTED_S = 120.0

# Called by the name of a link, it is that program: the one file serves as both commands.
APP_RUN = f"""#!/bin/sh
here=$(readlink -f -- "$0")
here=${{here%/*}}
called=${{ARGV0:-$0}}
case ${{called##*/}} in
    {identity.ENGINE}*) program={identity.ENGINE} ;;
    *) program={identity.PROGRAM} ;;
esac
unset ARGV0
exec "$here/{PLACE}/$program" "$@"
"""


def build(app: Path, product: Product, dist: Path) -> Path:
    """Write `dist/TFX_Workbench-VERSION-ARCH.AppImage`, or the `.squashfs` of it where there is no runtime."""
    folder = make_appdir(app, BUILD / "appimage" / "AppDir")
    dist.mkdir(parents=True, exist_ok=True)
    name = f"{identity.NAME.replace(' ', '_')}-{product.version}-{platform.machine()}"
    packed = pack(folder, dist / f"{name}.squashfs", product.seconds)
    runtime = os.environ.get(RUNTIME)
    if not runtime:
        say(f"      {RUNTIME} names no runtime: the squashfs alone was made, which is the AppImage without it.")
        return packed
    wanted = os.environ.get(RUNTIME_SHA256) or PINNED.get(platform.machine(), "")
    whole = join(Path(runtime), packed, dist / f"{name}.AppImage", wanted)
    packed.unlink()
    return whole


def make_appdir(app: Path, folder: Path) -> Path:
    """The AppDir, made anew: the program below `usr/lib`, what desktops look for below `usr/share` and at the top."""
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(app, folder / PLACE, symlinks=True)
    describe("share", folder / "usr" / "share")
    programs = folder / "usr" / "bin"
    programs.mkdir(parents=True)
    for name in (identity.PROGRAM, identity.ENGINE):
        (programs / name).symlink_to(Path("../..") / PLACE / name)
    shutil.copy2(folder / "usr" / "share" / DESKTOP_FILE, folder / f"{identity.APP_ID}.desktop")
    shutil.copy2(folder / "usr" / "share" / SVG_FILE, folder / f"{identity.APP_ID}.svg")
    (folder / ".DirIcon").symlink_to(Path("usr/share") / png_file(256))
    start = folder / "AppRun"
    start.write_text(APP_RUN, encoding="utf-8")
    start.chmod(0o755)
    with (folder / PLACE / FILE).open("a", encoding="utf-8") as texts:  # those of the frozen program are in it
        texts.writelines("\n\n" + (TEXTS / name).read_text(encoding="utf-8") for name in RUNTIME_TEXTS)
    return folder


def pack(folder: Path, packed: Path, seconds: int) -> Path:
    """A squashfs of the AppDir; the same files and `seconds` since 1970 give the same bytes."""
    packed.unlink(missing_ok=True)
    dates = ["-mkfs-time", str(seconds), "-all-time", str(seconds)]
    command = ["mksquashfs", str(folder), str(packed), "-root-owned", "-noappend", "-no-xattrs", "-no-progress",
               "-comp", "zstd", "-Xcompression-level", LEVEL, "-b", "1M", *dates]
    environment = {name: value for name, value in os.environ.items() if name != "SOURCE_DATE_EPOCH"}  # not both
    done = subprocess.run(command, capture_output=True, text=True, errors="replace", env=environment)
    if done.returncode:
        raise CommandFailed(done.stdout + done.stderr)
    return packed


def join(runtime: Path, packed: Path, whole: Path, sha256: str) -> Path:
    """The AppImage. Raises Refusal for a runtime that is none, or not the one that `sha256` names."""
    try:
        head = runtime.read_bytes()
    except OSError as error:
        raise Refusal(f"The runtime cannot be read: {error}.") from None
    if head[:4] != b"\x7fELF" or head[8:11] != _MAGIC:
        raise Refusal(f"{runtime} is no runtime of an AppImage of type 2.")
    found = hashlib.sha256(head).hexdigest()
    if found != sha256.lower():
        raise Refusal(f"{runtime} has the SHA-256 {found}, and not {sha256 or 'one that is pinned for this machine'}.")
    with whole.open("wb") as out, packed.open("rb") as image:
        out.write(head)
        shutil.copyfileobj(image, out)
    whole.chmod(0o755)
    return whole


# ------------------------------------------------------------------------------------------- for the smoke test


def examine(installer: Path) -> list[str]:
    """The errors of a file that should mount itself and say its version; says why where that cannot be tried."""
    if why := _why_not_mounted(installer):
        say(f"not mounted: {why}")
        return []
    wanted = identity.version()
    with tempfile.TemporaryDirectory() as home:
        command, told = [str(installer.resolve()), "--version"], environment(Path(home), PATH=SYSTEM_PATH)
        try:
            done = subprocess.run(command, capture_output=True, text=True, errors="replace", env=told, cwd=home,
                                  timeout=MOUNTED_S)
        except (OSError, subprocess.TimeoutExpired) as error:
            return [f"mounted, it does not say its version: {error}"]
    if done.returncode == 0 and done.stdout.split()[-1:] == [wanted]:
        return []
    return [f"mounted, it does not say {wanted}. Exit code {done.returncode}: {done.stdout}{done.stderr}"]


def _why_not_mounted(installer: Path) -> str:
    """Why mounting cannot be tried; empty where it can."""
    if installer.suffix != ".AppImage":
        return f"{installer.name} has no runtime before it, which would mount it."
    if not os.access(FUSE, os.R_OK | os.W_OK):
        return f"{FUSE} cannot be used here."
    if not any(shutil.which(name, path=SYSTEM_PATH) for name in ("fusermount3", "fusermount")):
        return "there is no fusermount3 here (Debian: fuse3)."
    return ""


def install(installer: Path) -> Installed:
    """Nothing is installed: the file is unpacked, and what is in it called by two links.

    Not mounted, as whoever is started without PATH finds no fusermount, of which the runtime tells stdout; nor by
    APPIMAGE_EXTRACT_AND_RUN, as the runtime then waits for the program and passes no signal on to it.
    """
    folder = Path(tempfile.mkdtemp(prefix="tfx-appimage-"))
    command = [str(installer.resolve()), "--appimage-extract"]
    if installer.suffix == ".squashfs":
        command = ["unsquashfs", "-no-progress", "-dest", UNPACKED, str(installer.resolve())]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, errors="replace")
    start = folder / UNPACKED / "AppRun"
    if done.returncode or not start.is_file():
        shutil.rmtree(folder)
        raise CommandFailed(f"{' '.join(command)}\n{done.stdout[-2000:]}{done.stderr}")
    links = folder / "links"
    links.mkdir()
    programs = [links / name for name in (identity.PROGRAM, identity.ENGINE)]
    for program in programs:
        program.symlink_to(start)
    return Installed(folder, *programs)


def uninstall(installed: Installed) -> list[str]:
    """Delete the folder; nothing else was written."""
    shutil.rmtree(installed.folder)
    return [str(installed.folder)] if installed.folder.exists() else []
