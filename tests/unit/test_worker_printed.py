"""What a run prints is caught, whatever prints it and however fast."""

from __future__ import annotations

import os
import sys
import threading
import time
from io import BufferedReader, TextIOWrapper

import pytest

from tfx_engine.worker.logs import Echo
from tfx_engine.worker.printed import Tail, end, open_sink

only_linux = pytest.mark.skipif(sys.platform != "linux", reason="elsewhere it is a pipe")


def lines_of(reader) -> list[str]:
    with TextIOWrapper(BufferedReader(reader), encoding="utf-8", errors="replace") as lines:
        return [line.rstrip("\n") for line in lines]


@only_linux
def test_printers_of_megabytes_never_wait_and_nothing_is_lost() -> None:
    sink, reader = open_sink()
    text = b"".join(b"line %d\n" % number for number in range(300_000))
    begun_s = time.monotonic()
    assert os.write(sink, text) == len(text)  # nobody reads yet: a pipe would have held 64 kB of it
    found: list[str] = []
    thread = threading.Thread(target=lambda: found.extend(lines_of(reader)))
    thread.start()
    os.write(sink, b"half a line")
    os.close(sink)
    end(reader)
    thread.join(30.0)
    assert not thread.is_alive() and time.monotonic() - begun_s < 30.0
    assert found == [*(f"line {number}" for number in range(300_000)), "half a line"]


@only_linux
def test_what_was_read_takes_no_memory() -> None:
    sink, reader = open_sink()
    for _ in range(20):
        os.write(sink, b"x" * 2**20)
        assert len(reader.read(2**20) or b"") == 2**20
    assert os.fstat(sink).st_blocks * 512 <= 2 * 2**20 < os.fstat(sink).st_size
    os.close(sink)
    reader.close()


@only_linux
def test_a_printer_without_end_does_not_fill_the_memory_and_that_is_said() -> None:
    sink, _ = open_sink()
    reader = Tail(sink, most_waiting=2**22)
    for _ in range(6):
        os.write(sink, b"x" * 2**20)
    os.write(sink, b"\nthe newest line\n")
    reader.end()
    found = lines_of(reader)
    assert found[-1] == "the newest line" and any("left out" in line for line in found)
    assert sum(map(len, found)) < 2**21
    os.close(sink)


def test_an_echo_that_nobody_reads_is_dropped_and_never_waited_for() -> None:
    reader, writer = os.pipe()
    echo = Echo(writer, most_bytes=2**17)
    for _ in range(1000):
        echo.put(b"x" * 1023 + b"\n")
    begun_s = time.monotonic()
    echo.close(0.1)
    assert time.monotonic() - begun_s < 5.0
    taken = len(os.read(reader, 2**24))
    assert 0 < taken <= 2**16 + 2**17
    os.close(reader)
    os.close(writer)
