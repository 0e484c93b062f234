"""The run file: one SQLite file per run, written by one process, read by anyone. Standard library, numpy, protocol.

| module | what it holds |
| --- | --- |
| `store` | where run files live, their names, the files beside them |
| `create`, `edit` | a new queued run; a new name |
| `writer` | everything that a running worker records |
| `reader` | everything that anyone may want to know, live or years later |
| `lock`, `seal` | who is writing; closing a file that nobody writes any more |
| `spool` | stores on a network file system |
| `reserve` | room for the last words of a run that fills the disk |
| `mailbox` | pause, resume, stop, probe |
| `arrays`, `tables`, `rows` | array blobs, the columns, what a reader returns |
| `rollup` | minimum, maximum, sum and count over many steps |
"""

from tfx_engine.runfile.errors import RunFileError

__all__ = ["RunFileError"]
