"""The chip at the top right: which device is used, what it is doing, and what measuring costs."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QObject
from shiboken6 import isValid

from tfx_engine.protocol.messages import Reply
from tfx_workbench.app.first_words import first_words
from tfx_workbench.exhibits.format import size
from tfx_workbench.session.engine import State
from tfx_workbench.widgets.top_bar import BUSY, GONE, READY, WAITING

if TYPE_CHECKING:
    from tfx_workbench.app.window import MainWindow
    from tfx_workbench.session.shared_run import SharedRun


class DeviceChip(QObject):
    """Shows the state of the engine, and of the device while a run is going."""

    def __init__(self, window: MainWindow) -> None:
        super().__init__(window)
        self._window, self._session = window, window.session
        self._device = self._unused = ""
        self._words = self.tr("starting the engine")
        self._asked = False
        self._session.engine.state_changed.connect(self._on_state)

    def _on_state(self, state: State, words: str) -> None:
        self._words = words
        if state is State.READY and not self._asked:
            self._asked = True
            self._session.engine.doctor(self._on_doctor)
        self.show_state()

    def _on_doctor(self, reply: Reply) -> None:
        if not isValid(self):  # the window went while the engine was looking
            return
        self._device = device_words(reply.result)
        self._unused = first_words(self._window, reply.result)
        self.show_state()

    def show_state(self) -> None:
        """Bring the chip up to date."""
        going = [str(row.path) for row in self._session.going()]
        run = next((r for key in going if (r := self._session.runs.run(key)) is not None), None)
        engine = self._session.engine.state
        if engine is State.SILENT:
            self._window.top.show_device(self._words, GONE, self.tr(
                "The engine has not answered for some seconds: its process is stopped, or this computer very busy. "
                "Runs under way do not need it; what is asked of it is done when it answers again."))
        elif going:
            text = " · ".join(filter(None, [self._name_in(run) or self._device, *(readings(run) if run else [])]))
            self._window.top.show_device(text or self.tr("running"), BUSY, self._tip())
        elif engine is State.READY:
            self._window.top.show_device(self._device or self._words, READY, self._tip())
        elif engine is State.GONE:
            self._window.top.show_device(self._words, GONE, self._tip())
        else:
            self._window.top.show_device(self._device or self._words, WAITING, self._tip())
        self._show_cost()

    def _tip(self) -> str:
        return "\n".join(filter(None, [self.tr("Engine: {state}").format(state=self._words), self._unused]))

    def _name_in(self, run: SharedRun | None) -> str:
        device = run.facts.get("device") if run is not None else None
        return short_name(str(device.get("name", ""))) if isinstance(device, dict) else ""

    def _show_cost(self) -> None:
        figures = self._session.runs.figures(self._session.runs.focus)
        percent = figures.overhead_percent if figures is not None else None
        self._window.top.show_cost(percent, self.tr(
            "What the workbench's own measuring costs of the step time, from steps with and without it in turn."))


def readings(run: SharedRun) -> list[str]:
    """The newest temperature and power of the device, where it tells them."""
    found = []
    for column, text in (("temperature_c", "{value:.0f} °C"), ("power_w", "{value:.0f} W")):
        series = run.device(column)
        if len(series) and math.isfinite(series.mean[-1]):
            found.append(text.format(value=series.mean[-1]))
    return found


def device_words(doctor: dict[str, Any]) -> str:
    """The device that `auto` takes, as `doctor` names it, with its memory."""
    chosen = doctor.get("automatic_device")
    devices = [d for d in doctor.get("devices") or [] if isinstance(d, dict)]
    device = next((d for d in devices if str(d.get("device")).startswith(str(chosen))), None)
    if device is not None:
        memory = device.get("memory_bytes")
        return " · ".join(filter(None, [str(device.get("name", "")), size(memory) if memory else ""]))
    memory, name = doctor.get("ram_bytes"), str(doctor.get("cpu") or chosen or "")
    return " · ".join(filter(None, [short_name(name), size(memory) if memory else ""]))


def short_name(name: str) -> str:
    """A processor's name without trademarks and clock: "Intel Xeon Platinum 8480C"."""
    words = re.sub(r"\((R|TM)\)|\bCPU\b|\bProcessor\b|@.*", " ", name, flags=re.IGNORECASE).split()
    return " ".join(words) or name
