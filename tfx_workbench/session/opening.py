"""Files that the user opens: configurations go into the form, runs into the table, what is neither gets a sentence."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from tfx_engine.protocol.marker import tr_mark
from tfx_engine.protocol.problems import ConfigError, Problem
from tfx_engine.protocol.toml import independent_of_folder, read_toml
from tfx_engine.runfile.store import absolute

BUNDLE = ".tfxbundle"


@dataclasses.dataclass
class Opened:
    """What some files turned out to be."""

    configs: list[dict[str, Any]] = dataclasses.field(default_factory=list)
    config_files: list[Path] = dataclasses.field(default_factory=list)
    runs: list[Path] = dataclasses.field(default_factory=list)
    bundles: list[Path] = dataclasses.field(default_factory=list)
    problems: list[Problem] = dataclasses.field(default_factory=list)


def open_files(files: Iterable[str | Path]) -> Opened:
    """Sort files by what they are, configurations read. What cannot be opened becomes a `Problem`."""
    found = Opened()
    for file in files:
        path = absolute(file)
        if path.suffix == ".tfx":
            if os.path.isfile(path):  # noqa: PTH113  unlike Path, it says no to what is too long to be a path
                found.runs.append(path)
            else:
                found.problems.append(_problem(path, "no-such-file", tr_mark("there is no such file.")))
        elif path.suffix == BUNDLE:
            found.bundles.append(path)
        elif path.suffix == ".toml":
            _read(path, found)
        else:
            found.problems.append(_problem(
                path, "unknown-file", tr_mark("is no configuration (.toml), run (.tfx) or bundle (.tfxbundle)."),
            ))
    return found


def read_config(path: Path) -> dict[str, Any]:
    """A configuration that does not depend on the folder it lies in. Raises `ConfigError`."""
    data = independent_of_folder(read_toml(path), path.parent)
    return data if "name" in data else {"name": path.stem.replace("_", " "), **data}


def _read(path: Path, found: Opened) -> None:
    try:
        found.configs.append(read_config(path))
        found.config_files.append(path)
    except ConfigError as error:
        found.problems += error.problems


def _problem(path: Path, code: str, template: str) -> Problem:
    return Problem(code=code, path=str(path), template=template)
