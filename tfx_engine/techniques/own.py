"""Loads the techniques of the user's own: files in trusted folders, and entry points of trusted packages.

This runs their code, so only what the user has confirmed is looked at (`protocol/trust.py`), and only here: in a
worker, or in a Python program that builds models itself. What cannot be loaded is left out and said. What ends or hangs
the process that loads it is found out by `client/own.py`, which has all of them loaded in a process of its own first.
A file without a technique may lie beside: the others import it by its name.
"""

from __future__ import annotations

import functools
import hashlib
import importlib
import importlib.metadata
import importlib.util
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

import msgspec

from tfx_engine.protocol.cards import Catalogue, TechniqueCard
from tfx_engine.protocol.marker import tr_mark
from tfx_engine.protocol.trust import (
    ENTRY_POINTS,
    OwnCatalogue,
    Trusted,
    basis,
    load_trusted,
    own_catalogue,
    path_in_words,
    save_own_catalogue,
    stamp,
    technique_files,
)
from tfx_engine.techniques.catalogue import discover, in_order, in_use
from tfx_engine.techniques.guarded import guarded, in_words
from tfx_engine.techniques.module import forget_modules, importable
from tfx_engine.techniques.slots import SLOTS
from tfx_engine.techniques.technique import Technique

_PACKAGE = "tfx_own"  # of the modules that files become: no file of theirs takes another module's place
_BUILT_IN = tr_mark("built in")
_NO_FOLDER = tr_mark("{folder}: there is no such folder.")
_TAKEN = tr_mark("the slot {slot!r} has a technique {name!r} already ({other}); rename the file")
_NAME = tr_mark("its name has a dot in it, or what is no letter in UTF-8; rename the file")
_NOT_ITS_NAME = tr_mark("write module=__name__")
_NO_ORDER = tr_mark("order must be a whole number")
_NO_FUNCTION = tr_mark("{name} must be a function")
_NO_SLOT = tr_mark("its requires or excludes name a slot {slot!r} that there is not")
_NO_PYTHON = tr_mark("it is no Python file")
_NOT_ONE = tr_mark("the entry point {name!r} in {group} is not a Technique")
_MISNAMED = tr_mark("its technique is called {name}; call it TECHNIQUE")
_NO_TECHNIQUE = tr_mark("there is no TECHNIQUE = Technique(...) in it, but another thing of that name ({kind})")


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
    """Everything that is trusted, loaded once; but for what is known to end or hang the process that loads it."""
    trusted = load_trusted()
    if not trusted:
        return Loaded()
    known = own_catalogue(trusted)
    return _load(trusted, {} if known is None else known.left_out, lambda origin: None)


def _load(trusted: Trusted, left_out: Mapping[str, str], on_loading: Callable[[str], None]) -> Loaded:
    found: list[Own] = []
    faults = [_NO_FOLDER.format(folder=folder) for folder in trusted.folders if not Path(folder).is_dir()]
    before = stamp(trusted)
    importable(trusted.folders)
    taken = dict.fromkeys(discover(), _BUILT_IN)
    for origin, load in _sources(trusted):
        if origin in left_out:
            faults.append(f"{origin}: {left_out[origin]}")
            continue
        on_loading(origin)
        try:
            technique = load()
            if technique is None:
                continue
            key = (technique.slot, technique.name)
            if key in taken:
                raise ValueError(_TAKEN.format(slot=key[0], name=key[1], other=taken[key]))
            _check_types(technique)
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # also SystemExit: the others are loaded nevertheless
            words = re.sub(rf"{_PACKAGE}\.\w+\.", "", in_words(error, origin))  # nobody knows our names of modules
            faults.append(f"{origin}: {words}")
            continue
        taken[key] = origin
        found.append(Own(guarded(technique, origin), origin))
    on_loading("")  # what fails from now on is no file's fault
    return Loaded(tuple(found), tuple(faults), before)


def _check_types(technique: Technique) -> None:
    """What is of another type than it says can neither be written down nor shown. Raises TypeError, ValueError."""
    if isinstance(technique.order, bool) or not isinstance(technique.order, int):
        raise TypeError(_NO_ORDER)
    for name in ("build", "reference", "check", "params", "work"):
        if not callable(getattr(technique, name)):
            raise TypeError(_NO_FUNCTION.format(name=name))
    card = msgspec.json.decode(msgspec.json.encode(technique.card()), type=TechniqueCard)
    strange = {rule.slot for rule in (*card.requires, *card.excludes)} - set(SLOTS)
    if strange:
        raise ValueError(_NO_SLOT.format(slot=min(strange)))


def look_again() -> None:
    """Forget what was loaded where list or sources have changed since: the next to ask loads it anew."""
    trusted = load_trusted()
    if load_own().stamp != (stamp(trusted) if trusted else ""):
        forget_modules()
        load_own.cache_clear()
        in_use.cache_clear()


def _sources(trusted: Trusted) -> Iterator[tuple[str, Callable[[], Technique | None]]]:
    for folder in trusted.folders:
        for path in technique_files(folder):
            yield path_in_words(path), functools.partial(_from_file, path)
    for entry in importlib.metadata.entry_points(group=ENTRY_POINTS):
        if entry.dist is not None and entry.dist.name in trusted.packages:
            yield f"{entry.dist.name} ({entry.value})", functools.partial(_from_package, entry)


def _from_file(path: Path) -> Technique | None:
    """The technique in a file; None where it is a module that lies beside, with none in it."""
    sys.modules.setdefault(_PACKAGE, ModuleType(_PACKAGE))
    place = hashlib.sha256(str(path.parent).encode(errors="surrogateescape")).hexdigest()[:8]
    name = f"{_PACKAGE}.{place}.{path.stem}"  # two folders may have files of one name
    if "." in path.stem or not path.stem.isprintable():  # half a character of another encoding is not printable
        raise ImportError(_NAME)
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ImportError(_NO_PYTHON)
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
        raise TypeError(_NOT_ONE.format(name=entry.name, group=ENTRY_POINTS))
    return technique


def _declared(module: ModuleType) -> Technique | None:
    technique = getattr(module, "TECHNIQUE", None)
    if isinstance(technique, Technique):
        if technique.module != module.__name__:
            raise ValueError(_NOT_ITS_NAME)
        return technique
    others = [name for name, value in vars(module).items() if isinstance(value, Technique)]
    if others:
        raise TypeError(_MISNAMED.format(name=others[0]))
    if technique is not None:
        raise TypeError(_NO_TECHNIQUE.format(kind=type(technique).__name__))
    return None


def write_own_catalogue(
    left_out: Mapping[str, str] | None = None, on_loading: Callable[[str], None] = lambda origin: None
) -> OwnCatalogue:
    """Load what is trusted and write down what it is, for those who load no code. Raises OSError.

    `left_out`: origin -> why it is not to be loaded. `on_loading` is told what is about to be.
    """
    trusted = load_trusted()
    loaded = _load(trusted, left_out or {}, on_loading) if trusted else Loaded()
    origins = {(own.technique.slot, own.technique.name): own.origin for own in loaded.techniques}
    everything = in_order([*discover().values(), *(own.technique for own in loaded.techniques)])
    cards = tuple(
        msgspec.structs.replace(technique.card(), origin=origins.get(key, "")) for key, technique in everything.items()
    )
    catalogue = Catalogue(slots=tuple(SLOTS.values()), techniques=cards)
    found = OwnCatalogue(
        stamp=loaded.stamp, basis=basis(trusted), catalogue=catalogue, faults=loaded.faults,
        left_out=dict(left_out or {}),
    )
    save_own_catalogue(found)
    return found
