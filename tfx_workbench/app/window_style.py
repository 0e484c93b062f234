"""The part of the style sheet that dresses the window's own controls; `@name` is a colour of the palette."""

from __future__ import annotations

WINDOW_STYLE = """
QLabel#appTitle { color: @text; font-weight: 700; font-size: 11pt; }
QLabel#slotTitle { color: @text; }
QLabel#slotTitle[changed="true"] { color: @accent; }
QLabel#optionLabel { color: @muted; }
QLabel#optionLabel[changed="true"] { color: @accent; }
QLabel#groupTitle { font-size: 8pt; letter-spacing: 1px; margin-top: 4px; }
QWidget#techniqueForm { background: transparent; }
QScrollArea > QWidget > QWidget#techniqueForm { background: transparent; }
QFrame#deviceChip { background: @raised; border: 1px solid @line; border-radius: 10px; }
QLabel#dot[state="ready"] { color: @better; }
QLabel#dot[state="busy"] { color: @accent; }
QLabel#dot[state="waiting"] { color: @muted; }
QLabel#dot[state="gone"] { color: @worse; }
QPushButton#preset { text-align: left; padding-right: 8px; }
QPushButton#preset::menu-indicator { subcontrol-origin: padding; subcontrol-position: right center; right: 8px; }
QFrame#messageBar { background: @raised; border: 1px solid @line; border-radius: 6px; }
QFrame#messageBar[level="warning"] { border-color: @warning; }
QFrame#messageBar[level="bad"] { border-color: @worse; }
QMenuBar { background: transparent; color: @muted; }
QMenuBar::item { background: transparent; padding: 4px 7px; border-radius: 6px; }
QMenuBar::item:selected { background: @raised; color: @text; }
QSplitter::handle:hover { background: @line; }
QFrame#dockedCard { background: transparent; border: none; }
"""
