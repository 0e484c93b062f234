"""One technique of a run's configuration, on trial."""

from __future__ import annotations

import dataclasses
from typing import Any

from tfx_engine.techniques.technique import Technique
from tfx_engine.worker.audit.stand import Stand


@dataclasses.dataclass(frozen=True)
class Case:
    """The technique with its options, and the stand on which its claims are tried."""

    technique: Technique
    options: Any
    stand: Stand
