"""Files that the user opens: configurations go into the form, runs into the table, what is neither gets a sentence."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from tfx_engine.protocol.marker import tr_mark
from tfx_engine.protocol.problems import ConfigError, Problem
from tfx_engine.protocol.toml import read_toml

BUNDLE = ".tfxbundle"
LARGEST_CONFIG = 1_000_000  # bytes; a larger file is no configuration


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
        path = Path(file).expanduser().absolute()
        if path.suffix == ".tfx":
            if path.is_file():
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
    if path.is_file() and path.stat().st_size > LARGEST_CONFIG:
        raise ConfigError([_problem(path, "too-large", tr_mark("is too large for a configuration."))])
    data = read_toml(path)
    for section, key in (("data", "path"), ("run", "start_from")):
        table = data.get(section)
        source = table.get(key) if isinstance(table, dict) else None
        if isinstance(table, dict) and isinstance(source, str) and (path.parent / source).exists():
            data[section] = {**table, key: str((path.parent / source).absolute())}
    if "name" not in data:
        data = {"name": path.stem.replace("_", " "), **data}
    return data


def _read(path: Path, found: Opened) -> None:
    try:
        found.configs.append(read_config(path))
        found.config_files.append(path)
    except ConfigError as error:
        found.problems += error.problems


def _problem(path: Path, code: str, template: str) -> Problem:
    return Problem(code=code, path=str(path), template=template)
