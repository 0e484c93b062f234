"""The draft on the form: what is chosen there goes to the draft, and the draft, its problems and its cost are shown."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QObject

from tfx_engine.protocol.problems import Problem
from tfx_workbench.widgets.form_state import FormState
from tfx_workbench.widgets.words import problem_words

if TYPE_CHECKING:
    from tfx_workbench.app.window import MainWindow


class Drafting(QObject):
    """Belongs to one window."""

    def __init__(self, window: MainWindow) -> None:
        super().__init__(window)
        self._window = window
        self._pane, self._draft = window.pane, window.session.draft
        self._refusal = ""  # what was last said about a draft that cannot be run
        self._take_choices()
        self._draft.changed.connect(self.show)
        self._draft.history.changed.connect(self._show_history)
        self._show_history()
        session, before_run = window.session, self._pane.before_run
        session.refused.connect(self._on_refused)
        session.submitted.connect(lambda _keys: window.messages.withdraw(self._refusal))
        session.prediction.counted.connect(self._show_counts)
        session.prediction.estimated.connect(before_run.show_estimate)
        session.prediction.timed.connect(before_run.show_time)
        session.prediction.outdated.connect(before_run.fade)

    def _take_choices(self) -> None:
        pane, draft = self._pane, self._draft
        pane.technique_chosen.connect(draft.choose)
        pane.edited.connect(draft.set_value)
        pane.reset_asked.connect(draft.reset)
        pane.config_selected.connect(draft.select)
        pane.slot_reset_asked.connect(draft.reset_slot)
        self._window.top.name_edited.connect(lambda name: draft.set_value("name", name))

    def show(self) -> None:
        """Show the draft as it is now, wherever anything of it is shown."""
        draft, pane, top = self._draft, self._pane, self._window.top
        problems: dict[str, str] = {}
        warnings: dict[str, str] = {}
        for problem in draft.problems:
            said = problems if problem.level == "error" else warnings
            said.setdefault(problem.path, problem_words(problem))
        pane.show_state(FormState(draft.values(), problems, draft.changed_paths(), draft.blocked(), warnings))
        names = [str(c.get("name", "untitled")) for c in draft.configs]
        wrong = sorted({i for i, _ in draft.all_problems()})
        pane.show_configs(names, draft.current, wrong)
        pane.before_run.show_problems(len(problems))
        top.show_name(names[draft.current])
        top.show_preset(draft.title)
        self._window.pages.show_draft()

    def _show_history(self) -> None:
        history, actions = self._draft.history, self._window.actions_
        actions.undo.setEnabled(history.can_undo)
        actions.redo.setEnabled(history.can_redo)

    def _show_counts(self, counts: dict[str, Any]) -> None:
        params, flops = counts.get("params") or {}, counts.get("flops_per_token") or {}
        per_token = flops.get("model") if isinstance(flops, dict) else flops
        self._pane.before_run.show_counts(params.get("total"), params.get("trainable"), per_token)

    def _on_refused(self, index: int, problem: Problem) -> None:
        """It cannot be run: say why, and show the field."""
        self._draft.select(index)
        where = problem.path or self.tr("The configuration")
        self._refusal = self.tr("Cannot run yet: {where} {problem}").format(
            where=where, problem=problem_words(problem, begins_sentence=False))
        self._window.messages.say(self._refusal, "warning")
        self._pane.reveal(problem.path)
