"""What is asked of runs that take turns: how precisely, how long at most, and whether the baseline runs twice."""

from __future__ import annotations

from PySide6.QtCore import QLocale, QObject, Signal
from PySide6.QtGui import QDoubleValidator
from PySide6.QtWidgets import QCheckBox, QLineEdit, QWidget

from tfx_workbench.session.fair import Wish
from tfx_workbench.widgets.words import plain_tip


class WishFields(QObject):
    """The three fields of a `Wish`, for a dialog to place."""

    changed = Signal()

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self.precision = NumberField(0.1, 50.0, Wish().precision, self.tr("Precision in per cent"))
        self.precision.setToolTip(plain_tip(self.tr(
            "It ends as soon as every 95 % interval reaches no further than this from its difference. A difference of "
            "twice as much is then told apart from this machine's noise in nine of ten comparisons.")))
        self.minutes = NumberField(0.5, 1440.0, Wish().minutes, self.tr("At most so many minutes"))
        self.control = QCheckBox(self.tr("run the baseline a second time"))
        self.control.setChecked(Wish().control)
        self.control.setToolTip(plain_tip(self.tr(
            "What the two differ by is this machine's noise: a smaller effect is not distinguishable.")))
        for number in (self.precision, self.minutes):
            number.changed.connect(self.changed)
        self.control.toggled.connect(lambda _: self.changed.emit())

    @property
    def fields(self) -> tuple[NumberField, NumberField, QCheckBox]:
        """Precision, minutes, second baseline."""
        return self.precision, self.minutes, self.control

    def wish(self) -> Wish:
        """What they say."""
        return Wish(self.precision.value(), self.minutes.value(), self.control.isChecked())


class NumberField(QLineEdit):
    """A number within limits, with its unit behind it; what is none of that counts as the nearest that is."""

    changed = Signal()

    def __init__(self, low: float, high: float, value: float, name: str) -> None:
        super().__init__(f"{value:g}")
        self._low, self._high, self._value = low, high, value
        validator = QDoubleValidator(low, high, 2, self)
        validator.setLocale(QLocale.c())
        self.setValidator(validator)
        self.setAccessibleName(name)
        self.setFixedWidth(72)
        self.textChanged.connect(self._take)

    def value(self) -> float:
        """The number that is meant."""
        return self._value

    def set_value(self, value: float) -> None:
        """Show another one."""
        self.setText(f"{value:g}")

    def _take(self, text: str) -> None:
        try:
            value = float(text)
        except ValueError:
            return
        self._value = min(max(value, self._low), self._high) if value == value else self._value
        self.changed.emit()
