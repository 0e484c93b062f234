"""How near a run came to what its device can do: MFU, and the measured peak that it is a share of.

MFU = model FLOPs / (step time x peak). The peak is that of matrix products in the format that the run's products have,
measured on this device (`tfx_engine.measure.ceilings`) once and then known, until driver, torch, threads or clocks
change. A machine that was busy while it was measured is measured again with later runs, and the best of each counts.
"""

from __future__ import annotations

import contextlib
import datetime
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec
import torch

from tfx_engine.estimate.time import step_ms as step_ms_of
from tfx_engine.measure.ceilings import circumstances, measure_ceilings
from tfx_engine.measure.device import NoGpu, NvidiaGpu
from tfx_engine.model.assemble import make_precision
from tfx_engine.protocol.ceilings import (
    Ceilings,
    PastRun,
    add_past,
    best_of,
    file_of,
    flops_per_s,
    load_ceilings,
    save_ceilings,
)
from tfx_engine.protocol.config import Config
from tfx_engine.protocol.ledger import OwnError, error_percent
from tfx_engine.protocol.marker import tr_mark
from tfx_engine.protocol.private import make_private_folder
from tfx_engine.protocol.vendor import vendor_peak
from tfx_engine.runfile.errors import RunFileError
from tfx_engine.runfile.lock import RunLock
from tfx_engine.runfile.writer import RunWriter
from tfx_engine.trace.time import Unknown, time_of
from tfx_engine.worker.facts import device_name
from tfx_engine.worker.step_time import past_of
from tfx_engine.worker.tracing import trace_of

LEAST_STEPS = 10  # of a run whose time is worth predicting and learning from
_WAIT_S = 8.0  # for another worker that is measuring the same device
_TOO_MUCH = tr_mark(
    "The steps did {done:.4g} FLOP/s, more than the {peak:.4g} that products in {format} reached when the device was "
    "measured ({spread:.0f} % spread): that measurement is wrong. Measure again: tfx-workbench doctor --measure"
)
_NOT_KEPT = tr_mark("The speed of this device could not be measured: {error}")
_NO_FORMAT = tr_mark("Nothing was measured in {format}, the format of this run's products: {reason}")
_UNKNOWN_FORMAT = tr_mark("This precision does not say in which format its products are.")


FAR_PERCENT = 10.0  # off by more than this a run says so, where its own past has not stated another error yet
_FAR = tr_mark("A step was predicted to take {predicted_ms:,g} ms and took {measured_ms:,g} ms: off by "
               "{percent:+.1f} %, where {stated:.1f} % was stated.")
_FAR_UNSTATED = tr_mark("A step was predicted to take {predicted_ms:,g} ms and took {measured_ms:,g} ms: off by "
                        "{percent:+.1f} %. Too few runs on this device have said how far off to expect it.")
_FAR_DISTURBED = tr_mark("A step was predicted to take {predicted_ms:,g} ms and took {measured_ms:,g} ms: off by "
                         "{percent:+.1f} %, but the steps were disturbed, and the prediction is of undisturbed ones.")


def find_ceilings(
    device: torch.device, name: str, gpu: NvidiaGpu | NoGpu | None = None, may_measure: bool = True,
    again: bool = False, is_over: Callable[[], bool] = lambda: False,
) -> Ceilings | None:
    """What is known of a device, measured now where that is needed, or asked for by `again`. None: nothing is known.

    Raises OSError where the figures cannot be kept.
    """
    now = circumstances(device, name, gpu)
    known = load_ceilings(now)
    is_enough = known is not None and not known.is_worth_another(datetime.datetime.now(datetime.UTC))
    if not may_measure or (is_enough and not again):
        return known
    begun_times = known.times if known else 0
    make_private_folder(file_of(now).parent)
    with _lock(now):
        known = load_ceilings(now)
        if known is not None and known.times > begun_times:
            return known  # another worker has just measured it
        measured = measure_ceilings(device, name, is_over=is_over)
        if measured is None:
            return known
        found = best_of(known, measured)
        save_ceilings(found)
    return found


def _lock(now: Any) -> RunLock:
    """Two that measure at once would measure each other. Raises RunFileError where the other one takes too long."""
    deadline = time.monotonic() + _WAIT_S
    while True:
        try:
            return RunLock(file_of(now))
        except RunFileError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)


def _rounded(ms: float) -> float:
    """Three digits, as a sentence says them."""
    return float(f"{ms:.3g}")


