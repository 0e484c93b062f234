"""Typed arrays as blobs: a small header, then the numbers, little endian.

Layout: b"TA", flags (bit 0: the numbers are zlib-compressed), number of dimensions, dtype in numpy's spelling padded to
4 bytes ("<f4"), the shape as int64 each, the numbers in C order.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

MAGIC = b"TA"
MAX_BYTES = 2**28  # of one array's numbers; more is refused before anything is allocated
MAX_TOGETHER = 2**30  # bytes of the numbers of all arrays that are read at once
MAX_DIMENSIONS = 8
_COMPRESSED = 1
_HEADER = 8  # bytes before the shape
_LEVEL = 1  # zlib's fastest: attention maps compress almost as well as with its best
DTYPES = {name: np.dtype(name) for name in ("|b1", "|u1", "<i2", "<i4", "<i8", "<f2", "<f4", "<f8")}


def pack(array: NDArray[Any], compress: bool = False) -> bytes:
    """The array as a blob. Raises ValueError for a dtype or a size that `unpack` would refuse."""
    array = np.asarray(array)
    name = array.dtype.newbyteorder("<").str
    if name not in DTYPES:
        raise ValueError(f"arrays of {array.dtype} are not stored")
    if array.ndim > MAX_DIMENSIONS or array.nbytes > MAX_BYTES:
        raise ValueError(f"an array of shape {array.shape} ({array.nbytes} bytes) is too large to be stored")
    numbers = array.astype(DTYPES[name], copy=False).tobytes()
    flags = _COMPRESSED if compress else 0
    header = MAGIC + bytes((flags, array.ndim)) + name.encode().ljust(4, b"\0")
    shape = np.array(array.shape, dtype="<i8").tobytes()
    return header + shape + (zlib.compress(numbers, _LEVEL) if compress else numbers)


def unpack(blob: bytes) -> NDArray[Any]:
    """The (read-only) array in a blob. Raises ValueError where it is none, or would need more than `MAX_BYTES`."""
    flags, dtype, shape, body = _parse(blob)
    size = math.prod(shape) * dtype.itemsize
    if flags & _COMPRESSED:
        body = _inflate(body, size)
    if len(body) != size:
        raise ValueError(f"an array blob holds {len(body)} bytes where its shape {shape} asks for {size}")
    return np.frombuffer(body, dtype=dtype).reshape(shape)


def unpack_all(blobs: Sequence[bytes]) -> list[NDArray[Any]]:
    """`unpack` for each. Raises ValueError also where together they would need more than `MAX_TOGETHER`."""
    alike = _unpack_alike(blobs)
    if alike is not None:
        return list(alike)
    refuse_too_much(blobs)
    return [unpack(blob) for blob in blobs]


def _unpack_alike(blobs: Sequence[bytes]) -> NDArray[Any] | None:
    """All of them at once, [n, *shape], where one header fits all: most columns are like that. Else None."""
    if len(blobs) < 2 or not isinstance(blobs[0], bytes):
        return None
    flags, dtype, shape, body = _parse(blobs[0])
    length = len(blobs[0])
    header = blobs[0][: length - len(body)]
    size = math.prod(shape) * dtype.itemsize
    if flags & _COMPRESSED or size != len(body) or len(blobs) * size > MAX_TOGETHER:
        return None
    if not all(isinstance(blob, bytes) and len(blob) == length and blob.startswith(header) for blob in blobs):
        return None
    whole = np.frombuffer(b"".join(blobs), dtype=np.uint8).reshape(len(blobs), length)
    return whole[:, len(header) :].copy().view(dtype).reshape(len(blobs), *shape)


def refuse_too_much(blobs: Sequence[bytes]) -> None:
    """Raise ValueError where the arrays in these blobs would need more than `MAX_TOGETHER`; nothing is allocated."""
    size = 0
    for blob in blobs:
        _, dtype, shape, _ = _parse(blob)
        size += math.prod(shape) * dtype.itemsize
        if size > MAX_TOGETHER:
            raise ValueError(f"array blobs that need more than {MAX_TOGETHER} bytes together")


def _parse(blob: bytes) -> tuple[int, np.dtype[Any], tuple[int, ...], bytes]:
    if not isinstance(blob, bytes) or len(blob) < _HEADER or not blob.startswith(MAGIC):
        raise ValueError("not an array blob")
    flags, dimensions, name = blob[2], blob[3], blob[4:_HEADER].rstrip(b"\0").decode("latin-1")
    if flags & ~_COMPRESSED or name not in DTYPES or dimensions > MAX_DIMENSIONS:
        raise ValueError(f"an array blob of an unknown kind: {blob[:_HEADER]!r}")
    start = _HEADER + 8 * dimensions
    if len(blob) < start:
        raise ValueError("an array blob without its shape")
    shape = tuple(int(n) for n in np.frombuffer(blob[_HEADER:start], dtype="<i8"))
    # A zero among the sizes must not excuse the others: numpy refuses shapes whose product overflows.
    if any(n < 0 or n > MAX_BYTES for n in shape) or math.prod(max(n, 1) for n in shape) * 8 > 8 * MAX_BYTES:
        raise ValueError(f"an array blob of an impossible shape: {shape}")
    if math.prod(shape) * DTYPES[name].itemsize > MAX_BYTES:
        raise ValueError(f"an array blob of shape {shape} is too large")
    return flags, DTYPES[name], shape, blob[start:]


def _inflate(body: bytes, size: int) -> bytes:
    """Decompress, but never more than `size` bytes and one: a small blob cannot fill the memory."""
    stream = zlib.decompressobj()
    try:
        numbers = stream.decompress(body, size + 1)
    except zlib.error as error:
        raise ValueError(f"an array blob that cannot be decompressed: {error}") from None
    if not stream.eof or stream.unused_data:
        raise ValueError("an array blob whose compressed numbers end in the wrong place")
    return numbers
