"""What the window's buttons and menus do with runs, and what it says about them."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QObject, QPoint, Qt, QUrl
from PySide6.QtGui import QDesktopServices
from PySide6.QtWidgets import QMenu

from tfx_engine.protocol.claims import words_of
from tfx_engine.protocol.problems import ConfigError
from tfx_engine.runfile.errors import RunFileError
from tfx_workbench.app.annotating import Annotating
from tfx_workbench.app.device_chip import DeviceChip
from tfx_workbench.app.dialogs import Dialogs
from tfx_workbench.app.exporting import RunExport
from tfx_workbench.exhibits.format import plain, size
from tfx_workbench.session.presets import Preset, load_presets
from tfx_workbench.session.retrying import Advice, advice_of, changed_config
from tfx_workbench.session.run_list import MOST_TICKED
from tfx_workbench.session.trash import Removed
from tfx_workbench.widgets.message_bar import INFO, WARNING
from tfx_workbench.widgets.words import plain_tip, shown

if TYPE_CHECKING:
    from tfx_workbench.app.window import MainWindow


class RunCommands(QObject):
    """Belongs to one window."""

    def __init__(self, window: MainWindow) -> None:
        super().__init__(window)
        self._window, self._session = window, window.session
        self._dialogs = Dialogs(window)
        self._chip = DeviceChip(window)
        self._annotating = Annotating(window)
        self.ask_open, self.ask_save = self._dialogs.ask_open, self._dialogs.ask_save
        self.ask_import, self.ask_store = self._dialogs.ask_import, self._dialogs.ask_store
        self.show_help, self.show_settings = self._dialogs.show_help, self._dialogs.show_settings
        self.show_messages, self.show_dialog = self._dialogs.show_messages, self._dialogs.show
        self.show_ablation, self.show_fair = self._dialogs.show_ablation, self._dialogs.show_fair
        self.export = RunExport(window)
        window.top.preset_menu.aboutToShow.connect(self._fill_presets)
        table, runs = window.table, window.session.runs
        table.ticked.connect(lambda key, on: self._tick([key], on))
        table.all_ticked.connect(self._tick)
        table.renamed.connect(window.session.rename)
        table.focused.connect(runs.set_focus)
        table.opened.connect(lambda key: runs.show_only([key]))
        table.menu_asked.connect(self._pop_menu)
        table.delete_asked.connect(self._session.delete)
        self._session.removed.connect(self._offer_undo)
        self._session.submitted.connect(self._on_submitted)
        self._session.ended.connect(self._on_ended)
        self._session.audited.connect(self._on_audited)
        self._session.loaded.connect(self._on_loaded)

    # ------------------------------------------------------------------ presets

    @functools.cached_property
    def presets(self) -> list[Preset]:
        """What the menu offers, read when it is first wanted."""
        return load_presets()

    def _fill_presets(self) -> None:
        menu = self._window.top.preset_menu
        if not menu.isEmpty():
            return
        for preset in self.presets:
            if not preset.family:
                self._add_preset(menu, preset)
        if not self.presets:
            menu.addAction(self.tr("No presets were found")).setEnabled(False)
        menu.addSeparator()
        for family, models in itertools.groupby((p for p in self.presets if p.family), key=lambda p: p.family):
            inner = menu.addMenu(shown(family))
            inner.setToolTipsVisible(True)
            for preset in models:
                self._add_preset(inner, preset)
        menu.addSeparator()
        menu.addAction(self.tr("Defaults, nothing chosen"), lambda: self._session.draft.load([{"name": "untitled"}]))

    def _add_preset(self, menu: QMenu, preset: Preset) -> None:
        action = menu.addAction(shown(preset.title))
        action.triggered.connect(lambda _=False, p=preset: self.load_preset(p))
        action.setToolTip(plain_tip(shown(preset.summary)))

    def load_preset(self, preset: Preset) -> None:
        """Edit the configurations of a preset; what was in the form is one undo away."""
        try:
            configs = preset.configs()
        except ConfigError as error:
            for problem in error.problems:
                self._window.say_problem(problem)
            return
        self._session.draft.load(configs, shown(preset.title))
        self._window.messages.say(shown(preset.summary), INFO)

    def _tick(self, keys: list[str], on: bool) -> None:
        left_out = self._session.runs.tick_all(keys, on)
        if left_out:
            words = self.tr("{count} of them are not shown: more than {most} runs at once tell nobody anything.")
            self._window.messages.say(words.format(count=left_out, most=MOST_TICKED), INFO)

    # ------------------------------------------------------------------ runs that are going

    def pause_or_resume(self) -> None:
        """Pause what is going; what is paused goes on."""
        keys = [str(row.path) for row in self._session.going()]
        paused = [k for k in keys if self._is_paused(k)]
        self._session.control(paused or keys, "resume" if paused else "pause")

    def stop_going(self) -> None:
        """Stop what is going."""
        self._session.control([str(row.path) for row in self._session.going()], "stop")

    def _is_paused(self, key: str) -> bool:
        figures = self._session.runs.figures(key)
        return figures is not None and figures.paused

    def show_state(self) -> None:
        """Bring buttons and the device chip in line with what is going on."""
        going = [str(row.path) for row in self._session.going()]
        actions = self._window.actions_
        for action in (actions.pause, actions.stop):
            if action.isEnabled() != bool(going):
                action.setEnabled(bool(going))
        words = self.tr("Resume") if any(map(self._is_paused, going)) else self.tr("Pause")
        if actions.pause.text() != words:
            actions.pause.setText(words)
        self._chip.show_state()

    def _on_submitted(self, keys: list[str]) -> None:
        words = self.tr("1 run is queued.") if len(keys) == 1 else self.tr("{count} runs are queued.")
        self._window.messages.say(words.format(count=len(keys)), INFO)

    def _on_ended(self, key: str, status: str, reason: str) -> None:
        row = self._session.runs.rows.get(key)
        name = row.name if row else key
        if status in ("failed", "interrupted"):
            best = next(iter(advice_of(key)), None)
            if best is None:
                self._window.messages.say(f"{name}: {reason}", WARNING)
                return
            words = self.tr("Apply {change} and retry").format(change=best.change)
            self._window.messages.say(f"{name}: {reason}", WARNING, words, lambda: self.retry(key, best))
        elif not self._session.waiting():
            words = self.tr("{name} was stopped.") if status == "stopped" else self.tr("{name} finished.")
            self._window.messages.say(words.format(name=name), INFO)

    def retry(self, key: str, advice: Advice) -> None:
        """Run a configuration again with one change, which is then in the form too."""
        try:
            config, name = changed_config(key, advice, self._session.draft.catalogue)
        except RunFileError as error:
            self._window.say_problem(error.problem)
            return
        self._session.draft.load([config], name)
        self._session.run()

    def _add_advice(self, menu: QMenu, key: str) -> None:
        found = advice_of(key)
        if not found:
            return
        inner = menu.addMenu(self.tr("Apply and retry"))
        for advice in found:
            words = self.tr("{change}: saves about {bytes}").format(
                change=advice.change, bytes=size(advice.saves_bytes))
            learns = self.tr(", changes what is learnt") if advice.changes_learning else ""
            action = inner.addAction(words + self._cost_of(advice) + learns)
            action.triggered.connect(lambda _=False, a=advice: self.retry(key, a))
        if found[0].error_95_percent is not None:
            inner.addSection(self.tr("95 of 100 such predictions of the peak are within {percent} %").format(
                percent=plain(found[0].error_95_percent, 2)))

    def _cost_of(self, advice: Advice) -> str:
        if abs(advice.slower) < 1:
            return ""
        if advice.judged_by == "time":
            words = self.tr(", {percent:.0f} % slower") if advice.slower > 0 else self.tr(", {percent:.0f} % faster")
        elif advice.slower > 0:
            words = self.tr(", {percent:.0f} % slower by its FLOPs")
        else:
            words = self.tr(", {percent:.0f} % faster by its FLOPs")
        return words.format(percent=abs(advice.slower))

    def _on_audited(self, name: str, findings: list[dict[str, Any]]) -> None:
        broken = [f for f in findings if f["ok"] is False]
        held = sum(f["ok"] is True for f in findings)
        if not broken:
            words = self.tr("{name}: audited, 1 claim holds.") if held == 1 else self.tr(
                "{name}: audited, {count} claims hold.")
            words = words.format(name=name, count=held)
            self._window.messages.say(words, INFO)
        for finding in broken:
            words = self.tr("{name}: {technique} does not do what it claims ({claim}). {evidence}")
            self._window.messages.say(words.format(
                name=name, technique=finding["technique"], claim=shown(words_of(finding["claim"])),
                evidence=shown(finding["template"]).format_map(finding["args"])), WARNING)

    # ------------------------------------------------------------------ the context menu

    def _pop_menu(self, keys: list[str], position: QPoint) -> None:
        menu = self.menu_for(keys)
        if menu is not None:
            menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
            menu.popup(position)

    def menu_for(self, keys: Sequence[str]) -> QMenu | None:
        """What can be done with these runs; None where there are none."""
        runs = self._session.runs
        rows = [runs.rows[k] for k in keys if k in runs.rows]
        if not rows:
            return None
        keys = [str(row.path) for row in rows]
        first, statuses = keys[0], {row.status for row in rows}
        menu = QMenu(self._window)
        menu.addAction(self.tr("Show only these"), lambda: runs.show_only(keys))
        menu.addAction(self.tr("Duplicate and tweak"), lambda: self._session.load_from_run(first))
        menu.addAction(self.tr("Compare fairly…"), lambda: self.show_fair(keys))
        if len(keys) == 1:
            is_baseline = runs.baseline == first
            words = self.tr("No baseline") if is_baseline else self.tr("Set as baseline")
            menu.addAction(words, lambda: runs.set_baseline("" if is_baseline else first))
            if "failed" in statuses:
                self._add_advice(menu, first)
        menu.addSeparator()
        if "running" in statuses:
            self._add_controls(menu, keys)
        if "queued" in statuses:
            waiting = [str(row.path) for row in rows if row.status == "queued"]
            menu.addAction(self.tr("Remove from queue"), lambda: self._session.unqueue(waiting))
        if len(keys) == 1:
            menu.addAction(self.tr("Rename"), lambda: self._window.table.edit_name(first)).setShortcut("F2")
            folder = QUrl.fromLocalFile(str(rows[0].path.parent))
            menu.addAction(self.tr("Show file"), lambda: QDesktopServices.openUrl(folder))
        if not statuses & {"running", "queued"}:
            self._add_for_ended(menu, keys)
        return menu

    def _add_controls(self, menu: QMenu, keys: list[str]) -> None:
        if any(map(self._is_paused, keys)):
            menu.addAction(self.tr("Resume"), lambda: self._session.control(keys, "resume"))
        else:
            menu.addAction(self.tr("Pause"), lambda: self._session.control(keys, "pause"))
        menu.addAction(self.tr("Stop"), lambda: self._session.control(keys, "stop"))

    def _add_for_ended(self, menu: QMenu, keys: list[str]) -> None:
        menu.addAction(self.tr("Tags…"), lambda: self._annotating.ask_tags(keys))
        if len(keys) == 1:
            menu.addAction(self.tr("Note…"), lambda: self._annotating.ask_note(keys[0]))
            menu.addAction(self.tr("Audit again"), lambda: self._session.audit(keys[0]))
        self.export.fill(menu, keys)
        menu.addSeparator()
        menu.addAction(self.tr("Delete"), lambda: self._session.delete(keys)).setShortcut("Del")

    def _on_loaded(self, name: str) -> None:
        words = self.tr("The configuration of {name} is in the form. Change something and press Run (F5).")
        self._window.messages.say(words.format(name=name), INFO)
        self._window.pane.start_search()

    def _offer_undo(self, removed: list[Removed]) -> None:
        words = self.tr("1 run was deleted.") if len(removed) == 1 else self.tr("{count} runs were deleted.")
        self._window.messages.say(
            words.format(count=len(removed)), INFO, self.tr("Undo"), lambda: self._session.restore(removed))
