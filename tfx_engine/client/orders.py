"""Orders to a run that goes on: no service is asked, the worker itself looks into the run's mailbox."""

from __future__ import annotations

import uuid
from pathlib import Path
from typing import Literal

from tfx_engine.protocol.messages import Control
from tfx_engine.runfile.mailbox import post


def control(
    run: str | Path, action: Literal["pause", "resume", "stop", "probe"], *, layer: int | None = None,
    head: int | None = None,
) -> str:
    """Put an order into the mailbox of a run, whoever started it; the id under which its run file acknowledges it.

    `probe` with `layer` and `head` asks for that head's attention map at full resolution.
    """
    number = uuid.uuid4().hex
    post(Path(run), Control(id=number, action=action, layer=layer, head=head))
    return number
