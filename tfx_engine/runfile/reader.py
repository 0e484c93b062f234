"""`RunReader`: everything that anyone may want to know of a run, live or years later, in short transactions."""

from __future__ import annotations

import math
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from tfx_engine.protocol.metrics import CATEGORIES
from tfx_engine.runfile.access import LIMIT, arrays
from tfx_engine.runfile.arrays import refuse_too_much, unpack
from tfx_engine.runfile.errors import failure
from tfx_engine.runfile.lock import is_locked
from tfx_engine.runfile.outcome import INTERRUPTED
from tfx_engine.runfile.plausible import check_config, check_facts, check_keys, check_state
from tfx_engine.runfile.profilereader import ProfileReader
from tfx_engine.runfile.rows import (
    Annotations,
    AttentionCapture,
    Audited,
    Evaluation,
    Event,
    LogLine,
    MemoryProbe,
    Prediction,
    RunInfo,
)
from tfx_engine.runfile.snapshot import as_whole, as_words
from tfx_engine.runfile.tables import COLUMNS, DEVICE_READINGS

_LONGEST_NAME = 10_000  # characters: a window that lays out millions of them stands still for seconds
# tables with a seq
_NUMBERED = ("step", "memory_probe", "evaluation", "device_sample", "event", "log", "audit", "profile_part")


