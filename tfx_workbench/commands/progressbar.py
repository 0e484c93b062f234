"""One line on a terminal that is drawn again and again, or a plain line now and then where there is no terminal."""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Callable

from tfx_engine.protocol.marker import tr_mark
from tfx_workbench.commands import words
from tfx_workbench.runs.rundata import RunData

BAR_WIDTH = 20
PLAIN_EVERY_S = 10.0
DRAW_EVERY_S = 0.1


class StatusLine:
    """The line itself, on stderr."""

    def __init__(self) -> None:
        self._terminal = sys.stderr.isatty()
        self._shown_at = 0.0 if self._terminal else time.monotonic()
        self._width = 0

    def draw(self, text: Callable[[], str]) -> None:
        """Show a text, unless the last look is too recent."""
        now = time.monotonic()
        if now - self._shown_at < (DRAW_EVERY_S if self._terminal else PLAIN_EVERY_S):
            return
        self._shown_at, line = now, text()
        if self._terminal:
            line = line[: shutil.get_terminal_size().columns - 1]
            sys.stderr.write("\r" + line.ljust(self._width))
            self._width = len(line)
        else:
            sys.stderr.write(line + "\n")
        sys.stderr.flush()

    def clear(self) -> None:
        """Take the line away, so that something else can be printed."""
        self._shown_at = 0.0 if self._terminal else time.monotonic()
        if self._terminal and self._width:
            sys.stderr.write("\r" + " " * self._width + "\r")
            sys.stderr.flush()
            self._width = 0


class ProgressBar(StatusLine):
    """Shows how far the runs of one command are."""

    def __init__(self, runs: int) -> None:
        super().__init__()
        self.runs = runs

    def show(self, number: int, run: RunData, responds: bool = True) -> None:
        """Show run `number` (from 1), unless the last look is too recent. `responds`: see `runfile.pulse`."""
        self.draw(lambda: self._text(number, run, responds))

    def _text(self, number: int, run: RunData, responds: bool) -> str:
        progress = run.progress()
        filled = round(progress.fraction * BAR_WIDTH)
        parts = [f"{number}/{self.runs}", f"[{'#' * filled}{'.' * (BAR_WIDTH - filled)}]", words.title(run.info.name)]
        if progress.done:
            loss, speed = run.steps.raw("loss")[-1], run.steps.raw("tokens_per_s")[-1]
            parts += [
                progress.phase, tr_mark("step {done}/{planned}").format(done=progress.done, planned=progress.planned),
                tr_mark("loss {loss}").format(loss=words.number(loss)),
                tr_mark("{speed} tokens/s").format(speed=words.number(speed)),
                tr_mark("{eta} left").format(eta=words.seconds(progress.eta_s)),
            ]
        else:
            parts.append(tr_mark("starting") if run.info.status == "running" else tr_mark("waiting"))
        if not responds:
            parts.append(tr_mark("not responding"))
        return "  ".join(parts)
