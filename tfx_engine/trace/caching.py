"""What torch's caching allocator holds of a CUDA device, by doing what it does (`c10/cuda/CUDACachingAllocator.cpp`).

Sizes are rounded up to 512 bytes. Up to 1 MiB they come from segments of 2 MiB, up to 10 MiB from segments of 20 MiB;
larger ones have a segment of their own, in steps of 2 MiB. Of the free blocks the smallest that fits is taken, what is
left over of it stays free if it is worth it, and neighbours that are both free become one. Nothing goes back.
"""

from __future__ import annotations

import bisect

_ROUND = 512
_MIB = 2**20
_SMALL = _MIB  # up to here from segments for small blocks
_LARGE = 10 * _MIB  # from here on with a segment of one's own


def rounded(size: int) -> int:
    """Bytes that a block takes."""
    return max(_ROUND, -(-size // _ROUND) * _ROUND)


class Block:
    """A piece of a segment; its neighbours in it, if there are any."""

    __slots__ = ("before", "is_free", "is_small", "next", "number", "size")

    def __init__(self, number: int, size: int, is_small: bool) -> None:
        self.number, self.size, self.is_small = number, size, is_small
        self.is_free = False
        self.before: Block | None = None
        self.next: Block | None = None


class CachingAllocator:
    """`take` a block, `give` it back; `reserved` and `most_allocated` are bytes."""

    def __init__(self) -> None:
        self.reserved = self.allocated = self.most_allocated = 0
        self._free: dict[bool, list[tuple[int, int, Block]]] = {True: [], False: []}  # by whether they are small
        self._numbers = 0

    def take(self, size: int) -> Block:
        """A block of at least that size."""
        size = rounded(size)
        is_small = size <= _SMALL
        free = self._free[is_small]
        place = bisect.bisect_left(free, (size, -1))
        block = free.pop(place)[2] if place < len(free) else self._segment(size, is_small)
        block.is_free = False
        left = block.size - size
        if left >= _ROUND if is_small else left > _SMALL:
            self._split(block, size)
        self.allocated += block.size
        self.most_allocated = max(self.most_allocated, self.allocated)
        return block

    def give(self, block: Block) -> None:
        """It is free again."""
        self.allocated -= block.size
        for other in (block.before, block.next):
            if other is not None and other.is_free:
                self._forget(other)
                self._join(block, other)
        self._keep(block)

    def _segment(self, size: int, is_small: bool) -> Block:
        whole = 2 * _MIB if is_small else 20 * _MIB if size < _LARGE else -(-size // (2 * _MIB)) * 2 * _MIB
        self.reserved += whole
        return self._block(whole, is_small)

    def _block(self, size: int, is_small: bool) -> Block:
        self._numbers += 1
        return Block(self._numbers, size, is_small)

    def _split(self, block: Block, size: int) -> None:
        rest = self._block(block.size - size, block.is_small)
        block.size = size
        rest.before, rest.next, block.next = block, block.next, rest
        if rest.next is not None:
            rest.next.before = rest
        self._keep(rest)

    def _keep(self, block: Block) -> None:
        block.is_free = True
        bisect.insort(self._free[block.is_small], (block.size, block.number, block))

    def _forget(self, block: Block) -> None:
        free = self._free[block.is_small]
        del free[bisect.bisect_left(free, (block.size, block.number))]

    def _join(self, block: Block, other: Block) -> None:
        """`block` grows by a neighbour, which is gone then."""
        block.size += other.size
        if other is block.before:
            block.before = other.before
            if block.before is not None:
                block.before.next = block
        else:
            block.next = other.next
            if block.next is not None:
                block.next.before = block
