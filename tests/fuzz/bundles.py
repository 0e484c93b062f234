"""Readers of bundles."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import io
import json
import random
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.fuzz.mutate import as_json, mutated, reshaped
from tests.fuzz.target import Seeds, Target
from tests.helpers.synthetic_run import write_run
from tfx_engine.protocol.problems import ConfigError, Problem
from tfx_engine.runfile.reader import RunReader
from tfx_workbench.commands.words import title
from tfx_workbench.exporting.bundle import write_bundle
from tfx_workbench.exporting.bundle_file import Bundle

SMALL: dict[str, Any] = {"layers": 1, "heads": 2, "context": 8, "width": 8, "steps": 20}


@functools.cache
def _bundle(folder: Path) -> bytes:
    run = folder / "bundled.tfx"
    write_run(run, **SMALL)
    made = io.BytesIO()
    with _no_scripts():
        write_bundle(made, [run])
    return made.getvalue()


@contextlib.contextmanager
def _no_scripts() -> Iterator[None]:
    """Writing a program needs torch, and is not what is tried here."""
    from tfx_workbench.exporting import bundle

    def none(_: Path) -> str:
        raise ConfigError([Problem(code="x", path="", template="none")])

    before = bundle.script_of
    bundle.script_of = none
    try:
        yield
    finally:
        bundle.script_of = before


def repacked(seeds: Seeds, draw: random.Random) -> bytes:
    """A bundle whose manifest is of another shape, or fits files that were changed; or one of turned bytes."""
    if draw.random() < 0.4:
        return mutated(seeds[0], draw, seeds)
    with zipfile.ZipFile(io.BytesIO(seeds[0])) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    about = json.loads(files.pop("manifest.json"))
    if draw.random() < 0.7:
        name = draw.choice(sorted(files))
        files[name] = mutated(files[name], draw)
        about["files"] = [{"path": name, "bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
                          for name, data in files.items()]  # fmt: skip
    if draw.random() < 0.6:
        about = reshaped(about, draw)
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", draw.choice((zipfile.ZIP_DEFLATED, zipfile.ZIP_STORED))) as archive:
        for name, data in {**files, "manifest.json": as_json(about)}.items():
            archive.writestr(name, data)
    return made.getvalue()


def _read_bundle(data: bytes, folder: Path) -> None:
    path = folder / "b.tfxbundle"
    path.write_bytes(data)
    with Bundle(path) as found:
        for run in found.runs:
            title(run.name)
            with found.run_file(run) as file, RunReader(file) as reader:
                reader.info()


TARGETS = (Target("bundle", lambda folder: [_bundle(folder)], _read_bundle, repacked),)
