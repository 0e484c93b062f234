"""Finds the techniques by walking the slot folders, and turns them into the catalogue.

`python -m tfx_engine.techniques.catalogue --write` writes `resources/catalogue.json`, from which the window, the
service and the command line know the techniques without importing torch; without `--write` it says whether the file is
up to date.
"""

from __future__ import annotations

import functools
import importlib
import pkgutil
import sys
from collections.abc import Iterable, Iterator
from typing import Any

import msgspec

from tfx_engine import techniques
from tfx_engine.protocol.cards import Catalogue, resource
from tfx_engine.protocol.config import Choice
from tfx_engine.protocol.problems import ConfigError, Problem
from tfx_engine.techniques.slots import SLOTS
from tfx_engine.techniques.technique import Technique

Found = dict[tuple[str, str], Technique]


@functools.cache
def discover() -> Found:
    """The built-in techniques by (slot, name): slots in their order, the most common technique of each first.

    Raises ValueError where a file declares no technique, or another slot than its folder's.
    """
    return in_order(_built_in())


def in_order(found: Iterable[Technique]) -> Found:
    """Techniques by (slot, name). Raises ValueError where a name is taken."""
    slots = list(SLOTS)
    catalogue: Found = {}
    for technique in sorted(found, key=lambda t: (slots.index(t.slot), t.order, t.name)):
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


@functools.cache
def in_use() -> Found:
    """The built-in techniques, and those of the user's own that are trusted: here their code is loaded."""
    from tfx_engine.techniques.own import load_own

    return in_order([*discover().values(), *(own.technique for own in load_own().techniques)])


def technique_for(slot: str, choice: Choice) -> tuple[Technique, Any]:
    """The technique that fills a slot, and its options. Raises ConfigError where there is none of that name."""
    technique = in_use().get((slot, choice.use))
    if technique is None:
        raise ConfigError([_not_loaded(slot, choice.use)])
    try:
        return technique, technique.options_from(choice.options)
    except Exception as error:  # the user's own may refuse theirs
        raise ConfigError([_refused(slot, choice.use, error)]) from error


def _not_loaded(slot: str, name: str) -> Problem:
    """What the catalogue knows is not here: a technique of the user's own, of which the file is gone or fails now."""
    from tfx_engine.techniques.own import load_own

    return Problem(
        code="own-technique", path=f"techniques.{slot}.use", args={"name": name, "faults": " ".join(load_own().faults)},
        template="is {name!r}, a technique of your own that could not be loaded here. {faults}",
        hint_template="See what `tfx-workbench trust` says.",
    )


def _refused(slot: str, name: str, error: Exception) -> Problem:
    return Problem(
        code="own-technique", path=f"techniques.{slot}",
        template="has options that your technique {name!r} refuses: {error}.",
        args={"name": name, "error": f"{type(error).__name__}: {error}".rstrip(".")},
    )


def catalogue() -> Catalogue:
    """The built-in techniques as data."""
    return Catalogue(slots=tuple(SLOTS.values()), techniques=tuple(t.card() for t in discover().values()))


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
