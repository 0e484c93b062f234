"""What the service refuses, in words."""

from __future__ import annotations

from pathlib import Path

from tfx_engine.protocol.marker import tr_mark
from tfx_engine.protocol.messages import PROTOCOL
from tfx_engine.protocol.problems import Problem


def malformed(why: str) -> Problem:
    """A line that is no request."""
    return Problem(code="malformed-message", path="", template=tr_mark("The engine cannot read this message: {why}."),
                   hint_template=tr_mark("Window and engine may be of different versions."), args={"why": why})


def protocol(theirs: int) -> Problem:
    """A client that speaks another version."""
    return Problem(code="protocol-version", path="",
                   template=tr_mark("Engine and program do not fit: the engine speaks version {ours} of the protocol, "
                                    "the program that started it version {theirs}."),
                   hint_template=tr_mark("Install the same version of TFX Workbench on both sides."),
                   args={"ours": PROTOCOL, "theirs": theirs})


def hello_first() -> Problem:
    """A request before `hello`."""
    return Problem(code="hello-first", path="", template=tr_mark("The first message must be hello."))


def ending() -> Problem:
    """A request to a service that is about to end."""
    return Problem(code="engine-ending", path="", template=tr_mark("The engine is ending and takes no more requests."),
                   hint_template=tr_mark("Start another one."))


def is_running(run: str) -> Problem:
    """Removing from the queue what has left it."""
    return Problem(code="is-running", path=run, template=tr_mark("is running, no longer queued."),
                   hint_template=tr_mark("Stop it instead."))


def run_under_way() -> Problem:
    """A question that would take a second of the CPU that a run is being measured on."""
    return Problem(code="run-under-way", path="", template=tr_mark(
        "The time of a step is predicted when the run that is under way is over, which it would disturb."))


def not_queued(run: str) -> Problem:
    """Removing from the queue what is not in it."""
    return Problem(code="not-queued", path=run, template=tr_mark("is not in this engine's queue."))


def no_such_comparison(comparison: str) -> Problem:
    """Concluding what is not under way here."""
    return Problem(code="no-such-comparison", path=comparison,
                   template=tr_mark("is no comparison that this engine has under way."))


def not_checked(reason: str) -> Problem:
    """A configuration that could not be checked, because no worker starts or the check itself crashed."""
    return Problem(code="not-checked", path="", args={"reason": reason},
                   template=tr_mark("The configuration could not be checked. {reason}"),
                   hint_template=tr_mark("`tfx-workbench doctor` says what works on this machine."))


def no_configuration() -> Problem:
    """An empty submission."""
    return Problem(code="no-configuration", path="", template=tr_mark("There is nothing to run."))


def not_adopted(path: Path, error: Exception) -> Problem:
    """A run file that could not be judged when looking for queued runs that a dead engine left."""
    return Problem(code="not-adopted", path=str(path), args={"error": f"{type(error).__name__}: {error}"},
                   template=tr_mark("could not be looked at, so it stays where it is: {error}."),
                   hint_template=tr_mark("If it is queued, it is taken up when the engine starts the next time."))


def nobody_to_ask(reason: str) -> Problem:
    """An estimate without a worker: none starts, or it died over the question."""
    return Problem(code="not-estimated", path="", args={"reason": reason},
                   template=tr_mark("Nobody could work out what the configuration costs. {reason}"),
                   hint_template=tr_mark("`tfx-workbench doctor` says what works on this machine."))


def nobody_to_audit(reason: str) -> Problem:
    """An audit without a worker: none starts, or it died over it."""
    return Problem(code="not-audited", path="", args={"reason": reason},
                   template=tr_mark("The techniques could not be audited. {reason}"),
                   hint_template=tr_mark("`tfx-workbench doctor` says what works on this machine."))
