"""A process that speaks JSON lines over its own stdin and stdout, safe from stray prints.

`take_stdio()` is the first act of the service and of the worker: the real stdin and stdout move to private
descriptors, descriptor 1 is pointed at stderr and descriptor 0 at nothing. After that a `print` in Python, a `printf`
in C or a child that inherits the descriptors lands in the log and can never break the protocol.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator
from io import BufferedReader, RawIOBase
from typing import Any, BinaryIO, cast

from tfx_engine.protocol.codec import MAX_LINE, encode_line


class Lines:
    """Both directions of a conversation in lines. Sending is thread-safe; receiving belongs to one thread."""

    def __init__(self, reader: BinaryIO, writer: BinaryIO) -> None:
        self._reader = reader
        self._writer = writer
        self._lock = threading.Lock()

    def send(self, message: Any) -> None:
        """Write the message as one whole line. Raises `OSError` (`BrokenPipeError`) where nobody listens any more."""
        self.send_bytes(encode_line(message))

    def send_bytes(self, line: bytes) -> None:
        """Write one encoded line. Raises `OSError` as `send` does."""
        with self._lock:
            rest = memoryview(line)
            while rest:  # an unbuffered pipe may take less than the whole
                rest = rest[self._writer.write(rest):]

    def receive(self) -> Iterator[bytes]:
        """Every line until end-of-file; of one above `MAX_LINE` only its beginning, which `decode_line` refuses."""
        return read_lines(self._reader)

    def close(self) -> None:
        """Close the sending side: the other one sees end-of-file."""
        with self._lock:
            self._writer.close()


def read_lines(reader: BinaryIO) -> Iterator[bytes]:
    """Every line until end-of-file, without blank ones; an endless line costs at most twice `MAX_LINE` of memory."""
    while line := reader.readline(MAX_LINE + 1):
        rest = line
        while len(rest) > MAX_LINE and not rest.endswith(b"\n"):
            rest = reader.readline(MAX_LINE + 1)  # thrown away: the beginning is enough to refuse it
        if line.strip():
            yield line


def take_stdio() -> Lines:
    """Move stdin and stdout to private descriptors and protect them. To be called once, before anything prints."""
    if sys.stdout is not None:  # None in a windowed process without a console
        sys.stdout.flush()
    private_in, private_out = os.dup(0), os.dup(1)  # not inherited by children
    os.dup2(2, 1)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    if sys.stdout is not None:
        cast(Any, sys.stdout).reconfigure(line_buffering=True)  # now a log: whole lines, at once
    raw_in = cast(RawIOBase, os.fdopen(private_in, "rb", buffering=0))
    writer = cast(BinaryIO, os.fdopen(private_out, "wb", buffering=0))
    return Lines(cast(BinaryIO, BufferedReader(raw_in)), writer)
