"""`doctor`: what works here, what does not, and what to type."""

from __future__ import annotations

import argparse
import dataclasses
import os
import sqlite3
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tfx_engine.client import Client, ServiceGone
from tfx_engine.protocol.engine_python import chosen_python, is_frozen
from tfx_engine.protocol.marker import tr_mark
from tfx_engine.runfile.store import default_store, is_network_filesystem, store_refusal
from tfx_workbench import __version__
from tfx_workbench.commands import words
from tfx_workbench.commands.output import DONE, emit
from tfx_workbench.commands.remarks import free_space, unused_gpu
from tfx_workbench.commands.speeds import Check, speeds
from tfx_workbench.commands.window_libraries import install_line, missing_libraries, version_of

_AGAIN = tr_mark("Install TFX Workbench again.")
OLDEST_SQLITE = (3, 31, 0)  # generated columns


def doctor(args: argparse.Namespace) -> int:
    """Look at everything; says so in words or as one object."""
    checks = list(examine(Path(args.store) if args.store else default_store(), args.measure))
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


def examine(store: Path, measure: bool = False) -> Iterator[Check]:
    """Every check, the cheap ones first."""
    yield Check("python", sys.version_info >= (3, 11), f"{sys.version.split()[0]}, {sys.executable}")
    yield _sqlite()
    yield from _store(store)
    yield from _window()
    yield from _engine(store, measure)


def _sqlite() -> Check:
    fits = sqlite3.sqlite_version_info >= OLDEST_SQLITE
    hint = "" if fits else tr_mark("Install a newer Python: its SQLite is too old for run files.")
    return Check("sqlite", fits, sqlite3.sqlite_version, hint)


def _store(store: Path) -> Iterator[Check]:
    if refusal := store_refusal(store):
        yield Check("store", False, refusal, tr_mark("Everything that needs no run goes on: estimate, check, compare."))
        return
    network = tr_mark(" (on a network: runs are written elsewhere first)") if is_network_filesystem(store) else ""
    yield Check("store", True, f"{store}{network}")


def _repair() -> str:
    """What to do about an engine that does not start."""
    python = chosen_python()
    if python is None:
        return _AGAIN
    return tr_mark("`tfx-workbench engine {python}` says what it lacks; `--built-in` goes back.").format(python=python)


def _install(requirement: str) -> str:
    """How a missing package comes: into the installed program nothing can be put."""
    if is_frozen() or chosen_python():
        return _repair()
    return f'{Path(sys.executable).name} -m pip install "{requirement}"'


def _window() -> Iterator[Check]:
    install = _install("tfx-workbench[app]")
    for distribution, name in (("PySide6-Essentials", "window"), ("pyqtgraph", "plots")):
        version = version_of(distribution)
        detail = f"{distribution} {version or tr_mark('is not installed')}"
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


def _engine(store: Path, measure: bool) -> Iterator[Check]:
    """What only the engine knows: the disk, torch, devices and their sensors."""
    try:
        with Client(store, on_disconnect="stop", warm=False) as client:
            found = client.doctor(measure)
    except ServiceGone as error:
        yield Check("engine", False, str(error), _repair())
        return
    yield Check("engine", True, f"{found.get('engine', '')}, {found.get('executable', '')}")
    yield free_space(found.get("store_free_bytes"))
    reason = found.get("missing", {}).get("torch")
    if reason is not None:
        yield Check("torch", False, reason, _install("torch>=2.7,<2.14"))
        return
    yield _torch(found)
    yield Check("cpu", True, tr_mark("{name}, {cores} cores, torch uses {threads} threads").format(
        name=found.get("cpu"), cores=found.get("cpu_cores"), threads=found.get("threads")))
    yield Check("memory", True, tr_mark("{free} free of {total}").format(
        free=words.size(found.get("ram_free_bytes")), total=words.size(found.get("ram_bytes"))))
    yield from _devices(found)
    yield from speeds(found.get("ceilings", []))


def _torch(found: dict[str, Any]) -> Check:
    cuda = found.get("torch_cuda")
    detail = tr_mark("{version}, CUDA {cuda}").format(version=found["torch"], cuda=cuda) if cuda else found["torch"]
    return Check("torch", True, detail)


def _devices(found: dict[str, Any]) -> Iterator[Check]:
    devices = found.get("devices", [])
    yield from unused_gpu(found)
    if not devices:
        yield Check("accelerator", None, tr_mark("none; runs are done on the CPU"))
    for device in devices:
        name, missing = device["device"], device.get("missing", {})
        parts = [device["name"], words.size(device["memory_bytes"]) if device.get("memory_bytes") else ""]
        parts.append(tr_mark("driver {version}").format(version=device["driver"]) if device.get("driver") else "")
        yield Check(name, True, ", ".join(filter(None, parts)))
        for reading, reason in missing.items():
            yield Check(f"{name} {reading}", None, reason)
        if not missing:
            yield Check(f"{name} sensors", True, tr_mark("all can be read"))
    automatic = tr_mark('device = "auto" takes {device}').format(device=found.get("automatic_device"))
    yield Check("automatic", True, automatic)
    in_hardware = bool(found.get("bfloat16"))
    detail = tr_mark("in hardware") if in_hardware else tr_mark("not in hardware: such runs work, but may be slow")
    yield Check("bfloat16", True if in_hardware else None, detail)
