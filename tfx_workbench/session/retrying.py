"""What would have helped a run that ran out of memory, as its worker wrote it down, and its configuration with that."""

from __future__ import annotations

import contextlib
from typing import Any, Literal

import msgspec

from tfx_engine.protocol.cards import Catalogue
from tfx_engine.runfile.errors import RunFileError
from tfx_engine.runfile.reader import RunReader
from tfx_workbench.session.lean import lean_config


class Advice(msgspec.Struct, frozen=True):
    """One change to a configuration, and what it is predicted to save."""

    path: str
    value: Any
    saves_bytes: int
    peak_bytes: int
    flops_percent: float = 0.0
    slower_percent: float | None = None  # for as many tokens; runs of older versions know their FLOPs alone
    judged_by: Literal["time", "flops"] = "flops"
    changes_learning: bool | None = None  # older versions did not say
    error_95_percent: float | None = None  # of the predicted peak

    @property
    def slower(self) -> float:
        """By how many per cent, judged by FLOPs where that is all there is."""
        return self.flops_percent if self.slower_percent is None else self.slower_percent

    @property
    def change(self) -> str:
        """What is set to what."""
        value = self.value.get("use") if isinstance(self.value, dict) else self.value
        return f"{self.path.partition('.')[2]} = {value}"


def advice_of(key: str) -> list[Advice]:
    """Best first; none where the run did not run out of memory, or its file cannot be read."""
    try:
        with contextlib.closing(RunReader(key)) as reader:
            said = [event.args.get("advice") for event in reader.events() if event.code == "out-of-memory"]
        return msgspec.convert(said[-1], list[Advice]) if said and said[-1] else []
    except (RunFileError, msgspec.ValidationError):
        return []


def changed_config(key: str, advice: Advice, catalogue: Catalogue) -> tuple[dict[str, Any], str]:
    """(the run's configuration with the change, its name). Raises RunFileError where the file cannot be read."""
    with contextlib.closing(RunReader(key)) as reader:
        info = reader.info()
    section, _, name = advice.path.partition(".")
    config = {**info.config, section: {**info.config[section], name: advice.value}}
    return lean_config(config, catalogue), info.name
