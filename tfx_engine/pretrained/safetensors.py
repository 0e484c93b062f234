"""The safetensors format, without torch: a header in JSON, then the numbers of every tensor in a row.

Bytes 0-7: length of the header, little-endian. Header: {name: {"dtype", "shape", "data_offsets"}}, and `__metadata__`.
A bfloat16 is read as two bytes, an 8-bit float as one: what is done here moves numbers and never computes with them.
"""

from __future__ import annotations

import dataclasses
import json
import math
import stat
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from tfx_engine.pretrained.take import Numbers
from tfx_engine.protocol.problems import ConfigError, Problem

LONGEST_HEADER = 8 * 2**20  # bytes; the format allows 100 MB, of which JSON would make gigabytes
_MOST_DIMENSIONS = 16  # tensors of models have four
_KINDS = {
    "F64": np.float64, "F32": np.float32, "F16": np.float16, "BF16": np.uint16,
    "F8_E4M3": np.uint8, "F8_E5M2": np.uint8,
    "I64": np.int64, "I32": np.int32, "I16": np.int16, "I8": np.int8, "U8": np.uint8, "BOOL": np.uint8,
}


@dataclasses.dataclass(frozen=True)
class Stored:
    """One tensor of a file."""

    file: Path
    dtype: str  # as the format names it
    shape: tuple[int, ...]
    begin: int  # byte in the file

    def read(self) -> Numbers:
        """Its numbers, a view of the file: nothing is in memory until it is looked at."""
        if 0 in self.shape:
            return np.zeros(self.shape, _KINDS[self.dtype])
        return np.memmap(self.file, _KINDS[self.dtype], mode="r", offset=self.begin, shape=self.shape or (1,))


def read_header(file: Path) -> dict[str, Stored]:
    """The tensors of a file by name. Raises `ConfigError` where it is not what it should be."""
    try:
        status = file.stat()
        size = status.st_size if stat.S_ISREG(status.st_mode) else 0  # a pipe would make us wait for ever
        if size < 8:
            raise _refused(file)
        with file.open("rb") as stream:
            length = int.from_bytes(stream.read(8), "little")
            if not 2 <= length <= size - 8:
                raise _refused(file)
            if length > LONGEST_HEADER:
                raise ConfigError([Problem(code="too-large", path=str(file), args={"mib": LONGEST_HEADER >> 20},
                                           template="has a list of tensors that is larger than {mib} MiB.")])
            table = json.loads(stream.read(length))
    except ConfigError:
        raise
    except OSError as error:
        raise _unreadable(file, error) from None
    except (ValueError, RecursionError):
        raise _refused(file) from None
    if not isinstance(table, dict):
        raise _refused(file)
    begin = 8 + length
    return {name: _stored(file, begin, size, entry) for name, entry in table.items() if name != "__metadata__"}


def _stored(file: Path, begin: int, size: int, entry: Any) -> Stored:
    """One entry of the header, if it says what can be true."""
    match entry:
        case {"dtype": str(dtype), "shape": list(shape), "data_offsets": [int(first), int(last)]}:
            whole = len(shape) <= _MOST_DIMENSIONS and all(
                isinstance(n, int) and not isinstance(n, bool) and 0 <= n < 2**63 for n in shape)
            if dtype in _KINDS and whole and 0 <= first <= last <= size - begin:
                needed = math.prod(shape) * np.dtype(_KINDS[dtype]).itemsize
                if last - first == needed:
                    return Stored(file, dtype, tuple(shape), begin + first)
    raise _refused(file)


def write(file: Path, tensors: Mapping[str, tuple[str, Callable[[], Numbers]]], metadata: Mapping[str, str]) -> None:
    """Write tensors, name -> (dtype, a function that gives the numbers), one in memory at a time.

    The file appears whole or not at all. Raises OSError where it cannot be written.
    """
    header: dict[str, Any] = {"__metadata__": dict(metadata)}
    end = 0
    for name, (dtype, find) in tensors.items():
        numbers = find()
        header[name] = {"dtype": dtype, "shape": list(numbers.shape), "data_offsets": [end, end + numbers.nbytes]}
        end += numbers.nbytes
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)  # the numbers begin at a multiple of 8
    partial = file.with_name(file.name + ".part")
    try:
        partial.unlink(missing_ok=True)  # what a kill left; or a link, through which nothing is written
        with partial.open("xb") as stream:
            stream.write(len(text).to_bytes(8, "little") + text)
            for _, find in tensors.values():
                stream.write(np.ascontiguousarray(find()).data)
        partial.replace(file)
    finally:
        partial.unlink(missing_ok=True)


def _refused(file: Path) -> ConfigError:
    return ConfigError([Problem(
        code="not-safetensors", path=str(file), template="is not a whole safetensors file.",
        hint_template="Load it again from where it came from.",
    )])


def _unreadable(file: Path, error: OSError) -> ConfigError:
    return ConfigError([Problem(
        code="unreadable", path=str(file), template="cannot be read: {error}.",
        args={"error": error.strerror or str(error)},
    )])
