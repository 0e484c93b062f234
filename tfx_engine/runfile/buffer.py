"""What waits to be written: bounded in bytes, filled by any thread, emptied by the writer's."""

from __future__ import annotations

import collections
import threading
from typing import Any, NamedTuple

MAX_BYTES = 2**26  # waiting; at 1,000 steps a second about a minute without a disk
BATCH_ITEMS = 20_000  # of one transaction
BATCH_BYTES = 2**25


class Item(NamedTuple):
    """One row of a table, or an order to the writer (`state`, `flush`)."""

    table: str
    values: Any
    size: int  # bytes, roughly
    done: threading.Event | None = None  # set once it is committed


class Buffer:
    """A queue of items. `put` waits where it is full, `take` gives a batch."""

    def __init__(self, max_bytes: int = MAX_BYTES) -> None:
        self.max_bytes = max_bytes
        self._items: collections.deque[Item] = collections.deque()
        self._bytes = 0
        self._is_urgent = False
        self._changed = threading.Condition()

    def put(self, item: Item, patience_s: float) -> bool:
        """Append; waits while there is no room. False where there was none in `patience_s` seconds.

        There is always room for an order: it is small, and the run's last word may be one.
        """
        with self._changed:
            if item.done is None and self._is_full(item):
                self._hurry()
                if not self._changed.wait_for(lambda: not self._is_full(item), patience_s):
                    return False
            self._items.append(item)
            self._bytes += item.size
            if item.done is not None:
                self._hurry()
        return True

    def _is_full(self, item: Item) -> bool:
        # An item larger than the whole buffer is let in alone.
        return bool(self._items) and self._bytes + item.size > self.max_bytes

    def _hurry(self) -> None:
        self._is_urgent = True
        self._changed.notify_all()

    def hurry(self) -> None:
        """Let `take` return at once."""
        with self._changed:
            self._hurry()

    def take(self, wait_s: float) -> list[Item]:
        """What has come in within `wait_s` seconds, or until somebody is waiting for it; may be empty.

        A batch ends with the first order in it: what follows belongs to the next transaction.
        """
        with self._changed:
            if not self._is_urgent:
                self._changed.wait_for(lambda: self._is_urgent, wait_s)
            batch: list[Item] = []
            size = 0
            while self._items and len(batch) < BATCH_ITEMS and size < BATCH_BYTES:
                item = self._items.popleft()
                batch.append(item)
                size += item.size
                if item.done is not None:
                    break
            self._bytes -= size
            self._is_urgent = bool(self._items)
            self._changed.notify_all()
        return batch

    def __len__(self) -> int:
        return len(self._items)
