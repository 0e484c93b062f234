"""The style sheet, with `@text` where that colour of the palette goes, and its name for `@name`. Spacing 4, 8, 12;
radius 8 of cards, 6 else. `url(tfx:...)` is a file in `resources/icons`.
"""

from __future__ import annotations

from tfx_workbench.app.window_style import WINDOW_STYLE

_CARDS = """
QMainWindow, QDialog { background: @background; }
QMainWindow::separator { background: @background; width: 8px; height: 8px; }
QMainWindow::separator:hover { background: @line; }
QDockWidget { color: @text; }
QFrame#card { background: @card; border: 1px solid @line; border-radius: 8px; }
QFrame#raised { background: @raised; border: none; border-radius: 6px; }
QLabel { background: transparent; }
QLabel#cardTitle, QLabel#sectionTitle { color: @text; font-weight: 600; }
QLabel#muted { color: @muted; }
QLabel#empty { color: @muted; }
QLabel#problem { color: @worse; }
QLabel#problem[warning="true"] { color: @warning; }
QLabel#better { color: @better; }
QLabel#worse { color: @worse; }
QLabel#warning { color: @warning; }
QToolTip { background: @raised; color: @text; border: 1px solid @line; padding: 4px; }
"""

_CONTROLS = """
QPushButton, QToolButton, QComboBox {
    background: @raised; color: @text; border: 1px solid @line; border-radius: 6px; padding: 4px 12px;
}
QPushButton:hover, QToolButton:hover, QComboBox:hover { border-color: @muted; }
QPushButton:focus, QToolButton:focus, QComboBox:focus { border-color: @accent; }
QPushButton:disabled, QToolButton:disabled, QComboBox:disabled { color: @muted; background: @card; }
QPushButton#primary { background: @accent; color: @on_accent; border-color: @accent; font-weight: 600; }
QPushButton#primary:disabled { background: @raised; color: @muted; border-color: @line; }
QPushButton#small, QComboBox#small { padding: 2px 6px; }
QPushButton#segment { border-radius: 0px; padding: 2px 6px; border-right-width: 0px; }
QPushButton#segment[place="first"] { border-top-left-radius: 6px; border-bottom-left-radius: 6px; }
QPushButton#segment[place="last"] {
    border-top-right-radius: 6px; border-bottom-right-radius: 6px; border-right-width: 1px;
}
QPushButton#segment[place="only"] { border-radius: 6px; border-right-width: 1px; }
QPushButton#segment:checked { background: @accent; color: @on_accent; border-color: @accent; font-weight: 600; }
QPushButton#segment:focus { border-color: @text; }
QPushButton#chip { border-radius: 9px; padding: 1px 8px; }
QPushButton#chip:checked { background: @accent; color: @on_accent; border-color: @accent; }
QToolButton#choice, QPushButton#disclosure {
    background: transparent; border: 1px solid transparent; color: @muted; padding: 1px 4px; text-align: left;
}
QToolButton#choice:hover, QPushButton#disclosure:hover { background: @raised; color: @text; }
QToolButton#choice:focus, QPushButton#disclosure:focus { border-color: @accent; color: @text; }
QToolButton#choice::menu-indicator { image: none; width: 0px; }
QLineEdit, QSpinBox, QDoubleSpinBox, QPlainTextEdit, QTextEdit {
    background: @raised; color: @text; border: 1px solid @line; border-radius: 6px; padding: 3px 6px;
    selection-background-color: @accent; selection-color: @on_accent;
}
QLineEdit:focus, QSpinBox:focus, QDoubleSpinBox:focus, QPlainTextEdit:focus { border-color: @accent; }
QLineEdit[wrong="true"], QSpinBox[wrong="true"], QComboBox[wrong="true"] { border-color: @worse; }
QComboBox QAbstractItemView, QMenu {
    background: @card; color: @text; border: 1px solid @line;
    selection-background-color: @accent; selection-color: @on_accent;
}
QCheckBox, QRadioButton { spacing: 6px; }
QCheckBox:disabled, QRadioButton:disabled { color: @muted; }
QCheckBox::indicator, QRadioButton::indicator, QTreeView::indicator, QListView::indicator {
    width: 11px; height: 11px; border: 1px solid @muted; border-radius: 3px; background: @raised;
}
QRadioButton::indicator { border-radius: 6px; }
QCheckBox::indicator:hover, QRadioButton::indicator:hover { border-color: @text; }
QCheckBox::indicator:checked, QTreeView::indicator:checked, QListView::indicator:checked {
    background: @accent; border-color: @accent; image: url(tfx:tick-@name.svg);
}
QRadioButton::indicator:checked {
    border-color: @accent; background: qradialgradient(cx: 0.5, cy: 0.5, radius: 0.5, fx: 0.5, fy: 0.5,
        stop: 0 @on_accent, stop: 0.45 @on_accent, stop: 0.6 @accent, stop: 1 @accent);
}
QCheckBox::indicator:focus, QRadioButton::indicator:focus { border: 1px solid @accent; }
QCheckBox::indicator:checked:focus, QRadioButton::indicator:checked:focus { border: 1px solid @text; }
QCheckBox::indicator:disabled, QRadioButton::indicator:disabled, QTreeView::indicator:disabled {
    border-color: @line; background: @card;
}
QCheckBox::indicator:checked:disabled { background: @muted; border-color: @muted; }
QRadioButton::indicator:checked:disabled { border: 4px solid @muted; background: @card; width: 5px; height: 5px; }
QMenu { padding: 4px; }
QMenu::item { padding: 4px 20px 4px 20px; border-radius: 4px; }
QMenu::item:selected { background: @accent; color: @on_accent; }
QMenu::item:disabled { color: @muted; background: transparent; }
QMenu::separator { height: 1px; background: @line; margin: 4px 8px; }
"""

