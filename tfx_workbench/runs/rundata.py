"""`RunData`: one run file as its readers see it, live or ended, in bounded memory.

`refresh()` reads what was added since the last call and names what changed; everything else answers from memory, but
for attention maps, which are read when they are asked for and remembered for a while. Not for several threads at once.
"""

from __future__ import annotations

import functools
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tfx_engine.protocol.status import ENDED
from tfx_engine.runfile.errors import RunFileError
from tfx_engine.runfile.reader import RunReader
from tfx_engine.runfile.rows import (
    AttentionCapture,
    Audited,
    Evaluation,
    Event,
    Kernel,
    LogLine,
    MemoryBlock,
    MemoryProbe,
    Operator,
    ProfilePart,
    RunInfo,
)
from tfx_engine.runfile.tables import LAYER_COLUMNS
from tfx_workbench.runs.detail import Detail
from tfx_workbench.runs.devicecolumns import DeviceColumns
from tfx_workbench.runs.held import Held
from tfx_workbench.runs.layercolumns import LayerColumns
from tfx_workbench.runs.presence import Mark, Presence
from tfx_workbench.runs.progress import Progress, progress_of
from tfx_workbench.runs.series import Floats, Series
from tfx_workbench.runs.stepcolumns import ROWS_A_CALL, StepColumns, X, read_measured
from tfx_workbench.runs.summary import summarise
from tfx_workbench.runs.thinned import thinned_captures, thinned_evaluations, thinned_probes

TABLES = {  # what changes -> where the run file keeps it
    "steps": "step", "turns": "step", "memory": "memory_probe", "attention": "attention", "device": "device_sample",
    "evaluations": "evaluation", "events": "event", "logs": "log", "audit": "audit", "profile": "profile_part",
}
MOST_ROWS = 4000  # of events, lines of the log, findings of audits
SPLITS_KEPT = 4
MAPS_KEPT = 64  # attention maps, one layer of one capture each
MOST_MAPS_BYTES = 2**28  # of these together; GPT-2's twelve layers take 19 MB
INFO_EVERY_S = 0.25
TURNS_EVERY_S = 5.0
SUMMARY_EVERY_S = 0.5