class Speed:
    """Writes the facts that say how near a run came to its device's peak."""

    def __init__(self, config: Config, device: torch.device, gpu: NvidiaGpu | NoGpu, writer: RunWriter) -> None:
        self._device, self._gpu, self._writer = device, gpu, writer
        self._name = device_name(device)
        self._format = getattr(make_precision(config), "product_format", None)

    def note_known(self) -> None:
        """Before the first step: what was measured earlier, so that a live run has its MFU."""
        self._find(may_measure=False)

    def note_reached(
        self, flops_per_step: float | None, step_ms: Sequence[float], may_measure: bool, is_over: Callable[[], bool],
    ) -> None:
        """After the measured steps: MFU. Measures the device where that is needed and there is time for it."""
        peak = self._find(may_measure, is_over=is_over)
        if peak is None or flops_per_step is None or not step_ms:
            return
        mfu = _share(flops_per_step, step_ms, peak)
        if mfu > 1.0 and may_measure and not is_over():
            peak = self._find(may_measure, again=True, is_over=is_over) or peak
            mfu = _share(flops_per_step, step_ms, peak)
        if mfu > 1.0:
            reason = _TOO_MUCH.format(done=mfu * peak["measured"], peak=peak["measured"], format=self._format,
                                      spread=peak["spread_percent"])
            self._writer.event("warning", "mfu-above-one", "{reason}", reason=reason)
            self._writer.missing("mfu", reason)
        else:
            self._writer.fact("mfu", mfu)

    def note_predicted(self, config: Config, undisturbed_ms: Sequence[float], measured_ms: Sequence[float]) -> None:
        """What the step's time was predicted to be, from the device's speed and earlier runs; and learn from this one.
        Where it was far off the run says so.

        Made after the measured steps, so that they need not wait for it; nothing that this run measured is in it. A
        run whose steps were disturbed has its prediction all the same, and teaches nothing.
        """
        known = load_ceilings(circumstances(self._device, self._name, self._gpu))
        if known is None or config.run.measure_steps < LEAST_STEPS:
            return
        state = torch.get_rng_state()
        try:
            time = time_of(config, known, operators=trace_of(config).operators)
        except Unknown as error:
            self._writer.missing("predicted.step_ms", str(error))
            return
        finally:
            torch.set_rng_state(state)
        past = past_of(known)
        ms, own = step_ms_of(time, past)
        self._writer.prediction("step_ms", ms, "traced")
        self._writer.prediction("step_ms_error_percent", own.median if own else None, "traced")
        self._writer.prediction("step_ms_error_95_percent", own.within_95 if own else None, "traced")
        is_disturbed = len(undisturbed_ms) < LEAST_STEPS
        self._say_far_off(ms, own, measured_ms if is_disturbed else undisturbed_ms, is_disturbed)
        self._writer.fact("step_time_terms_ms", {name: round(value, 6) for name, value in time.terms.items()})
        if is_disturbed:
            return
        run = PastRun(circumstances=known.circumstances, terms=dict(time.terms), name=config.name[:80],
                      measured_ms=statistics.median(undisturbed_ms))
        with contextlib.suppress(OSError):  # then there is one run less to learn from
            add_past(run)

    def _say_far_off(self, ms: float, error: OwnError | None, measured: Sequence[float], is_disturbed: bool) -> None:
        """Say that the time of a step is further off than what 95 of 100 predictions were stated to stay within."""
        if not measured:
            return
        measured_ms = statistics.median(measured)
        percent, stated = error_percent(ms, measured_ms), error.within_95 if error else FAR_PERCENT
        if abs(percent) > stated:
            words = _FAR_DISTURBED if is_disturbed else _FAR if error else _FAR_UNSTATED
            self._writer.event("warning", "prediction-far-off", words, predicted_ms=_rounded(ms),
                               measured_ms=_rounded(measured_ms), percent=percent, stated=stated)

    def _find(
        self, may_measure: bool, again: bool = False, is_over: Callable[[], bool] = lambda: False
    ) -> dict[str, Any] | None:
        """Facts of the ceilings; what is written under `peak_flops_per_s`, None where MFU has no denominator."""
        try:
            found = find_ceilings(self._device, self._name, self._gpu, may_measure, again, is_over)
        except (OSError, RuntimeError, RunFileError) as error:  # no room, a device that refuses
            self._writer.missing("mfu", _NOT_KEPT.format(error=error))
            return None
        if found is None:
            return None
        self._writer.fact("ceilings", msgspec.to_builtins(found))
        if self._format not in found.flops:
            self._writer.missing("mfu", _why_no_peak(found, self._format))
            return None
        peak = peak_of(found, self._format)
        self._writer.fact("peak_flops_per_s", peak)
        return peak


def peak_of(ceilings: Ceilings, format: str) -> dict[str, Any]:
    """The denominators of MFU: what was measured here, and what the maker publishes."""
    peak, vendor = ceilings.flops[format], vendor_peak(ceilings.circumstances.name)
    return {
        "format": format, "measured": peak.per_s, "spread_percent": round(peak.spread_percent, 1),
        "measured_at": ceilings.measured_at, "vendor": vendor.flops_per_s.get(format) if vendor else None,
        "vendor_source": vendor.source if vendor else "",
    }


def _why_no_peak(ceilings: Ceilings, format: str | None) -> str:
    if format is None:
        return _UNKNOWN_FORMAT
    return _NO_FORMAT.format(format=format, reason=ceilings.missing.get(format, ""))


def _share(flops_per_step: float, step_ms: Sequence[float], peak: Mapping[str, Any]) -> float:
    return flops_per_s(flops_per_step, statistics.median(step_ms)) / float(peak["measured"])
