"""Looking for runs in words: `rotary tag:paper -status:failed loss<2 memory<4GiB "two words"`.

Words that stand alone are looked for in name, note, tags, techniques, device and file. All of a query have to hold.
"""

from __future__ import annotations

import contextlib
import dataclasses
import math
import operator
import re
import shlex
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

from tfx_engine.protocol.marker import tr_mark
from tfx_engine.protocol.problems import ConfigError, Problem
from tfx_engine.protocol.sizes import parse_bytes

WORDS = ("name", "note", "tag", "status", "technique", "device", "comparison", "run")
NUMBERS = ("steps", "speed", "memory", "loss", "params", "trained", "size")
FIGURES = frozenset({"speed", "memory", "loss", "params", "trained"})  # not in the list of runs: each has to be read
DATES = ("since", "until")
EXAMPLE = 'rotary tag:paper -status:failed loss<2 memory<4GiB since:2026-11-01 "two words"'
_BYTES = frozenset({"memory", "size"})
_COMPARISONS: dict[str, Callable[[float, float], bool]] = {
    "<=": operator.le, ">=": operator.ge, "<": operator.lt, ">": operator.gt, "=": operator.eq,
}
_NUMBER = re.compile(r"([a-z]+)(<=|>=|<|>|=)(.*)", re.IGNORECASE)
_LONGEST = 10_000  # letters; what was pasted by mistake would be taken apart for seconds
_SUFFIX = {"k": 1e3, "m": 1e6, "g": 1e9, "b": 1e9}
Test = Callable[["Found"], bool]


@dataclasses.dataclass(frozen=True)
class Found:
    """What is looked through of one run; a figure that is not known is None."""

    words: Mapping[str, tuple[str, ...]]  # in lower case
    created_at: str
    numbers: Mapping[str, float | None]


class Searchable(Protocol):
    """What of a run can be looked for, whoever has it."""

    @property
    def path(self) -> Path: ...
    @property
    def name(self) -> str: ...
    @property
    def status(self) -> str: ...
    @property
    def note(self) -> str: ...
    @property
    def tags(self) -> tuple[str, ...]: ...
    @property
    def techniques(self) -> tuple[str, ...]: ...
    @property
    def device(self) -> str: ...
    @property
    def comparison(self) -> str: ...
    @property
    def created_at(self) -> str: ...
    @property
    def steps(self) -> int: ...
    @property
    def size_bytes(self) -> int: ...


def found_of(run: Searchable, figures: Mapping[str, float | None] | None = None) -> Found:
    """A run as it is looked for. `figures`: those of `FIGURES` that are known."""
    words = {
        "name": (run.name,), "note": (run.note,), "tag": run.tags, "status": (run.status,),
        "technique": run.techniques, "device": (run.device,), "comparison": (run.comparison,), "run": (run.path.stem,),
    }
    numbers = {"steps": float(run.steps), "size": float(run.size_bytes), **(figures or {})}
    return Found({key: tuple(map(str.casefold, said)) for key, said in words.items()}, run.created_at, numbers)


class Query:
    """Raises `ConfigError` where the text cannot be understood."""

    def __init__(self, text: str) -> None:
        self._tests: list[Test] = []
        self.figures: set[str] = set()  # what has to be known of a run
        if len(text) > _LONGEST:
            raise _refused(text[:40], tr_mark("it has more than {most} letters."), most=_LONGEST)
        for word in _split(text):
            is_not = word.startswith("-") and len(word) > 1
            test = self._test(word[1:] if is_not else word)
            self._tests.append(_opposite(test) if is_not else test)

    def matches(self, found: Found) -> bool:
        """Whether everything that was asked for holds."""
        return all(test(found) for test in self._tests)

    def _test(self, word: str) -> Test:
        if number := _NUMBER.fullmatch(word):
            return self._number(word, *number.groups())
        field, colon, wanted = word.partition(":")
        if colon and field.casefold() in DATES:
            return _date(field.casefold(), wanted)
        if colon and field.casefold() in WORDS:
            return _in(field.casefold(), wanted.casefold())
        if colon and field.isidentifier():
            raise _refused(word, tr_mark("there is nothing called {field!r} to look in."), field=field)
        return _anywhere(word.casefold())

    def _number(self, word: str, field: str, comparison: str, text: str) -> Test:
        field = field.casefold()
        if field not in NUMBERS:
            raise _refused(word, tr_mark("there is no figure called {field!r}."), field=field)
        value, compare = _value(word, field, text), _COMPARISONS[comparison]
        if field in FIGURES:
            self.figures.add(field)

        def holds(found: Found) -> bool:
            known = found.numbers.get(field)
            return known is not None and math.isfinite(known) and compare(known, value)

        return holds


def _split(text: str) -> list[str]:
    for end in ("", '"', "'"):  # a quotation mark may be still to be closed
        with contextlib.suppress(ValueError):
            return shlex.split(text + end, comments=False)
    return text.split()


def _value(word: str, field: str, text: str) -> float:
    if field in _BYTES:
        return float(parse_bytes(text, path=word))
    number, factor = text.strip().casefold(), 1.0
    if number and number[-1] in _SUFFIX:
        number, factor = number[:-1], _SUFFIX[number[-1]]
    try:
        return float(number) * factor
    except ValueError:
        raise _refused(word, tr_mark("{text!r} is no number."), text=text) from None


def _date(field: str, wanted: str) -> Test:
    if not re.fullmatch(r"\d{4}(-\d\d(-\d\d)?)?", wanted):
        raise _refused(f"{field}:{wanted}", tr_mark("{text!r} is no date such as 2026-11-01."), text=wanted)
    if field == "since":
        return lambda found: found.created_at >= wanted
    return lambda found: found.created_at[: len(wanted)] <= wanted


def _in(field: str, wanted: str) -> Test:
    return lambda found: any(wanted in said for said in found.words[field])


def _anywhere(wanted: str) -> Test:
    return lambda found: any(wanted in said for all_said in found.words.values() for said in all_said)


def _opposite(test: Test) -> Test:
    return lambda found: not test(found)


def _refused(word: str, template: str, **args: Any) -> ConfigError:
    return ConfigError([Problem(
        code="bad-search", path=word, template=template,
        hint_template=tr_mark("Words can be looked for in {words}; {numbers} can be compared. For instance: {example}"),
        args={"words": ", ".join((*WORDS, *DATES)), "numbers": ", ".join(NUMBERS), "example": EXAMPLE, **args},
    )])
