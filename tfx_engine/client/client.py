"""`Client`: the conversation with a service, in requests, replies and notices."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any, Literal

from tfx_engine.client.connection import ENDED, Connection, ServiceGone
from tfx_engine.protocol.codec import decode_line, encode_line, numbered, problem_from_data, problem_to_data
from tfx_engine.protocol.interleaving import Interleave
from tfx_engine.protocol.launch import module_argv
from tfx_engine.protocol.marker import tr_mark
from tfx_engine.protocol.messages import (
    Audit,
    Conclude,
    Doctor,
    Estimate,
    FromService,
    Hello,
    Notice,
    Ping,
    Queue,
    Reply,
    Request,
    Shutdown,
    Submit,
    Validate,
)
from tfx_engine.protocol.problems import ConfigError, Problem
from tfx_engine.runfile.store import absolute, default_store, refuse_what_is_no_text

OnReply = Callable[[Reply], None]
OnNotice = Callable[[Notice], None]

_POLL_S = 0.5  # how long Ctrl-C may go unheard on Windows, where a wait without an end cannot be interrupted
_CLOSE_S = {"finish": 0.5, "stop": 8.0}  # an idle service is gone at once; one with runs to stop needs its 5 s


class Client:
    """A service of one's own and the conversation with it.

    `store` is the folder of the run files (None: the user's library). `on_disconnect` is what becomes of runs when
    this client goes away: "finish" or "stop". `warm` keeps a worker with torch imported ready. `on_notice` gets every
    `Notice`; one of kind "gone" is the last, where the service ends unasked. `argv` starts another service, for
    instance over ssh. A service that is gone is not started again: make a new client for that.
    """

    def __init__(
        self,
        store: str | Path | None = None,
        on_disconnect: Literal["finish", "stop"] = "finish",
        warm: bool = True,
        on_notice: OnNotice | None = None,
        argv: Sequence[str] | None = None,
    ) -> None:
        self._store = absolute(store) if store else default_store()
        home = str(self._store) if store else ""
        self._greeting = Hello(id=0, pid=os.getpid(), store=home, on_disconnect=on_disconnect, warm=warm)
        self._on_notice: OnNotice = on_notice or (lambda notice: None)
        self._argv = list(argv) if argv is not None else module_argv("tfx_engine", "serve")
        self._lock = threading.Lock()
        self._connection: Connection | None = None
        self._gone: ServiceGone | None = None
        self._closing = False
        self._numbers = 0
        self._waiting: dict[int, OnReply] = {}
        self._welcome: SimpleQueue[Reply] = SimpleQueue()

    # ------------------------------------------------------------------------------------------ the conversation

    def start(self) -> None:
        """Start the service and greet it, without waiting for its answer; costs a few milliseconds.

        Every request does so where it was not done yet. Raises `ServiceGone` where it cannot be started, and
        `RunFileError` where the name of its store cannot be said to it.
        """
        refuse_what_is_no_text(self._store)
        with self._lock:
            if self._connection is None:
                self._connection = Connection(self._argv, self._take, self._log, self._end)
                self._send(self._connection, self._greeting, self._welcome.put)

    @property
    def pid(self) -> int | None:
        """The process id of the service; None before `start`."""
        return self._connection.pid if self._connection else None

    def hello(self, timeout_s: float | None = None) -> dict[str, Any]:
        """Wait until the service has answered the greeting: {"engine": version, "protocol", "pid", "store"}.

        Raises `ConfigError` where it refuses (another version), `ServiceGone`, `TimeoutError`.
        """
        self.start()
        reply = self._await(self._welcome, timeout_s)
        self._welcome.put(reply)  # for the next who asks
        return self._result(reply)

    def request(self, message: Request, on_reply: OnReply) -> int:
        """Send a request without waiting; its `id` is replaced by one of this client, which is returned.

        `on_reply` is called exactly once, on the client's thread; where the service goes away, with a refusal of code
        "engine-gone". Raises `ServiceGone` where it is gone already.
        """
        self.start()
        with self._lock:
            if self._gone is not None or self._connection is None:
                raise self._gone or ServiceGone(ENDED.format(code=None))
            return self._send(self._connection, message, on_reply)

    def _send(self, connection: Connection, message: Request, on_reply: OnReply) -> int:
        self._numbers += 1
        self._waiting[self._numbers] = on_reply
        connection.send(encode_line(numbered(message, self._numbers)))
        return self._numbers

    def call(self, message: Request, timeout_s: float | None = None) -> Reply:
        """Send a request and wait for the reply. Raises `ServiceGone`, `TimeoutError`."""
        if self._connection is not None and self._connection.is_own_thread():
            raise RuntimeError("a blocking request from a callback of the client would wait for itself")
        replies: SimpleQueue[Reply] = SimpleQueue()
        self.request(message, replies.put)
        return self._await(replies, timeout_s)

    # ------------------------------------------------------------------------------------------ requests

    def submit(
        self, configs: Sequence[Mapping[str, Any]], toml: Sequence[str] = (), comparison: str = "",
        facts: Sequence[Mapping[str, Any]] = (),
    ) -> list[Path]:
        """Queue runs in order and return their run files; all, or none and `ConfigError` with every problem.

        `facts`: what is known of each beforehand, and is kept in its file.
        """
        reply = self.call(Submit(id=0, configs=[dict(c) for c in configs], toml=list(toml), comparison=comparison,
                                 facts=[dict(f) for f in facts]))
        return [Path(run) for run in self._result(reply)["runs"]]

    def compare(
        self, configs: Sequence[Mapping[str, Any]], toml: Sequence[str], comparison: str, asked: Interleave,
        facts: Sequence[Mapping[str, Any]] = (),
    ) -> tuple[list[Path], Path | None]:
        """Queue runs that take turns, the first being the baseline: their run files, and that of the second baseline.

        All, or none and `ConfigError` with every problem. `facts` as in `submit`.
        """
        reply = self.call(Submit(id=0, configs=[dict(c) for c in configs], toml=list(toml), comparison=comparison,
                                 interleave=asked, facts=[dict(f) for f in facts]))
        result = self._result(reply)
        return [Path(run) for run in result["runs"]], Path(result["control"]) if result["control"] else None

    def conclude(self, comparison: str, reason: str = "") -> None:
        """End a comparison with the block under way. Raises `ConfigError` where this service has it not under way."""
        self._result(self.call(Conclude(id=0, comparison=comparison, reason=reason)))

    def validate(self, config: Mapping[str, Any], deep: bool = True) -> tuple[Problem, ...]:
        """Every problem of a configuration; `deep` asks a worker too, which may have to import torch first."""
        return _problems(self.call(Validate(id=0, config=dict(config), deep=deep)))

    def estimate(
        self, config: Mapping[str, Any], level: Literal["instant", "traced"] = "traced",
        device_memory: int | None = None,
    ) -> dict[str, Any]:
        """What a configuration will cost, as `tfx_engine.api.estimate` gives it. Raises `ConfigError`."""
        message = Estimate(id=0, config=dict(config), level=level, device_memory=device_memory)
        return self._result(self.call(message))

    def audit(self, config: Mapping[str, Any], run: str | Path = "") -> list[dict[str, Any]]:
        """Whether its techniques do what they claim. `run`: an ended one, whose file keeps it. Raises `ConfigError`."""
        return self.audit_with_stand(config, run)["audit"]

    def audit_with_stand(self, config: Mapping[str, Any], run: str | Path = "") -> dict[str, Any]:
        """{"audit": as `audit`, "audit_stand": on what it was tried}."""
        return self._result(self.call(Audit(id=0, config=dict(config), run=str(run))))

    def queue(self, action: Literal["remove", "adopt", "list"] = "list", run: str | Path = "") -> dict[str, Any]:
        """Change or see the queue: {"queue": paths in order, "running": path or null}. Raises `ConfigError`."""
        return self._result(self.call(Queue(id=0, action=action, run=str(run))))

    def ping(self, on_reply: OnReply) -> None:
        """Ask for a sign of life, without waiting for it. Raises `ServiceGone`."""
        self.request(Ping(id=0), on_reply)

    def doctor(self, measure: bool = False) -> dict[str, Any]:
        """What works on this machine; `measure`: and how fast its devices are, which takes some seconds for each."""
        return self._result(self.call(Doctor(id=0, measure=measure)))

    def shutdown(self, stop: bool = False) -> None:
        """Tell the service to end: after what is queued, or (`stop`) at once, with its runs and its queue stopped."""
        self._closing = True
        self.call(Shutdown(id=0, stop=stop))

    def wait(self, timeout_s: float | None = None) -> bool:
        """Wait for the service to end; whether it did."""
        return self._connection is None or self._connection.wait(timeout_s)

    def close(self, timeout_s: float | None = None) -> None:
        """Disconnect: the service does what `on_disconnect` says. Waits for its end, at most `timeout_s`.

        A service that is to stop and does not in time is killed; its workers see that and end by themselves.
        """
        self._closing = True
        if self._connection is None:
            return
        self._connection.close_input()
        on_disconnect = self._greeting.on_disconnect
        ended = self._connection.wait(_CLOSE_S[on_disconnect] if timeout_s is None else timeout_s)
        if not ended and on_disconnect == "stop":
            self._connection.kill()
            self._connection.wait(1.0)

    def __enter__(self) -> Client:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # ------------------------------------------------------------------------------------------ inside

    def _result(self, reply: Reply) -> dict[str, Any]:
        if not reply.ok:
            raise ConfigError(_problems(reply))
        return reply.result

    def _await(self, replies: SimpleQueue[Reply], timeout_s: float | None) -> Reply:
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        while True:
            left = _POLL_S if deadline is None else min(_POLL_S, deadline - time.monotonic())
            try:
                reply = replies.get(timeout=max(0.0, left))
            except Empty:
                if deadline is not None and time.monotonic() >= deadline:
                    raise TimeoutError(f"the engine did not answer within {timeout_s:g} s") from None
                continue
            if self._gone is not None and any(p["code"] == "engine-gone" for p in reply.problems):
                raise self._gone
            return reply

    def _take(self, line: bytes) -> None:
        try:
            message = decode_line(line, FromService)
        except ValueError as error:  # msgspec's errors are that
            self._log(f"{error}: {line[:200]!r}")
            return
        if isinstance(message, Notice):
            _call_back(self._on_notice, message)
            return
        with self._lock:
            on_reply = self._waiting.pop(message.id, None)
        if on_reply is not None:
            _call_back(on_reply, message)

    def _log(self, text: str) -> None:
        _call_back(self._on_notice, Notice(kind="log", detail={"stream": "engine", "text": text}))

    def _end(self, gone: ServiceGone) -> None:
        with self._lock:
            self._gone = gone
            waiting, self._waiting = self._waiting, {}
        args = {"code": gone.exit_code}
        problem = Problem(code="engine-gone", path="", template=ENDED, hint_template=_HINT, args=args)
        for number, on_reply in waiting.items():
            _call_back(on_reply, Reply(id=number, ok=False, problems=[problem_to_data(problem)]))
        if not self._closing:
            detail = {"exit_code": gone.exit_code, "last_lines": list(gone.last_lines)}
            _call_back(self._on_notice, Notice(kind="gone", detail=detail))


_HINT = tr_mark("What was measured is in the run files. Queued runs are still there.")


def _call_back(callback: Callable[[Any], None], argument: Any) -> None:
    """A callback that raises is reported like any thread's error, and does not end the conversation."""
    try:
        callback(argument)
    except Exception:
        kind, error, trace = sys.exc_info()
        assert kind is not None
        threading.excepthook(threading.ExceptHookArgs((kind, error, trace, threading.current_thread())))


def _problems(reply: Reply) -> tuple[Problem, ...]:
    return tuple(problem_from_data(p) for p in reply.problems)
