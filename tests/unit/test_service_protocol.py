"""The service's side of the protocol, line by line: whatever is sent, there is an answer in words and no crash."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tfx_engine.protocol import codec
from tfx_engine.protocol.launch import child_environment
from tfx_engine.protocol.messages import PROTOCOL, Hello

HELLO = {"do": "hello", "id": 1, "warm": False, "on_disconnect": "stop"}


class Service:
    """A service process, spoken to in raw lines."""

    def __init__(self, environment: dict[str, str], how: tuple[str, ...] = ("-m", "tfx_engine", "serve")) -> None:
        self.process = subprocess.Popen(
            [sys.executable, *how], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, env=environment,
        )

    def say(self, *lines: bytes | dict[str, Any]) -> list[dict[str, Any]]:
        """Send the lines and give every line of the answer; the service has ended by then."""
        text = b"".join(line if isinstance(line, bytes) else json.dumps(line).encode() + b"\n" for line in lines)
        answer, errors = self.process.communicate(text, timeout=60)
        assert self.process.returncode == 0, errors
        assert b"Traceback" not in errors, errors
        return [json.loads(line) for line in answer.splitlines()]


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    """A service with a store of its own."""
    service = Service({**child_environment(), "TFX_HOME": str(tmp_path)})
    yield service
    service.process.kill()
    with service.process:  # closes its pipes
        pass


def test_hello_is_answered_with_who_one_is(service: Service, tmp_path: Path) -> None:
    (reply,) = service.say(HELLO)
    assert reply["say"] == "reply" and reply["id"] == 1 and reply["ok"]
    assert reply["result"]["protocol"] == PROTOCOL and reply["result"]["pid"] == service.process.pid
    assert reply["result"]["store"] == str(tmp_path / "runs")


def test_another_version_is_refused_in_words(service: Service) -> None:
    refusal, other = service.say({**HELLO, "protocol": 999}, {"do": "doctor", "id": 2})
    assert not refusal["ok"]
    problem = codec.problem_from_data(refusal["problems"][0])
    assert "999" in problem.message and str(PROTOCOL) in problem.message and "same version" in problem.hint
    assert other["problems"][0]["code"] == "hello-first"


@pytest.mark.parametrize("line", [
    b"not json\n", b"\xff\xfe\x00\n", b"[]\n", b'"text"\n', b'{"do":"dance","id":7}\n', b'{"do":"doctor"}\n',
    b'{"do":"submit","id":7,"configs":3}\n', b'{"do":"queue","id":7,"action":"burn"}\n', b"[" * 100_000 + b"\n",
    b'{"do":"queue","id":7,"action":"list","run":"\xff"}\n',
    b'{"do":"doctor","id":7,"x":' + b"[" * 9999 + b"]" * 9999 + b"}\n",
    b'{"do":"doctor","id":7e99}\n', b'{"do":"doctor","id":"7"}\n',
], ids=lambda line: repr(line[:20]))
def test_a_malformed_line_is_refused_and_the_next_one_is_served(service: Service, line: bytes) -> None:
    first, refusal, last = service.say(HELLO, line, {"do": "queue", "id": 9, "action": "list"})
    assert first["ok"] and last["ok"] and last["id"] == 9
    if refusal["say"] == "reply":
        assert refusal["id"] == 7 and not refusal["ok"]
        problem = codec.problem_from_data(refusal["problems"][0])
    else:
        assert refusal["kind"] == "problem"
        problem = codec.problem_from_data(refusal["detail"])
    assert problem.code == "malformed-message" and problem.sentence()


def test_a_last_line_that_is_torn_is_refused_too(service: Service) -> None:
    _, refusal = service.say(HELLO, b'{"do":"doctor","id":')
    assert refusal["kind"] == "problem"


def test_blank_lines_and_silence_are_no_fault(service: Service) -> None:
    assert service.say(b"\n \n") == []


def test_every_kind_of_request_is_refused_before_hello(service: Service) -> None:
    requests = [{"do": "submit", "id": 1, "configs": []}, {"do": "validate", "id": 2, "config": {}},
                {"do": "queue", "id": 3, "action": "list"}, {"do": "doctor", "id": 4}, {"do": "shutdown", "id": 5}]
    replies = service.say(*requests)
    assert [(r["id"], r["problems"][0]["code"]) for r in replies] == [(n, "hello-first") for n in range(1, 6)]


def test_a_client_that_does_not_listen_does_not_stop_the_service(service: Service) -> None:
    assert service.process.stdin and service.process.stdout
    service.process.stdout.close()
    line = codec.encode_line(Hello(id=1, on_disconnect="stop", warm=False))
    service.process.stdin.write(line * 100)
    service.process.stdin.close()
    assert service.process.wait(30) == 0


def test_a_question_that_is_thought_about_for_ever_is_given_up(tmp_path: Path) -> None:
    program = "from tfx_engine.service import questions, main; questions.PATIENCE_S = 0.2; main.serve()"
    environment = {"TFX_HOME": str(tmp_path), "TFX_WORKER_MODULE": "tests.helpers.standin_worker"}
    service = Service({**child_environment(), **environment}, ("-c", program))
    asked = [{"do": "validate", "id": i, "config": {"name": name}} for i, name in enumerate(["slow-check", "quick"], 2)]
    answers = {line["id"]: line for line in service.say({**HELLO, "on_disconnect": "finish"}, *asked) if "id" in line}
    assert "It took longer than 0 s." in json.dumps(answers[2])
    assert answers[3]["ok"] and "longer" not in json.dumps(answers[3]), "another worker answers what comes after it"


@pytest.mark.parametrize("changed", [True, False])
def test_what_the_catalogue_does_not_know_is_asked_of_a_worker_where_own_files_have_changed(
    tmp_path: Path, changed: bool
) -> None:
    if changed:
        (tmp_path / "trusted.json").write_text(json.dumps({"folders": [str(tmp_path)]}))
    environment = {"TFX_HOME": str(tmp_path), "TFX_WORKER_MODULE": "tests.helpers.standin_worker"}
    service = Service({**child_environment(), **environment})
    asked = {"do": "validate", "id": 2, "config": {"name": "quick", "techniques": {"feedforward": "sine"}}}
    (answer,) = [line for line in service.say({**HELLO, "on_disconnect": "finish"}, asked) if line.get("id") == 2]
    assert answer["ok"] == answer["result"]["deep"] == changed
