"""Debian packages and shared libraries that Qt and the tests need of the system."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from set_up.progress import CommandFailed, Refusal, Steps, say

QT_PACKAGES = [
    *["libegl1", "libgl1", "libxkbcommon0", "libxkbcommon-x11-0", "libfontconfig1", "libdbus-1-3"],
    *["libglib2.0-0", "libx11-xcb1", "libxcb-cursor0", "libxcb-icccm4", "libxcb-image0"],
    *["libxcb-keysyms1", "libxcb-randr0", "libxcb-render-util0", "libxcb-shape0", "libxcb-xkb1"],
]
# What judges the installers' parts, and what two of them are made with.
PACKAGING = ["desktop-file-utils", "appstream", "shared-mime-info", "mandoc", "man-db", "squashfs-tools", "nsis"]
TEST_PACKAGES = ["xvfb", "xdotool", *QT_PACKAGES, "fonts-inter", *PACKAGING]
SAME_PACKAGE = {"libglib2.0-0": "libglib2.0-0t64", "fonts-inter": "fonts-dejavu-core"}
ODD_PACKAGES = {  # the libraries whose package does not follow the naming rule
    "libglib-2.0.so.0": "libglib2.0-0",
    "libgthread-2.0.so.0": "libglib2.0-0",
    "libz.so.1": "zlib1g",
    "libbrotlidec.so.1": "libbrotli1",
}


def apt_line(packages: list[str]) -> str:
    """What to type on Debian or Ubuntu."""
    return "sudo apt-get install -y --no-install-recommends " + " ".join(packages)


def apt_install(packages: list[str], steps: Steps) -> bool:
    """Install packages where we are root on Debian or Ubuntu, and say so. False where that is not done."""
    if not hasattr(os, "geteuid") or os.geteuid() != 0 or not shutil.which("apt-get"):
        return False
    say("      Installing system packages: " + " ".join(packages))
    install = ["apt-get", "install", "-y", "--no-install-recommends"]
    try:
        steps.run(["apt-get", "update"])
        steps.run([*install, *known_here(packages)], DEBIAN_FRONTEND="noninteractive")
    except CommandFailed:
        return False
    return True


def get_venv_module(steps: Steps) -> None:
    """Debian ships Python without ensurepip: install it as root, else raise Refusal with what to type."""
    if not shutil.which("apt-get"):
        raise Refusal("This Python lacks the modules venv and ensurepip. Install them, or another Python.")
    package = f"python{sys.version_info[0]}.{sys.version_info[1]}-venv"
    if not apt_install([package], steps):
        line = apt_line([package])
        raise Refusal(f"This Python lacks the module ensurepip. Type:\n\n    {line}\n\nand start again.")


def known_here(packages: list[str]) -> list[str]:
    """The packages by the names under which apt can install them, as of its newest lists: some have two."""
    asked = ["apt-cache", "policy", *packages]
    told = subprocess.run(asked, capture_output=True, text=True, env={**os.environ, "LC_ALL": "C"}).stdout
    there = set(re.findall(r"^([^\s:]+):\n +Installed: .*\n +Candidate: (?!\(none\))", told, re.M))
    return [name if name in there else SAME_PACKAGE.get(name, name) for name in packages]


def missing_packages(wanted: list[str], installed: set[str]) -> list[str]:
    """Which Debian packages are not there, under neither of their names."""
    return [name for name in wanted if not {name, SAME_PACKAGE.get(name, name)} & installed]


def installed_packages() -> set[str]:
    """The names of all Debian packages on this system."""
    command = ["dpkg-query", "-W", "-f", "${db:Status-Abbrev}${Package}\n"]
    lines = subprocess.run(command, capture_output=True, text=True).stdout.splitlines()
    return {line[3:] for line in lines if line.startswith("ii")}


def package_of(library: str) -> str:
    """The Debian package of a shared library, after the naming rule of Debian's policy."""
    name, _, version = library.partition(".so.")
    name = name.lower().replace("_", "-")
    dash = "-" if name[-1].isdigit() else ""
    return ODD_PACKAGES.get(library) or f"{name}{dash}{version.split('.')[0]}"


def not_found(ldd_output: str) -> list[str]:
    """The libraries that `ldd` names as missing, without Qt's own: those Qt finds by itself."""
    names = re.findall(r"^\s*(\S+\.so[.\d]*) => not found", ldd_output, re.M)
    return sorted({name for name in names if not name.startswith("libQt6")})


def missing_qt_libraries(site_packages: Path) -> list[str]:
    """System libraries that Qt needs on this display (or on none) and that are not there; Linux only."""
    qt = site_packages / "PySide6" / "Qt"
    if not sys.platform.startswith("linux") or not shutil.which("ldd"):
        return []
    plugins = ["libqoffscreen.so"]
    plugins += ["libqxcb.so"] if os.environ.get("DISPLAY") else []
    plugins += ["libqwayland.so", "libqwayland-generic.so"] if os.environ.get("WAYLAND_DISPLAY") else []
    files = [qt / "lib" / f"libQt6{part}.so.6" for part in ("Core", "Gui", "Widgets", "Network")]
    files += [qt / "plugins" / "platforms" / name for name in plugins]
    command = ["ldd", *(str(file) for file in files if file.exists())]
    if len(command) == 1:
        return []
    return not_found(subprocess.run(command, capture_output=True, text=True).stdout)


def look_for_qt_libraries(site_packages: Path, steps: Steps) -> bool:
    """Whether Qt finds every system library; installs them as root on Debian, else says what to type."""
    libraries = missing_qt_libraries(site_packages)
    if not libraries:
        return True
    if not shutil.which("dpkg-query"):
        say("Qt misses system libraries. Install the packages that provide " + ", ".join(libraries) + ".")
        return False
    packages = sorted({package_of(library) for library in libraries})
    if apt_install(packages, steps) and not missing_qt_libraries(site_packages):
        return True
    say(f"Qt misses system libraries; the window may not open. Type:\n\n    {apt_line(packages)}\n")
    return False


def look_for_test_packages(steps: Steps) -> None:
    """On Debian and its kin: what the tests need of the system. Without it the suite skips what it must."""
    if not shutil.which("dpkg-query"):
        return
    missing = missing_packages(TEST_PACKAGES, installed_packages())
    if missing and not apt_install(missing, steps):
        say(f"Some tests need system packages, else they are skipped. Type:\n\n    {apt_line(missing)}\n")
