"""The columns of the tables as Python data, for the writer and the reader; the truth is `schema.sql`."""

from __future__ import annotations

import functools
import re
from importlib import resources

from tfx_engine.protocol.metrics import CATEGORIES

APPLICATION_ID = 0x54465831  # "TFX1"
SCHEMA_VERSION = 3
SUFFIX = ".tfx"

LAYER_COLUMNS = ("layer_grad_norm", "layer_update_ratio")
STEP_INTEGERS = ("step", "process", "rank", "round", "block")  # never NULL
STEP_WORDS = ("phase", "taint")
STEP_READINGS = (
    "t_ms", "loss", "step_ms", "tokens", "learning_rate", "grad_norm", "update_ratio",
    "allocated_bytes", "reserved_bytes", "device_bytes", "rss_bytes",
)
STEP_COLUMNS = (*STEP_INTEGERS, *STEP_WORDS, *STEP_READINGS, *LAYER_COLUMNS)
STEP_DEFAULTS = {"process": 0, "rank": 0, "round": 0, "block": 0}
# What a rollup keeps minimum, maximum, sum and count of.
ROLLUP_COLUMNS = (
    "loss", "step_ms", "tokens_per_s", "learning_rate", "grad_norm", "update_ratio",
    "allocated_bytes", "reserved_bytes", "device_bytes", "rss_bytes",
)
DEVICE_READINGS = (
    "cpu_percent", "ram_used_bytes", "rss_bytes", "utilisation_percent", "memory_used_bytes", "temperature_c",
    "power_w", "sm_clock_mhz", "others_percent", "energy_j", "clock_events", "other_processes",
)

COLUMNS: dict[str, tuple[str, ...]] = {
    "step": ("seq", *STEP_COLUMNS),
    "rollup": ("level", "bucket", "first_step", "last_step", "t_ms", "data", *LAYER_COLUMNS),
    "memory_probe": (
        "step", "phase", "t_ms", "peak_bytes", *CATEGORIES, "category_peak", "timeline_ms", "timeline", "phases",
    ),
    "attention": (
        "capture", "layer", "step", "t_ms", "pool", "head", "heads", "queries", "keys", "weights", "tokens",
    ),
    "evaluation": ("step", "t_ms", "held_out_loss", "tokens", "accuracy", "bits_per_byte"),
    "device_sample": ("t_ms", *DEVICE_READINGS),
    "event": ("t_ms", "at", "kind", "code", "template", "args"),
    "log": ("t_ms", "stream", "text"),
    "fact": ("key", "value"),
    "missing": ("key", "reason"),
    "prediction": ("key", "value", "level"),
    "profile_part": (
        "part", "component", "ms", "host_ms", "device_ms", "calls", "flops", "declared_flops", "elements", "bytes",
    ),
    "operator": (
        "name", "part", "component", "calls", "host_ms", "device_ms", "flops", "elements", "bytes",
    ),
    "memory_module": ("step", "module", "slot", *CATEGORIES),
    "memory_block": ("step", "module", "slot", "category", "bytes", "name", "operator", "shape", "dtype"),
    "trace": ("step", "json_gz"),
    "annotation": ("key", "value"),
    "memory_slot": ("step", "slots", "timeline"),
    "kernel": ("name", "part", "component", "calls", "device_ms"),
    "audit": ("t_ms", "slot", "technique", "claim", "ok", "code", "template", "args"),
}
TABLES = ("run", *COLUMNS)


@functools.cache
def insert(table: str) -> str:
    """The INSERT statement of a table; facts and their like replace what was there."""
    names = COLUMNS[table]
    verb = "INSERT OR REPLACE" if names[0] == "key" else "INSERT"
    return f"{verb} INTO {table} ({', '.join(names)}) VALUES ({', '.join('?' * len(names))})"


def create_statement(table: str) -> str:
    """The CREATE TABLE statement of a table, as `schema.sql` has it."""
    found = re.search(rf"CREATE TABLE {table} \(.*?\n\)[^;\n]*;", schema(), re.DOTALL)
    assert found is not None, table
    return found[0]


@functools.cache
def schema() -> str:
    """The text of `schema.sql`."""
    return resources.files("tfx_engine.runfile").joinpath("schema.sql").read_text(encoding="utf-8")
