"""A checkpoint on disk: one safetensors file, or shards that an index names, in one folder."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from tfx_engine.pretrained.safetensors import Stored, read_header
from tfx_engine.pretrained.table import read_json
from tfx_engine.protocol.marker import tr_mark
from tfx_engine.protocol.problems import ConfigError, Problem

_SINGLE, _INDEX = "model.safetensors", "model.safetensors.index.json"


def find_checkpoint(folder: Path) -> list[Path]:
    """The safetensors files of a model's folder; none where there is no such checkpoint. Raises `ConfigError`."""
    if (folder / _INDEX).is_file():
        return _shards(folder, read_json(folder / _INDEX))
    if (folder / _SINGLE).is_file():
        return [folder / _SINGLE]
    alone = sorted(folder.glob("*.safetensors"))
    return alone if len(alone) == 1 else []


def _shards(folder: Path, index: dict[str, Any]) -> list[Path]:
    """The files that an index names. They lie beside it: a name that leads elsewhere is refused."""
    weights = index.get("weight_map")
    names = sorted({str(name) for name in weights.values()}) if isinstance(weights, dict) else []
    for name in names:
        if Path(name).name != name or "\\" in name or "\0" in name:
            raise _refused(folder, tr_mark("names the file {name!r}, which does not lie beside it."), name=name)
        if not os.path.isfile(folder / name):  # noqa: PTH113  says no, unlike Path, to what is too long for a name
            raise _refused(folder, tr_mark("names the file {name!r}, which is not there."), name=name)
    if not names:
        raise _refused(folder, tr_mark("names no files."))
    return [folder / name for name in names]


def _refused(folder: Path, template: str, **args: Any) -> ConfigError:
    path = str(folder / _INDEX)
    return ConfigError([Problem(code="bad-index", path=path, template=template, args=args)])


def read_checkpoint(files: list[Path], prefix: str) -> dict[str, Stored]:
    """Every tensor by its name without the family's prefix. Raises `ConfigError`."""
    return {name.removeprefix(prefix): stored for file in files for name, stored in read_header(file).items()}
