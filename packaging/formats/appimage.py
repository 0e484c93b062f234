"""One file that runs on any Linux: an AppImage, which is a small static program before a squashfs of the AppDir.

That program, the type-2 runtime, mounts the squashfs and starts `AppRun` in it. No package registry has it, so whoever
makes a release brings it: TFX_APPIMAGE_RUNTIME names the file, which must be the release that is pinned here by its
hash, or the one that TFX_APPIMAGE_RUNTIME_SHA256 names. Without it the squashfs alone is made, and can be tried.

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

from formats import Installed
from formats.described import describe
from metadata import identity
from metadata.share import DESKTOP_FILE, SVG_FILE, png_file
from product import BUILD, Product
from set_up.progress import CommandFailed, Refusal, say

SYSTEM = "linux"
TOOLS = {"mksquashfs": "squashfs-tools"}
LEVEL = "22"  # of zstd: the runtime reads zstd and zlib, and no xz
RUNTIME, RUNTIME_SHA256 = "TFX_APPIMAGE_RUNTIME", "TFX_APPIMAGE_RUNTIME_SHA256"
# Release 20251108 of AppImage/type2-runtime, of which several projects pin this same hash.
PINNED = {"x86_64": "2fca8b443c92510f1483a883f60061ad09b46b978b2631c807cd873a47ec260d"}
_MAGIC = b"AI\x02"  # at byte 8 of a runtime: an AppImage of type 2
PLACE = Path("usr/lib") / identity.PROGRAM  # of the frozen program in the AppDir

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


def install(installer: Path) -> Installed:
    """Nothing is installed: a copy of the file is called by two links. A squashfs without its runtime is unpacked."""
    folder = Path(tempfile.mkdtemp(prefix="tfx-appimage-"))
    links = folder / "links"
    links.mkdir()
    start = folder / installer.name
    if installer.suffix == ".squashfs":
        command = ["unsquashfs", "-no-progress", "-dest", str(folder / "AppDir"), str(installer)]
        done = subprocess.run(command, capture_output=True, text=True, errors="replace")
        if done.returncode:
            raise CommandFailed(done.stdout + done.stderr)
        start = folder / "AppDir" / "AppRun"
    else:
        shutil.copy2(installer, start)
    programs = []
    for name in (identity.PROGRAM, identity.ENGINE):
        (links / name).symlink_to(start)
        programs.append(links / name if _can_mount(start) else _unpacking(folder / name, links / name))
    return Installed(folder, *programs)


def _can_mount(start: Path) -> bool:
    """Whether the runtime can mount what follows it: a container has no FUSE. An AppDir needs no mounting."""
    return start.name == "AppRun" or os.access("/dev/fuse", os.R_OK | os.W_OK)


def _unpacking(wrapper: Path, link: Path) -> Path:
    """A command that tells the runtime to unpack instead."""
    wrapper.write_text(f'#!/bin/sh\nAPPIMAGE_EXTRACT_AND_RUN=1 exec "{link}" "$@"\n', encoding="utf-8")
    wrapper.chmod(0o755)
    return wrapper


def uninstall(installed: Installed) -> list[str]:
    """Delete the file; nothing else was written."""
    shutil.rmtree(installed.folder)
    return [str(installed.folder)] if installed.folder.exists() else []
