"""Which files of the library cannot be read, said once each: silence would look as if runs had been lost."""

from __future__ import annotations

from collections.abc import Iterable

from tfx_engine.protocol.problems import Problem


class Unread:
    """Remembers what was said, over many listings of the library."""

    def __init__(self) -> None:
        self._last: set[str] = set()
        self._said: set[str] = set()

    def news(self, problems: Iterable[Problem]) -> list[Problem]:
        """What to say after a listing with these problems.

        A file must be unreadable twice: one that is being copied there is so for a moment. One that was whole in
        between is said again.
        """
        found = {problem.path: problem for problem in problems}
        new = [problem for path, problem in found.items() if path in self._last and path not in self._said]
        self._last = set(found)
        self._said = (self._said & self._last) | {problem.path for problem in new}
        return new
