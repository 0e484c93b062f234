"""A sentence with its numbers beside it, so that it can be translated where it is shown."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any


@dataclasses.dataclass(frozen=True)
class Text:
    """An English `str.format` template, marked with `tr_mark`, and what fills it: strings, numbers or other texts.

    What a user typed is never a template: it is an argument, or a plain `str` that is shown as it is.
    """

    template: str
    args: Mapping[str, Any] = dataclasses.field(default_factory=dict, hash=False)

    def __str__(self) -> str:
        return self.filled(lambda template: template)

    def filled(self, translate: Callable[[str], str]) -> str:
        """The sentence with its template, and those of texts within it, translated; without arguments as it stands."""
        if not self.args:
            return translate(self.template)
        args = {k: v.filled(translate) if isinstance(v, Text) else v for k, v in self.args.items()}
        return translate(self.template).format_map(args)


Words = Text | str


def say(template: str, **args: Any) -> Text:
    """A `Text`: `say(tr_mark("peak {size}"), size="15.6 GiB")`."""
    return Text(template, args)


def join(parts: list[Words], separator: str = " · ") -> Text:
    """Several texts in one line."""
    names = [f"part{i}" for i in range(len(parts))]
    template = separator.replace("{", "{{").replace("}", "}}").join("{" + n + "}" for n in names)
    return Text(template, dict(zip(names, parts, strict=True)))
