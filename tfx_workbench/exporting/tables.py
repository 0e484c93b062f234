"""The tables of a run for other programs: their columns with units in the names, their rows a piece at a time.

A reading that is missing is None; why, the run says in `missing`. Numbers are as they were recorded.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from tfx_engine.protocol.marker import tr_mark
from tfx_engine.protocol.metrics import CATEGORIES
from tfx_engine.runfile.reader import RunReader
from tfx_engine.runfile.tables import DEVICE_READINGS, LAYER_COLUMNS, STEP_INTEGERS, STEP_READINGS, STEP_WORDS

Row = Sequence[Any]
PIECE = 20_000  # rows that are read at once

# Whole numbers among the readings; all else is a fraction, but for what is text.
WHOLE = frozenset({"seq", "step", "process", "rank", "round", "block", "tokens", "allocated_bytes", "reserved_bytes",
                   "device_bytes", "rss_bytes"})
_STEP_NAMES = {"loss": "loss_nats", "tokens": "tokens", "learning_rate": "learning_rate"}


@dataclasses.dataclass(frozen=True)
class Table:
    """One table. `texts`: the columns that hold text; `whole`: those of whole numbers."""

    name: str
    help: str
    columns: tuple[str, ...]
    rows: Callable[[RunReader], Iterator[Row]]
    texts: frozenset[str] = frozenset()
    whole: frozenset[str] = frozenset()


def _plain(value: Any) -> Any:
    """numpy's numbers as Python's; no reading is None."""
    if value is None:
        return None
    value = value.item() if hasattr(value, "item") else value
    return None if isinstance(value, float) and math.isnan(value) else value


_STEP_COLUMNS = (*STEP_INTEGERS, *STEP_WORDS, *STEP_READINGS, "tokens_per_s")


def _steps(reader: RunReader) -> Iterator[Row]:
    after = 0
    while True:
        found = reader.steps(after, PIECE)
        for row in zip(*(found[name].tolist() for name in _STEP_COLUMNS), strict=True):
            yield [_whole(name, _plain(value)) for name, value in zip(_STEP_COLUMNS, row, strict=True)]
        if len(found["seq"]) < PIECE:
            return
        after = int(found["seq"][-1])


def _whole(name: str, value: Any) -> Any:
    """Bytes and the like as whole numbers; an infinity of them, which no program of ours writes, is no reading."""
    if name not in WHOLE or value is None:
        return value
    return int(value) if math.isfinite(value) else None


def _layers(reader: RunReader) -> Iterator[Row]:
    """One row per step, layer and reading."""
    names = reader.facts().get("layer_names") or []
    for column in LAYER_COLUMNS:
        after = 0
        while len((found := reader.steps(after, PIECE, columns=("step",)))["seq"]):
            last = int(found["step"][-1])
            steps, values = reader.layer_steps(column, after, PIECE)
            for step, row in zip(steps.tolist(), values, strict=True):
                if step > last:  # of the next piece
                    break
                for layer, value in enumerate(row):
                    name = names[layer] if layer < len(names) else str(layer)
                    yield [step, layer, name, column.removeprefix("layer_"), _plain(value)]
            after = int(found["seq"][-1])


def _memory(reader: RunReader) -> Iterator[Row]:
    for probe in reader.memory_probes():
        yield [probe.step, probe.phase, probe.t_ms, probe.peak_bytes,
               *(probe.composition[name] for name in CATEGORIES), *(probe.category_peak[name] for name in CATEGORIES)]


def _evaluations(reader: RunReader) -> Iterator[Row]:
    for e in reader.evaluations():
        yield [e.step, e.t_ms, _plain(e.held_out_loss), e.tokens, _plain(e.accuracy), _plain(e.bits_per_byte)]


def _device(reader: RunReader) -> Iterator[Row]:
    after = 0
    while len((found := reader.device_samples(after, PIECE))["seq"]):
        names = ("t_ms", *DEVICE_READINGS)
        for row in zip(*(found[name].tolist() for name in names), strict=True):
            yield [_plain(value) for value in row]
        after = int(found["seq"][-1])


def _events(reader: RunReader) -> Iterator[Row]:
    for event in reader.events():
        yield [event.t_ms, event.at, event.kind, event.code, event.message]


def _audit(reader: RunReader) -> Iterator[Row]:
    for row in reader.audit():
        yield [row.t_ms, row.slot, row.technique, row.claim, row.ok, row.code, row.message]


def _times(reader: RunReader) -> Iterator[Row]:
    for row in reader.profile_parts():
        yield [row.part, row.component, row.ms, _plain(row.device_ms), row.calls, _plain(row.flops),
               _plain(row.declared_flops)]


def _predictions(reader: RunReader) -> Iterator[Row]:
    for row in reader.predictions().values():
        yield [row.key, row.value, row.level]


_CATEGORY_BYTES = tuple(f"{name}_at_peak_bytes" for name in CATEGORIES) + tuple(
    f"{name}_own_peak_bytes" for name in CATEGORIES)

TABLES: dict[str, Table] = {table.name: table for table in (
    Table("steps", tr_mark("one row per step"), tuple(_STEP_NAMES.get(name, name) for name in _STEP_COLUMNS), _steps,
          texts=frozenset(STEP_WORDS), whole=WHOLE),
    Table("layers", tr_mark("gradient norm and update ratio by layer, one reading a row"),
          ("step", "layer", "layer_name", "reading", "value"), _layers,
          texts=frozenset({"layer_name", "reading"}), whole=frozenset({"step", "layer"})),
    Table("memory", tr_mark("bytes by category at the peak of steps that were looked into"),
          ("step", "phase", "t_ms", "peak_bytes", *_CATEGORY_BYTES), _memory, texts=frozenset({"phase"}),
          whole=frozenset({"step", "peak_bytes", *_CATEGORY_BYTES})),
    Table("evaluations", tr_mark("loss and accuracy on held-out data"),
          ("step", "t_ms", "held_out_loss_nats", "tokens", "accuracy", "bits_per_byte"), _evaluations,
          whole=frozenset({"step", "tokens"})),
    Table("device", tr_mark("what the machine did, sampled"), ("t_ms", *DEVICE_READINGS), _device),
    Table("times", tr_mark("where the time of a profiled step goes"),
          ("part", "component", "ms", "device_ms", "calls", "flops", "declared_flops"), _times,
          texts=frozenset({"part", "component"}), whole=frozenset({"calls"})),
    Table("predictions", tr_mark("what was predicted"), ("key", "value", "level"), _predictions,
          texts=frozenset({"key", "level"})),
    Table("audit", tr_mark("which claims of the techniques hold"),
          ("t_ms", "slot", "technique", "claim", "holds", "code", "detail"), _audit,
          texts=frozenset({"slot", "technique", "claim", "code", "detail"})),
    Table("events", tr_mark("what happened, in words"), ("t_ms", "at", "kind", "code", "message"), _events,
          texts=frozenset({"at", "kind", "code", "message"})),
)}
