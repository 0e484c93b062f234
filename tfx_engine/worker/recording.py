"""The recorder that writes a run file: what the loop read becomes rows, events and facts."""

from __future__ import annotations

import dataclasses
import itertools
import json
import math
from array import array
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tfx_engine.measure.attention import AttentionMaps
from tfx_engine.measure.device import DeviceSample
from tfx_engine.measure.energy import Energy
from tfx_engine.measure.evaluation import HeldOut
from tfx_engine.measure.memory_split import MemorySplit
from tfx_engine.measure.profiling import StepProfile
from tfx_engine.measure.readout import StepReading
from tfx_engine.protocol.marker import tr_mark
from tfx_engine.protocol.metrics import CATEGORIES
from tfx_engine.protocol.private import new_private_file
from tfx_engine.protocol.status import Phase
from tfx_engine.protocol.taint import NEVER, STOPPED, do_disturbed_count
from tfx_engine.runfile.writer import RunWriter

_SNAPSHOT = tr_mark("The allocator's snapshot is in {path}: https://docs.pytorch.org/memory_viz shows it.")
_NOT_WRITTEN = tr_mark("The snapshot could not be written: {error}.")
_PHASE = tr_mark("The phase {phase} begins.")


class Newest:
    """The newest of numbers that come one by one, however many they are: 1,000 a second for days take no more."""

    def __init__(self, most: int = 2**16) -> None:
        self.count, self._most = 0, most
        self._ring = array("d")

    def append(self, number: float) -> None:
        """Take it in, in the place of the oldest where there are too many."""
        if len(self._ring) < self._most:
            self._ring.append(number)
        else:
            self._ring[self.count % self._most] = number
        self.count += 1

    def values(self) -> array[float]:
        """Those that are kept, the oldest first."""
        first = self.count % self._most if self.count > self._most else 0
        return self._ring[first:] + self._ring[:first]


