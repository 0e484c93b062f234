"""The main window: it puts the parts together and passes on what they say. What they do is in the parts."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import QSize, Qt, QTimer, Signal
from PySide6.QtGui import QCloseEvent, QDragEnterEvent, QDropEvent
from PySide6.QtWidgets import QMainWindow, QSplitter, QVBoxLayout, QWidget

from tfx_engine.protocol.cards import Catalogue
from tfx_engine.protocol.problems import Problem
from tfx_workbench.app.actions import Actions, connect
from tfx_workbench.app.dock import CardDock
from tfx_workbench.app.dock_area import IN_FRONT, DockArea, Frames
from tfx_workbench.app.drafting import Drafting
from tfx_workbench.app.frontiers import Frontiers
from tfx_workbench.app.icons import app_icon, tinted
from tfx_workbench.app.pages import Pages
from tfx_workbench.app.panes import Panes
from tfx_workbench.app.remembering import Remembering
from tfx_workbench.app.run_commands import RunCommands
from tfx_workbench.app.settings import Settings
from tfx_workbench.app.theme import Theme
from tfx_workbench.app.view_menu import ViewMenu
from tfx_workbench.exhibits.palette import Palette
from tfx_workbench.session.session import Session
from tfx_workbench.widgets.config_pane import ConfigPane
from tfx_workbench.widgets.message_bar import MessageBar
from tfx_workbench.widgets.runs_card import RunsCard
from tfx_workbench.widgets.top_bar import TopBar
from tfx_workbench.widgets.words import problem_words

if TYPE_CHECKING:
    from tfx_workbench.app.bundles import Claims
    from tfx_workbench.app.guide import GuideBook
    from tfx_workbench.app.own_techniques import OwnTechniques
    from tfx_workbench.app.reports import Reports
    from tfx_workbench.panels import PanelFactory

_SMALLEST = QSize(960, 600)
_BEHIND_AFTER_MS = 250  # the window is usable, and whoever presses a key at once is served first


class MainWindow(QMainWindow):
    """Made in well under a second: panels, engine and library come with `begin`, after the first paint."""

    begun = Signal()  # the panels in front are there, the library is being read, the engine starts
    closed = Signal()

    def __init__(self, session: Session, settings: Settings, theme: Theme) -> None:
        super().__init__()
        self.session, self.settings, self.theme = session, settings, theme
        self.setWindowTitle("TFX Workbench")
        self.setWindowIcon(app_icon())
        self.setMinimumSize(_SMALLEST)
        self.setAcceptDrops(True)
        self.actions_ = Actions(self)
        self._lay_out()
        self.frames = Frames(self.area, session.runs.views, session.runs.hold, session.runs.release, self)
        self.commands = RunCommands(self)
        self.panes = Panes(self)
        self.pages = Pages(self)
        self.frontiers = Frontiers(self)
        self._behind: list[PanelFactory] = []  # what makes the panels that are still to come
        self.messages.set_resting(self.tr("F5 run · Shift+F5 stop · Ctrl+F find a technique · F1 read about it"))
        self._drafting = Drafting(self)
        self._remembering = Remembering(self)
        self._connect_session()
        self._connect_actions()
        theme.changed.connect(self._apply_theme)
        self._apply_theme(theme.palette)
        self._drafting.show()
        self._show_lines()
        self._remembering.place()

    # ------------------------------------------------------------------ building

    def _lay_out(self) -> None:
        """From the outside in: what is put into something later is styled once more, with all that is in it."""
        self.whole = QWidget()
        self.whole.setFocusPolicy(Qt.FocusPolicy.ClickFocus)  # nothing has the focus until somebody asks for it
        self.setCentralWidget(self.whole)
        column = QVBoxLayout(self.whole)
        column.setContentsMargins(0, 0, 0, 4)
        column.setSpacing(0)
        column.addWidget(self._top_bar())
        inner = QVBoxLayout()
        inner.setContentsMargins(12, 0, 12, 0)
        inner.setSpacing(4)
        column.addLayout(inner, 1)
        self.columns = QSplitter(Qt.Orientation.Horizontal, self.whole)
        inner.addWidget(self.columns, 1)
        self.pane = ConfigPane(self.session.draft.catalogue, self.columns)
        self.pane.setMinimumWidth(264)
        self.rows = QSplitter(Qt.Orientation.Vertical, self.columns)
        self.area = DockArea(self.rows)
        self.runs_card = RunsCard(self.rows)
        self.table = self.runs_card.table
        self.messages = MessageBar(self.whole)
        inner.addWidget(self.messages)
        for splitter, stretch in ((self.rows, (1, 0)), (self.columns, (0, 1))):
            splitter.setHandleWidth(8)
            splitter.setChildrenCollapsible(False)
            for i, factor in enumerate(stretch):
                splitter.setStretchFactor(i, factor)
        self.whole.setFocus()

    def _top_bar(self) -> TopBar:
        self.view_menu = ViewMenu(self)
        self.top = TopBar(self.actions_.menu_bar(self.view_menu), self.whole)
        self._run_button = self.top.add_button(self.actions_.run, primary=True)
        self.top.add_button(self.actions_.pause)
        self.top.add_button(self.actions_.stop)
        self.top.add_at_end(self.view_menu.theme_button)
        return self.top

    # ------------------------------------------------------------------ connecting

    def _connect_session(self) -> None:
        session = self.session
        session.said.connect(self.messages.say)
        session.problem_found.connect(self.say_problem)
        session.bundle_found.connect(lambda file: self.claims.open(file))
        runs = session.runs
        runs.lines_changed.connect(self._show_lines)
        runs.views_changed.connect(self.frames.mark_all)
        runs.data_changed.connect(self.frames.mark)
        self.area.probe_wanted.connect(session.probe)
        self.area.start_wanted.connect(session.ablation.start_cell)
        self.area.export_wanted.connect(lambda exhibit, what: self.reports.export(exhibit, what))

    def _connect_actions(self) -> None:
        do, session = self.actions_, self.session
        self.pane.before_run.fits_asked.connect(do.fits.trigger)
        connect([
            (do.run, lambda: session.run()), (do.run_one, lambda: session.run(only_current=True)),
            (do.audit, lambda: session.audit()), (do.fits, self.frontiers.ask),
            (do.ablate, self.commands.show_ablation),
            (do.compare, lambda: self.commands.show_fair(session.runs.ticked)),
            (do.pause, self.commands.pause_or_resume), (do.stop, self.commands.stop_going),
            (do.open, self.commands.ask_open), (do.import_model, self.commands.ask_import),
            (do.save, self.commands.ask_save), (do.quit, self.close), (do.report, lambda: self.reports.open()),
            (do.undo, session.draft.undo), (do.redo, session.draft.redo),
            (do.search, self.pane.start_search), (do.reset, session.draft.reset),
            (do.form, self.pane.start_search), (do.table, self.table.take_focus),
            (do.find_runs, self.runs_card.start_search),
            (do.next_pane, lambda: self.panes.go(1)), (do.last_pane, lambda: self.panes.go(-1)),
            (do.arrange, self.area.arrange), (do.help, self.pages.help),
            (do.guide, lambda: self.guide.open()), (do.log, self.commands.show_messages),
            (do.settings, self.commands.show_settings),
        ])

    @functools.cached_property
    def own(self) -> OwnTechniques:
        """Techniques of the user's own; they bring in the engine's client, so not before the first paint."""
        from tfx_workbench.app.own_techniques import OwnTechniques

        return OwnTechniques(self)

    @functools.cached_property
    def claims(self) -> Claims:
        """Bundles of others, made when the first is opened."""
        from tfx_workbench.app.bundles import Claims

        return Claims(self)

    @functools.cached_property
    def reports(self) -> Reports:
        """Reports of runs, and files of single exhibits."""
        from tfx_workbench.app.reports import Reports

        return Reports(self)

    @functools.cached_property
    def guide(self) -> GuideBook:
        """The guide, made when it is first opened."""
        from tfx_workbench.app.guide import GuideBook

        return GuideBook(self)

    # ------------------------------------------------------------------ life

    def begin(self) -> None:
        """Bring in what took too long before the first paint: the panels in front, library, engine; then the others."""
        from tfx_workbench.panels import all_panels

        factories = all_panels()
        self._behind = factories[IN_FRONT:]
        self.area.add_panels([factory(self.area) for factory in factories[:IN_FRONT]])
        for dock in self.area.docks.values():
            self._prepare(dock)
        self.view_menu.fill()
        self._remembering.bring_back()
        self.frames.start()
        self.session.start()
        self.own.begin()
        self.begun.emit()
        QTimer.singleShot(_BEHIND_AFTER_MS, self, self.add_behind)

    @property
    def is_whole(self) -> bool:
        """Whether all panels are there."""
        return not self._behind

    def add_behind(self) -> None:
        """Make one of the panels that nobody sees yet, and the next when there is time again."""
        if not self._behind:
            return
        panel = self._behind.pop(0)(self.area)
        self.area.add_behind(panel)
        self._prepare(self.area.docks[panel.name])
        self.frames.mark_all()
        if self._behind:
            QTimer.singleShot(0, self, self.add_behind)
        else:
            self.view_menu.fill()

    def _prepare(self, dock: CardDock) -> None:
        dock.apply_theme(self.theme.palette)
        dock.panel.update_runs([], self.settings.panel_choices(dock.panel.name) or None)
        self.frontiers.attach(dock.panel)

    def take_catalogue(self, catalogue: Catalogue) -> None:
        """Show another catalogue: techniques of the user's own came, changed or went."""
        self.pane.take_catalogue(catalogue)
        self.pages.forget()
        self.session.draft.take_catalogue(catalogue)

    def closeEvent(self, event: QCloseEvent) -> None:
        """Everything is taken down in a fixed order: what draws first, then what reads, then what runs."""
        self._remembering.keep_all()
        self._behind.clear()
        self.hide()  # runs that are to be stopped take a moment
        self.frames.stop()
        self._remembering.stop()
        self.area.close_panels()
        if "reports" in self.__dict__:
            self.reports.close()
        if "guide" in self.__dict__:
            self.guide.close()
        self.session.close()
        super().closeEvent(event)
        self.closed.emit()

    # ------------------------------------------------------------------ showing

    def _show_lines(self) -> None:
        runs = self.session.runs
        lines = runs.lines()
        self.table.set_lines(lines)
        self.frames.show_whether_any(bool(lines))
        self.runs_card.show_sentence(self._runs_sentence(len(lines)), len(lines))
        self.commands.show_state()

    def _runs_sentence(self, total: int) -> str:
        runs = self.session.runs
        if not total:
            return ""
        parts = [self.tr("{shown} of {total} shown").format(shown=len(runs.ticked), total=total)]
        if runs.baseline in runs.rows:
            parts.append(self.tr("baseline: {name}").format(name=runs.rows[runs.baseline].name))
            parts.append(self.tr("effects with 95 % intervals"))
        return " · ".join(parts)

    def say_problem(self, problem: Problem, level: str = "warning") -> None:
        """Say a problem that belongs to no field."""
        where = f"{Path(problem.path).name} " if problem.path else ""
        self.messages.say(where + problem_words(problem, begins_sentence=not where), level)

    def say_error(self, line: str, log: Path) -> None:
        """Say that something failed that never should."""
        self.messages.say(self.tr(
            "Something went wrong inside the window: {error}. Your runs are not affected; details are in {log}."
        ).format(error=line, log=log), "bad")

    def _apply_theme(self, palette: Palette) -> None:
        self.area.apply_theme(palette)
        self.table.set_palette(palette)
        self.pane.before_run.set_palette(palette)
        self._run_button.setIcon(tinted("play", palette.on_accent))
        self.view_menu.show_theme()

    # ------------------------------------------------------------------ files dropped on the window

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:
        if event.mimeData().hasUrls():
            event.acceptProposedAction()

    def dropEvent(self, event: QDropEvent) -> None:
        files = [url.toLocalFile() for url in event.mimeData().urls() if url.isLocalFile()]
        if files:
            self.session.open(files)
            event.acceptProposedAction()
