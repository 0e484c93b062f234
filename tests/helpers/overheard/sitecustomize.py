"""Notes every address that a Python process binds, connects to, sends to or looks up, in the file $TFX_TESTS_OVERHEARD.

Python imports a module of this name by itself where it finds one: `tests/e2e/conftest.py` puts this folder on the path
of all processes that its tests start.
"""

import os
import sys

_FILE = os.environ.get("TFX_TESTS_OVERHEARD")
_EVENTS = ("socket.bind", "socket.connect", "socket.sendto", "socket.sendmsg", "socket.getaddrinfo",
           "socket.gethostbyname", "socket.gethostbyaddr", "socket.getnameinfo", "urllib.Request")  # fmt: skip


def _hear(event: str, args: tuple[object, ...]) -> None:
    if event in _EVENTS:
        said = [arg for arg in args if isinstance(arg, (str, bytes, tuple, int))]
        if event.startswith(("socket.bind", "socket.connect")) and said and isinstance(said[0], (str, bytes)):
            return  # a path: a socket of this machine alone
        with open(str(_FILE), "a", encoding="utf-8") as file:  # noqa: PTH123
            file.write(f"{os.getpid()} {' '.join(sys.orig_argv[:6])}: {event} {said}\n")


if _FILE:
    sys.addaudithook(_hear)
