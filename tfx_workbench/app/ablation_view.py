"""The plan of an ablation as a table and as a Pareto view, and what it comes to in words."""

from __future__ import annotations

import json
from typing import Any

from PySide6.QtCore import Qt
from PySide6.QtWidgets import (
    QAbstractItemView,
    QFrame,
    QHeaderView,
    QStackedWidget,
    QTableWidget,
    QTableWidgetItem,
    QVBoxLayout,
    QWidget,
)

from tfx_workbench.analysis.ablation import Cell, Plan
from tfx_workbench.exhibits.exhibit import Exhibit
from tfx_workbench.exhibits.format import UNKNOWN, count, duration, size
from tfx_workbench.exhibits.kind import exhibit_type
from tfx_workbench.exhibits.palette import Palette
from tfx_workbench.exhibits.pareto import START, Point, pareto_of, predicted_point
from tfx_workbench.session.ablation import Ablation, Progress
from tfx_workbench.widgets.exhibit_view import ExhibitView
from tfx_workbench.widgets.limit_fields import LimitFields
from tfx_workbench.widgets.segmented import Segment, Segmented
from tfx_workbench.widgets.words import plain_tip, problem_words, shown

_NUMBER = 108  # px of a column of numbers
_MOST_ROWS = 300  # that a table shows; all of them are run


