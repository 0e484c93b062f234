"""A run in the words of the table: its cells, their tool tips, the heads of columns and groups."""

from __future__ import annotations

import enum
import math

from PySide6.QtCore import QObject

from tfx_workbench.analysis.statistics import Effect
from tfx_workbench.exhibits import format as fmt
from tfx_workbench.widgets.arranging import GroupHead
from tfx_workbench.widgets.run_row import Median, RunRow
from tfx_workbench.widgets.words import plain_tip, shown


class Column(enum.IntEnum):
    """The columns from left to right."""

    TICK = 0
    NAME = 1
    STATUS = 2
    SPEED = 3
    SPEED_EFFECT = 4
    MEMORY = 5
    MEMORY_EFFECT = 6
    LOSS = 7
    TRAINABLE = 8


class RunWords(QObject):
    """Everything here is for people: nothing is made up where a figure is not known."""

    def titles(self) -> dict[Column, str]:
        """What stands over the columns."""
        return {
            Column.TICK: "", Column.NAME: self.tr("configuration"), Column.STATUS: self.tr("status"),
            Column.SPEED: self.tr("tokens/s"), Column.SPEED_EFFECT: self.tr("effect"),
            Column.MEMORY: self.tr("peak memory"), Column.MEMORY_EFFECT: self.tr("effect"),
            Column.LOSS: self.tr("loss"), Column.TRAINABLE: self.tr("trained"),
        }

    def definitions(self) -> dict[Column, str]:
        """What they mean."""
        return {
            Column.TICK: self.tr("Ticked runs are shown together in every panel, each in its colour."),
            Column.NAME: self.tr("The name of the configuration. F2 changes it."),
            Column.STATUS: self.tr("What the run is doing, and how long it still takes."),
            Column.SPEED: self.tr(
                "Tokens in a step / wall time of the step: median over the measured steps with its 95 % interval."),
            Column.SPEED_EFFECT: self.tr(
                "Throughput against the baseline, with its 95 % interval. The intervals of all ticked runs hold at "
                "once, as in the panels, in reports and in the command compare."),
            Column.MEMORY: self.tr(
                "Bytes allocated: the maximum over the measured steps; on a CPU over those whose memory was split."),
            Column.MEMORY_EFFECT: self.tr("Peak memory against the baseline."),
            Column.LOSS: self.tr("Training loss of the last step, in nats."),
            Column.TRAINABLE: self.tr("Parameters that are trained, of all parameters."),
        }

    def group(self, head: GroupHead, grouping: str) -> str:
        """The head of a group in words."""
        nothing = {"comparison": self.tr("by themselves"), "tags": self.tr("no tags"),
                   "device": self.tr("no device yet")}
        name = head.group or nothing.get(grouping, "")
        if grouping == "status":
            name = self._statuses().get(name, name)
        return self.tr("{name} · {count:,}").format(name=name, count=head.count)

    def text(self, line: RunRow, column: Column) -> str:
        """A cell."""
        match column:
            case Column.NAME:
                return line.name
            case Column.STATUS:
                return self.status(line)
            case Column.SPEED:
                return _with_interval(line.tokens_per_s)
            case Column.SPEED_EFFECT:
                return self._effect_words(line, line.speed_effect, interval=True)
            case Column.MEMORY:
                return fmt.size(line.peak_bytes) if line.peak_bytes is not None else ""
            case Column.MEMORY_EFFECT:
                return self._effect_words(line, line.memory_effect, interval=False)
            case Column.LOSS:
                return fmt.number(line.loss) if line.loss is not None else ""
            case Column.TRAINABLE:
                return fmt.count(line.trainable) if line.trainable is not None else ""
        return ""

    def _statuses(self) -> dict[str, str]:
        return {
            "queued": self.tr("waiting"), "running": self.tr("running"), "finished": self.tr("finished"),
            "failed": self.tr("failed"), "stopped": self.tr("stopped"), "interrupted": self.tr("interrupted"),
        }

    def status(self, line: RunRow) -> str:
        """The status in words, with progress and the time that is left while it runs."""
        words = {**self._statuses(), "running": self.tr("starting")}
        if line.status == "running" and not line.responds:
            return self.tr("not responding")
        if line.status != "running" or line.progress is None:
            return words.get(line.status, line.status)
        percent = f"{line.progress * 100:.0f} %"
        if line.paused:
            return self.tr("{percent} · paused").format(percent=percent)
        if line.eta_s is None:
            return percent
        return self.tr("{percent} · {time} left").format(percent=percent, time=_time_left(line.eta_s))

    def audit(self, line: RunRow) -> str:
        """What the audit found, in a word or two; "" where there was none."""
        if line.claims_broken:
            return self.tr("{count} broken").format(count=len(line.claims_broken))
        if line.claims_held == 1:
            return self.tr("1 claim holds")
        return self.tr("{count} claims hold").format(count=line.claims_held) if line.claims_held else ""

    def _effect_words(self, line: RunRow, effect: Effect | None, *, interval: bool) -> str:
        if line.is_baseline:
            return self.tr("baseline") if interval else ""
        if line.unlike and interval:
            return self.tr("not comparable")
        if effect is None:
            return ""
        if effect.distinguishable is False and interval:
            return self.tr("not distinguishable")
        if not math.isfinite(effect.percent):
            return ""
        bounds = fmt.interval(effect.low, effect.high) if interval else ""
        return f"{fmt.signed_percent(effect.percent)} {bounds}".rstrip()

    def tip(self, line: RunRow, column: Column) -> str:
        """More about a cell, where the mouse rests on it."""
        match column:
            case Column.NAME:
                tags = self.tr("tags: {tags}").format(tags=", ".join(line.tags)) if line.tags else ""
                return plain_tip(line.name, tags, line.note, line.created_at, line.key)
            case Column.STATUS:
                silence = "" if line.responds or line.status != "running" else self.tr(
                    "Its worker has given no sign of life for some seconds: the process is stopped, or this computer "
                    "very busy. Nothing is lost; it goes on when it can.")
                return plain_tip(self.status(line), silence, line.reason, self.audit(line), *line.claims_broken)
            case Column.TRAINABLE if line.trainable is not None and line.total:
                return plain_tip(self.tr("{trained:,} of {total:,} parameters are trained: {share:.3g} %").format(
                    trained=line.trainable, total=line.total, share=100 * line.trainable / line.total))
            case Column.SPEED_EFFECT if line.unlike:
                return plain_tip(self.tr("Not compared: {reason}.").format(reason=shown(line.unlike)))
            case Column.SPEED_EFFECT if line.speed_effect is not None:
                return plain_tip(*self._about(line.speed_effect))
        return plain_tip(self.definitions()[column])

    def _about(self, effect: Effect) -> list[str]:
        """The difference, its interval, how it was found, and what it is corrected for."""
        percents = {"percent": effect.percent, "low": effect.low, "high": effect.high}
        template = self.tr("Throughput differs by {percent} from the baseline; 95 % interval {low} to {high}.")
        if effect.distinguishable is None:
            template = self.tr("Throughput differs by {percent} from the baseline.")
        said = [template.format(**{name: fmt.signed_percent(value) for name, value in percents.items()})]
        if effect.corrected:
            said.append(self.tr("The intervals of {count} runs hold all at once.").format(count=effect.family))
        if effect.noise_band is not None:
            said.append(self.tr("Equal runs differ by up to {band} here: less is not told apart.").format(
                band=fmt.percent(effect.noise_band, 2)))
        if effect.method is not None:
            said.append(shown(effect.method.template).format(**effect.method.args))
        return said


def _time_left(seconds: float) -> str:
    """Whole seconds: a guess has no decimals."""
    return f"{max(0, round(seconds))} s" if seconds < 59.5 else fmt.duration(1000 * seconds)


def _with_interval(interval: Median | None) -> str:
    if interval is None:
        return ""
    return f"{fmt.number(interval.median)} {fmt.spread(interval.median, interval.low, interval.high)}".rstrip()
