"""The strip before a run, in the real window over a real service: from a change of the draft to the painted strip.

    python -m pytest tests/bench/test_strip.py

What is measured is from the change until the bar of the strip is painted with figures of the draft as it is: the form
drawn anew, validation and estimate by the warm worker, painting. "alone": one toggle after the other. "beside": each
comes while the time of the step before it is still being predicted, as for somebody who toggles on. "dragged": a value
changes every 16 ms, as under a mouse, and what counts is how long the strip then goes without newer figures. On a
machine that does other things as well every figure is an upper bound.
"""

from __future__ import annotations

import itertools
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PySide6.QtCore import QEvent, QEventLoop, QObject, QTimer

from tests.helpers.windows import spend, wait, window
from tfx_workbench.app.window import MainWindow
from tfx_workbench.session.engine import State

LIMIT_MS = 50.0
TOGGLES = 12
INTO_THE_TRACE_S = 0.3 + 0.3  # the first of it until the question is asked
FRAME_MS, DRAG_S = 16, 1.5
PATIENCE_MS = 10_000
_LLAMA = {"position": {"use": "rotary"}, "norm": {"use": "rms_norm"}, "feedforward": {"use": "swiglu", "width": 14336},
          "attention": {"use": "grouped_query", "kv_heads": 8}, "head": {"use": "untied"}}
MODELS: dict[str, dict[str, Any]] = {
    "default, 6 layers": {},
    "GPT-2, 12 layers": {"model": {"width": 768, "layers": 12, "heads": 12, "context": 1024, "vocab": 50257}},
    "8 billion parameters, 32 layers": {
        "model": {"width": 4096, "layers": 32, "heads": 32, "context": 8192, "vocab": 128256, "bias": False},
        "techniques": _LLAMA,
    },
}  # fmt: skip
TOGGLE = [
    ("recompute", "every_block"), ("adapter", "lora"), ("precision", "bfloat16_autocast"), ("recompute", "selective"),
    ("optimizer", "muon"), ("placement", "post_norm"), ("recompute", "none"), ("adapter", "none"),
    ("precision", "float32"), ("optimizer", "adamw"), ("placement", "pre_norm"), ("recompute", "selective"),
]  # fmt: skip

pytestmark = pytest.mark.usefixtures("qapp")


class Painted(QObject):
    """When the strip was painted after figures had come, and whether these were of the draft as it was."""

    def __init__(self, made: MainWindow) -> None:
        super().__init__(made)
        self.times: list[float] = []
        self.then: Callable[[], Any] = lambda: None
        self._has_news = self._is_newest = False
        prediction = made.session.prediction
        prediction.estimated.connect(lambda figures: self._note(True))
        prediction.outdated.connect(lambda: self._note(False))
        made.pane.before_run.bar.installEventFilter(self)

    def _note(self, is_newest: bool) -> None:
        self._has_news, self._is_newest = self._has_news or is_newest, is_newest

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        if event.type() == QEvent.Type.Paint and self._has_news:
            QTimer.singleShot(0, self, lambda: self._seen(self._is_newest))  # when it is painted
            self._has_news = False
        return False

    def _seen(self, is_newest: bool) -> None:
        self.times.append(time.monotonic())
        if is_newest:
            self.then()


def test_a_change_is_painted_within_50_ms_while_the_time_of_another_is_predicted(tmp_path: Path) -> None:
    with window(tmp_path, engine=True, size=(1680, 1010)) as made:
        wait(lambda: made.session.engine.state is State.READY)
        painted = Painted(made)
        spend(8.0)  # what a fresh worker does once
        print(f"\n{'model':>34}{'alone':>12}{'beside':>12}{'longest':>12}{'dragged':>12}{'longest':>12}")
        for name, data in MODELS.items():
            made.session.draft.load([{"name": "bench", **data}])
            spend(2.0)
            alone = [_toggle_ms(made, painted, i) for i in range(TOGGLES)]
            beside = []
            for i in range(TOGGLES):
                spend(INTO_THE_TRACE_S)
                beside.append(_toggle_ms(made, painted, i))
            dragged = _drag_ms(made, painted)
            print(f"{name:>34}" + "".join(f"{ms:>9.1f} ms" for ms in (
                statistics.median(alone), statistics.median(beside), max(beside), statistics.median(dragged),
                max(dragged))))
            assert statistics.median(beside) <= LIMIT_MS


def _toggle_ms(made: MainWindow, painted: Painted, number: int) -> float:
    """Milliseconds from a choice until the strip is painted with its figures."""
    slot, use = TOGGLE[number]
    loop = QEventLoop()
    painted.then = loop.quit
    QTimer.singleShot(PATIENCE_MS, loop, lambda: loop.exit(1))
    begun = time.monotonic()
    made.session.draft.choose(slot, use)
    assert loop.exec() == 0, f"not painted: {slot} = {use}"
    return 1000 * (time.monotonic() - begun)


def _drag_ms(made: MainWindow, painted: Painted) -> list[float]:
    """Milliseconds from one painting of newer figures to the next, while a value is dragged."""
    loop, drag = QEventLoop(), QTimer()
    painted.then, painted.times = lambda: None, []
    batches = iter(range(100, 10_000))
    drag.timeout.connect(lambda: made.session.draft.set_value("run.batch", next(batches)))
    begun = time.monotonic()
    drag.start(FRAME_MS)
    QTimer.singleShot(int(1000 * DRAG_S), loop, loop.quit)
    loop.exec()
    drag.stop()
    times = [begun, *painted.times, time.monotonic()]
    return [1000 * (b - a) for a, b in itertools.pairwise(times)]
