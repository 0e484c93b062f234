"""The model of the caching allocator: segments, splitting, joining, and what stays."""

from __future__ import annotations

from tfx_engine.trace.caching import CachingAllocator, rounded

MIB = 2**20


def test_sizes_are_rounded_to_512_bytes():
    assert [rounded(size) for size in (1, 512, 513)] == [512, 512, 1024]


def test_small_blocks_share_a_segment_of_2_mib_and_middle_ones_one_of_20_mib():
    allocator = CachingAllocator()
    for _ in range(4):
        allocator.take(MIB // 2)
    assert allocator.reserved == 2 * MIB
    for _ in range(4):
        allocator.take(5 * MIB)
    assert allocator.reserved == 22 * MIB
    assert allocator.allocated == 22 * MIB


def test_a_large_block_has_a_segment_of_its_own_in_steps_of_2_mib():
    allocator = CachingAllocator()
    allocator.take(11 * MIB)
    assert allocator.reserved == 12 * MIB and allocator.allocated == 12 * MIB  # what is left is not worth splitting


def test_a_freed_block_is_used_again_and_the_smallest_that_fits_is_taken():
    allocator = CachingAllocator()
    blocks = [allocator.take(size * MIB) for size in (40, 30)]
    for block in blocks:
        allocator.give(block)
    allocator.take(29 * MIB)
    allocator.take(40 * MIB)
    assert allocator.reserved == 70 * MIB


def test_free_neighbours_become_one_block():
    allocator = CachingAllocator()
    blocks = [allocator.take(5 * MIB) for _ in range(4)]
    for block in (blocks[0], blocks[2], blocks[1]):
        allocator.give(block)
    allocator.take(9 * MIB)
    assert allocator.reserved == 20 * MIB
    assert allocator.most_allocated == 20 * MIB
