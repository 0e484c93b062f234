"""The thread that reads the client's lines and posts them as events."""

from __future__ import annotations

import msgspec

from tfx_engine.protocol.codec import decode_line
from tfx_engine.protocol.messages import AnyRequest
from tfx_engine.protocol.stdio import Lines
from tfx_engine.service import refusals
from tfx_engine.service.events import Asked, ClientGone, Event, Events, Unreadable


class _Numbered(msgspec.Struct):
    """As much of a request as it takes to reply to it."""

    id: int


def listen(client: Lines, events: Events) -> None:
    """Post every line of the client until end-of-file."""
    try:
        for line in client.receive():
            events.put(read_request(line))
    finally:
        events.put(ClientGone())


def read_request(line: bytes) -> Event:
    """`Asked` with the request in the line, or `Unreadable` with what is wrong with it."""
    try:
        return Asked(decode_line(line, AnyRequest))
    except msgspec.DecodeError as error:
        return Unreadable(refusals.malformed(str(error)), _number(line))


def _number(line: bytes) -> int | None:
    try:
        return int(decode_line(line, _Numbered).id)
    except msgspec.DecodeError:
        return None
