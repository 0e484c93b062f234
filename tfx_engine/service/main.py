"""`python -m tfx_engine serve`: the process around a `Service`."""

from __future__ import annotations

import os
import signal

from tfx_engine.protocol.stdio import take_stdio
from tfx_engine.service.events import Terminated
from tfx_engine.service.service import Service

WORKER_MODULE = "TFX_WORKER_MODULE"  # environment variable: another module than `tfx_engine.worker`, for tests


def serve() -> int:
    """Serve one client over stdin and stdout until it is done. The exit code is 0."""
    client = take_stdio()
    os.umask(0o077)  # whatever is written here and by the workers is the user's alone
    service = Service(client, os.environ.get(WORKER_MODULE, "tfx_engine.worker"))
    signal.signal(signal.SIGTERM, lambda number, frame: service.events.put(Terminated()))
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the client, which says what it wants here
    service.serve()
    return 0
