"""`doctor`: what works here, what does not, and what to type."""

from __future__ import annotations

import argparse
import dataclasses
import os
import sqlite3
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tfx_engine.client import Client, ServiceGone
from tfx_engine.protocol.marker import tr_mark
from tfx_engine.runfile.errors import RunFileError
from tfx_engine.runfile.store import default_store, is_network_filesystem, make_store
from tfx_workbench import __version__
from tfx_workbench.commands import words
from tfx_workbench.commands.output import DONE, emit
from tfx_workbench.commands.window_libraries import install_line, missing_libraries, version_of

LITTLE_SPACE = 2**30  # bytes: a long run with everything measured takes some hundred MiB
OLDEST_SQLITE = (3, 31, 0)  # generated columns


@dataclasses.dataclass(frozen=True)
class Check:
    """One thing that was looked at. `ok` is None where it is not there and not needed either."""

    name: str
    ok: bool | None
    detail: str
    hint: str = ""  # what to type or to do


def doctor(args: argparse.Namespace) -> int:
    """Look at everything; says so in words or as one object."""
    checks = list(examine(Path(args.store) if args.store else default_store()))
    ok = all(check.ok is not False for check in checks)
    if args.json:
        emit({"ok": ok, "version": __version__, "checks": [dataclasses.asdict(check) for check in checks]})
        return DONE
    width = max(len(check.name) for check in checks)
    for check in checks:
        mark = {True: tr_mark("ok"), False: tr_mark("NOT OK"), None: "–"}[check.ok]
        print(f"{mark:>6}  {check.name.ljust(width)}  {check.detail}")
        if check.hint:
            print(f"{'':>6}  {'':{width}}  {check.hint}")
    return DONE


def examine(store: Path) -> Iterator[Check]:
    """Every check, the cheap ones first."""
    yield Check("python", sys.version_info >= (3, 11), f"{sys.version.split()[0]}, {sys.executable}")
    yield _sqlite()
    yield from _store(store)
    yield from _window()
    yield from _engine(store)


def _sqlite() -> Check:
    fits = sqlite3.sqlite_version_info >= OLDEST_SQLITE
    hint = "" if fits else tr_mark("Install a newer Python: its SQLite is too old for run files.")
    return Check("sqlite", fits, sqlite3.sqlite_version, hint)


def _store(store: Path) -> Iterator[Check]:
    try:
        folder = make_store(store)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except (RunFileError, OSError) as error:
        hint = tr_mark("Choose another folder with --store, or set TFX_HOME.")
        yield Check("store", False, str(error), hint)
        return
    where = tr_mark("{store} (network: runs are written elsewhere first)") if is_network_filesystem(folder) else "{store}"
    yield Check("store", True, where.format(store=folder))


def _window() -> Iterator[Check]:
    install = f'{Path(sys.executable).name} -m pip install "tfx-workbench[app]"'
    for distribution, name in (("PySide6-Essentials", "window"), ("pyqtgraph", "plots")):
        version = version_of(distribution)
        detail = f"{distribution} {version}" if version else tr_mark("{name} is not installed").format(name=distribution)
        yield Check(name, version is not None, detail, "" if version else install)
    libraries = missing_libraries()
    if libraries:
        yield Check("window libraries", False, tr_mark("missing: {names}").format(names=", ".join(libraries)),
                    install_line(libraries))
    elif sys.platform.startswith("linux"):
        yield Check("window libraries", True, tr_mark("all there"))
        there = bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))
        detail = tr_mark("there") if there else tr_mark("none; `tfx-workbench --demo --headless` does without")
        yield Check("display", True if there else None, detail)


def _engine(store: Path) -> Iterator[Check]:
    try:
        with Client(store, on_disconnect="stop", warm=False) as client:
            found = client.doctor()
    except ServiceGone as error:
        yield Check("engine", False, str(error), tr_mark("Install TFX Workbench again."))
        return
    missing = found.get("missing", {})
    free = found.get("store_free_bytes")
    yield Check("free space", None if free is None else free >= LITTLE_SPACE, words.size(free),
                tr_mark("Make room, or choose another folder with --store.") if free is not None and free < LITTLE_SPACE else "")
    if "torch" in missing:
        yield Check("torch", False, missing["torch"], f'{Path(sys.executable).name} -m pip install "torch>=2.7,<2.14"')
        return
    yield from _engine_facts({key: value for key, value in found.items() if key not in SHOWN_ALREADY}, missing)


SHOWN_ALREADY = ("python", "executable", "platform", "store", "store_free_bytes", "missing")


def _engine_facts(found: dict[str, Any], missing: dict[str, str]) -> Iterator[Check]:
    """Torch, devices and their sensors, as the engine reports them."""
    for name, value in found.items():
        yield Check(name, None if value is None else True, _words(value))
    for name, reason in missing.items():
        yield Check(name, None, reason)


def _words(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key} {_words(inner)}" for key, inner in value.items())
    if isinstance(value, list):
        return "; ".join(_words(inner) for inner in value) or tr_mark("none")
    return words.UNKNOWN if value is None else str(value)
