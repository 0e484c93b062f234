"""Letters to a run arrive once, in order, whatever happens to whoever writes them."""

from __future__ import annotations

import os

import pytest

from tfx_engine.protocol.messages import Control
from tfx_engine.runfile.errors import RunFileError
from tfx_engine.runfile.mailbox import Mailbox, post


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "run.tfx"
    path.touch()
    return path


def test_letters_arrive_once_and_in_order_those_from_before_too(path):
    post(path, Control(id="1", action="pause"))
    mailbox = Mailbox(path)
    assert [c.action for c in mailbox.poll()] == ["pause"]
    assert mailbox.poll() == []
    post(path, Control(id="2", action="probe", layer=3, head=1))
    post(path, Control(id="3", action="resume"))
    post(path, Control(id="3", action="resume"))  # sent again by somebody who saw no answer
    assert [(c.id, c.layer) for c in mailbox.poll()] == [("2", 3), ("3", None)]


def test_half_a_line_waits_for_its_end_or_is_left_out(path):
    mailbox = Mailbox(path)
    with mailbox.file.open("ab") as file:
        file.write(b'{"id":"1","act')
        file.flush()
        assert mailbox.poll() == []
        file.write(b'ion":"stop"}\n')
    assert [c.id for c in mailbox.poll()] == ["1"]
    with mailbox.file.open("ab") as file:
        file.write(b'{"id":"2","act')  # its sender was killed here
    post(path, Control(id="3", action="stop"))
    assert [c.id for c in mailbox.poll()] == ["3"]
    assert mailbox.unreadable == 1


@pytest.mark.parametrize("line", [
    b"rubbish", b"[]", b'{"id":"1","action":"explode"}', b"\xff\xfe", b"{" * 100_000,
    b'{"id":"\xff","action":"stop"}', b'{"id":"1","action":"stop","x":' + b"[" * 9999 + b"]" * 9999 + b"}",
])
def test_what_is_no_letter_is_counted_and_left_out(path, line):
    mailbox = Mailbox(path)
    mailbox.file.write_bytes(line + b"\n")
    post(path, Control(id="2", action="stop"))
    assert [c.id for c in mailbox.poll()] == ["2"]
    assert mailbox.unreadable == 1


def test_a_mailbox_that_cannot_be_read_is_looked_at_again(path):
    mailbox = Mailbox(path)
    mailbox.file.mkdir()
    assert mailbox.poll() == []
    with pytest.raises(RunFileError):
        post(path, Control(id="1", action="stop"))
    mailbox.file.rmdir()
    post(path, Control(id="2", action="stop"))
    assert [c.id for c in mailbox.poll()] == ["2"]


def test_a_mailbox_that_was_emptied_or_made_anew_is_read_from_its_beginning(path):
    mailbox = Mailbox(path)
    mailbox.file.write_bytes(b"rubbish" * 100 + b"\n")
    assert mailbox.poll() == []
    mailbox.file.unlink()
    post(path, Control(id="1", action="stop"))
    assert [c.id for c in mailbox.poll()] == ["1"]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_a_pipe_in_the_place_of_a_mailbox_does_not_hold_the_sender(path):
    os.mkfifo(Mailbox(path).file)
    with pytest.raises(RunFileError):
        post(path, Control(id="1", action="stop"))


def test_nobody_writes_to_a_run_that_is_not_there(tmp_path):
    with pytest.raises(RunFileError) as refused:
        post(tmp_path / "none.tfx", Control(id="1", action="stop"))
    assert refused.value.problem.code == "no-such-file"
    assert list(tmp_path.iterdir()) == []
