"""The catalogue as data: slots and techniques, generated from the technique files into `resources/catalogue.json`."""

from __future__ import annotations

import functools
from pathlib import Path

import msgspec

from tfx_engine.protocol.options import OptionCard


class Rule(msgspec.Struct, frozen=True, kw_only=True):
    """A technique `requires` (or `excludes`) that `slot` is filled by one of `names`; `reason` is a sentence."""

    slot: str
    names: tuple[str, ...]
    reason: str


class Effect(msgspec.Struct, frozen=True, kw_only=True):
    """What a technique is expected to change: `sign` is "+", "-" or "0" against the slot's plain alternative."""

    quantity: str  # "parameters", "activations", "gradients", "optimizer", "flops", "time"
    sign: str
    formula: str


class Guide(msgspec.Struct, frozen=True, kw_only=True):
    """When to choose a technique, and when rather not."""

    choose: str
    avoid: str


class TechniqueCard(msgspec.Struct, frozen=True, kw_only=True):
    """One technique, as the window and `techniques --json` see it."""

    name: str
    slot: str
    title: str
    short: str  # the word on the toggle
    summary: str
    doc: str  # the module docstring: the user's page
    paper: str
    guide: Guide
    options: tuple[OptionCard, ...] = ()
    requires: tuple[Rule, ...] = ()
    excludes: tuple[Rule, ...] = ()
    effects: tuple[Effect, ...] = ()
    kinds: tuple[str, ...] = ()  # of tasks that it is for, as in `protocol.tasks.KINDS`; empty: all
    origin: str = ""  # of a technique of the user's own: its file, or the package that brings it


class SlotCard(msgspec.Struct, frozen=True, kw_only=True):
    """One slot: a place in the transformer or its training that exactly one technique fills."""

    name: str
    title: str
    group: str  # "Architecture", "Memory and speed", "Training"
    summary: str
    default: str  # the technique of format 1 where a configuration leaves the slot out
    task_defaults: dict[str, str] = {}  # the same for tasks that need another
    common: bool = False  # among the first that somebody looks for

    def default_for(self, task: str) -> str:
        """What fills the slot where a configuration with that task leaves it out."""
        return self.task_defaults.get(task, self.default)


class Catalogue(msgspec.Struct, frozen=True, kw_only=True, dict=True):
    """All slots in the order of the window, all techniques in the order of their slot."""

    format: int = 1
    slots: tuple[SlotCard, ...] = ()
    techniques: tuple[TechniqueCard, ...] = ()

    @functools.cached_property
    def _slots_by_name(self) -> dict[str, SlotCard]:
        return {s.name: s for s in self.slots}

    @functools.cached_property
    def _by_slot_and_name(self) -> dict[tuple[str, str], TechniqueCard]:
        return {(t.slot, t.name): t for t in reversed(self.techniques)}

    def slot(self, name: str) -> SlotCard | None:
        """The slot of that name, or None."""
        return self._slots_by_name.get(name)

    def in_slot(self, slot: str) -> tuple[TechniqueCard, ...]:
        """The techniques that can fill a slot, the most common first."""
        return tuple(t for t in self.techniques if t.slot == slot)

    def find(self, slot: str, name: str) -> TechniqueCard | None:
        """The technique `name` of `slot`, or None."""
        return self._by_slot_and_name.get((slot, name)) if isinstance(name, str) else None  # a file may say anything


def resource(*parts: str) -> Path:
    """Path of a file under `resources/`: inside the installed engine, or beside it in a checkout."""
    package = Path(__file__).resolve().parent.parent
    inside = package / "resources"
    root = inside if inside.is_dir() else package.parent / "resources"
    return root.joinpath(*parts)


@functools.cache
def built_in_catalogue() -> Catalogue:
    """The catalogue that ships with this engine."""
    return msgspec.json.decode(resource("catalogue.json").read_bytes(), type=Catalogue)


def load_catalogue() -> Catalogue:
    """The same with the user's own techniques in it, as far as a worker has written them down (see `trust.py`)."""
    from tfx_engine.protocol.trust import versions  # which needs this module

    return _catalogue_of(versions())


@functools.lru_cache(maxsize=1)
def _catalogue_of(versions: tuple[int, int]) -> Catalogue:
    from tfx_engine.protocol.trust import last_catalogue, load_trusted

    trusted = load_trusted()
    own = last_catalogue(trusted) if trusted else None
    return own.catalogue if own else built_in_catalogue()
