"""A claim bundle: everything that somebody else needs to check a run, or several, in one file.

A zip archive, the same bytes for the same runs. `manifest.json` names every other file with its size and SHA-256; of
each run there are `runs/N/run.tfx` (the run file itself, sealed), `config.toml` (as written), `config.resolved.toml`,
`environment.json`, `summary.json` (as `show --json`) and `script.py` where there is one.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import IO, Any, BinaryIO

import msgspec

from tfx_engine.protocol.marker import tr_mark
from tfx_engine.protocol.problems import ConfigError, Problem
from tfx_engine.protocol.status import ENDED
from tfx_engine.protocol.toml import dumps
from tfx_engine.runfile.errors import RunFileError
from tfx_engine.runfile.seal import copy_run
from tfx_workbench import __version__
from tfx_workbench.exporting.json_file import finite
from tfx_workbench.exporting.script import script_of
from tfx_workbench.runs.rundata import RunData

SCHEMA = 1
FORMAT = "tfx-bundle"
SUFFIX = ".tfxbundle"
MANIFEST = "manifest.json"
MOST_RUNS = 200
_ENVIRONMENT = ("device", "torch", "python", "platform", "machine", "cpu", "cpu_capability", "cpu_cores", "threads",
                "cuda", "driver", "capacity_bytes", "seed", "optimizer", "loss", "kernel", "corpus")
_EPOCH = (1980, 1, 1, 0, 0, 0)  # the beginning of time for a zip archive
_NOT_COPIED = frozenset({"no-space", "no-quota", "no-permission", "write-failed"})  # a fault of the folder of the copy
_NOT_ENDED = tr_mark("has not ended: its status is {status}.")
_TOO_MANY = tr_mark("A bundle holds at most {most} runs, not {count}.")
_README = """\
A claim bundle of TFX Workbench: {names}.

manifest.json    every file with its SHA-256
runs/N/run.tfx   the run: an SQLite file with everything that was measured
runs/N/script.py the model and its training as one PyTorch program (python script.py)

To repeat it on another machine and compare:  tfx-workbench reproduce FILE
"""


def write_bundle(file: BinaryIO, runs: Sequence[Path]) -> dict[str, Any]:
    """Write a bundle; its manifest. Raises ConfigError, RunFileError: a run that has not ended, or cannot be read."""
    if len(runs) > MOST_RUNS:
        raise ConfigError([Problem(code="too-many-runs", path="", template=_TOO_MANY,
                                   args={"most": MOST_RUNS, "count": len(runs)})])
    with tempfile.TemporaryDirectory(prefix="tfx-bundle-") as folder, zipfile.ZipFile(file, "w") as archive:
        entries, files = [], []
        for number, run in enumerate(runs, start=1):
            place = Path(folder, str(number))
            place.mkdir()
            try:
                entry, contents = _contents(run, place)
            except RunFileError as error:
                raise _of_the_run(error, run, place) from None
            entries.append({"folder": f"runs/{number}", **entry})
            files += [_add(archive, f"runs/{number}/{name}", content) for name, content in contents]
            shutil.rmtree(place)
        names = ", ".join(str(entry["name"]) for entry in entries)
        files.append(_add(archive, "README.txt", _README.format(names=names).encode()))
        manifest = {"schema": SCHEMA, "format": FORMAT, "made_with": __version__, "runs": entries,
                    "files": sorted(files, key=lambda f: str(f["path"]))}
        _add(archive, MANIFEST, _json(manifest))
        return manifest


def _of_the_run(error: RunFileError, run: Path, place: Path) -> RunFileError:
    """What is wrong with the copy is wrong with the run, unless the copy could not be written."""
    problem = error.problem
    if problem.code in _NOT_COPIED or not Path(problem.path).is_relative_to(place):
        return error
    return RunFileError(msgspec.structs.replace(problem, path=str(run)))


def _contents(run: Path, folder: Path) -> tuple[dict[str, Any], Iterator[tuple[str, bytes | Path]]]:
    """What is said of a run in the manifest, and its files; the run file is copied to `folder` first."""
    copy = folder / "run.tfx"
    copy_run(run, copy)
    with closing(RunData(copy).load()) as data:
        info, facts = data.info, data.facts
        if info.status not in ENDED:
            raise ConfigError([Problem(code="not-ended", path=str(run), template=_NOT_ENDED,
                                       hint_template=tr_mark("Wait for its end, or stop it."),
                                       args={"status": info.status})])
        summary = {**data.complete_summary(), "run": "run.tfx", "pid": None}
        environment = {key: facts[key] for key in _ENVIRONMENT if key in facts}
        environment["engine_version"] = info.engine_version
        texts = [("config.toml", info.config_toml.encode()), ("config.resolved.toml", dumps(info.config).encode()),
                 ("environment.json", _json(environment)), ("summary.json", _json(summary))]
        entry: dict[str, Any] = {"name": info.name, "run_id": info.run_id, "status": info.status, "no_script": None}
    try:
        texts.append(("script.py", script_of(copy).encode()))
    except ConfigError as error:
        entry["no_script"] = error.problems[0].message
    return entry, iter([("run.tfx", copy), *texts])


def _add(archive: zipfile.ZipFile, name: str, content: bytes | Path) -> dict[str, Any]:
    """Put a file into the archive; what the manifest says of it."""
    about = zipfile.ZipInfo(name, _EPOCH)
    about.compress_type, about.external_attr, about.create_system = zipfile.ZIP_DEFLATED, 0o644 << 16, 3
    digest, size = hashlib.sha256(), 0
    about.file_size = content.stat().st_size if isinstance(content, Path) else len(content)
    with archive.open(about, "w") as target:
        for piece in _pieces(content):
            digest.update(piece)
            size += len(piece)
            target.write(piece)
    return {"path": name, "bytes": size, "sha256": digest.hexdigest()}


def _pieces(content: bytes | Path) -> Iterator[bytes]:
    if isinstance(content, bytes):
        yield content
        return
    source: IO[bytes]
    with content.open("rb") as source:
        while piece := source.read(1 << 20):
            yield piece


def _json(value: Any) -> bytes:
    return json.dumps(finite(value), indent=1, sort_keys=True, allow_nan=False).encode() + b"\n"
