"""A table as Parquet, by pyarrow, which is an extra."""

from __future__ import annotations

import itertools
from typing import Any, BinaryIO

from tfx_engine.protocol.engine_python import is_frozen
from tfx_engine.protocol.marker import tr_mark
from tfx_engine.protocol.problems import ConfigError, Problem
from tfx_engine.runfile.reader import RunReader
from tfx_workbench.exporting.tables import PIECE, Table

NEEDED = 24  # pyarrow's first version that is tested
_MISSING = tr_mark("needs pyarrow {needed} or newer, which is not installed.")
_OLD = tr_mark("needs pyarrow {needed} or newer, and {found} is installed.")
_GET = tr_mark('Type: python -m pip install "tfx-workbench[parquet]"')
_NOT_INSIDE = tr_mark("The installed program does not carry it; pandas and DuckDB read --format csv as well.")
_HINT = _NOT_INSIDE if is_frozen() else _GET


def pyarrow() -> Any:
    """The package. Raises ConfigError where it is not there, or too old."""
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise ConfigError([Problem(code="extra-missing", path="parquet", template=_MISSING, hint_template=_HINT,
                                   args={"needed": NEEDED})]) from None
    if int(pyarrow.__version__.partition(".")[0]) < NEEDED:
        raise ConfigError([Problem(code="extra-missing", path="parquet", template=_OLD, hint_template=_HINT,
                                   args={"needed": NEEDED, "found": pyarrow.__version__})])
    return pyarrow


def write_parquet(file: BinaryIO, table: Table, reader: RunReader, metadata: dict[str, str]) -> int:
    """Write a table a piece at a time; the number of its rows. `metadata`: of the file."""
    arrow = pyarrow()
    types = {True: arrow.string(), False: arrow.float64()}
    fields = [arrow.field(name, arrow.int64() if name in table.whole else types[name in table.texts])
              for name in table.columns]
    if "holds" in table.columns:
        fields[table.columns.index("holds")] = arrow.field("holds", arrow.bool_())
    schema = arrow.schema(fields, metadata=metadata)
    rows, count = table.rows(reader), 0
    with arrow.parquet.ParquetWriter(file, schema) as writer:
        while piece := list(itertools.islice(rows, PIECE)):
            columns = zip(*piece, strict=True)
            arrays = [arrow.array(column, field.type) for column, field in zip(columns, schema, strict=True)]
            writer.write_table(arrow.Table.from_arrays(arrays, schema=schema))
            count += len(piece)
    return count
