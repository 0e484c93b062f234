"""Array blobs: what goes in comes out, and what is none is refused."""

from __future__ import annotations

import struct
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from tfx_engine.runfile.arrays import DTYPES, MAX_BYTES, MAX_TOGETHER, pack, unpack, unpack_all

any_array = st.sampled_from(sorted(DTYPES)).flatmap(
    lambda name: arrays(np.dtype(name), array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=5))
)


@given(any_array, st.booleans())
def test_what_is_packed_comes_out_to_the_bit(array, compress):
    result = unpack(pack(array, compress=compress))
    assert (result.dtype, result.shape) == (array.dtype, array.shape)
    assert result.tobytes() == array.tobytes()


@given(st.lists(any_array, min_size=1, max_size=3), st.integers(1, 4), st.booleans())
def test_many_at_once_come_out_as_one_by_one(different, times, compress):
    blobs = [pack(array, compress) for array in different for _ in range(times)]
    for together, alone in zip(unpack_all(blobs), map(unpack, blobs), strict=True):
        assert (together.dtype, together.shape, together.tobytes()) == (alone.dtype, alone.shape, alone.tobytes())


@pytest.mark.parametrize("spoilt", [b"", b"TA", None, 7, pack(np.zeros(4))[:-1], b"XX" + pack(np.zeros(4))[2:]])
def test_one_that_is_none_among_many_is_refused(spoilt):
    with pytest.raises(ValueError, match="array blob"):
        unpack_all([pack(np.zeros(4)), spoilt, pack(np.zeros(4))])


def test_byte_order_and_memory_layout_of_the_machine_do_not_matter():
    array = np.arange(6, dtype=">i4").reshape(2, 3).T
    np.testing.assert_array_equal(unpack(pack(array)), [[0, 3], [1, 4], [2, 5]])
    assert pack(np.float32([1.5])) == b"TA\0\1<f4\0" + struct.pack("<qf", 1, 1.5)


@pytest.mark.parametrize("array", [np.array(["word"]), np.array([1j]), np.array([None])])
def test_arrays_of_anything_but_plain_numbers_are_refused(array):
    with pytest.raises(ValueError, match="not stored"):
        pack(array)


@given(st.binary(max_size=64))
def test_random_bytes_are_refused(blob):
    with pytest.raises(ValueError, match="array blob"):
        unpack(blob)


@settings(max_examples=300)
@given(any_array, st.booleans(), st.data())
def test_a_damaged_blob_is_refused_or_gives_an_array(array, compress, data):
    blob = bytearray(pack(array, compress=compress))
    position = data.draw(st.integers(0, len(blob) - 1))
    blob[position] ^= 1 << data.draw(st.integers(0, 7))
    try:
        result = unpack(bytes(blob))
    except ValueError:
        return
    assert isinstance(result, np.ndarray) and result.nbytes <= MAX_BYTES


@given(any_array, st.booleans(), st.data())
def test_a_truncated_blob_is_refused(array, compress, data):
    blob = pack(array, compress=compress)
    with pytest.raises(ValueError, match="array blob"):
        unpack(blob[: data.draw(st.integers(0, len(blob) - 1))])


@pytest.mark.parametrize("shape", [(2**40,), (2**31, 2**31), (0, 2**60), (-1,), (MAX_BYTES // 8 + 1,), (2**62, 4)])
def test_a_shape_that_asks_for_too_much_is_refused_before_anything_is_allocated(shape):
    header = b"TA\0" + bytes([len(shape)]) + b"<f8\0" + struct.pack(f"<{len(shape)}q", *shape)
    with pytest.raises(ValueError, match="array blob"):
        unpack(header)


def test_a_small_blob_cannot_be_inflated_beyond_its_shape():
    bomb = zlib.compress(bytes(10_000_000))
    with pytest.raises(ValueError, match="end in the wrong place"):
        unpack(b"TA\1\1<f8\0" + struct.pack("<q", 4) + bomb)


def test_many_small_blobs_cannot_be_inflated_into_all_the_memory():
    """A run file of a megabyte in which every step has such an array once took 22 GB to show."""
    bomb = b"TA\1\1<f4\0" + struct.pack("<q", MAX_BYTES // 4) + zlib.compress(bytes(1000))
    with pytest.raises(ValueError, match="together"):
        unpack_all([bomb] * (MAX_TOGETHER // MAX_BYTES + 1))
    few = [pack(np.arange(3)), pack(np.zeros((2, 2), np.float16), compress=True)]
    assert [a.tolist() for a in unpack_all(few)] == [[0, 1, 2], [[0, 0], [0, 0]]]


def test_what_is_too_large_to_be_read_is_not_written_either():
    with pytest.raises(ValueError, match="too large"):
        pack(np.broadcast_to(np.float64(0), (MAX_BYTES // 8 + 1,)))
