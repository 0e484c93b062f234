"""The ledger of a run: what its step was predicted to take, beside what it took, and a word where they differ."""

from __future__ import annotations

import contextlib
import traceback
from collections.abc import Mapping
from typing import Any

import torch

from tfx_engine.protocol.config import Config
from tfx_engine.protocol.ledger import PastPeak, add_peak
from tfx_engine.protocol.marker import tr_mark
from tfx_engine.runfile.writer import RunWriter
from tfx_engine.techniques.devices import device_kind
from tfx_engine.worker.predicting import figures

FAR_PERCENT = 5.0  # off by more than this, the run says so
LEAST_STEPS = 10  # of a run that is worth a trace of its step
_STORED = ("memory_bytes", "peak_interval_bytes", "category_peak_bytes", "flops_per_token", "params")
_FAR = tr_mark("The peak of memory was predicted as {predicted_mib:.1f} MiB and is {measured_mib:.1f} MiB: "
               "off by {percent:+.1f} %.")
_FAR_COMPILED = tr_mark("The peak of memory was predicted as {predicted_mib:.1f} MiB, as it is without the compiler, "
                        "and is {measured_mib:.1f} MiB: off by {percent:+.1f} %.")
_MIB = 2**20


class Foretold:
    """Writes predictions into a run file. What cannot be predicted is missing there, and no reason for a run to end."""

    def __init__(self, config: Config, writer: RunWriter) -> None:
        self._config, self._writer = config, writer
        self._level = ""  # of what was predicted last
        self._found: dict[str, Mapping[str, Any]] = {}  # by level
        self._is_compiled = config.use("compile") != "none"

    def note_instant(self) -> None:
        """Before the first step, in closed form: takes some milliseconds."""
        self._note("instant")

    def note_traced(self, measured_steps: int) -> None:
        """After the measured steps, which need not wait for it. Nothing that the run measured is in it."""
        if measured_steps >= LEAST_STEPS:
            self._note("traced")

    def compare(self, measured_peak_bytes: int | None) -> None:
        """Say where the measured peak is far from the predicted one, and learn from it how far off predictions are."""
        if not self._level or not measured_peak_bytes:
            return
        past = {level: self._past(level, figures, measured_peak_bytes) for level, figures in self._found.items()}
        with contextlib.suppress(OSError):  # then there is one run less to learn from
            for one in past.values():
                add_peak(one)
        newest = past[self._level]
        percent = newest.error_percent
        if abs(percent) > FAR_PERCENT:
            self._writer.event(
                "warning", "prediction-far-off", _FAR_COMPILED if self._is_compiled else _FAR,
                predicted_mib=newest.predicted_bytes / _MIB, measured_mib=measured_peak_bytes / _MIB, percent=percent,
            )

    def _past(self, level: str, figures: Mapping[str, Any], measured_bytes: int) -> PastPeak:
        interval = figures["peak_interval_bytes"]
        return PastPeak(
            kind=device_kind(self._config), level=level, compiled=self._is_compiled,
            predicted_bytes=figures["memory_bytes"]["peak"], measured_bytes=measured_bytes,
            low_bytes=interval["low"], high_bytes=interval["high"],
        )

    def _note(self, level: str) -> None:
        state = torch.get_rng_state()
        try:
            found = figures(self._config, level, with_time=False)
        except Exception as error:  # a technique of somebody's own may declare anything
            self._writer.log("traceback", traceback.format_exc())
            self._writer.missing("predicted", f"{type(error).__name__}: {error}")
            return
        finally:
            torch.set_rng_state(state)
        self._level = found["level"]
        self._found[self._level] = found
        for key, value in _flat({name: found[name] for name in _STORED}):
            self._writer.prediction(key, value, found["level"])
        self._writer.prediction("error_percent", found["error_percent"], found["level"])
        if "traced" in found["missing"]:
            self._writer.missing("predicted.traced", found["missing"]["traced"])


def _flat(tables: Mapping[str, Mapping[str, Any]]) -> list[tuple[str, float]]:
    """("memory_bytes.peak", bytes) and so on; what is not known is left out."""
    return [(f"{table}.{name}", value) for table, values in tables.items() for name, value in values.items()
            if value is not None]
