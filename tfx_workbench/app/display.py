"""Where there is no display: Qt's last words before it would end the process by a core dump, as a sentence of ours."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator

from PySide6.QtCore import QMessageLogContext, QtMsgType, qInstallMessageHandler

from tfx_engine.protocol.marker import tr_mark
from tfx_engine.protocol.problems import Problem
from tfx_workbench.commands.output import refuse

_WITHOUT = tr_mark("Everything but the window works without a display: `tfx-workbench --help` lists it. Over ssh, "
                   "`ssh -X` brings one.")


@contextlib.contextmanager
def sentence_instead_of_abort() -> Iterator[None]:
    """While the application is made: if Qt finds nowhere to draw, say so and end with exit code 2."""
    said: list[str] = []

    def on_message(kind: QtMsgType, context: QMessageLogContext, text: str) -> None:
        if kind != QtMsgType.QtFatalMsg:
            said.append(text)
            return
        code = refuse([no_display(said[0] if said else text.partition("\n")[0])], as_json=False)
        os._exit(code)  # Qt aborts when this returns, and nothing that is raised here gets anywhere

    before = qInstallMessageHandler(on_message)
    try:
        yield
    finally:
        qInstallMessageHandler(before)
        for text in said:
            print(text, file=sys.stderr)


def no_display(error: str) -> Problem:
    """What is wrong, and what to type."""
    from tfx_workbench.commands.window_libraries import install_line, missing_libraries  # seldom needed

    missing = missing_libraries()
    hint = tr_mark("Type: {line}") if missing else _WITHOUT
    return Problem(code="no-display", path="", template=tr_mark("The window cannot be opened: {error}."),
                   hint_template=hint, args={"error": error.strip().rstrip("."), "line": install_line(missing)})
