"""What is known of a configuration before it runs. It shows what the engine worked out and nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from PySide6.QtCore import Signal
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import QFrame, QGridLayout, QHBoxLayout, QLabel, QPushButton, QWidget

from tfx_workbench.exhibits.format import UNKNOWN, byte_scale, count, duration, number, percent, plain, size
from tfx_workbench.exhibits.palette import Palette
from tfx_workbench.exhibits.stated_error import compared, found_on, within, within_of_step, within_short
from tfx_workbench.widgets.fitting_label import FittingLabel
from tfx_workbench.widgets.memory_bar import HEIGHT, SMALL, MemoryBar
from tfx_workbench.widgets.words import plain_tip, shown


class BeforeRun(QFrame):
    """A quiet strip of figures; invisible while none is known and nothing is wrong.

    Emits `problem_asked()` and `fits_asked()`.
    """

    problem_asked = Signal()
    fits_asked = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("raised")
        self._grid = QGridLayout(self)
        self._grid.setContentsMargins(8, 6, 8, 6)
        self._grid.setVerticalSpacing(2)
        self._grid.addLayout(self._head(), 0, 0, 1, 2)
        self._grid.setColumnStretch(1, 1)
        self.bar = MemoryBar(self)
        self.bar.hide()
        self._grid.addWidget(self.bar, 1, 0, 1, 2)
        self._grid.setRowMinimumHeight(1, HEIGHT + 6)
        self._rows: dict[str, tuple[QLabel, FittingLabel]] = {}
        for name in (self.tr("peak memory"), self.tr("parameters"), self.tr("FLOPs / token"), self.tr("step")):
            self._set(name)
        self.hide()

    def _head(self) -> QHBoxLayout:
        row = QHBoxLayout()
        row.setSpacing(4)
        self._title = QLabel(self.tr("Before you run"))
        self._title.setObjectName("cardTitle")
        self._asks = QPushButton(self.tr("What fits?"), self)
        self._asks.setObjectName("disclosure")
        self._asks.setToolTip(plain_tip(self.tr(
            "The largest batch, context or depth that fits, with each technique that saves memory (Ctrl+Shift+B).")))
        self._asks.clicked.connect(self.fits_asked)
        self._fit = FittingLabel(self)
        self._fit.setObjectName("fit")
        self._verdict = QPushButton(self)
        self._verdict.setObjectName("problemLink")
        self._verdict.setToolTip(plain_tip(self.tr("Go to the first of them.")))
        self._verdict.clicked.connect(self.problem_asked)
        self._verdict.hide()
        row.addWidget(self._title)
        row.addWidget(self._asks)
        row.addWidget(self._fit, 1)
        row.addWidget(self._verdict)
        return row

    def fade(self) -> None:
        """What is shown is of an older configuration: it stays until there is something newer, but says so."""
        self._show_age(is_old=True)
        _age(self._rows[self.tr("step")][1], True)

    def _show_age(self, is_old: bool) -> None:
        """Of everything but the step's time, which comes later than the rest."""
        step = self.tr("step")
        for widget in (self._fit, *(value for name, (_, value) in self._rows.items() if name != step)):
            _age(widget, is_old)
        self.bar.show_age(is_old)

    def set_palette(self, palette: Palette) -> None:
        """Take on the colours of a theme."""
        self.bar.set_palette(palette)

    def show_counts(self, total: int | None, trainable: int | None, flops_per_token: float | None) -> None:
        """Parameters and model FLOPs per token (forward and backward), None where the engine gave none."""
        parameters = [count(total, 3)] if total is not None else []
        if total is not None and trainable is not None:
            words = self.tr("{total}, all trained") if trainable == total else self.tr("{total} · {trained} trained")
            parameters.insert(0, words.format(total=parameters[0], trained=count(trainable, 3)))
        self._set(self.tr("parameters"), *parameters, meaning=self.tr(
            "Numbers in the model, and how many of them are trained."))
        self._set(self.tr("FLOPs / token"), *([count(flops_per_token, 3)] if flops_per_token else []), meaning=self.tr(
            "Model FLOPs of one training step, forward and backward, per token. A multiply-add is 2; "
            "attention counts in full, without a discount for the causal half."))
        self._show_age(is_old=False)
        self._show_strip()

    def show_estimate(self, figures: Mapping[str, Any]) -> None:
        """What `api.estimate` gives; nothing where it is empty."""
        is_known = self._show_memory(figures)
        if not is_known:
            self._set(self.tr("step"))
        elif not self._rows[self.tr("step")][1].whole:  # else the older one stays until there is a newer
            self._set(self.tr("step"), self.tr("…"), meaning=self.tr("The time of a step is being predicted."))
        self._show_age(is_old=False)
        self._show_strip()

    def _show_memory(self, figures: Mapping[str, Any]) -> bool:
        """The peak, what it consists of, and whether it fits; False where it is not known."""
        memory = figures.get("memory_bytes") or {}
        peak, capacity = memory.get("peak"), figures.get("device_bytes")
        missing = figures.get("missing") or {}
        self.bar.setVisible(peak is not None)
        if peak is not None:
            self.bar.show_memory(memory, capacity)
        meaning = [self.tr(
            "Bytes that torch's allocator will have handed out at the fullest moment of a step; beside it what the "
            "device has."), self._how_known(figures),
            *(shown(missing.get(name, "")) for name in ("traced", "peak_interval_bytes", "compiled")),
            *(shown(note) for note in figures.get("notes", ()))]
        said = " ".join(dict.fromkeys(filter(None, meaning)))
        name = self.tr("peak memory")
        self._set(name, *self._peak_texts(figures), meaning=said)
        self._rows[name][0].setText(self.tr("traced peak") if figures.get("level") == "traced" else name)
        words = self._error_words(figures) if peak is not None else ("", "", "")
        is_known = peak is not None and capacity is not None
        self._show_fit(figures.get("fits"), is_known, words, shown(missing.get("fits", "")))
        return peak is not None

    def _how_known(self, figures: Mapping[str, Any]) -> str:
        if figures.get("level") == "traced":
            return self.tr("Traced: every allocation of the step was followed, on tensors without numbers.")
        return self.tr(
            "In closed form: a trace of the step, which is more exact, takes its place where there is time for it.")

    def _peak_texts(self, figures: Mapping[str, Any]) -> list[str]:
        """At length and shorter; with experts, of which nobody knows which will work, from where to where."""
        peak, capacity = (figures.get("memory_bytes") or {}).get("peak"), figures.get("device_bytes")
        texts = self._of(peak, capacity)
        between = figures.get("peak_interval_bytes") or {}
        low, high = between.get("low"), between.get("high")
        if texts and low is not None and high is not None and low < high:
            texts = [self.tr("{low} to {high}").format(low=size(low), high=size(high)), size(high)]
            if capacity is not None:
                texts.insert(0, self.tr("{peak} of {whole}").format(peak=texts[0], whole=size(capacity)))
        return texts

    def show_time(self, figures: Mapping[str, Any]) -> None:
        """`step_ms` and its error, as `api.estimate` gives them, or a dash and the reason; it comes after the rest.

        And the traced peak, which takes the place of the closed form's.
        """
        if self.tr("peak memory") not in self.figures():
            return  # of a configuration that is gone
        if figures.get("level") == "traced" or "traced" in (figures.get("missing") or {}):  # else why it is not
            self._show_memory(figures)
        step_ms, error = figures.get("step_ms"), figures.get("step_ms_error_percent")
        missing = figures.get("missing") or {}
        if step_ms is None:
            self._set(self.tr("step"), UNKNOWN, meaning=shown(missing.get("step_ms", "")) or self.tr("Nobody knows."))
        else:
            texts = [self.tr("≈ {time}").format(time=duration(step_ms))]
            if error is not None:
                texts.insert(0, self.tr("≈ {time} ±{percent} %").format(
                    time=duration(step_ms), percent=plain(max(error, 0.1), 2)))
            meaning = self.tr("Time of one step, from what this device was measured to do and from your runs on it.")
            off = within_of_step(figures)
            words = self.tr("How far predictions were off: {error}.").format(error=off.filled(shown)) if off else ""
            self._set(self.tr("step"), *texts, meaning=" ".join(
                filter(None, [meaning, words, shown(missing.get("step_ms_error_percent", ""))])))
        _age(self._rows[self.tr("step")][1], False)

    def _error_words(self, figures: Mapping[str, Any]) -> tuple[str, str, str]:
        """How far off such predictions were, at length and in short, and what is to be said beside it."""
        words = (within(figures), within_short(figures), found_on(figures))
        at_length, short, what = (text.filled(shown) if text else "" for text in words)
        off = self.tr("How far predictions were off: {error} on {what}.").format(error=at_length, what=what)
        beside = compared(figures)
        said = [beside.filled(shown) if beside else "", off if at_length else ""]
        return at_length, short, " ".join(filter(None, said))

    def _show_fit(self, fits: bool | None, is_known: bool, errors: tuple[str, str, str], reason: str) -> None:
        words = {True: self.tr("fits"), False: self.tr("does not fit"), None: self.tr("too close to tell")}[fits]
        words = words if is_known else ""
        at_length, short, beside = errors
        texts = [" · ".join(filter(None, [words, error])) for error in (at_length, short)] + [words] * is_known
        meaning = [reason or self.tr("Whether the predicted peak fits into the device's memory."), beside]
        self._fit.show_texts(*texts, meaning=" ".join(filter(None, meaning)))
        self._fit.setProperty("fits", {True: "yes", False: "no", None: "unknown"}[fits])
        self._fit.style().polish(self._fit)
        self._make_room()

    def _make_room(self) -> None:
        """In a narrow pane the verdict goes before the question, which is in the menu too."""
        shortest = self._fit.fontMetrics().horizontalAdvance(self._fit.shortest)
        needed = self._title.sizeHint().width() + self._asks.sizeHint().width() + shortest + 30
        self._asks.setVisible(needed <= self.width())

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self._make_room()

    def show_problems(self, number: int) -> None:
        """Say how many things are wrong; none: nothing."""
        words = self.tr("1 problem") if number == 1 else self.tr("{count} problems")
        self._verdict.setText(words.format(count=number) if number else "")
        self._verdict.setVisible(number > 0)
        self._fit.setVisible(not number)
        self._show_strip()

    def _show_strip(self) -> None:
        self.setVisible(bool(self.figures() or self._verdict.text()))

    def figures(self) -> dict[str, str]:
        """What is shown, by name."""
        return {name: value.whole for name, (_, value) in self._rows.items() if value.whole}

    @property
    def fit(self) -> str:
        """What is said of the memory."""
        return self._fit.whole

    def _set(self, name: str, *texts: str, meaning: str = "") -> None:
        """A figure, at length and shorter; without one its row is gone."""
        if name not in self._rows:
            label, value = QLabel(name), FittingLabel()
            label.setObjectName("muted")
            value.setObjectName("estimate")
            row = self._grid.rowCount()
            self._grid.addWidget(label, row, 0)
            self._grid.addWidget(value, row, 1)
            self._rows[name] = (label, value)
        label, value = self._rows[name]
        value.show_texts(*(texts or ("",)), meaning=meaning)
        label.setToolTip(plain_tip(meaning))
        for widget in (label, value):
            widget.setVisible(bool(texts))

    def _of(self, peak: int | None, capacity: int | None) -> list[str]:
        if peak is None:
            return []
        if capacity is None:
            return [size(peak)]
        if peak < SMALL * capacity:
            return [self.tr("{peak} · {share} of {whole}").format(
                peak=size(peak), share=percent(100 * peak / capacity, 2), whole=size(capacity)), size(peak)]
        unit = byte_scale(capacity)
        return [self.tr("{peak} of {whole}").format(peak=number(peak / unit.size, 3), whole=size(capacity)), size(peak)]


def _age(widget: QWidget, is_old: bool) -> None:
    if widget.property("old") != is_old:
        widget.setProperty("old", is_old)
        widget.style().polish(widget)
