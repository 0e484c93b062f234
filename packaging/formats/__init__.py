"""The installers, one file each: `deb`, `appimage`, `windows`, `macos`.

Each module offers

    SYSTEM      the `sys.platform` on which its smoke test runs
    TOOLS       command -> the Debian package that brings it; what `build` calls
    build       (frozen program's folder, product, folder for the result) -> the installer
    install     (installer) -> an `Installed`: puts it on this machine, for the smoke test
    uninstall   (`Installed`) -> what was left behind, as lines; empty where nothing was

and may offer, both for the smoke test and empty where nothing is wrong,

    examine     (installer) -> errors that the judge of its format finds
    associated  (`Installed`) -> what keeps a desktop from opening a run with the program

`build` does not change the frozen program's folder, which several formats are made of: it copies what it changes.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple, Protocol, cast

from product import Product

NAMES = ("deb", "appimage", "windows", "macos")


class Installed(NamedTuple):
    """The program as it stands on a machine: where its files are, its two commands, and what opens its window."""

    folder: Path
    workbench: Path
    engine: Path

    @property
    def window(self) -> Path:
        """What a desktop starts: the workbench, on Windows its twin without a console."""
        gui = self.workbench.with_name(f"{self.workbench.stem}-gui.exe")
        return gui if self.workbench.suffix == ".exe" else self.workbench


class Format(Protocol):
    """A module of this folder."""

    SYSTEM: str
    TOOLS: Mapping[str, str]
    build: Callable[[Path, Product, Path], Path]
    install: Callable[[Path], Installed]
    uninstall: Callable[[Installed], list[str]]


def format_of(name: str) -> Format:
    """The module of that name. Raises ModuleNotFoundError where it is not there."""
    return cast(Format, importlib.import_module(f"formats.{name}"))
