"""Pixels as a PNG file, with the standard library alone."""

from __future__ import annotations

import base64
import struct
import zlib

import numpy as np
from numpy.typing import NDArray

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_RGBA = 6


def png(pixels: NDArray[np.uint8]) -> bytes:
    """uint8 [rows, columns, 4] as a file."""
    rows, columns, _ = pixels.shape
    filtered = np.zeros((rows, 1 + 4 * columns), dtype=np.uint8)  # each row begins with the number of its filter: none
    filtered[:, 1:] = pixels.reshape(rows, -1)
    header = struct.pack(">IIBBBBB", columns, rows, 8, _RGBA, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(filtered.tobytes(), 9)), (b"IEND", b""))
    return _SIGNATURE + b"".join(_chunk(kind, data) for kind, data in chunks)


def data_url(pixels: NDArray[np.uint8]) -> str:
    """The same within the text of a page."""
    return "data:image/png;base64," + base64.b64encode(png(pixels)).decode("ascii")


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
