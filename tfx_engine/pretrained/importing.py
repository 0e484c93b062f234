"""From a Hugging Face folder to a configuration, and to a checkpoint under our names that runs can start from."""

from __future__ import annotations

import dataclasses
import functools
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tfx_engine.pretrained.checkpoint import find_checkpoint, read_checkpoint
from tfx_engine.pretrained.families import families
from tfx_engine.pretrained.family import Family
from tfx_engine.pretrained.safetensors import Stored, write
from tfx_engine.pretrained.table import Table, read_json
from tfx_engine.pretrained.take import Numbers, Take
from tfx_engine.protocol.config import Config, parse_config
from tfx_engine.protocol.problems import ConfigError, Problem, nearest


@dataclasses.dataclass(frozen=True)
class Imported:
    """A model in our words. `lost`: what of it could not be expressed, one sentence each."""

    family: Family
    data: dict[str, Any]  # as `parse_config` reads it
    config: Config
    lost: tuple[Problem, ...]
    checkpoint: tuple[Path, ...]  # its safetensors files; none where it has no such checkpoint


def import_config(path: Path, name: str = "") -> Imported:
    """The model that a `config.json` describes, or the folder in which one lies.

    Raises `ConfigError` with every problem where it cannot be read or its family is not known here.
    """
    file = path / "config.json" if os.path.isdir(path) else path  # noqa: PTH112  Path fails at long names
    if file.suffix == ".safetensors":
        file = file.with_name("config.json")
    table = Table(read_json(file))
    family = _family(table, file)
    described = family.describe(table)
    lost = (*table.lost, *table.unread())
    data = {"format": 1, "name": name or file.absolute().parent.name or family.title, **described}
    config, problems = parse_config(data)
    if table.problems or problems:
        raise ConfigError([*table.problems, *problems])
    checkpoint = [path] if path.suffix == ".safetensors" else find_checkpoint(file.parent)
    return Imported(family, data, config, lost, tuple(checkpoint))


def _family(table: Table, file: Path) -> Family:
    name = table.word("model_type", default="")
    known = families()
    if name in known:
        return known[name]
    near = nearest(name, known)
    raise ConfigError([*table.problems, Problem(
        code="unknown-family", path=f"{file}: model_type",
        template="is {name!r}, a family of models that is not known here." if name else "is missing.",
        hint_template="Did you mean {near!r}? Known: {known}." if near else "Known: {known}.",
        args={"name": name, "near": near, "known": ", ".join(sorted(known))},
    )])


def import_weights(imported: Imported, target: Path) -> tuple[Problem, ...]:
    """Write the checkpoint under our names; returns what of it was left out, a sentence for each tensor.

    One tensor is in memory at a time, in the number format in which it was stored. Raises `ConfigError` where a tensor
    is missing or has another shape than the configuration says, or where the file cannot be written.
    """
    if any(target.absolute() == file.absolute() for file in imported.checkpoint):
        raise ConfigError([Problem(code="same-file", path=str(target), template="is the checkpoint itself.",
                                   hint_template="Choose another file.")])
    stored = read_checkpoint(list(imported.checkpoint), imported.family.prefix)
    used: set[str] = set()
    problems: list[Problem] = []
    tensors: dict[str, tuple[str, Callable[[], Numbers]]] = {}
    for ours, take in imported.family.tensors(imported.config):
        used.update(take.theirs)
        problem = _fault(ours, take, stored)
        if problem is not None:
            problems.append(problem)
        else:
            tensors[ours] = (stored[take.theirs[0]].dtype, functools.partial(_taken, take, stored))
    if problems:
        raise ConfigError(problems)
    metadata = {"format": "pt", "family": imported.family.title, "tfx_config": json.dumps(imported.config.as_dict())}
    try:
        write(target, tensors, metadata)
    except OSError as error:
        raise ConfigError([Problem(code="unwritable", path=str(target), template="cannot be written: {error}.",
                                   args={"error": error.strerror or str(error)})]) from None
    return tuple(_left_out(name) for name in stored if name not in used and not name.endswith(imported.family.silent))


def _fault(ours: str, take: Take, stored: dict[str, Stored]) -> Problem | None:
    for name in take.theirs:
        if name not in stored:
            return Problem(code="missing-tensor", path=name, args={"ours": ours},
                           template="is not in the checkpoint; {ours} would be made of it.")
    try:
        _taken(take, stored)
    except ValueError as error:
        return Problem(code="wrong-shape", path=take.theirs[0], template="does not fit: {error}.",
                       args={"error": str(error)})
    return None


def _taken(take: Take, stored: dict[str, Stored]) -> Numbers:
    return take(lambda name: stored[name].read())


def _left_out(name: str) -> Problem:
    return Problem(code="left-out", path=name, template="has no place in the configuration and was left out.")
