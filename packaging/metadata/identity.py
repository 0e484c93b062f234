"""The names by which systems know the program; every format takes them from here."""

from __future__ import annotations

import re
from datetime import date
from pathlib import Path
from xml.etree import ElementTree

ROOT = Path(__file__).resolve().parent.parent.parent
HERE = Path(__file__).resolve().parent

NAME = "TFX Workbench"
PROGRAM, ENGINE = "tfx-workbench", "tfx-engine"
APP_ID = "io.github.tfxworkbench.workbench"  # reverse DNS; also macOS's, which allows no underscore
SUMMARY = "See what each choice in a transformer costs and buys"
PUBLISHER = "The TFX Workbench authors"
LICENSE = "Apache-2.0"
RUN_SUFFIX, RUN_MIME, RUN_KIND = ".tfx", "application/x-tfx-run", "TFX Workbench run"
ICON = ROOT / "resources" / "icons" / "app.svg"


def version() -> str:
    """The version, read and not imported: whatever builds an installer needs nothing of ours installed."""
    text = (ROOT / "tfx_engine" / "__init__.py").read_text(encoding="utf-8")
    found = re.search(r'^__version__ = "([^"]+)"', text, re.M)
    if found is None:
        raise ValueError("tfx_engine/__init__.py states no __version__")
    return found[1]


def version_quad(text: str) -> list[int]:
    """A version as the four numbers that Windows wants: 1.0rc2 becomes 1.0.2.0."""
    numbers = [int(part) for part in re.findall(r"\d+", text.split("+")[0])]
    return [*numbers, 0, 0, 0, 0][:4]


def release_date() -> date:
    """When this version was released, as the metainfo says; its newest entry is this version, a test says so."""
    release = ElementTree.parse(HERE / "metainfo.xml").find("releases/release")
    if release is None:
        raise ValueError("metainfo.xml has no release")
    return date.fromisoformat(release.attrib["date"])
