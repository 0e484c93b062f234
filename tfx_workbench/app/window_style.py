"""The part of the style sheet that dresses the window's own controls; `@name` is a colour of the palette."""

from __future__ import annotations

WINDOW_STYLE = """
QLabel#appTitle { color: @text; font-weight: 700; font-size: 11pt; }
QLabel#slotTitle { color: @text; }
QLabel#slotTitle[changed="true"] { color: @accent; }
QLabel#optionLabel { color: @muted; }
QLabel#optionLabel[changed="true"] { color: @accent; }
QLabel#optionLabel[idle="true"] { color: @muted; font-style: italic; }
QLineEdit[idle="true"], QCheckBox[idle="true"], QComboBox[idle="true"] { color: @muted; background: @card; }
QLabel#slotTitle[mark="found"], QLabel#optionLabel[mark="found"] { color: @warning; }
QLabel#slotTitle[mark="hit"], QLabel#optionLabel[mark="hit"] { color: @warning; font-weight: 600; }
QLabel#tick { color: @muted; font-size: 8pt; }
QPushButton#groupTitle {
    background: transparent; border: 1px solid transparent; border-radius: 4px; color: @muted; font-weight: 600;
    font-size: 8pt; letter-spacing: 1px; padding: 1px 4px 1px 0px; margin-top: 4px; text-align: left;
}
QPushButton#groupTitle:hover { color: @text; }
QPushButton#groupTitle:focus { border-color: @accent; color: @text; }
QPushButton#fold {
    background: transparent; border: 1px solid transparent; border-radius: 4px; color: @muted; padding: 1px 1px;
    text-align: left;
}
QPushButton#fold:hover { color: @text; }
QPushButton#fold:focus { border-color: @accent; color: @text; }
QPushButton#fold:disabled { background: transparent; color: @muted; }
QPushButton#slotAction {
    background: transparent; border: none; border-radius: 4px; color: @muted; padding: 0px;
}
QPushButton#slotAction:hover { background: @raised; color: @text; }
QPushButton#filter {
    background: transparent; border: 1px solid transparent; border-radius: 9px; color: @muted; padding: 1px 7px;
}
QPushButton#filter:hover { background: @raised; color: @text; }
QPushButton#filter:focus { border-color: @accent; color: @text; }
QPushButton#filter:checked { background: @accent; color: @on_accent; border-color: @accent; }
QPushButton#filter:disabled { background: transparent; color: @muted; }
QPushButton#segment[mark="found"] { border-color: @warning; color: @warning; border-right-width: 1px; }
QPushButton#segment[mark="hit"] { border: 2px solid @warning; color: @text; font-weight: 600; }
QPushButton#segment:checked[mark="found"], QPushButton#segment:checked[mark="hit"] { color: @on_accent; }
QFrame#pagePane { background: @card; border: 1px solid @line; border-radius: 8px; }
QTextBrowser#page { background: transparent; border: none; padding: 0px; }
QComboBox { padding-right: 22px; }
QComboBox::drop-down { border: none; width: 18px; }
QComboBox::down-arrow { image: none; width: 0px; }
QPushButton#problemLink {
    background: transparent; border: 1px solid transparent; border-radius: 4px; color: @worse; padding: 0px 2px;
}
QPushButton#problemLink:hover { background: @card; }
QPushButton#problemLink:focus { border-color: @accent; }
QLabel#fit { color: @muted; }
QLabel#fit[fits="yes"] { color: @better; }
QLabel#fit[fits="no"] { color: @worse; }
QLabel#fit[old="true"], QLabel#estimate[old="true"] { color: @muted; }
QFrame#choicePopup { background: @card; border: 1px solid @line; border-radius: 8px; }
QFrame#choicePopup QListWidget { background: @card; border: none; }
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
