"""Everything that can be done by key, menu or button, once: the actions of the window and their shortcuts."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import QObject, Qt
from PySide6.QtGui import QAction, QKeySequence
from PySide6.QtWidgets import QMenu, QMenuBar, QWidget


class Actions(QObject):
    """Attributes are `QAction`s; `menu_bar` sorts them into menus."""

    def __init__(self, window: QWidget) -> None:
        super().__init__(window)
        self._window = window
        self.all: list[QAction] = []
        self._make_files()
        self._make_edits()
        self._make_runs()
        self._make_places()
        self._make_help()

    def _make_files(self) -> None:
        make = self._make
        self.open = make(self.tr("&Open…"), "Ctrl+O", self.tr("Open configurations, runs or claim bundles"))
        self.import_model = make(self.tr("&Import a model…"), "Ctrl+I",
                                 self.tr("A published model: its config.json, and the weights that lie beside it"))
        self.save = make(self.tr("&Save configuration…"), "Ctrl+S", self.tr("Save the edited configuration as a file"))
        self.report = make(self.tr("&Report…"), "Ctrl+P", self.tr(
            "The ticked runs as one file to hand on: HTML or PDF, with every exhibit and how to do it again"))
        self.settings = make(self.tr("Se&ttings"), "Ctrl+,", self.tr("Theme and behaviour"))
        self.quit = make(self.tr("&Quit"), "Ctrl+Q", self.tr("Close the window; runs go on"))

    def _make_edits(self) -> None:
        make = self._make
        self.undo = make(self.tr("Undo"), "Ctrl+Z", self.tr("Take back the last change of the form"))
        self.redo = make(self.tr("Redo"), "Ctrl+Shift+Z", self.tr("Make that change again"))
        self.search = make(self.tr("&Find a technique"), "Ctrl+F", self.tr("Search techniques and options"))
        self.search.setShortcuts([QKeySequence("Ctrl+F"), QKeySequence("Ctrl+K")])
        self.reset = make(self.tr("&Reset to defaults"), "", self.tr("Every choice back to its default"))

    def _make_runs(self) -> None:
        make = self._make
        self.run = make(self.tr("Run"), "F5", self.tr("Run what is configured: real training steps on this device"))
        self.run_one = make(self.tr("Run only the &edited one"), "Ctrl+F5", self.tr("Queue only what is edited now"))
        self.audit = make(self.tr("&Audit the techniques"), "", self.tr(
            "Prove on copies of the model that each technique of the form does what it claims"))
        self.fits = make(self.tr("&What fits?"), "Ctrl+Shift+B", self.tr(
            "The largest batch, context or depth that fits, with each technique that saves memory"))
        self.ablate = make(self.tr("A&blation…"), "Ctrl+B", self.tr(
            "Many runs that say what each choice does, alone or together"))
        self.compare = make(self.tr("&Compare fairly…"), "Ctrl+Shift+F5", self.tr(
            "The ticked runs once more, in turns of a few steps: how much faster or slower, with intervals"))
        self.pause = make(self.tr("Pause"), "F8", self.tr("Pause the run that is going, or let it go on"))
        self.stop = make(self.tr("Stop"), "Shift+F5", self.tr("Stop the run that is going; what was measured is kept"))

    def _make_places(self) -> None:
        """Where the keyboard goes, and the panels."""
        make = self._make
        self.next_pane = make(self.tr("&Next pane"), "F6", self.tr("Keyboard to the next pane"))
        self.last_pane = make(self.tr("Pre&vious pane"), "Shift+F6", self.tr("Keyboard to the pane before"))
        self.form = make(self.tr("Go to the &form"), "Alt+1", self.tr("Put the keyboard into the form"))
        self.table = make(self.tr("Go to the &runs"), "Alt+2", self.tr("Put the keyboard into the table of runs"))
        self.find_runs = make(self.tr("Find ru&ns"), "Ctrl+Shift+F", self.tr(
            "Search the runs: words of name, note, tags and techniques, or figures such as loss<2"))
        self.arrange = make(self.tr("Arrange panels &anew"), "", self.tr("All panels back, in two rows of three"))

    def _make_help(self) -> None:
        make = self._make
        self.help = make(self.tr("&Keyboard and help"), "F1", self.tr(
            "The page of the technique at hand; elsewhere all shortcuts, and where to begin"))
        self.guide = make(self.tr("&Guide: when to choose what"), "Shift+F1", self.tr(
            "What textbooks claim, and what of it holds on this machine"))
        self.log = make(self.tr("&Messages"), "Ctrl+Shift+M", self.tr("What the program said so far"))

    def _make(self, text: str, keys: str, tip: str) -> QAction:
        action = QAction(text, self._window)
        if keys:
            action.setShortcut(QKeySequence(keys))
            action.setShortcutContext(Qt.ShortcutContext.WindowShortcut)
        action.setToolTip(tip)
        self._window.addAction(action)
        self.all.append(action)
        return action

    def menu_bar(self, view_menu: QMenu) -> QMenuBar:
        """The menus over all actions."""
        bar = QMenuBar(self._window)
        files = [self.open, self.import_model, self.save]
        _fill(bar.addMenu(self.tr("&File")), [*files, None, self.report, None, self.settings, None, self.quit])
        edits = [self.undo, self.redo, None, self.search, self.find_runs, None, self.reset]
        _fill(bar.addMenu(self.tr("&Edit")), edits)
        asked = [self.compare, self.ablate, self.fits, self.audit]
        _fill(bar.addMenu(self.tr("&Run")), [self.run, self.run_one, None, *asked, None, self.pause, self.stop])
        view_menu.setTitle(self.tr("&View"))
        bar.addMenu(view_menu)
        _fill(bar.addMenu(self.tr("&Help")), [self.help, self.guide, self.log])
        return bar

    def shortcuts(self) -> list[tuple[str, str]]:
        """(keys, what they do) of every action that has keys."""
        return [
            (keys.toString(QKeySequence.SequenceFormat.NativeText), action.toolTip() or action.text())
            for action in self.all for keys in action.shortcuts()
        ]


def _fill(menu: QMenu, actions: list[QAction | None]) -> None:
    for action in actions:
        if action is None:
            menu.addSeparator()
        else:
            menu.addAction(action)


Handler = Callable[[], object]


def connect(pairs: list[tuple[QAction, Handler]]) -> None:
    """Connect each action with what it does."""
    for action, handler in pairs:
        action.triggered.connect(lambda _=False, do=handler: do())