class PlanView(QWidget):
    """Shows the plan of an `Ablation`; a click on a hollow point runs that configuration alone."""

    def __init__(self, ablation: Ablation, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._ablation = ablation
        self._plan: Plan | None = None
        self._choices: dict[str, str] = {}
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(6)
        self.kinds = Segmented([Segment("runs", self.tr("runs")), Segment("pareto", self.tr("Pareto"))],
                               self.tr("What is shown"))
        self.kinds.setMaximumWidth(180)
        self.kinds.chosen.connect(self._choose_page)
        column.addWidget(self.kinds)
        self.table = self._make_table()
        kind = exhibit_type("pareto")
        self.pareto = ExhibitView(shown(kind.title), kind.choices)
        self.pareto.setFrameShape(QFrame.Shape.NoFrame)
        self.pareto.chosen.connect(self._choose)
        self.limits = LimitFields()
        self.limits.changed.connect(self._limit)
        self.pareto.add_fields(self.limits)
        self.pages = QStackedWidget()
        self.pages.addWidget(self.table)
        self.pages.addWidget(self.pareto)
        column.addWidget(self.pages, 1)

    def _make_table(self) -> QTableWidget:
        table = QTableWidget(0, 5)
        table.setHorizontalHeaderLabels([self.tr("configuration"), self.tr("peak memory"), self.tr("parameters"),
                                         self.tr("a step"), ""])
        table.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        table.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        table.setShowGrid(False)
        table.setTabKeyNavigation(False)
        table.setAccessibleName(self.tr("Runs of the ablation"))
        table.verticalHeader().hide()
        table.verticalHeader().setDefaultSectionSize(22)
        table.horizontalHeader().setHighlightSections(False)
        table.horizontalHeader().setSectionResizeMode(0, QHeaderView.ResizeMode.ResizeToContents)
        for column in (1, 2, 3):  # not by contents: a reason may stand over all of them
            table.horizontalHeader().setSectionResizeMode(column, QHeaderView.ResizeMode.Fixed)
            table.setColumnWidth(column, _NUMBER)
        table.horizontalHeader().setStretchLastSection(True)
        for column in range(5):
            side = Qt.AlignmentFlag.AlignRight if column in (1, 2, 3) else Qt.AlignmentFlag.AlignLeft
            item = table.horizontalHeaderItem(column)
            if item is not None:
                item.setTextAlignment(side | Qt.AlignmentFlag.AlignVCenter)
        return table

    def apply_theme(self, palette: Palette) -> None:
        """Take on these colours."""
        self.pareto.apply_theme(palette)

    def close_view(self) -> None:
        """Take the plots down; the view is not used afterwards."""
        self.pareto.close_view()

    # ------------------------------------------------------------------ the plan

    def show_plan(self, plan: Plan | None) -> None:
        """Show a plan with what is known of it now."""
        self._plan = plan
        if plan is None:
            self.table.setRowCount(0)
            return
        if self.kinds.value == "pareto":
            self.pareto.show_exhibit(self._pareto(plan))
        rows = [self._row(cell) for cell in plan.cells[:_MOST_ROWS]]
        legal = len(rows)
        if len(plan.cells) > _MOST_ROWS:
            more = len(plan.cells) - _MOST_ROWS
            rows.append([self.tr("… and {count} more").format(count=more), "", "", "", ""])
        rows += [[s.name, self.tr("skipped: {reason}").format(
            reason=problem_words(s.problems[0], begins_sentence=False) if s.problems else ""), "", "", ""]
            for s in plan.skipped]
        self.table.clearSpans()
        self.table.setRowCount(len(rows))
        for r, row in enumerate(rows):
            is_skipped = r >= legal
            for c, text in enumerate(row):
                self._set(r, c, text, is_skipped)
            if is_skipped:
                self.table.setSpan(r, 1, 1, 4)

    def _row(self, cell: Cell) -> list[str]:
        figures = self._ablation.figures(cell)
        step = figures.get("step_ms")
        memory = size(figures["peak_bytes"]) if figures.get("peak_bytes") is not None else UNKNOWN
        fits = self.tr("does not fit") if figures.get("fits") is False else ""
        states = {"queued": self.tr("waiting"), "running": self.tr("running"), "finished": self.tr("finished"),
                  "failed": self.tr("failed"), "stopped": self.tr("stopped"), "interrupted": self.tr("interrupted")}
        state = states.get(self._ablation.state_of(cell), "")
        return [str(cell.config["name"]), memory, count(figures["params"]) if figures.get("params") else UNKNOWN,
                duration(step) if step else UNKNOWN, " · ".join(filter(None, [state, fits]))]

    def _set(self, row: int, column: int, text: str, is_muted: bool) -> None:
        item = self.table.item(row, column)
        if item is None:
            item = QTableWidgetItem()
            self.table.setItem(row, column, item)
        is_number = column in (1, 2, 3) and not is_muted
        side = Qt.AlignmentFlag.AlignRight if is_number else Qt.AlignmentFlag.AlignLeft
        item.setTextAlignment(side | Qt.AlignmentFlag.AlignVCenter)
        if item.text() != text:
            item.setText(text)
            item.setToolTip(plain_tip(text))
        colour = self.palette().placeholderText() if is_muted else self.palette().text()
        item.setForeground(colour)

    # ------------------------------------------------------------------ Pareto

    def _pareto(self, plan: Plan) -> Exhibit:
        return pareto_of([self._point(cell) for cell in plan.cells if cell.seed == 0], self._choices)

    def _point(self, cell: Cell) -> Point:
        figures: dict[str, Any] = {**self._ablation.figures(cell)}
        config = self._ablation.resolved(cell)
        figures["tokens"] = config.run.batch * config.model.context
        is_new = not self._ablation.state_of(cell)
        start = json.dumps(dict(cell.levels), sort_keys=True) if is_new else ""
        return predicted_point(str(cell.config["name"]), figures, "accent" if is_new else "muted", start)

    def _choose_page(self, value: str) -> None:
        self.pages.setCurrentIndex(int(value == "pareto"))
        self.show_plan(self._plan)

    def _choose(self, name: str, key: str) -> None:
        if name == START and self._plan is not None:
            self._ablation.start_cell(self._plan.id, key)
            return
        self._choices[name] = key
        self.pareto.header.show_choices({"axes": self._choices.get("axes", "memory speed")})
        self.show_plan(self._plan)

    def _limit(self, memory: str, speed: str) -> None:
        self._choices |= {"memory_limit": memory, "least_speed": speed}
        self.show_plan(self._plan)

    # ------------------------------------------------------------------ words

    def summary_words(self) -> tuple[str, str]:
        """What the plan comes to: the count first; what is not known yet, and why."""
        ablation, plan = self._ablation, self._ablation.legal_plan()
        if not ablation.request.factors:
            return self.tr("Nothing is varied yet"), ""
        if plan is None:
            return self._runs(ablation.count), ""
        parts = [self._runs(len(plan.cells))]
        if plan.skipped:
            parts.append(self.tr("{count} skipped").format(count=len(plan.skipped)))
        time = self._time_words()
        if time and ablation.to_run():
            parts.append(time)
        peaks = [f["peak_bytes"] for cell in plan.cells if (f := ablation.figures(cell)).get("peak_bytes")]
        if peaks:
            parts.append(self.tr("up to {size}").format(size=size(max(peaks))))
        return "  ·  ".join(parts), self._unknown_words(not time)

    def _runs(self, count: int) -> str:
        return self.tr("1 run") if count == 1 else self.tr("{count} runs").format(count=f"{count:,}")

    def _time_words(self) -> str:
        """How long it takes, one after the other or in turns; "" where that is not known yet."""
        if self._ablation.wish is not None:
            found = self._ablation.outlook()
            return "" if found is None else self.tr("about {time} in turns, to ±{reached} %").format(
                time=_seconds(found.seconds), reached=f"{found.reached_percent:.1f}")
        left = self._ablation.forecast()
        if left.left_s is None:
            return ""
        template = self.tr("about {time} left") if left.is_measured else self.tr("about {time}, and the starts")
        return template.format(time=_seconds(left.left_s))

    def _unknown_words(self, no_time: bool) -> str:
        if (problem := self._ablation.why_not()) is not None:
            return self.tr("Taking turns {problem}").format(problem=problem_words(problem, begins_sentence=False))
        if waiting := self._ablation.unanswered:
            words = self.tr("1 configuration is still being judged by the engine.") if waiting == 1 else self.tr(
                "{count} configurations are still being judged by the engine.")
            return words.format(count=waiting)
        if no_time and self._ablation.to_run():
            return self.tr("How long a step takes is being worked out; else the first run tells.")
        return ""

    def progress_words(self, course: Progress | None) -> str:
        """How far its runs are."""
        if course is None:
            return ""
        parts = [self.tr("{count} done").format(count=course.done)]
        if course.going:
            parts.append(self.tr("{count} to come").format(count=course.going))
            if course.left.left_s is not None and course.left.is_measured:
                parts.append(self.tr("about {time} left").format(time=_seconds(course.left.left_s)))
        if course.failed:
            parts.append(self.tr("{count} failed: see their rows").format(count=course.failed))
        return " · ".join(parts)


def _seconds(value: float) -> str:
    """Whole seconds: a guess has no decimals."""
    return f"{max(1, round(value))} s" if value < 59.5 else duration(1000 * value)
