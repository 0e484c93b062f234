"""From what a worker has (numpy scalars, arrays, nested facts) to what SQLite stores."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from tfx_engine.runfile.arrays import pack
from tfx_engine.runfile.tables import LAYER_COLUMNS, STEP_COLUMNS, STEP_DEFAULTS
from tfx_engine.runfile.texts import storable

_PLAIN = frozenset({int, float, bytes, type(None)})


def plain(value: Any) -> Any:
    """A Python number for a numpy scalar or a 0-d array, a text in valid Unicode; anything else as it is."""
    if isinstance(value, str):
        return storable(value)
    return value.item() if type(value) not in _PLAIN and hasattr(value, "item") else value


def step_columns(columns: Mapping[str, Any]) -> dict[str, Any]:
    """All columns of a step: numbers plain, arrays by layer as float32, what was not given None or its default."""
    result = {name: plain(columns.get(name)) for name in STEP_COLUMNS if name not in LAYER_COLUMNS}
    for name, default in STEP_DEFAULTS.items():
        if result[name] is None:
            result[name] = default
    for name in LAYER_COLUMNS:
        array = columns.get(name)
        result[name] = None if array is None else np.asarray(array, dtype=np.float32)
    return result


def step_row(columns: Mapping[str, Any]) -> tuple[Any, ...]:
    """The values of `STEP_COLUMNS` in their order, arrays packed."""
    return tuple(
        pack(value) if name in LAYER_COLUMNS and value is not None else value for name, value in columns.items()
    )


def plain_row(values: tuple[Any, ...]) -> tuple[Any, ...]:
    """A row of any other table: numpy scalars plain, arrays packed."""
    return tuple(pack(v) if isinstance(v, np.ndarray) and v.ndim else plain(v) for v in values)


def attention_row(values: tuple[Any, ...]) -> tuple[Any, ...]:
    """A row of `attention`: the weights compressed, as most of a map is nearly nothing."""
    *scalars, weights, tokens = values
    packed = pack(np.asarray(weights, dtype=np.float16), compress=True)
    return *plain_row(tuple(scalars)), packed, None if tokens is None else pack(np.asarray(tokens, dtype=np.int32))


def row(table: str) -> Callable[[tuple[Any, ...]], tuple[Any, ...]]:
    """What makes a table's rows storable."""
    return attention_row if table == "attention" else plain_row