class RunReader(ProfileReader):
    """Reads one run file. Every method is a transaction of its own; `snapshot` makes several see the same moment.

    All methods raise `RunFileError`: no such file, not a run file, newer, truncated, damaged. Safe in any thread.
    """

    # ------------------------------------------------------------------------------------ the run

    def info(self) -> RunInfo:
        """The run in a few words, with its effective status."""
        with self.reading():
            found = self.rows(
                "SELECT run_id, name, status, reason, created_at, started_at, ended_at, queue_position, comparison,"
                " config_json, config_toml, pid, engine_version, engine_revision FROM run WHERE id = 1"
            )
            if not found:
                raise ValueError("it has no run in it")
            (run_id, name, status, reason, created, started, ended, position, comparison, config, toml, pid,
             version, revision) = found[0]
            # Looked at before the file was read, so that a writer which ended meanwhile does not seem to have been
            # killed; and once more, in case one has only just begun.
            locked = self.was_locked or is_locked(self.path)
            resolved = msgspec.json.decode(as_words(config), type=dict)
            check_config(resolved)
            check_state(as_words(status), float(position))
            is_orphan = status == "running" and not locked
            return RunInfo(
                path=self.path, run_id=as_words(run_id), name=as_words(name)[:_LONGEST_NAME],
                recorded_status=as_words(status), status="interrupted" if is_orphan else as_words(status),
                reason=as_words(reason) or (INTERRUPTED if is_orphan else ""), created_at=as_words(created),
                started_at=started and as_words(started), ended_at=ended and as_words(ended),
                queue_position=float(position), comparison=as_words(comparison),
                config=resolved, config_toml=as_words(toml),
                pid=None if pid is None else int(pid), engine_version=as_words(version), is_locked=locked,
                engine_revision=None if revision is None else as_words(revision),
            )

    def facts(self) -> dict[str, Any]:
        """What is true of the whole run."""
        with self.reading():
            rows = self.rows("SELECT key, value FROM fact")
            facts = {as_words(key): msgspec.json.decode(as_words(value)) for key, value in rows}
            check_facts(facts)
            return facts

    def fact(self, key: str) -> Any:
        """One of the facts, None where there is no such."""
        with self.reading():
            assert key.isidentifier()  # it becomes a part of the statement
            rows = self.rows(f"SELECT value FROM fact WHERE key = '{key}'")
            return msgspec.json.decode(as_words(rows[0][0])) if rows else None

    def annotations(self) -> Annotations:
        """Note and tags."""
        with self.reading():
            said = {as_words(key): as_words(value) for key, value in self.rows("SELECT key, value FROM annotation")}
            tags = msgspec.json.decode(said.get("tags", "[]"), type=list[str])
            return Annotations(said.get("note", ""), tuple(tags))

    def missing(self) -> dict[str, str]:
        """Why readings are missing, by their key."""
        with self.reading():
            return {as_words(k): as_words(v) for k, v in self.rows("SELECT key, reason FROM missing")}

    def predictions(self) -> dict[str, Prediction]:
        """What was predicted, by its key."""
        with self.reading():
            rows = self.rows("SELECT key, value, level FROM prediction")
            check_keys(as_words(key) for key, _, _ in rows)
            return {
                as_words(key): Prediction(as_words(key), _finite(value), as_words(level)) for key, value, level in rows
            }

    def newest(self) -> dict[str, int]:
        """The newest seq of every table that has one (0: empty), and the number after the newest attention capture."""
        with self.reading():
            newest = {name: self.rows(f"SELECT COALESCE(MAX(seq), 0) FROM {name}")[0][0] for name in _NUMBERED}
            newest["attention"] = self.rows("SELECT COALESCE(MAX(capture) + 1, 0) FROM attention")[0][0]
            return newest

    # ------------------------------------------------------------------------------------ probes

    def memory_probes(self, after_seq: int = 0, limit: int = LIMIT) -> list[MemoryProbe]:
        """The splits of memory after a seq."""
        with self.reading():
            names = ", ".join(COLUMNS["memory_probe"])
            sql = f"SELECT seq, {names} FROM memory_probe WHERE seq > ? ORDER BY seq LIMIT ?"
            rows = self.rows(sql, after_seq, limit)
            refuse_too_much([blob for row in rows for blob in row[-3:-1]])  # the timelines
            return [_memory_probe(*row) for row in rows]

    def attention_captures(self, first: int = 0) -> list[AttentionCapture]:
        """The captures of that number and after it in their order, without their maps."""
        with self.reading():
            rows = self.rows(
                "SELECT t_ms, head, capture, step, layer, heads, pool, queries, keys FROM attention"
                " WHERE capture >= ? ORDER BY capture, layer",
                first,
            )
            captures: dict[int, AttentionCapture] = {}
            layers: dict[int, list[int]] = {}
            for t_ms, head, *whole in rows:
                capture, step, layer, heads, pool, queries, keys = map(as_whole, whole)
                head = None if head is None else as_whole(head)
                if min(heads, pool, queries, keys) < 1:
                    raise ValueError(f"attention maps of {heads} heads, {queries} x {keys}, pooled by {pool}")
                layers.setdefault(capture, []).append(layer)
                captures[capture] = AttentionCapture(
                    capture, step, float(t_ms), tuple(layers[capture]), heads, pool, head, queries, keys
                )
            return list(captures.values())

    def attention(self, capture: int, layer: int) -> NDArray[np.float16]:
        """The maps of one layer: [heads, queries, keys]. Raises `RunFileError` where there is none."""
        with self.reading():
            rows = self.rows("SELECT weights FROM attention WHERE capture = ? AND layer = ?", capture, layer)
            if not rows:
                raise failure("no-such-capture", self.path, capture=capture, layer=layer)
            weights = unpack(rows[0][0])
            if weights.ndim != 3:
                raise ValueError(f"an attention map of shape {weights.shape}")
            return weights.astype(np.float16, copy=False)

    def attention_tokens(self, capture: int) -> NDArray[np.int32] | None:
        """The token ids [T] of a capture's sample; None where they were not kept."""
        with self.reading():
            rows = self.rows("SELECT tokens FROM attention WHERE capture = ? AND tokens IS NOT NULL LIMIT 1", capture)
            return unpack(rows[0][0]).astype(np.int32, copy=False) if rows else None

    def evaluations(self, after_seq: int = 0, limit: int = LIMIT) -> list[Evaluation]:
        """The evaluations on held-out data after a seq."""
        with self.reading():
            rows = self.rows(
                "SELECT seq, step, t_ms, held_out_loss, tokens, accuracy, bits_per_byte FROM evaluation"
                " WHERE seq > ? ORDER BY seq LIMIT ?", after_seq, limit,
            )
            return [
                Evaluation(
                    seq, as_whole(step), float(t_ms), float("nan") if loss is None else float(loss), as_whole(tokens),
                    *(None if value is None else float(value) for value in rest),
                )
                for seq, step, t_ms, loss, tokens, *rest in rows
            ]

    def device_samples(self, after_seq: int = 0, limit: int = LIMIT) -> dict[str, NDArray[Any]]:
        """What the machine did after a seq: `seq` int64 [n], the rest float64 [n], NaN where there is no reading."""
        names = ["seq", "t_ms", *DEVICE_READINGS]
        with self.reading():
            sql = f"SELECT {', '.join(names)} FROM device_sample WHERE seq > ? ORDER BY seq LIMIT ?"
            return arrays(names, self.rows(sql, after_seq, limit))

    # ------------------------------------------------------------------------------------ words

    def events(self, after_seq: int = 0, limit: int = LIMIT) -> list[Event]:
        """What happened after a seq, in order."""
        with self.reading():
            rows = self.rows(
                "SELECT seq, t_ms, at, kind, code, template, args FROM event WHERE seq > ? ORDER BY seq LIMIT ?",
                after_seq, limit,
            )
            return [
                Event(
                    seq, float(t_ms), as_words(at), as_words(kind), as_words(code), as_words(template),
                    msgspec.json.decode(as_words(args), type=dict),
                )
                for seq, t_ms, at, kind, code, template, args in rows
            ]

    def audit(self, after_seq: int = 0, limit: int = LIMIT) -> list[Audited]:
        """What was proved of the techniques after a seq, in order."""
        with self.reading():
            rows = self.rows(
                "SELECT seq, t_ms, slot, technique, claim, ok, code, template, args FROM audit WHERE seq > ?"
                " ORDER BY seq LIMIT ?", after_seq, limit,
            )
            return [
                Audited(
                    seq, float(t_ms), as_words(slot), as_words(technique), as_words(claim),
                    None if ok is None else bool(ok), as_words(code), as_words(template),
                    msgspec.json.decode(as_words(args), type=dict),
                )
                for seq, t_ms, slot, technique, claim, ok, code, template, args in rows
            ]

    def logs(self, after_seq: int = 0, limit: int = LIMIT) -> list[LogLine]:
        """What the worker printed after a seq."""
        with self.reading():
            rows = self.rows(
                "SELECT seq, t_ms, stream, text FROM log WHERE seq > ? ORDER BY seq LIMIT ?", after_seq, limit
            )
            return [LogLine(seq, float(t_ms), as_words(stream), as_words(text)) for seq, t_ms, stream, text in rows]


def _finite(value: Any) -> float | None:
    """A figure; None where it is none, or infinite, which no program of ours writes and JSON does not know."""
    return None if value is None or not math.isfinite(float(value)) else float(value)


def _memory_probe(seq: int, step: int, phase: Any, t_ms: Any, peak_bytes: Any, *rest: Any) -> MemoryProbe:
    at_peak, (own, times, timeline, phases) = rest[: len(CATEGORIES)], rest[len(CATEGORIES) :]
    peaks = unpack(own)
    if peaks.shape != (len(CATEGORIES),):
        raise ValueError(f"peaks of shape {peaks.shape}")
    return MemoryProbe(
        seq=seq, step=as_whole(step), phase=as_words(phase), t_ms=float(t_ms), peak_bytes=int(peak_bytes),
        composition={name: int(n) for name, n in zip(CATEGORIES, at_peak, strict=True)},
        category_peak={name: int(n) for name, n in zip(CATEGORIES, peaks, strict=True)},
        timeline_ms=unpack(times), timeline=unpack(timeline).reshape(-1, len(CATEGORIES)),
        phases=tuple(
            (as_words(name), float(start), float(end)) for name, start, end in msgspec.json.decode(as_words(phases))
        ),
    )
