"""How a frozen program begins: as Python would with `-m`.

Both executables understand `-m MODULE [ARGUMENT...]`, so that the program starts its own processes in the same words
frozen and not (`tfx_engine.protocol.launch`). The frozen interpreter reads no variable of Python's; two of those that
children are given matter all the same.
"""

from __future__ import annotations

import os
import runpy
import sys

from tfx_engine.protocol.launch import hold_mount


def enter(module: str) -> None:
    """Become the module that `-m` names, else `module`, with the arguments that are left."""
    hold_mount()
    _heed_variables()
    arguments = sys.argv[1:]
    if arguments[:1] == ["-m"] and len(arguments) > 1:
        module, arguments = arguments[1], arguments[2:]
    sys.argv[1:] = arguments
    runpy.run_module(module, run_name="__main__", alter_sys=True)


def _heed_variables() -> None:
    encoding = os.environ.get("PYTHONIOENCODING") or None
    unbuffered = bool(os.environ.get("PYTHONUNBUFFERED"))
    for stream in (sys.stdin, sys.stdout, sys.stderr):
        if stream is None:  # a program without a console, on Windows
            continue
        if encoding:
            stream.reconfigure(encoding=encoding)  # type: ignore[union-attr]
        if unbuffered and stream is not sys.stdin:
            stream.reconfigure(write_through=True)  # type: ignore[union-attr]
