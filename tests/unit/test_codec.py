"""JSON lines: every message comes back as it was, and no line can do more than be refused."""

from __future__ import annotations

import contextlib
import io
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tfx_engine.protocol import codec, stdio, worker_messages
from tfx_engine.protocol.messages import (
    AnyRequest,
    Doctor,
    FromService,
    Hello,
    Notice,
    Queue,
    Reply,
    Shutdown,
    Submit,
    Validate,
)
from tfx_engine.protocol.problems import Problem

REQUESTS = [
    Hello(id=1, pid=7, store="/a b/ü", on_disconnect="stop", warm=False),
    Submit(id=2, configs=[{"name": "a\nb"}, {}], toml=["x"], comparison="c"),
    Validate(id=3, config={"model": {"width": 3}}, deep=False),
    Queue(id=4, action="remove", run="r.tfx"),
    Doctor(id=5),
    Shutdown(id=6, stop=True),
]
ANSWERS = [Reply(id=1, ok=False, problems=[{"code": "c"}]), Notice(kind="log", run="r", detail={"text": "\u2028\x00"})]


@pytest.mark.parametrize("message", REQUESTS, ids=lambda m: type(m).__name__)
def test_every_request_comes_back_as_it_was_sent(message: Any) -> None:
    line = codec.encode_line(message)
    assert line.count(b"\n") == 1 and line.endswith(b"\n")
    assert codec.decode_line(line, AnyRequest) == message


@pytest.mark.parametrize("message", ANSWERS, ids=lambda m: type(m).__name__)
def test_every_answer_comes_back_as_it_was_sent(message: Any) -> None:
    line = codec.encode_line(message)
    assert line.count(b"\n") == 1
    assert codec.decode_line(line, FromService) == message


def test_a_worker_is_spoken_to_in_the_words_of_the_contract() -> None:
    assert msgspec.json.decode(codec.encode_line(worker_messages.RunFile(path="r"))) == {"do": "run", "path": "r"}
    assert msgspec.json.decode(codec.encode_line(worker_messages.Check(id=1, config={}))) == {
        "do": "validate", "id": 1, "config": {}}
    said = codec.decode_line(b'{"say":"ready","torch":"2.13.0"}', worker_messages.FromWorker)
    assert said == worker_messages.Ready(torch="2.13.0")
    assert codec.decode_line(b'{"say":"warmed-up"}', worker_messages.FromWorker) == worker_messages.WarmedUp()


@given(st.binary(max_size=200))
def test_no_bytes_do_worse_than_a_decode_error(line: bytes) -> None:
    with contextlib.suppress(msgspec.DecodeError):
        codec.decode_line(line, AnyRequest)


def test_an_unknown_field_of_a_later_version_is_ignored() -> None:
    assert codec.decode_line(b'{"do":"doctor","id":1,"since":"2.0"}', AnyRequest) == Doctor(id=1)


def test_numbered_changes_the_number_and_nothing_else() -> None:
    assert codec.numbered(Queue(id=0, action="list"), 9) == Queue(id=9, action="list")


def test_a_problem_survives_as_data() -> None:
    problem = Problem(code="c", path="p", template="is {value}", hint_template="try {n}", args={"value": 1, "n": "x"})
    assert codec.problem_from_data(codec.problem_to_data(problem)) == problem


def test_a_line_that_is_too_long_is_refused_and_the_next_one_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stdio, "MAX_LINE", 50)
    monkeypatch.setattr(codec, "MAX_LINE", 50)
    good = codec.encode_line(Doctor(id=1))
    lines = list(stdio.read_lines(io.BytesIO(b"x" * 1000 + b"\n" + b"\n  \n" + good)))
    assert len(lines) == 2 and len(lines[0]) == 51
    with pytest.raises(msgspec.DecodeError, match="longer than 50"):
        codec.decode_line(lines[0], AnyRequest)
    assert lines[1] == good


def test_a_line_of_exactly_the_limit_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stdio, "MAX_LINE", 10)
    source = io.BytesIO(b"123456789\n12345678901\nab\n")
    assert list(stdio.read_lines(source)) == [b"123456789\n", b"12345678901", b"ab\n"]


class _Dribble(io.RawIOBase):
    """A writer that takes three bytes at a time, as a full pipe may."""

    def __init__(self) -> None:
        self.taken = b""

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self.taken += bytes(data[:3])
        return min(3, len(data))


def test_a_pipe_that_takes_little_at_a_time_still_gets_the_whole_line() -> None:
    pipe = _Dribble()
    stdio.Lines(io.BytesIO(), pipe).send(Doctor(id=12))  # type: ignore[arg-type]
    assert pipe.taken == codec.encode_line(Doctor(id=12))
