"""Scalars of a run as an event file of TensorBoard, written by hand: TFRecord around protocol buffers.

A record is its length (uint64), the masked CRC-32C of these eight bytes, the data, and the masked CRC-32C of it, all
little-endian (tensorflow/core/lib/io/record_writer.h). The data is an `Event`: 1 wall_time (double), 2 step (int64), 3
file_version (string), 5 summary; a `Summary` is a list of 1 value: 1 tag (string), 2 simple_value (float); see
tensorflow/core/util/event.proto and framework/summary.proto.
"""

from __future__ import annotations

import datetime
import functools
import itertools
import math
import struct
from collections.abc import Iterable, Iterator
from typing import BinaryIO

from tfx_engine.runfile.reader import RunReader
from tfx_engine.runfile.rows import RunInfo
from tfx_workbench.exporting.tables import TABLES

_POLYNOMIAL = 0x82F63B78  # CRC-32C (Castagnoli), its bits in reverse
_MASK_DELTA = 0xA282EAD8
_NOT_SHOWN = frozenset({"step", "process", "rank", "round", "block", "phase", "taint", "t_ms", "tokens"})


@functools.cache
def _crc_table() -> tuple[int, ...]:
    table = []
    for byte in range(256):
        crc = byte
        for _ in range(8):
            crc = (crc >> 1) ^ (_POLYNOMIAL if crc & 1 else 0)
        table.append(crc)
    return tuple(table)


def crc32c(data: bytes) -> int:
    """CRC-32C of some bytes. RFC 3720, B.4: of 32 zeros 0x8A9136AA."""
    table, crc = _crc_table(), 0xFFFFFFFF
    for byte in data:
        crc = table[(crc ^ byte) & 0xFF] ^ (crc >> 8)
    return crc ^ 0xFFFFFFFF


def masked_crc(data: bytes) -> int:
    """As TFRecord has it: a CRC of data that holds CRCs would be weak."""
    crc = crc32c(data)
    return ((crc >> 15 | crc << 17) + _MASK_DELTA) & 0xFFFFFFFF


def record(data: bytes) -> bytes:
    """One record."""
    length = struct.pack("<Q", len(data))
    return length + struct.pack("<I", masked_crc(length)) + data + struct.pack("<I", masked_crc(data))


def _varint(number: int) -> bytes:
    number &= (1 << 64) - 1  # a negative int64 is its two's complement
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def _field(number: int, data: bytes) -> bytes:
    """A field with a length: a string, or a message within a message."""
    return _varint(number << 3 | 2) + _varint(len(data)) + data


def event(wall_time_s: float, step: int = 0, version: str = "", scalars: Iterable[tuple[str, float]] = ()) -> bytes:
    """An `Event`: the version of the file, or scalars of one step."""
    data = _varint(1 << 3 | 1) + struct.pack("<d", wall_time_s)
    if step:
        data += _varint(2 << 3 | 0) + _varint(step)
    if version:
        data += _field(3, version.encode())
    values = b"".join(_head(tag) + struct.pack("<f", _float32(value)) for tag, value in scalars)
    return data + (_field(5, values) if values else b"")


@functools.cache
def _head(tag: str) -> bytes:
    """A value of a summary up to its four bytes, which are the same for every step."""
    before = _field(1, tag.encode()) + _varint(2 << 3 | 5)
    return _varint(1 << 3 | 2) + _varint(len(before) + 4) + before


def _float32(value: float) -> float:
    """What is beyond float32 is infinite there."""
    return math.copysign(math.inf, value) if math.isfinite(value) and abs(value) > 3.4028235e38 else value


def write_events(file: BinaryIO, reader: RunReader, info: RunInfo) -> int:
    """Every reading of every step, the layers' and those on held-out data; the number of events."""
    begun_s = datetime.datetime.fromisoformat(info.started_at or info.created_at).timestamp()
    file.write(record(event(begun_s, version="brain.Event:2")))
    count = 1
    for wall_time_s, step, scalars in _scalars(reader, begun_s):
        if scalars:
            file.write(record(event(wall_time_s, step, scalars=scalars)))
            count += 1
    return count


def _scalars(reader: RunReader, begun_s: float) -> Iterator[tuple[float, int, list[tuple[str, float]]]]:
    table = TABLES["steps"]
    at: dict[int, float] = {}
    for row in table.rows(reader):
        named = dict(zip(table.columns, row, strict=True))
        wall_time_s = at[named["step"]] = begun_s + (named["t_ms"] or 0.0) / 1000
        found = [(f"step/{name}", float(value)) for name, value in named.items()
                 if name not in _NOT_SHOWN and value is not None]
        yield wall_time_s, named["step"], found
    for step, rows in itertools.groupby(TABLES["layers"].rows(reader), key=lambda row: row[0]):
        found = [(f"{reading}/{layer}", value) for _, _, layer, reading, value in rows if value is not None]
        yield at.get(step, begun_s), step, found
    for seen in reader.evaluations():
        values = {"loss_nats": seen.held_out_loss, "accuracy": seen.accuracy, "bits_per_byte": seen.bits_per_byte}
        found = [(f"held_out/{name}", value) for name, value in values.items()
                 if value is not None and not math.isnan(value)]
        yield begun_s + seen.t_ms / 1000, seen.step, found
