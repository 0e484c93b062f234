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
QPushButton#preset { text-align: left; }
QFrame#messageBar { background: transparent; border: 1px solid transparent; border-radius: 6px; }
QFrame#messageBar[level="info"] { background: @raised; }
QFrame#messageBar[level="warning"] { background: @raised; border-color: @warning; }
QFrame#messageBar[level="bad"] { background: @raised; border-color: @worse; }
QFrame#messageBar[level="rest"] QLabel { color: @muted; }
QMenuBar { background: transparent; color: @muted; }
QMenuBar::item { background: transparent; padding: 4px 7px; border-radius: 6px; }
QMenuBar::item:selected { background: @raised; color: @text; }
QSplitter::handle:hover { background: @line; }
QFrame#dockedCard { background: transparent; border: none; }
"""
