"""Which steps count in statistics."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tfx_engine.protocol.taint import is_disturbance


def clean_and_disturbed(rows: Mapping[str, Any]) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Which of these steps are of the phase `measure` and untouched; which of them something from outside disturbed."""
    is_measured = rows["phase"] == "measure"
    untainted = np.array([not taint for taint in rows["taint"]], dtype=np.bool_)
    disturbed = np.array([is_disturbance(taint) for taint in rows["taint"]], dtype=np.bool_)
    return is_measured & untainted, is_measured & disturbed
