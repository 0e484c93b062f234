"""What client, service and worker say to each other: one JSON object a line, tagged by `do` or `say`.

Requests carry an `id` that their `Reply` repeats; a `Notice` comes unasked. Run data never travels here: it is in the
run file.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from tfx_engine.protocol.interleaving import Interleave

PROTOCOL = 1


class Request(msgspec.Struct, frozen=True, kw_only=True, tag_field="do"):
    """What a client asks of the service."""

    id: int


class Hello(Request, frozen=True, kw_only=True, tag="hello"):
    """First line of every client. `store` is where runs go unless a configuration says otherwise."""

    protocol: int = PROTOCOL
    pid: int = 0
    store: str = ""
    on_disconnect: Literal["finish", "stop"] = "finish"
    warm: bool = True  # keep a worker with torch imported ready


class Submit(Request, frozen=True, kw_only=True, tag="submit"):
    """Queue these configurations (as written, partial is fine) in order. Refused whole when one is wrong.

    With `interleave` they take turns, and the first is the baseline. The reply's `result` is {"runs": [path, ...],
    "control": path or ""}.
    """

    configs: list[dict[str, Any]]
    toml: list[str] = []  # as the user wrote them, where they came from files; parallel to `configs`
    comparison: str = ""
    facts: list[dict[str, Any]] = []  # what is known of each run beforehand, parallel to `configs`; kept in its file
    interleave: Interleave | None = None


class Conclude(Request, frozen=True, kw_only=True, tag="conclude"):
    """End an interleaved comparison with the block under way; its runs do their own steps to the end first."""

    comparison: str
    reason: str = ""


class Validate(Request, frozen=True, kw_only=True, tag="validate"):
    """Every problem of a configuration. `deep`: also ask the warm worker (techniques' own checks, data, device)."""

    config: dict[str, Any]
    deep: bool = True


class Estimate(Request, frozen=True, kw_only=True, tag="estimate"):
    """What a configuration will cost, from the warm worker: `level` "instant" (closed form) or "traced".

    The reply's `result` is what `tfx_engine.api.estimate` gives. `device_memory`: bytes, where that of another device
    than this machine's is meant. The level "time" asks for the same as "traced", which takes a second or more, and
    gives way: whatever else is asked meanwhile is answered first, and when it is asked again, or a run begins, the
    older question is refused with the code "superseded".
    """

    config: dict[str, Any]
    level: Literal["instant", "traced", "time"] = "traced"
    device_memory: int | None = None


class Audit(Request, frozen=True, kw_only=True, tag="audit"):
    """Prove what the techniques of a configuration claim, in a worker of its own that ends with it.

    The reply's `result` is {"audit": [{slot, technique, claim, ok, code, template, args}, ...], "audit_stand": {layers,
    of_layers, tokens, of_tokens, samples, of_samples, precision, steps_precision, weights}}. `run`: an ended run of
    that configuration, in whose file the findings are kept, and whose saved weights are taken.
    """

    config: dict[str, Any]
    run: str = ""


class Queue(Request, frozen=True, kw_only=True, tag="queue"):
    """Change the queue: `remove` a queued run, `adopt` the queued runs that a dead service left in the store."""

    action: Literal["remove", "adopt", "list"]
    run: str = ""


class Doctor(Request, frozen=True, kw_only=True, tag="doctor"):
    """What works on this machine; the warm worker answers for torch and the devices.

    `measure`: measure now what they can do, which takes some seconds for each.
    """

    measure: bool = False


class Ping(Request, frozen=True, kw_only=True, tag="ping"):
    """Answered at once, with nothing: whoever gets no answer knows that the service does not respond.

    One of an older version refuses it, which is an answer as well.
    """


class Shutdown(Request, frozen=True, kw_only=True, tag="shutdown"):
    """End: `stop` ends the runs too, else they and the queue are finished first."""

    stop: bool = False


class Reply(msgspec.Struct, frozen=True, kw_only=True, tag_field="say", tag="reply"):
    """The answer to the request of that id."""

    id: int
    ok: bool
    result: dict[str, Any] = {}
    problems: list[dict[str, Any]] = []  # Problem as data: code, path, template, hint_template, args


class Notice(msgspec.Struct, frozen=True, kw_only=True, tag_field="say", tag="notice"):
    """Something happened. `kind`: started, ended, turns, queue, warm, log, problem; `gone` comes from the client."""

    kind: str
    run: str = ""
    detail: dict[str, Any] = {}


AnyRequest = Hello | Submit | Conclude | Validate | Estimate | Audit | Queue | Doctor | Ping | Shutdown
FromService = Reply | Notice


class Control(msgspec.Struct, frozen=True, kw_only=True):
    """One line in a run's mailbox. `id` is unique (a UUID); an event in the run file acknowledges it."""

    id: str
    action: Literal["pause", "resume", "stop", "probe"]
    layer: int | None = None  # probe: full resolution of this head
    head: int | None = None
