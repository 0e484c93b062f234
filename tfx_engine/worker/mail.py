"""The thread that looks into a run's mailbox ten times a second, so that a long step delays no answer."""

from __future__ import annotations

import threading
from pathlib import Path

from tfx_engine.protocol.marker import tr_mark
from tfx_engine.protocol.messages import Control
from tfx_engine.runfile.mailbox import Mailbox
from tfx_engine.runfile.writer import RunWriter
from tfx_engine.train.control import ON_REQUEST, ProbeRequest, RunControl

PERIOD_S = 0.1
_HEARD = tr_mark("Received: {action}.")


class MailReader:
    """Passes the messages in a run's mailbox on to its control, and acknowledges each with an event."""

    def __init__(self, path: Path, control: RunControl, writer: RunWriter) -> None:
        self._mailbox = Mailbox(path)
        self._control, self._writer = control, writer
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run, name="mailbox", daemon=True)

    def start(self) -> None:
        """Begin; what lies in the mailbox already counts."""
        self._thread.start()

    def stop(self) -> None:
        """End."""
        self._end.set()
        self._thread.join(10 * PERIOD_S)

    def _run(self) -> None:
        while True:
            for message in self._mailbox.poll():
                self._obey(message)
            if self._end.wait(PERIOD_S):
                return

    def _obey(self, message: Control) -> None:
        match message.action:
            case "pause":
                self._control.pause()
            case "resume":
                self._control.resume()
            case "stop":
                self._control.stop.set("stopped", ON_REQUEST)
            case "probe":
                self._control.ask(ProbeRequest(message.layer, message.head))
        self._writer.event("control", message.action, _HEARD, action=message.action, id=message.id)
