"""The presets that ship with the program: configurations worth starting from, listed in `resources/presets/index.toml`,
and after them the published models in `resources/presets/models`.

A preset is one configuration or several; a Run of several queues them all.
"""

from __future__ import annotations

import dataclasses
import logging
from pathlib import Path
from typing import Any

import msgspec

from tfx_engine.pretrained.index import published_models
from tfx_engine.protocol.cards import resource
from tfx_engine.protocol.marker import tr_mark
from tfx_engine.protocol.problems import ConfigError
from tfx_engine.protocol.toml import read_toml
from tfx_workbench.session.opening import read_config

_log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class Preset:
    """One entry of the menu. `files` are the configurations, in the order in which they run."""

    name: str
    title: str
    summary: str
    files: tuple[Path, ...]
    family: str = ""  # of a published model

    def configs(self) -> list[dict[str, Any]]:
        """The configurations as plain data. Raises `ConfigError` where one cannot be read."""
        return [read_config(path) for path in self.files]


def load_presets(folder: Path | None = None) -> list[Preset]:
    """The presets in the order of their index; one that cannot be read is logged and left out."""
    folder = folder or resource("presets")
    try:
        index = read_toml(folder / "index.toml")
    except ConfigError as error:
        _log.warning("no presets: %s", error)
        return []
    found = []
    for entry in index.get("preset", []):
        files = tuple(folder / name for name in entry.get("files", []))
        missing = [f for f in files if not f.is_file()]
        if missing or not files:
            _log.warning("preset %s is incomplete: %s", entry.get("name"), missing)
            continue
        name = str(entry.get("name", ""))
        found.append(Preset(name, str(entry.get("title", name)), str(entry.get("summary", "")), files))
    return found + _published(folder / "models")


def _published(folder: Path) -> list[Preset]:
    """The published models as presets; an index that is damaged is logged and leaves none."""
    try:
        models = published_models(folder)
    except (OSError, msgspec.MsgspecError) as error:
        _log.warning("no published models: %s", error)
        return []
    return [
        Preset(model.name, model.title, _SUMMARY.format(count=f"{model.parameters:,}", source=model.source),
               (folder / f"{model.name}.toml",), model.family)
        for model in models
    ]


_SUMMARY = tr_mark("{count} parameters. {source}.")
