"""Light, dark and what the system says: applied to everything at once, and told to whoever paints by hand."""

from __future__ import annotations

import re

import pytest
from PySide6.QtGui import QColor, QFontMetricsF, QPalette
from PySide6.QtWidgets import QApplication, QCheckBox, QRadioButton, QStyle, QStyleOptionButton

from tfx_workbench.app.theme import AUTO, Theme, qt_palette, style_sheet
from tfx_workbench.exhibits.palette import DARK, LIGHT


@pytest.fixture
def theme(qapp: QApplication):
    before = qapp.styleSheet(), qapp.palette(), qapp.font(), qapp.style().objectName()
    made = Theme(qapp, "light")
    yield made
    made.choose(AUTO)
    made.deleteLater()
    qapp.setStyleSheet(before[0])
    qapp.setPalette(before[1])
    qapp.setFont(before[2])
    qapp.setStyle(before[3])


def test_choosing_a_theme_changes_the_whole_application_and_tells(theme, qapp, qtbot):
    with qtbot.waitSignal(theme.changed) as changed:
        theme.choose("dark")
    assert changed.args == [DARK] and theme.palette is DARK and theme.name == "dark"
    assert qapp.palette().color(QPalette.ColorRole.Window).name() == DARK.background.lower()
    assert DARK.card in qapp.styleSheet()
    theme.choose("light")
    assert LIGHT.card in qapp.styleSheet() and theme.palette is LIGHT


def test_a_theme_that_does_not_exist_is_that_of_the_system(theme):
    theme.choose("pink")
    assert theme.name == AUTO and theme.palette in (DARK, LIGHT)


@pytest.mark.parametrize("palette", [DARK, LIGHT], ids=lambda p: p.name)
def test_every_colour_of_the_style_sheet_is_filled_in(palette):
    text = style_sheet(palette)
    assert "@" not in text
    assert text.count("{") == text.count("}")
    known = {v.lower() for v in vars(palette).values() if isinstance(v, str)}
    assert {c.lower() for c in re.findall(r"#[0-9A-Fa-f]{6}\b", text)} <= known


@pytest.mark.parametrize("palette", [DARK, LIGHT], ids=lambda p: p.name)
def test_what_is_disabled_looks_so(palette):
    colours = qt_palette(palette)
    role = QPalette.ColorRole.Text
    assert colours.color(QPalette.ColorGroup.Disabled, role) != colours.color(QPalette.ColorGroup.Active, role)


@pytest.mark.parametrize("kind", [QCheckBox, QRadioButton])
@pytest.mark.parametrize("name", ["light", "dark"])
def test_a_box_has_a_border_its_tick_is_seen_and_what_is_disabled_is_grey(theme, qtbot, name, kind):
    theme.choose(name)
    box = kind("w")
    qtbot.addWidget(box)
    box.show()
    colours, element = theme.palette, QStyle.SubElement
    option = QStyleOptionButton()
    option.initFrom(box)
    where = element.SE_CheckBoxIndicator if kind is QCheckBox else element.SE_RadioButtonIndicator
    whole = box.style().subElementRect(where, option, box)

    def has(wanted: str, within: int = 0) -> bool:
        """Whether a pixel of the box has about that colour, so far from its edge."""
        image, wish, inner = box.grab().toImage(), QColor(wanted), whole.adjusted(within, within, -within, -within)
        seen = [image.pixelColor(x, y) for x in range(inner.left(), inner.right() + 1)
                for y in range(inner.top(), inner.bottom() + 1)]
        return any(max(abs(c.red() - wish.red()), abs(c.green() - wish.green()), abs(c.blue() - wish.blue())) < 40
                   for c in seen)

    assert has(colours.muted) and not has(colours.muted, 3) and not has(colours.accent)
    box.setChecked(True)
    assert has(colours.accent) and has(colours.on_accent, 3)
    box.setEnabled(False)
    assert has(colours.muted) and not has(colours.accent)


def test_figures_are_as_wide_as_each_other(theme, qapp):
    metrics = QFontMetricsF(qapp.font())
    assert metrics.horizontalAdvance("1111") == pytest.approx(metrics.horizontalAdvance("8888"))
