"""Finds the techniques by walking the slot folders, and turns them into the catalogue.

`python -m tfx_engine.techniques.catalogue --write` writes `resources/catalogue.json`, from which the window, the
service and the command line know the techniques without importing torch; without `--write` it says whether the file is
up to date.
"""

from __future__ import annotations

import dataclasses
import functools
import importlib
import importlib.metadata
import pkgutil
import sys
from collections.abc import Iterator
from typing import Any

import msgspec

from tfx_engine import techniques
from tfx_engine.protocol.cards import Catalogue, resource
from tfx_engine.protocol.config import Choice
from tfx_engine.techniques.slots import SLOTS
from tfx_engine.techniques.technique import Technique

ENTRY_POINTS = "tfx.techniques"  # the group through which outside packages add techniques


@functools.cache
def discover(outside: bool = False) -> dict[tuple[str, str], Technique]:
    """All techniques by (slot, name): slots in their order, the plainest technique of each first.

    `outside`: also those of other packages. They are code, so nothing but the user's word loads them. Raises
    ValueError where a file declares no technique, another slot than its folder's, or a name that is taken.
    """
    found = [*_built_in(), *(_outside() if outside else ())]
    slots = list(SLOTS)
    found.sort(key=lambda t: (slots.index(t.slot), t.order, t.name))
    catalogue: dict[tuple[str, str], Technique] = {}
    for technique in found:
        if (technique.slot, technique.name) in catalogue:
            raise ValueError(f"{technique.module}: {technique.slot} has a technique {technique.name!r} already")
        catalogue[technique.slot, technique.name] = technique
    return catalogue


def _built_in() -> Iterator[Technique]:
    for slot in SLOTS:
        folder = importlib.import_module(f"{techniques.__name__}.{slot}")
        for file in pkgutil.iter_modules(folder.__path__):
            module = importlib.import_module(f"{folder.__name__}.{file.name}")
            technique = getattr(module, "TECHNIQUE", None)
            if not isinstance(technique, Technique) or technique.slot != slot or technique.name != file.name:
                raise ValueError(f"{module.__name__}: TECHNIQUE must be a Technique {file.name!r} of the slot {slot!r}")
            yield technique


def _outside() -> Iterator[Technique]:
    for entry in importlib.metadata.entry_points(group=ENTRY_POINTS):
        technique = entry.load()
        if not isinstance(technique, Technique):
            raise ValueError(f"{entry.value}: the entry point {entry.name!r} in {ENTRY_POINTS} is not a Technique")
        yield technique


@functools.cache
def _in_use() -> dict[tuple[str, str], Technique]:
    return dict(discover())


def use_outside() -> Catalogue:
    """From here on this process uses the techniques of other packages too. Returns the catalogue with them in it."""
    _in_use().update(discover(outside=True))
    return catalogue(outside=True)


def technique_for(slot: str, choice: Choice) -> tuple[Technique, Any]:
    """The technique that fills a slot, and its options. Raises KeyError where there is none of that name."""
    technique = _in_use()[slot, choice.use]
    names = {field.name for field in dataclasses.fields(technique.options)}
    return technique, technique.options(**{k: v for k, v in choice.options.items() if k in names})


def catalogue(outside: bool = False) -> Catalogue:
    """The techniques as data."""
    cards = tuple(technique.card() for technique in discover(outside).values())
    return Catalogue(slots=tuple(SLOTS.values()), techniques=cards)


def generate_catalogue() -> bytes:
    """The text of `resources/catalogue.json`."""
    return msgspec.json.format(msgspec.json.encode(catalogue()), indent=1) + b"\n"


def main(arguments: list[str]) -> int:
    """Write the file, or say whether it is up to date."""
    path, text = resource("catalogue.json"), generate_catalogue()
    if "--write" in arguments:
        path.write_bytes(text)
        return 0
    stale = not path.exists() or path.read_bytes() != text
    print(f"{path} is {'stale: run this with --write' if stale else 'up to date'}")
    return int(stale)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
