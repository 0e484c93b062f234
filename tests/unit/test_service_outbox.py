"""What waits for a client that does not read: bounded, whatever the service has to say."""

from __future__ import annotations

import threading

from tfx_engine.protocol.messages import Notice
from tfx_engine.protocol.stdio import Lines
from tfx_engine.service.outbox import FAR_BEHIND, Outbox


class Stopped(Lines):
    """A client that reads nothing until it is told to."""

    def __init__(self) -> None:
        self.goes_on, self.sent = threading.Event(), []  # type: ignore[var-annotated]

    def send(self, message) -> None:
        self.goes_on.wait(10.0)
        self.sent.append(message)


def test_a_client_that_reads_nothing_finds_the_newest_state_and_every_event() -> None:
    client = Stopped()
    outbox = Outbox(client)
    for number in range(3_000):
        outbox.log(f"line {number}")
        outbox.notice("turns", block=number)
        outbox.notice("queue", queue=[str(number)])
        if number % 100 == 0:
            outbox.notice("ended", block=number)
    assert len(outbox._waiting) < 2 * FAR_BEHIND
    client.goes_on.set()
    outbox.close(10.0)
    kinds: dict[str, list[Notice]] = {}
    for notice in client.sent:
        kinds.setdefault(notice.kind, []).append(notice)
    assert kinds["turns"][-1].detail["block"] == 2_999 and kinds["queue"][-1].detail["queue"] == ["2999"]
    assert [notice.detail["block"] for notice in kinds["ended"]] == list(range(0, 3_000, 100))
