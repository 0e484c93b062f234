"""The client: starting is cheap, replies find their question, and a service that goes away is told about."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from tests.helpers.services import Listening, own_threads, until
from tfx_engine.client import Client, ServiceGone, control
from tfx_engine.protocol.config import parse_config
from tfx_engine.protocol.messages import Queue, Reply
from tfx_engine.protocol.problems import ConfigError
from tfx_engine.runfile.create import create
from tfx_engine.runfile.errors import RunFileError
from tfx_engine.runfile.mailbox import Mailbox

GREET = 'import sys; print(\'{"say":"reply","id":1,"ok":true}\', flush=True); '


def test_greeting_and_goodbye_leave_neither_process_nor_thread(tmp_path: Path) -> None:
    with Listening(tmp_path, warm=False) as client:
        welcome = client.hello(30)
        assert welcome["pid"] == client.pid and welcome["store"] == str(tmp_path)
        assert client.hello() == welcome
    assert client.wait(10)
    until(lambda: not list(own_threads()))
    client.close()  # once more does no harm
    assert client.notices == []


def test_requests_start_the_service_by_themselves(tmp_path: Path) -> None:
    client = Client(tmp_path, "stop", False)
    assert client.pid is None
    assert client.queue() == {"queue": [], "running": None}
    client.close()


def test_starting_does_not_wait_for_the_service(tmp_path: Path) -> None:
    client = Client(tmp_path, argv=[sys.executable, "-c", "import time; time.sleep(30)"], on_disconnect="stop")
    before = time.monotonic()
    client.start()
    client.request(Queue(id=0, action="list"), lambda reply: None)
    assert time.monotonic() - before < 5
    with pytest.raises(TimeoutError):
        client.hello(0.1)
    with pytest.raises(TimeoutError):
        client.call(Queue(id=0, action="list"), 0.1)
    client.close(0)  # one that does not end when told is killed
    assert client.wait(5)


def test_a_service_that_cannot_be_started_is_said_at_once(tmp_path: Path) -> None:
    with pytest.raises(ServiceGone, match="cannot be started"):
        Client(argv=[str(tmp_path / "missing")]).start()


def test_a_service_that_dies_is_told_with_its_last_lines() -> None:
    last_words = GREET + "sys.stdin.readline(); sys.stdin.readline(); sys.exit('no such thing: é')"
    client = Listening(Path(), argv=[sys.executable, "-c", last_words])
    replies: list[Reply] = []
    client.hello(30)
    client.request(Queue(id=0, action="list"), replies.append)
    gone = client.wait_for("gone")
    assert gone.detail == {"exit_code": 1, "last_lines": ["no such thing: é"]}
    assert [reply.problems[0]["code"] for reply in replies] == ["engine-gone"]
    with pytest.raises(ServiceGone) as caught:
        client.doctor()
    assert caught.value.last_lines == ("no such thing: é",) and "no such thing" in str(caught.value)
    client.close()


def test_a_blocking_request_to_a_dying_service_raises() -> None:
    client = Client(argv=[sys.executable, "-c", GREET + "sys.stdin.readline(); sys.stdin.readline()"])
    with pytest.raises(ServiceGone):
        client.queue()
    client.close()


def test_a_killed_service_is_told_by_its_signal(tmp_path: Path) -> None:
    with Listening(tmp_path, warm=False) as client:
        client.hello()
        assert client.pid is not None
        os.kill(client.pid, signal.SIGKILL)
        assert client.wait_for("gone").detail["exit_code"] == -signal.SIGKILL


def test_garbage_from_the_service_becomes_a_log_line() -> None:
    program = "print('not json'); print('{\"say\":\"reply\",\"id\":77,\"ok\":true}'); " + GREET + "sys.stdin.read()"
    with Listening(Path(), argv=[sys.executable, "-c", program]) as client:
        assert client.hello(30) == {}
        assert "not json" in client.wait_for("log").detail["text"]


def test_replies_find_their_question_in_any_order() -> None:
    answer = '{"say":"reply","id":%d,"ok":true,"result":{"n":%d}}'
    program = GREET + f"[sys.stdin.readline() for _ in range(3)]; [print('{answer}' % (i, i)) for i in (3, 2)]"
    client = Client(argv=[sys.executable, "-c", program])
    found: dict[str, int] = {}
    client.request(Queue(id=0, action="list"), lambda reply: found.update(first=reply.result["n"]))
    client.request(Queue(id=0, action="list"), lambda reply: found.update(second=reply.result["n"]))
    until(lambda: found == {"first": 2, "second": 3})
    client.close()


def test_a_callback_that_raises_is_reported_and_the_conversation_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reported: list[threading.ExceptHookArgs] = []
    monkeypatch.setattr(threading, "excepthook", reported.append)
    with Client(tmp_path, "stop", False) as client:
        def fail(reply: Reply) -> None:
            raise LookupError("mine")

        client.request(Queue(id=0, action="list"), fail)
        assert client.queue() == {"queue": [], "running": None}
    assert [args.exc_type for args in reported] == [LookupError]


def test_a_callback_that_would_wait_for_itself_is_told_so(tmp_path: Path) -> None:
    caught: list[BaseException] = []
    with Client(tmp_path, "stop", False) as client:
        def wait(reply: Reply) -> None:
            try:
                client.queue()
            except RuntimeError as error:
                caught.append(error)

        client.request(Queue(id=0, action="list"), wait)
        client.queue()
    assert len(caught) == 1 and "callback" in str(caught[0])


def test_an_interrupt_in_the_terminal_reaches_the_client_alone(tmp_path: Path) -> None:
    with Client(tmp_path, "stop", False) as client:
        pid = client.hello()["pid"]
        assert os.getpgid(pid) == pid != os.getpgid(0)


def test_a_wrong_configuration_raises_with_every_problem(tmp_path: Path) -> None:
    with Client(tmp_path, "stop", False) as client:
        with pytest.raises(ConfigError) as caught:
            client.submit([{"modl": {}, "model": {"layers": "x"}}])
        assert {p.path for p in caught.value.problems} == {"modl", "model.layers"}
        assert {p.path for p in client.validate({"model": {"layers": 0}}, deep=False)} == {"model.layers"}


def test_control_puts_an_order_into_the_mailbox_of_any_run(tmp_path: Path) -> None:
    config, _ = parse_config({})
    create(tmp_path / "a.tfx", config, "")
    orders = [control(tmp_path / "a.tfx", "pause"), control(str(tmp_path / "a.tfx"), "probe", layer=1, head=2)]
    first, second = Mailbox(tmp_path / "a.tfx").poll()
    assert [first.id, second.id] == orders and first.action == "pause"
    assert (second.action, second.layer, second.head) == ("probe", 1, 2)
    with pytest.raises(RunFileError):
        control(tmp_path / "missing.tfx", "stop")


def test_the_client_loads_neither_torch_nor_numpy() -> None:
    program = "import sys, tfx_engine.client; print([m for m in ('torch', 'numpy', 'psutil') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
