"""Undo and redo as a list of states.

Plain Python instead of `QUndoStack`: that one and Python both think that they own the commands, and garbage collection
of a stack with Python commands crashes (PySide6 6.11).
"""

from __future__ import annotations

import dataclasses
from typing import Any

from PySide6.QtCore import QObject, Signal

State = dict[str, Any]
MOST_STEPS = 500


@dataclasses.dataclass
class Step:
    """One change. Changes of one `path` in a row are one step; an empty path never merges."""

    before: State
    after: State
    path: str


class History(QObject):
    """Remembers steps; whoever owns it applies the states that `undo` and `redo` give."""

    changed = Signal()

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._steps: list[Step] = []
        self._done = 0  # steps that are not undone

    def __len__(self) -> int:
        return self._done

    @property
    def can_undo(self) -> bool:
        """Whether there is something to take back."""
        return self._done > 0

    @property
    def can_redo(self) -> bool:
        """Whether something was taken back."""
        return self._done < len(self._steps)

    def push(self, before: State, after: State, path: str = "") -> None:
        """Remember a change that was made; what was undone before is forgotten."""
        del self._steps[self._done :]
        last = self._steps[-1] if self._steps else None
        if last is not None and path and last.path == path and last.after == before:
            last.after = after
        else:
            self._steps.append(Step(before, after, path))
            del self._steps[:-MOST_STEPS]
        self._done = len(self._steps)
        self.changed.emit()

    def undo(self) -> State | None:
        """The state before the last change; None where there is none."""
        if not self.can_undo:
            return None
        self._done -= 1
        self.changed.emit()
        return self._steps[self._done].before

    def redo(self) -> State | None:
        """The state after the change that was taken back last; None where there is none."""
        if not self.can_redo:
            return None
        self._done += 1
        self.changed.emit()
        return self._steps[self._done - 1].after
