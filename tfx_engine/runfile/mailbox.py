"""Control of a run: JSON lines appended to a file beside it by anyone, polled by its worker."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec

from tfx_engine.protocol.codec import decode_line, encode_line
from tfx_engine.protocol.messages import Control
from tfx_engine.runfile.errors import failure, os_failure
from tfx_engine.runfile.store import beside

_SUFFIX = ".mail"
# Not blocking, lest a pipe of that name hold the sender for ever; nor through a link to another file of ours.
_FLAGS = (os.O_WRONLY | os.O_CREAT | os.O_APPEND | getattr(os, "O_BINARY", 0) | getattr(os, "O_NONBLOCK", 0)
          | getattr(os, "O_NOFOLLOW", 0))
_MOST = 2**22  # bytes that are read at a look; what is beyond waits for the next


def post(path: str | os.PathLike[str], control: Control) -> None:
    """Leave a message for the run of that file. Raises `RunFileError`: no such run, no permission, no space."""
    if not Path(path).is_file():
        raise failure("no-such-file", path)
    file = beside(path, _SUFFIX)
    try:
        descriptor = os.open(file, _FLAGS, 0o600)
        try:
            # One write of a short line to a file opened for appending is not torn by another's. Should a killed
            # sender have left half a line, the newline in front ends it.
            os.write(descriptor, b"\n" + encode_line(control))
        finally:
            os.close(descriptor)
    except OSError as error:
        raise os_failure(error, file) from None


class Mailbox:
    """The messages of one run, each given once. What is there already when it is made is given first."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.file = beside(path, _SUFFIX)
        self.unreadable = 0  # lines that were no message
        self._offset = 0
        self._seen: set[str] = set()

    def poll(self) -> list[Control]:
        """The messages since the last call; cheap where there are none. A line without its end waits for it."""
        try:
            size = self.file.stat().st_size
            if size < self._offset:  # somebody emptied it: what comes now is new
                self._offset = 0
            if size <= self._offset:
                return []
            with self.file.open("rb") as file:
                file.seek(self._offset)
                text = file.read(_MOST)
        except FileNotFoundError:  # no mail yet, or somebody took it away: what comes now is new
            self._offset = 0
            return []
        except OSError:  # nothing that can be read; the next look may find another file
            return []
        complete, newline, _ = text.rpartition(b"\n")
        if not newline and len(text) == _MOST:  # no letter is that long
            complete = text
        self._offset += len(complete) + len(newline)
        return [control for line in complete.splitlines() if (control := self._read(line))]

    def _read(self, line: bytes) -> Control | None:
        if not line.strip():
            return None
        try:
            control: Control = decode_line(line, Control)
        except msgspec.DecodeError:
            self.unreadable += 1
            return None
        if control.id in self._seen:
            return None
        self._seen.add(control.id)
        return control
