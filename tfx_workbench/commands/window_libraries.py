"""What the window needs and may be missing: PySide6, pyqtgraph, and system libraries on Linux."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import re
import shutil
import subprocess
import sys
from pathlib import Path

PLUGIN = Path("Qt") / "plugins" / "platforms" / "libqxcb.so"
LIBRARIES = ("Core", "Gui", "Widgets")
# Debian's packages whose name does not follow from the library's.
ODD_PACKAGES = {"libglib-2.0.so.0": "libglib2.0-0", "libgthread-2.0.so.0": "libglib2.0-0", "libz.so.1": "zlib1g"}


def version_of(distribution: str) -> str | None:
    """The installed version, without importing it."""
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return None


def missing_libraries() -> list[str]:
    """System libraries that Qt on X11 needs and that are not there; Linux only. Nothing of Qt is loaded for it."""
    spec = importlib.util.find_spec("PySide6") if sys.platform.startswith("linux") else None
    if spec is None or spec.origin is None or not shutil.which("ldd"):
        return []
    folder = Path(spec.origin).parent
    files = [folder / PLUGIN, *(folder / "Qt" / "lib" / f"libQt6{name}.so.6" for name in LIBRARIES)]
    there = [str(file) for file in files if file.exists()]
    if not there:
        return []
    listing = subprocess.run(["ldd", *there], capture_output=True, text=True).stdout
    names = re.findall(r"^\s*(\S+) => not found", listing, re.M)
    return sorted({name for name in names if not name.startswith("libQt6")})


def install_line(libraries: list[str]) -> str:
    """What to type so that they come, on Debian and Ubuntu."""
    return "sudo apt-get install -y " + " ".join(sorted({_package_of(name) for name in libraries}))


def _package_of(library: str) -> str:
    """The package of a shared library by the naming rule of Debian's policy."""
    name, _, version = library.partition(".so.")
    name = name.lower().replace("_", "-")
    dash = "-" if name[-1:].isdigit() else ""
    return ODD_PACKAGES.get(library) or f"{name}{dash}{version.split('.')[0]}"