class RunData:
    """One run file. Raises `RunFileError` where it is none or cannot be read."""

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._reader = RunReader(self.path)
        self.info: RunInfo = self._reader.info()
        self.facts: dict[str, Any] = {}
        self.missing: dict[str, str] = {}
        self.predictions: dict[str, Any] = {}
        self.steps = StepColumns()
        self.steps.warmup_steps = int(self.info.config["run"]["warmup_steps"])
        self._detail = Detail(self._reader)
        self._layers = {name: LayerColumns(name) for name in LAYER_COLUMNS}
        self._device = DeviceColumns()
        self.memory_probes: list[MemoryProbe] = []
        self.attention_captures: list[AttentionCapture] = []
        self.profile_parts: list[ProfilePart] = []
        self.operators: list[Operator] = []
        self.kernels: list[Kernel] = []
        self.evaluations: list[Evaluation] = []  # over the whole run; of many the highest and lowest
        self.events: deque[Event] = deque(maxlen=MOST_ROWS)
        self.logs: deque[LogLine] = deque(maxlen=MOST_ROWS)
        self.audit: deque[Audited] = deque(maxlen=MOST_ROWS)
        self._after = dict.fromkeys(TABLES, 0)
        self._readers: dict[str, Callable[[], bool]] = {
            "steps": self._refresh_steps, "turns": self._refresh_turns, "memory": self._refresh_memory,
            "attention": self._refresh_attention, "device": self._refresh_device, "events": self._refresh_events,
            "evaluations": self._refresh_evaluations, "logs": self._refresh_logs, "audit": self._refresh_audit,
            "profile": self._refresh_profile,
        }
        self._newest_step = 0  # seq, of any process
        self._presence = Presence(self.path)
        self._is_settled = False  # ended and read to its end
        self._settled: Mark | None = None  # as the file was then: an ended run may be audited once more, or renamed
        self._abandoned: Mark | None = None  # as `_is_settled`, but nobody has recorded its end yet
        self._info_at = self._summary_at = self._turns_at = -1.0
        self._summary: dict[str, Any] | None = None
        self.attention = Held(self._read_attention, MAPS_KEPT, MOST_MAPS_BYTES)
        self.attention_tokens = functools.lru_cache(MAPS_KEPT)(self._read_attention_tokens)
        self.memory_modules = functools.lru_cache(SPLITS_KEPT)(self._reader.memory_modules)
        self.memory_slots = functools.lru_cache(SPLITS_KEPT)(self._reader.slot_timeline)
        self._memory_blocks: tuple[int, list[MemoryBlock]] = (-1, [])

    def close(self) -> None:
        """Let go of the file."""
        self._reader.close()

    @property
    def status(self) -> str:
        """The run's state; `interrupted` where its writer is gone without a word."""
        return self.info.status

    @property
    def is_live(self) -> bool:
        """Whether there may be more to come."""
        return self.info.status not in ENDED

    def refresh(self, is_patient: bool = True) -> frozenset[str]:
        """Read what was added, at most about 20,000 steps a call; the names of what changed.

        Names: info, steps, turns (of an interleaved comparison), memory, attention, device, evaluations, events, logs,
        audit, profile. An empty set from an ended run means that everything was read. `is_patient`: what keeps a run
        under way from being read is raised only when it lasts.
        """
        mark = self._presence.mark()
        if mark in (self._settled, self._abandoned):
            return frozenset()
        if not self.is_live:
            self._info_at = -1.0  # whoever settles an abandoned run writes once, and that is not to be missed
        try:
            changed = self._read_what_is_new()
        except RunFileError as error:
            if not (is_patient and self._presence.may_come_back(error, self.info.recorded_status)):
                raise
            return frozenset()
        if changed and not self.is_live:
            self._summary = None  # what came last would otherwise be missed by a summary of a moment ago, and for good
        is_read = not self.is_live and not changed
        self._is_settled = is_read and self.info.recorded_status in ENDED
        self._settled = mark if self._is_settled else None
        self._abandoned = mark if is_read else None
        return frozenset(changed)

    def _read_what_is_new(self) -> set[str]:
        with self._reader.snapshot():  # one opening of the file, and one moment for all tables
            changed = {"info"} if self._refresh_info() else set()
            newest = self._reader.newest()
            self._newest_step = newest["step"]
            changed |= {name for name, read in self._readers.items() if self._is_new(name, newest) and read()}
        self._presence.is_here()
        return changed

    def _is_new(self, name: str, newest: dict[str, int]) -> bool:
        held = {**self._after, "steps": self.steps.seq, "device": self._device.seq}
        return newest[TABLES[name]] > held[name]

    def load(self) -> RunData:
        """Read everything that is there now, and return the run itself."""
        steps_now = self._reader.count_steps()
        self._info_at = -1.0
        self.refresh(is_patient=False)
        while len(self.steps) < steps_now:
            self.refresh(is_patient=False)
        return self

    # ------------------------------------------------------------------------------------ what it answers

    def series(
        self, column: str, x: X = "step", points: int = 2000, window: tuple[float, float] | None = None
    ) -> Series:
        """One column of the steps over the whole run as at most about `points` points, every spike exact.

        `x` is "step" (number of the optimiser update) or "t_s" (seconds since the worker took the run). Of a long run,
        a `window` of x is shown in as many points again, down to single steps; that reads the file.
        """
        return self.steps.series(column, x, points, window, self._detail)

    def layers(self, column: str, columns_max: int = 600) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """An array by layer over the run: steps [n] and values [n, layers], n <= `columns_max`.

        Where steps are put together, a value is the largest of them. Names of the layers: fact `layer_names`.
        """
        return self._layers[column].columns(columns_max)

    def device(self, column: str, points: int = 2000) -> Series:
        """One column of the device's samples over seconds."""
        return self._device.series(column, points)

    def measured(self, column: str) -> Floats:
        """Values of a column at the steps that count in statistics, in order; of a long run the newest 8,192 steps'."""
        return self.steps.measured(column)

    def every_measured(self, column: str) -> Floats:
        """As `measured`, of all steps however many: reads a long run from its beginning."""
        return self.measured(column) if self.steps.is_whole else read_measured(self._reader, column)

    def turns(self) -> dict[str, NDArray[Any]]:
        """The measured steps of an interleaved comparison, of all its processes; see `RunReader.turns`. Reads anew."""
        return self._reader.turns()

    def memory_blocks(self) -> list[MemoryBlock]:
        """The largest blocks at the peak of the newest split that tells them, the largest first."""
        if self._memory_blocks[0] != self._after["memory"]:
            self._memory_blocks = (self._after["memory"], self._reader.memory_blocks())
        return self._memory_blocks[1]

    def progress(self) -> Progress:
        """How far the run is, and how long it will take."""
        return progress_of(self)

    def summary(self) -> dict[str, Any]:
        """The figures of the run under the keys of `show --json`; while it is live, at most half a second old."""
        now = time.monotonic()
        if self._summary is None or (not self._is_settled and now - self._summary_at >= SUMMARY_EVERY_S):
            self._summary, self._summary_at = summarise(self, self.measured), now
        return self._summary

    def complete_summary(self) -> dict[str, Any]:
        """As `summary`, with statistics over all steps of a long run too."""
        return summarise(self, self.every_measured)

    # ------------------------------------------------------------------------------------ reading

    def _refresh_info(self) -> bool:
        now = time.monotonic()
        if now - self._info_at < INFO_EVERY_S:
            return False
        self._info_at = now
        before = (self.info, self.facts, self.missing, self.predictions)
        self.info = self._reader.info()
        self.facts, self.missing = self._reader.facts(), self._reader.missing()
        self.predictions = self._reader.predictions()
        return before != (self.info, self.facts, self.missing, self.predictions)

    def _refresh_steps(self) -> bool:
        if not self.steps.refresh(self._reader):
            return False
        for layers in self._layers.values():
            layers.refresh(self._reader, self.steps.seq, self.steps.profiled_from)
        return True

    def _refresh_turns(self) -> bool:
        now = time.monotonic()
        if self.is_live and now - self._turns_at < TURNS_EVERY_S:
            return False  # working out effects must not disturb what they are measured from
        self._turns_at = now
        self._after["turns"] = self._newest_step
        return "comparison" in self.facts

    def _refresh_memory(self) -> bool:
        fresh = self._reader.memory_probes(self._after["memory"], ROWS_A_CALL)
        self._after["memory"] = fresh[-1].seq
        self.memory_probes = thinned_probes([*self.memory_probes, *fresh])
        return True

    def _refresh_attention(self) -> bool:
        held = self.attention_captures
        newest = held[-1].capture if held else 0  # read again: it may have got more layers meanwhile
        self.attention_captures = thinned_captures([*held[:-1], *self._reader.attention_captures(newest)])
        self._after["attention"] = 1 + self.attention_captures[-1].capture
        return True

    def _refresh_profile(self) -> bool:
        self.profile_parts = self._reader.profile_parts()
        self.operators, self.kernels = self._reader.operators(), self._reader.kernels()
        self._after["profile"] = len(self.profile_parts)  # its rows are numbered from 1
        return True

    def _refresh_device(self) -> bool:
        return self._device.extend(self._reader.device_samples(self._device.seq, ROWS_A_CALL))

    def _refresh_evaluations(self) -> bool:
        fresh = self._reader.evaluations(self._after["evaluations"], ROWS_A_CALL)
        self._after["evaluations"] = fresh[-1].seq
        self.evaluations = thinned_evaluations([*self.evaluations, *fresh])
        return True

    def _refresh_events(self) -> bool:
        return self._extend("events", self.events, self._reader.events(self._after["events"], ROWS_A_CALL))

    def _refresh_logs(self) -> bool:
        return self._extend("logs", self.logs, self._reader.logs(self._after["logs"], ROWS_A_CALL))

    def _refresh_audit(self) -> bool:
        return self._extend("audit", self.audit, self._reader.audit(self._after["audit"], ROWS_A_CALL))

    def _extend(self, name: str, held: deque[Any], fresh: list[Any]) -> bool:
        if fresh:
            self._after[name] = fresh[-1].seq
            held.extend(fresh)
        return bool(fresh)

    def _read_attention(self, capture: int, layer: int) -> NDArray[np.float16]:
        """Attention weights of one layer of one capture, [heads, queries, keys]."""
        return self._reader.attention(capture, layer)

    def _read_attention_tokens(self, capture: int) -> NDArray[np.int32] | None:
        """Token ids [T] of the sample of one capture; None where they were not kept."""
        return self._reader.attention_tokens(capture)
