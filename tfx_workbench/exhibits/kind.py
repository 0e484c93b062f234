"""The declaration of an exhibit, and the catalogue of all of them found in this folder."""

from __future__ import annotations

import dataclasses
import functools
import importlib
import pkgutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Literal

from tfx_workbench.exhibits.exhibit import Exhibit
from tfx_workbench.exhibits.runview import RunView

Choices = Mapping[str, str]
Paper = Literal["all", "several", "each", "one"]


@dataclasses.dataclass(frozen=True)
class Choice:
    """Something that can be chosen about an exhibit: `options` are (key, title) pairs, the first is the default."""

    name: str
    title: str
    options: tuple[tuple[str, str], ...]

    @property
    def default(self) -> str:
        """The key of the first option."""
        return self.options[0][0]


@dataclasses.dataclass(frozen=True, kw_only=True)
class ExhibitType:
    """One exhibit: a pure function `(runs, choices) -> Exhibit` with what menus and docks need to know about it.

    `needs` names the parts of a run (as `RunData.refresh` does) whose change asks for a new exhibit. `at_end`: what it
    shows is measured after the steps that count, so that a run which is live or was cut off has nothing of it.
    `paper`: in a report of several runs there is one of it for all runs, or one for each run beside the baseline, or,
    as it is about the run in focus alone, one of the baseline; "several": as "all", but none for a single run.
    """

    name: str
    title: str
    function: Callable[[Sequence[RunView], Choices], Exhibit]
    order: int
    shortcut: str = ""
    needs: frozenset[str] = frozenset({"info"})
    choices: tuple[Choice, ...] = ()
    at_end: bool = False
    paper: Paper = "all"

    def choose(self, choices: Choices) -> dict[str, str]:
        """`choices` with defaults where nothing, or nothing that exists, was chosen; other keys are kept."""
        chosen = dict(choices)
        for choice in self.choices:
            if chosen.get(choice.name) not in dict(choice.options):
                chosen[choice.name] = choice.default
        return chosen

    def make(self, runs: Sequence[RunView], choices: Choices) -> Exhibit:
        """The exhibit of these runs."""
        return self.function(runs, self.choose(choices))


@functools.cache
def all_exhibits() -> tuple[ExhibitType, ...]:
    """Every exhibit of this folder, in the order of the window."""
    return exhibits_in(__name__.rpartition(".")[0], Path(__file__).parent)


def exhibits_in(package: str, folder: Path) -> tuple[ExhibitType, ...]:
    """Every `EXHIBIT` declared in a file of a package. Raises ValueError where two have the same name."""
    modules = [importlib.import_module(f"{package}.{m.name}") for m in pkgutil.iter_modules([str(folder)])]
    found = [m.EXHIBIT for m in modules if hasattr(m, "EXHIBIT")]
    names = [e.name for e in found]
    if len(set(names)) != len(names):
        raise ValueError(f"two exhibits have the same name: {sorted(names)}")
    return tuple(sorted(found, key=lambda e: (e.order, e.name)))


def exhibit_type(name: str) -> ExhibitType:
    """The exhibit of that name; KeyError where there is none."""
    return {e.name: e for e in all_exhibits()}[name]
