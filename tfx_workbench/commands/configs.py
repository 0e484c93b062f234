"""Configurations as the command line gets them: files, `--set`, and every problem of all of them at once."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from tfx_engine.protocol.config import parse_config
from tfx_engine.protocol.problems import ConfigError, Problem
from tfx_engine.protocol.toml import apply_settings, dumps, independent_of_folder, loads, read_text


@dataclasses.dataclass(frozen=True)
class Given:
    """One configuration as the user gave it: where it is from, its table, its text."""

    file: str
    data: dict[str, Any]
    toml: str


def read_configs(files: Sequence[str], settings: Sequence[str] = (), store: str | None = None) -> list[Given]:
    """All configurations, `settings` applied. Raises `ConfigError` with the problems of all of them.

    A data path in a file counts from that file where something is there. A `store` wins over those of the files.
    """
    given: list[Given] = []
    problems: list[Problem] = []
    for file in files:
        try:
            given.append(_read(file, settings, store))
        except ConfigError as error:
            # A wrong --set is wrong for every file, and said once.
            problems += [problem for problem in error.problems if problem not in problems]
            continue
        problems += named(parse_config(given[-1].data)[1], file, len(files))
    if problems:
        raise ConfigError(problems)
    return given


def _read(file: str, settings: Sequence[str], store: str | None) -> Given:
    text = read_text(file)
    data = loads(text, file)
    changed = independent_of_folder(data, Path(file).parent)
    if settings:
        changed = apply_settings(changed, list(settings))
    run = changed.get("run")
    if store is not None and isinstance(run, dict):
        changed = {**changed, "run": {key: value for key, value in run.items() if key != "store"}}
    if "name" not in changed:
        changed = {"name": Path(file).stem.replace("_", " "), **changed}
    return Given(file, changed, dumps(changed) if settings else text)


def named(problems: Sequence[Problem], file: str, files: int) -> list[Problem]:
    """The problems, with the file before the key path where there are several files."""
    if files < 2:
        return list(problems)
    return [msgspec.structs.replace(problem, path=f"{file}: {problem.path}") for problem in problems]
