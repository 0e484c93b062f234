"""What PyInstaller collects and nothing here uses: taken out of the frozen program's folder."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

TOOLS = {"strip": "binutils", "readelf": "binutils", "chrpath": "chrpath"}  # on Linux; command -> Debian package
CONTENTS = "_internal"  # PyInstaller's folder beside the executables

# Below Qt's folder, as glob patterns. Qt finds plugins by looking through folders: what is not there is not missed.
UNUSED = (
    "plugins/egldeviceintegrations", "plugins/generic", "plugins/networkinformation", "plugins/tls",
    "plugins/sqldrivers", "qml",
    *(f"plugins/platforms/*q{name}.*" for name in ("eglfs", "linuxfb", "minimal", "minimalegl", "vkkhrdisplay", "vnc",
                                                   "direct2d")),
    "plugins/platformthemes/*qgtk3.*",  # it would bring all of GTK; the desktop's dialogs come through its portal
    *(f"plugins/imageformats/*q{name}.*" for name in ("gif", "icns", "jpeg", "tga", "tiff", "wbmp", "webp", "pdf")),
    *(f"plugins/wayland-shell-integration/lib{name}.*" for name in ("fullscreen-shell-v1", "ivi-shell", "qt-shell",
                                                                    "wl-shell-plugin")),
)  # fmt: skip
TRANSLATED = ("ko",)  # the languages of the program itself, beside English


def slim(app: Path) -> None:
    """Take out unused files of Qt, the libraries that only those needed, and the symbols of the largest libraries."""
    contents = app / CONTENTS
    for qt in (contents / "PySide6" / "Qt", contents / "PySide6"):  # on Windows without the folder Qt
        for pattern in UNUSED:
            for path in qt.glob(pattern):
                shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
        for path in qt.glob("translations/*.qm"):
            if path.stem.partition("_")[2] not in TRANSLATED:
                path.unlink()
    if sys.platform.startswith("linux"):
        while unneeded := _unneeded(contents):
            for path in unneeded:
                path.unlink()
        _strip(app)


def _strip(app: Path) -> None:
    """Take the symbols out of what is linked, and the folders of the machine on which a Python was built.

    What lies in numpy's folders is left as it is: its wheel was patched after it was linked, and stripping moves that.
    """
    files = [p for p in sorted(app.rglob("*")) if p.is_file() and not p.is_symlink() and is_elf(p)]
    linked = [p for p in files if p.parent != app and not any(part.startswith("numpy") for part in p.parts)]
    subprocess.run(["strip", "--strip-unneeded", *map(str, linked)], check=True)
    for path in files:
        listing = subprocess.run(["readelf", "-d", str(path)], capture_output=True, text=True).stdout
        if re.search(r"\((?:RPATH|RUNPATH)\).*\[/", listing):
            subprocess.run(["chrpath", "-d", str(path)], check=True, stdout=subprocess.DEVNULL)


def is_elf(path: Path) -> bool:
    """Whether a file is a program or library of Linux."""
    with path.open("rb") as file:
        return file.read(4) == b"\x7fELF"


def _unneeded(contents: Path) -> list[Path]:
    """Libraries of the system's and of Qt's, and links to such, that nothing which is left is linked with."""
    kept = sorted(p for p in contents.rglob("*") if p.is_file() and ".so" in p.name)
    listing = subprocess.run(["readelf", "-d", *map(str, kept)], capture_output=True, text=True).stdout
    needed = set(re.findall(r"\(NEEDED\).*\[(.+)\]", listing))
    places = (contents, contents / "PySide6" / "Qt" / "lib")
    dangling = [p for p in contents.glob("*.so*") if p.is_symlink() and not p.exists()]
    return dangling + [p for p in kept if p.parent in places and p.name not in needed and _is_only_linked(p.name)]


def _is_only_linked(name: str) -> bool:
    """Not opened by name at run time: the interpreter, which the executables open."""
    return not name.startswith("libpython")
