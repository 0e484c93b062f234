"""The thread that looks around ten times a second, so that a long step delays nothing.

It reads the run's mailbox, gives a sign of life once a second, and notices when the process did not run for a while.
"""

from __future__ import annotations

import threading
import time
from pathlib import Path

from tfx_engine.measure.gaps import WORDS, Gaps
from tfx_engine.protocol.marker import tr_mark
from tfx_engine.protocol.messages import Control
from tfx_engine.runfile.mailbox import Mailbox
from tfx_engine.runfile.pulse import BEAT_S, PROMISE, beat
from tfx_engine.runfile.writer import RunWriter
from tfx_engine.train.control import ON_REQUEST, ProbeRequest, RunControl

PERIOD_S = 0.1
_HEARD = tr_mark("Received: {action}.")


def watch_for_gaps(writer: RunWriter, zero_ns: int) -> Gaps:
    """Each time in which this process does not run becomes an event of the run."""
    def note(seconds: float) -> None:
        writer.event("warning", "stopped-meanwhile", WORDS, seconds=seconds)

    return Gaps(zero_ns, note)


class MailReader:
    """Passes the messages in a run's mailbox on to its control, and acknowledges each with an event."""

    def __init__(self, path: Path, control: RunControl, writer: RunWriter, gaps: Gaps) -> None:
        self._mailbox = Mailbox(path)
        self._path, self._control, self._writer, self._gaps = path, control, writer, gaps
        self._beat_at = 0.0
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run, name="mailbox", daemon=True)

    def start(self) -> None:
        """Begin; what lies in the mailbox already counts."""
        self._writer.note(**{PROMISE: BEAT_S})
        self._thread.start()

    def stop(self) -> None:
        """End."""
        self._end.set()
        self._thread.join(10 * PERIOD_S)

    def _run(self) -> None:
        while True:
            self._gaps.tick()
            self._live()
            for message in self._mailbox.poll():
                self._obey(message)
            if self._end.wait(PERIOD_S):
                return

    def _live(self) -> None:
        now = time.monotonic()
        if now - self._beat_at >= BEAT_S:
            self._beat_at = now
            beat(self._path)

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