_VIEWS = """
QAbstractItemView { background: @card; alternate-background-color: @raised; border: none; outline: none; }
QHeaderView { background: @card; }
QHeaderView::section {
    background: @card; color: @muted; border: none; border-bottom: 1px solid @line; padding: 4px 6px; font-weight: 600;
}
QScrollArea { background: transparent; border: none; }
QScrollBar:vertical { background: transparent; width: 10px; margin: 0px; }
QScrollBar:horizontal { background: transparent; height: 10px; margin: 0px; }
QScrollBar::handle { background: @line; border-radius: 4px; margin: 1px; }
QScrollBar::handle:vertical { min-height: 24px; }
QScrollBar::handle:horizontal { min-width: 24px; }
QScrollBar::handle:hover { background: @muted; }
QScrollBar::add-line, QScrollBar::sub-line { width: 0px; height: 0px; }
QScrollBar::add-page, QScrollBar::sub-page { background: transparent; }
QProgressBar { background: @raised; border: none; border-radius: 3px; max-height: 6px; color: @text; }
QProgressBar::chunk { background: @accent; border-radius: 3px; }
QSlider::groove:horizontal { background: @line; height: 4px; border-radius: 2px; }
QSlider::sub-page:horizontal { background: @accent; height: 4px; border-radius: 2px; }
QSlider::handle:horizontal {
    background: @text; width: 12px; height: 12px; margin: -4px 0px; border-radius: 6px;
}
QSlider::handle:horizontal:focus { background: @accent; }
QSplitter::handle { background: @background; }
QTabBar { background: transparent; border: none; }
QTabBar::tab {
    background: transparent; color: @muted; border: none; border-bottom: 2px solid transparent; padding: 3px 8px;
}
QTabBar::tab:hover { color: @text; }
QTabBar::tab:selected { color: @text; border-bottom: 2px solid @accent; }
QTabBar::scroller { width: 36px; }
QTabBar QToolButton { background: @raised; border: 1px solid @line; border-radius: 4px; margin: 2px 1px; padding: 0px; }
QTabBar QToolButton:hover { border-color: @muted; }
QStatusBar { background: @background; color: @muted; }
QStatusBar::item { border: none; }
QMenuBar { background: @background; color: @text; }
QMenuBar::item:selected { background: @raised; }
QToolBar { background: @background; border: none; spacing: 8px; padding: 4px; }
"""

STYLE_SHEET = _CARDS + _CONTROLS + _VIEWS + WINDOW_STYLE
