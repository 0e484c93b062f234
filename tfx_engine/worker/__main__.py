"""`python -m tfx_engine.worker`: torch imported and waiting; does one run and ends.

Started by the engine service, which speaks JSON lines over its stdin and stdout.
"""

from __future__ import annotations

import os
import sys
import traceback

from tfx_engine.protocol.launch import end_with_parent
from tfx_engine.protocol.stdio import take_stdio
from tfx_engine.worker.signals import watch_signals


def main() -> None:
    """Never returns: the process ends here, without torch's own farewell, which has nothing left to save."""
    lines = take_stdio()
    os.umask(0o077)  # also of what torch and compilers keep on the way
    end_with_parent()
    code = 1
    try:
        from tfx_engine.train.control import StopFlag
        from tfx_engine.worker.conversation import Inbox, converse

        stop = StopFlag()
        inbox = Inbox(lines, stop)
        watch_signals(lambda name: inbox.interrupt(f"The worker was told to end ({name})."))
        converse(lines, inbox, stop)
        code = 0
    except BrokenPipeError:
        code = 0  # the service is gone; what there was to record is recorded
    except BaseException:
        traceback.print_exc()
    sys.stderr.flush()
    os._exit(code)


if __name__ == "__main__":
    main()
