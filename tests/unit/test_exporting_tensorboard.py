"""Event files of TensorBoard: the checksums, the bytes, and what a reader finds in them."""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest

from tests.helpers.synthetic_run import write_run
from tfx_engine.runfile.reader import RunReader
from tfx_workbench.cli import main
from tfx_workbench.exporting.tensorboard import crc32c, event, masked_crc, record


@pytest.mark.parametrize(("data", "crc"), [  # RFC 3720, B.4
    (bytes(32), 0x8A9136AA), (b"\xff" * 32, 0x62A8AB43), (bytes(range(32)), 0x46DD794E),
    (bytes(reversed(range(32))), 0x113FDB5C), (b"123456789", 0xE3069283),
])  # fmt: skip
def test_the_checksum_is_that_of_the_standard(data, crc):
    assert crc32c(data) == crc


def test_a_file_begins_with_the_bytes_that_every_event_file_begins_with():
    first = record(event(1.5e9, version="brain.Event:2"))
    assert first[:12] == b"\x18\x00\x00\x00\x00\x00\x00\x00\xa3\x7fK\x22" and len(first) == 12 + 24 + 4


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tb")
    run = write_run(folder / "run.tfx", steps=20, layers=2, heads=2, context=16, width=16)
    assert main(["export", str(run), "--format", "tensorboard", "-o", str(folder / "log")]) == 0
    (file,) = (folder / "log").iterdir()
    return run, file


def test_a_reader_finds_every_reading_at_its_step(exported):
    run, file = exported
    assert "tfevents" in file.name
    found: dict[str, list[tuple[int, float]]] = {}
    events = list(read_events(file.read_bytes()))
    assert events[0][3] == b"brain.Event:2"
    for one in events[1:]:
        for tag, value in scalars(one[5]):
            found.setdefault(tag, []).append((one.get(2, 0), value))
    with closing(RunReader(run)) as reader:
        steps, evaluations = reader.steps(), reader.evaluations()
        names = reader.facts()["layer_names"]
        _, norms = reader.layer_steps("layer_grad_norm")
    assert [step for step, _ in found["step/loss_nats"]] == steps["step"].tolist()
    assert [v for _, v in found["step/loss_nats"]] == pytest.approx(steps["loss"].tolist(), rel=1e-6)
    assert [v for _, v in found[f"grad_norm/{names[1]}"]] == pytest.approx(norms[:, 1].tolist(), rel=1e-6)
    assert len(found["held_out/loss_nats"]) == len(evaluations) > 0
    assert "step/device_bytes" not in found  # missing is not zero


def test_tensorboard_itself_reads_it(exported):
    module = "tensorboard.backend.event_processing.event_file_loader"
    loader = pytest.importorskip(module, reason="tensorboard is not installed")
    tags = {value.tag for e in loader.LegacyEventFileLoader(str(exported[1])).Load() for value in e.summary.value}
    assert {"step/loss_nats", "step/step_ms", "held_out/loss_nats"} <= tags


def test_it_is_not_written_twice(exported, capsys):
    run, file = exported
    assert main(["export", str(run), "--format", "tensorboard", "-o", str(file.parent)]) == 2
    assert "--force" in capsys.readouterr().err


def read_events(data: bytes) -> Iterator[dict[int, Any]]:
    """The messages in the records, whose checksums are looked at: field number -> value."""
    while data:
        (length,) = struct.unpack("<Q", data[:8])
        body = data[12 : 12 + length]
        assert struct.unpack("<I", data[8:12])[0] == masked_crc(data[:8])
        assert struct.unpack("<I", data[12 + length : 16 + length])[0] == masked_crc(body)
        yield dict(fields(body))
        data = data[16 + length :]


def fields(data: bytes) -> Iterator[tuple[int, Any]]:
    """(number, value) of a protocol buffer."""
    place = 0

    def varint() -> int:
        nonlocal place
        number = shift = 0
        while True:
            byte = data[place]
            place += 1
            number |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return number

    while place < len(data):
        key = varint()
        match key & 7:
            case 0:
                yield key >> 3, varint()
            case 1:
                yield key >> 3, struct.unpack("<d", data[place : place + 8])[0]
                place += 8
            case 2:
                size = varint()
                yield key >> 3, data[place : place + size]
                place += size
            case 5:
                yield key >> 3, struct.unpack("<f", data[place : place + 4])[0]
                place += 4


def scalars(summary: bytes) -> list[tuple[str, float]]:
    """(tag, value) of a summary."""
    values = [dict(fields(value)) for _, value in fields(summary)]
    return [(value[1].decode(), value[2]) for value in values]


def test_numbers_beyond_float32_are_infinite_and_nan_stays():
    large, none = (dict(fields(event(0.0, 1, scalars=[("x", v)])))[5] for v in (1e300, math.nan))
    assert scalars(large) == [("x", math.inf)] and math.isnan(scalars(none)[0][1])
