"""The published models that ship as presets: `resources/presets/models/index.toml`, one configuration each."""

from __future__ import annotations

from pathlib import Path

import msgspec

from tfx_engine.protocol.cards import resource


class PublishedModel(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One entry. `parameters` is the published count; the configuration has `difference` fewer, as `note` explains."""

    name: str
    title: str
    family: str
    parameters: int
    source: str
    difference: int = 0
    note: str = ""

    @property
    def file(self) -> Path:
        """Its configuration."""
        return models_folder() / f"{self.name}.toml"


def models_folder() -> Path:
    """Where the configurations and their index lie."""
    return resource("presets", "models")


def published_models(folder: Path | None = None) -> list[PublishedModel]:
    """All of them, family by family. Raises OSError and `msgspec.MsgspecError` where the index is damaged."""
    index = ((folder or models_folder()) / "index.toml").read_bytes()
    table = msgspec.toml.decode(index, type=dict[str, list[PublishedModel]])
    return table.get("model", [])