class RunRecorder:
    """Writes to `writer`. `on_measure` is called when the warm-up is over."""

    def __init__(self, writer: RunWriter, on_measure: Callable[[], None]) -> None:
        self.last_split: MemorySplit | None = None
        self.highest_peak_bytes: int | None = None  # of measured steps
        self.energy = Energy()
        self.others = array("d")  # per cent of the processors that others took, at each sample
        self._clean_ms, self._disturbed_ms = Newest(), Newest()  # of measured steps
        self.declared_flops: Mapping[tuple[str, str], float] = {}  # of a step, by its part and component
        self._writer, self._on_measure = writer, on_measure
        self._place = {"round": 0, "block": 0}
        self._captures = itertools.count()

    def phase(self, name: Phase) -> None:
        self._writer.event("phase", name, _PHASE, phase=name)
        if name == "measure":
            self._on_measure()

    def turn(self, round_: int, block: int) -> None:
        self._place = {"round": round_, "block": block}

    def steps(self, readings: Sequence[StepReading]) -> None:
        for reading in readings:
            if reading.phase == "measure":
                self._measured(reading)
            memory = reading.memory
            place = self._place if reading.phase == "measure" else {}
            self._writer.step(
                step=reading.step, phase=reading.phase, taint=reading.taint, t_ms=reading.t_ms, loss=reading.loss,
                **place, step_ms=reading.step_ms, tokens=reading.tokens, learning_rate=reading.learning_rate,
                grad_norm=reading.grad_norm, update_ratio=reading.update_ratio,
                allocated_bytes=memory.allocated_bytes, reserved_bytes=memory.reserved_bytes,
                device_bytes=memory.device_bytes, rss_bytes=memory.rss_bytes,
                layer_grad_norm=reading.layer_grad_norm, layer_update_ratio=reading.layer_update_ratio,
            )

    def _measured(self, reading: StepReading) -> None:
        if reading.taint not in NEVER:
            (self._clean_ms if reading.taint is None else self._disturbed_ms).append(reading.step_ms)
        if reading.taint != STOPPED:  # else it took what the device took meanwhile
            self.energy.step((reading.t_ms - reading.step_ms) / 1000, reading.t_ms / 1000, reading.tokens)

    @property
    def measured_ms(self) -> array[float]:
        """The times of the steps that count in statistics; of a very long run, of the newest."""
        clean = self._clean_ms.values()
        return clean + self._disturbed_ms.values() if self.disturbed[1] else clean

    @property
    def undisturbed_ms(self) -> Sequence[float]:
        """The times of the measured steps that nothing from outside disturbed."""
        return self._clean_ms.values()

    @property
    def disturbed(self) -> tuple[int, bool]:
        """How many measured steps were disturbed, and whether they count all the same."""
        disturbed = self._disturbed_ms.count
        return disturbed, do_disturbed_count(disturbed, self._clean_ms.count)

    def memory(self, split: MemorySplit, step: int, phase: Phase) -> None:
        self.last_split = split
        if phase in ("measure", "probe"):
            self.highest_peak_bytes = max(split.peak_bytes, self.highest_peak_bytes or 0)
        own = {name: int(value) for name, value in zip(CATEGORIES, split.category_peak, strict=True)}
        self._writer.memory_probe(
            step=step, phase=phase, peak_bytes=split.peak_bytes, composition=split.at_peak, category_peak=own,
            timeline_ms=split.timeline_ms, timeline=split.timeline, phases=split.phases,
        )

        for module in split.modules:
            sizes = dict(zip(CATEGORIES, module.at_peak.tolist(), strict=True))
            self._writer.row("memory_module", step=step, module=module.module, slot=module.slot, **sizes)
        for tensor in split.tensors:
            shape = None if tensor.shape is None else json.dumps(tensor.shape)
            self._writer.row("memory_block", step=step, **{**dataclasses.asdict(tensor), "shape": shape})
        if split.slot_timeline is not None:
            self._writer.row("memory_slot", step=step, slots=json.dumps(split.slots), timeline=split.slot_timeline)

    def snapshot(self, pickled: bytes) -> None:
        path = self._writer.path.with_suffix(".snapshot.pickle")
        try:
            new_private_file(path, pickled)
        except OSError as error:
            self._writer.missing("snapshot", _NOT_WRITTEN.format(error=error.strerror or error))
        else:
            self._writer.event("state", "snapshot", _SNAPSHOT, path=str(path), size=len(pickled))

    def profile(self, profile: StepProfile, step: int) -> None:
        if profile.trace_gz is not None:
            self._writer.row("trace", step=step, json_gz=profile.trace_gz)
        else:
            self._writer.missing("trace", profile.trace_missing)
        for part in profile.parts:
            declared = self.declared_flops.get((part.part, part.component))
            self._writer.row("profile_part", **dataclasses.asdict(part), declared_flops=declared)
        for operator in profile.operators:
            self._writer.row("operator", **dataclasses.asdict(operator))
        for kernel in profile.kernels:
            self._writer.row("kernel", name=kernel.name, part=kernel.part, component=kernel.component,
                             calls=kernel.calls, device_ms=kernel.device_ms)
        self._writer.fact("profile", {
            "step_ms": profile.step_ms, "profiled_ms": profile.profiled_ms, "marked_steps": profile.marked_steps,
            "profiled_steps": profile.profiled_steps,
        })

    def attention(self, maps: AttentionMaps, step: int) -> None:
        self._writer.attention(
            next(self._captures), step, None, maps.layers, pool=maps.pool, tokens=maps.tokens, head=maps.head,
            layer_indices=maps.layer_numbers,
        )

    def evaluation(self, held_out: HeldOut, step: int) -> None:
        self._writer.evaluation(
            step=step, held_out_loss=held_out.loss if math.isfinite(held_out.loss) else None, tokens=held_out.tokens,
            accuracy=held_out.accuracy, bits_per_byte=held_out.bits_per_byte,
        )

    def fact(self, key: str, value: Any) -> None:
        self._writer.fact(key, value)

    def missing(self, key: str, reason: str) -> None:
        self._writer.missing(key, reason)

    def event(self, kind: str, code: str, template: str, **args: Any) -> None:
        self._writer.event(kind, code, template, **args)

    def device(self, sample: DeviceSample) -> None:
        """A reading of the sampler's thread."""
        self.energy.sample(self._writer.t_ms() / 1000, sample)
        if sample.others_percent is not None:
            self.others.append(sample.others_percent)
        self._writer.device_sample(**{name: getattr(sample, name) for name in sample.__dataclass_fields__})
