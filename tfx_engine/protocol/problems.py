"""A `Problem` says what is wrong, where, and what to do: code, template and arguments, so that it can be translated."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Any, Literal

import msgspec

_LONGEST = 1000  # letters of one argument; a path may have some hundreds


class Problem(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that is wrong with what the user gave; or, of the level "warning", that it means little as it stands.

    `path` is the key path ("techniques.adapter.rank") or a file path; `template` and `hint_template` are English
    `str.format` templates over `args`. Written here, as literals, they need no other mark to be translated; written
    elsewhere they are marked with `tr_mark`.
    """

    code: str
    path: str
    template: str
    hint_template: str = ""
    args: dict[str, Any] = {}
    level: Literal["error", "warning"] = "error"  # a warning is said, and hinders nothing

    @property
    def shown_args(self) -> dict[str, Any]:
        """The arguments as they fill a sentence: of a word of a million letters the beginning."""
        return {name: shortened(value) if isinstance(value, str) else value for name, value in self.args.items()}

    @property
    def message(self) -> str:
        """What is wrong, in English."""
        return self.template.format_map(self.shown_args)

    @property
    def hint(self) -> str:
        """What to do about it, in English; empty where the message says it."""
        return self.hint_template.format_map(self.shown_args)

    def sentence(self) -> str:
        """One line for a terminal: where, what, what to do."""
        where = f"{shortened(self.path)}: " if self.path else ""
        return f"{where}{self.message} {self.hint}".rstrip()

    def as_dict(self) -> dict[str, str]:
        """The form that `check --json` prints."""
        return {
            "path": self.path, "code": self.code, "message": self.message, "hint": self.hint, "level": self.level,
        }


def shortened(text: str) -> str:
    """The text, or its beginning where it is longer than a sentence can use."""
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"


class ConfigError(ValueError):
    """A request that was wrong; carries every `Problem` found."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(p.sentence() for p in self.problems))


def errors_among(problems: Iterable[Problem]) -> list[Problem]:
    """Those that hinder; the others are warnings."""
    return [problem for problem in problems if problem.level == "error"]


def nearest(word: str, choices: Iterable[str]) -> str | None:
    """The choice most like `word`, or None where nothing is alike."""
    found = difflib.get_close_matches(word, list(choices), n=1, cutoff=0.5)
    return found[0] if found else None
