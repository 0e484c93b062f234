"""Loads the techniques of the user's own: files in trusted folders, and entry points of trusted packages.

This runs their code, so only what the user has confirmed is looked at (`protocol/trust.py`), and only here: in a
worker, or in a Python program that builds models itself. What cannot be loaded is left out and said.
"""

from __future__ import annotations

import functools
import importlib.metadata
import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

import msgspec

from tfx_engine.protocol.cards import Catalogue
from tfx_engine.protocol.trust import (
    ENTRY_POINTS,
    OwnCatalogue,
    Trusted,
    load_trusted,
    save_own_catalogue,
    stamp,
    technique_files,
)
from tfx_engine.techniques.catalogue import discover, in_order, in_use
from tfx_engine.techniques.slots import SLOTS
from tfx_engine.techniques.technique import Technique

_PACKAGE = "tfx_own"  # of the modules that files become: no file of theirs takes another module's place


class Own(NamedTuple):
    """One technique and where it comes from."""

    technique: Technique
    origin: str


class Loaded(NamedTuple):
    """What was found; `faults` say in words what could not be loaded, and why. `stamp`: of the sources."""

    techniques: tuple[Own, ...] = ()
    faults: tuple[str, ...] = ()
    stamp: str = ""


@functools.cache
def load_own() -> Loaded:
    """Everything that is trusted, loaded once."""
    trusted = load_trusted()
    if not trusted:
        return Loaded()
    found: list[Own] = []
    faults: list[str] = []
    before = stamp(trusted)
    taken = set(discover())
    for origin, load in _sources(trusted):
        try:
            technique = load()
            if (technique.slot, technique.name) in taken:
                raise ValueError(f"the slot {technique.slot!r} has a technique {technique.name!r} already")
        except (Exception, SystemExit) as error:  # anything may happen in somebody's file; the others are loaded
            faults.append(f"{origin}: {type(error).__name__}: {error}")
            continue
        taken.add((technique.slot, technique.name))
        found.append(Own(technique, origin))
    missing = [f"{folder}: there is no such folder." for folder in trusted.folders if not Path(folder).is_dir()]
    return Loaded(tuple(found), (*missing, *faults), before)


def look_again() -> None:
    """Forget what was loaded where list or sources have changed since: the next to ask loads it anew."""
    trusted = load_trusted()
    if load_own().stamp != (stamp(trusted) if trusted else ""):
        load_own.cache_clear()
        in_use.cache_clear()


def _sources(trusted: Trusted) -> Iterator[tuple[str, functools.partial[Technique]]]:
    for folder in trusted.folders:
        for path in technique_files(folder):
            yield str(path), functools.partial(_from_file, path)
    for entry in importlib.metadata.entry_points(group=ENTRY_POINTS):
        if entry.dist is not None and entry.dist.name in trusted.packages:
            yield f"{entry.dist.name} ({entry.value})", functools.partial(_from_package, entry)


def _from_file(path: Path) -> Technique:
    sys.modules.setdefault(_PACKAGE, ModuleType(_PACKAGE))
    name = f"{_PACKAGE}.{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ImportError("is no Python file")
    module = sys.modules[name] = importlib.util.module_from_spec(spec)  # before it runs: dataclasses look there
    try:
        spec.loader.exec_module(module)
        return _declared(module)
    except BaseException:
        del sys.modules[name]
        raise


def _from_package(entry: importlib.metadata.EntryPoint) -> Technique:
    technique = entry.load()
    if not isinstance(technique, Technique):
        raise TypeError(f"the entry point {entry.name!r} in {ENTRY_POINTS} is not a Technique")
    return technique


def _declared(module: ModuleType) -> Technique:
    technique = getattr(module, "TECHNIQUE", None)
    if not isinstance(technique, Technique):
        raise TypeError("there is no TECHNIQUE = Technique(...) in it")
    return technique


def write_own_catalogue() -> OwnCatalogue:
    """Load what is trusted and write down what it is, for those who load no code. Raises OSError."""
    look_again()
    loaded = load_own()
    origins = {(own.technique.slot, own.technique.name): own.origin for own in loaded.techniques}
    everything = in_order([*discover().values(), *(own.technique for own in loaded.techniques)])
    cards = tuple(
        msgspec.structs.replace(technique.card(), origin=origins.get(key, "")) for key, technique in everything.items()
    )
    catalogue = Catalogue(slots=tuple(SLOTS.values()), techniques=cards)
    found = OwnCatalogue(stamp=loaded.stamp, catalogue=catalogue, faults=loaded.faults)
    save_own_catalogue(found)
    return found
