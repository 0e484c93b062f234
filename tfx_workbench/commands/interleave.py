"""`run A B ... --interleave`: a fair comparison, from what it will take to the table of effects."""

from __future__ import annotations

import argparse
import contextlib
import math
import threading
import time
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tfx_engine.client import Client, ServiceGone
from tfx_engine.protocol.config import parse_config
from tfx_engine.protocol.interleaving import Interleave
from tfx_engine.protocol.marker import tr_mark
from tfx_engine.protocol.messages import Notice
from tfx_engine.protocol.problems import ConfigError, Problem
from tfx_engine.protocol.status import ENDED
from tfx_engine.runfile.pulse import Pulse
from tfx_workbench.analysis.compare import Compared, compare_runs
from tfx_workbench.analysis.fair import (
    Looks,
    Outlook,
    Standing,
    noise_of,
    outlook,
    outlook_before,
    scatter_in,
    standing,
)
from tfx_workbench.analysis.precision import SURE, Pace, Scatter
from tfx_workbench.commands import words
from tfx_workbench.commands.compare import as_dict, print_against
from tfx_workbench.commands.configs import Given, named
from tfx_workbench.commands.engine import engine_gone
from tfx_workbench.commands.output import DONE, FAILED, emit, say
from tfx_workbench.commands.progressbar import StatusLine
from tfx_workbench.commands.run import about_file, sentence, stop_runs, trouble_in
from tfx_workbench.commands.turn_options import wanted_turns
from tfx_workbench.runs.noise import newest_noise, save_noise
from tfx_workbench.runs.rundata import RunData

_POLL_S = 0.2
_SETTLE_S = 6.0
_ENOUGH = tr_mark("The intervals are narrow enough: ±{half:.1f} % at most.")


def run_interleaved(args: argparse.Namespace, given: Sequence[Given]) -> int:
    """Exit code 0 where every run finished, 1 where one did not."""
    return take_turns(args, given, is_json=args.json)


def take_turns(
    args: argparse.Namespace, given: Sequence[Given], comparison: str = "", facts: Sequence[Mapping[str, Any]] = (),
    *, is_json: bool = False, reports: bool = True,
) -> int:
    """The same for a comparison that has a name, whose runs carry `facts`, and which somebody else may report."""
    asked, precision = wanted_turns(args)
    if len(given) < 2 and not asked.control:
        raise ConfigError([Problem(
            code="too-few-runs", path="run", template=tr_mark("needs two configurations or more."),
            hint_template=tr_mark("The first one is the baseline."),
        )])
    course = _Course(given, asked, precision, comparison, facts)
    with Client(args.store, on_disconnect=args.on_disconnect, warm=False, on_notice=course.hear) as client:
        try:
            say(course.before(client))
            course.begin(client)
            course.follow(client)
        except KeyboardInterrupt:
            course.line.clear()
            stop_runs(client, None)
            course.report(is_json, reports)
            raise
    statuses = course.report(is_json, reports)
    return DONE if set(statuses) == {"finished"} else FAILED


class _Course:
    """One comparison from its announcement to its end."""

    def __init__(
        self, given: Sequence[Given], asked: Interleave, precision: float, comparison: str,
        facts: Sequence[Mapping[str, Any]],
    ) -> None:
        self.line = StatusLine()
        self._given, self._asked, self._precision = given, asked, precision
        self._comparison, self._facts = comparison or uuid.uuid4().hex, facts
        self._remembered = newest_noise()
        self._paths: list[Path] = []  # the baseline, the control where there is one, the others
        self._gone = threading.Event()
        self._told: dict[str, Any] = {}  # the newest word of the service on turns
        self._told_at = time.monotonic()
        self._standing: Standing | None = None
        self._silent: list[RunData] = []  # that do not respond
        self._looks = Looks(precision)
        self._is_concluded = False

    def hear(self, notice: Notice) -> None:
        """What the service says, on the client's thread."""
        if notice.kind == "gone":
            self._gone.set()
        elif notice.kind == "turns" and notice.detail.get("comparison") == self._comparison:
            self._told, self._told_at = notice.detail, time.monotonic()
        elif (trouble := trouble_in(notice)) is not None:
            say(trouble)

    # ------------------------------------------------------------------------------------------ before

    def before(self, client: Client) -> str:
        """How long the wanted precision will take, as far as anybody knows."""
        steps = [self._step_ms(client, given) for given in self._given]
        runs = words.counted(len(steps), tr_mark("1 configuration"), tr_mark("{count} configurations"))
        what = tr_mark("{runs} and a second copy of the first take turns.") if self._asked.control \
            else tr_mark("{runs} take turns.")
        sentences = [what.format(runs=runs)]
        known = [ms for ms in steps if ms is not None]
        if len(known) < len(steps):
            sentences.append(tr_mark("How long a step takes is not known, so how long ±{precision} % take will be said "
                                     "after the first turns.").format(precision=f"{self._precision:g}"))
        else:
            configs = [parse_config(given.data)[0] for given in self._given]
            own = [config.run.warmup_steps + config.run.measure_steps for config in configs]
            found = outlook_before(steps, own, self._asked, self._precision)
            assert found is not None
            sentences.append(_foretold(found, self._precision))
        return " ".join([*sentences, self._limits()])

    def _step_ms(self, client: Client, given: Given) -> float | None:
        try:
            found = client.estimate(given.data, "traced")
        except ServiceGone as error:
            raise engine_gone(error) from error
        except ConfigError as error:
            raise ConfigError(named(error.problems, given.file, len(self._given))) from None
        return None if found.get("step_ms") is None else float(found["step_ms"])

    def _outlook(self, pace: Pace, scatter: Scatter | None, sure: float = SURE) -> Outlook:
        asked = self._asked
        family = max(1, len(self._given) - 1)
        return outlook(self._precision, pace, scatter, asked.blocks, family, most_rounds=asked.rounds,
                       minutes=asked.minutes, sure=sure)

    def _limits(self) -> str:
        minutes = self._asked.minutes
        if minutes is None:
            return tr_mark("At most {rounds}.").format(rounds=_rounds(self._asked.rounds))
        return tr_mark("At most {rounds} and {minutes}.").format(
            rounds=_rounds(self._asked.rounds),
            minutes=tr_mark("1 minute") if minutes == 1 else tr_mark("{count:g} minutes").format(count=minutes))

    # ------------------------------------------------------------------------------------------ meanwhile

    def begin(self, client: Client) -> None:
        """Queue the runs."""
        try:
            runs, control = client.compare([g.data for g in self._given], [g.toml for g in self._given],
                                           self._comparison, self._asked, self._facts)
        except ServiceGone as error:
            raise engine_gone(error) from error
        except ConfigError as error:
            raise ConfigError([about_file(problem, self._given) for problem in error.problems]) from None
        self._paths = [runs[0], *([control] if control else []), *runs[1:]]

    def follow(self, client: Client) -> None:
        """Until every run has ended; ends the comparison once its intervals are narrow enough."""
        seen: dict[str, Any] = {}
        deadline: float | None = None
        with contextlib.ExitStack() as stack:
            runs = [stack.enter_context(contextlib.closing(RunData(path))) for path in self._paths]
            pulses = [Pulse(path) for path in self._paths]
            while True:
                for run in runs:
                    run.refresh()
                self._silent = [run for run, pulse in zip(runs, pulses, strict=True)
                                if not pulse.look() and run.info.status == "running"]
                if all(run.info.recorded_status in ENDED for run in runs):
                    break
                if self._gone.is_set():
                    deadline = deadline or time.monotonic() + _SETTLE_S
                    if time.monotonic() > deadline:
                        break
                if self._told and self._told is not seen:
                    seen = self._told
                    self._look(client, runs)
                self.line.draw(lambda: self._text(runs))
                time.sleep(_POLL_S)
        self.line.clear()
        if self._gone.is_set():
            say(tr_mark("The engine ended before the comparison did. What was measured is in the run files."))

    def _look(self, client: Client, runs: Sequence[RunData]) -> None:
        self._standing = standing(runs[0], runs[1:])
        enough = None if self._is_concluded else self._looks.enough(runs, self._told)
        if enough is not None:
            self._is_concluded = True
            with contextlib.suppress(ServiceGone, ConfigError):  # it ends by itself
                client.conclude(self._comparison, _ENOUGH.format(half=enough.half_percent))

    def _text(self, runs: Sequence[RunData]) -> str:
        silent = [tr_mark("{name}: not responding").format(name=words.title(run.info.name)) for run in self._silent]
        told, found = self._told, self._standing
        if not told:
            return "  ".join([tr_mark("starting {count} processes").format(count=len(runs)), *silent])
        parts = [tr_mark("round {round}/{rounds}").format(**told)]
        parts.append(tr_mark("block {block}/{blocks}").format(**told) if told["blocks"] else
                     tr_mark("block {block}").format(**told))
        names = [words.title(run.info.name) for run in runs if run.facts.get("comparison", {}).get("role") == "member"]
        if found is not None and len(names) == len(found.effects):
            parts += [f"{name} {_short(effect)}" for name, effect in zip(names, found.effects, strict=True)]
        parts.append(tr_mark("{eta} left").format(eta=words.seconds(self._left_s())))
        return "  ".join([*parts, *silent])

    def _left_s(self) -> float:
        """Until the wanted precision, or until rounds or minutes are used up."""
        told, found = self._told, self._standing
        scatter = (found.scatter if found else None) or scatter_in(self._remembered)
        start_s, block_s, blocks = told["start_s"], told["block_s"], self._asked.blocks
        rounds = self._outlook(Pace(start_s, block_s), scatter, sure=0.0).rounds
        rest = blocks - told["block"] if told["blocks"] else 0
        left_s = max(0, rounds - told["round"]) * (start_s + blocks * block_s) + rest * block_s
        return max(0.0, min(left_s, told["most_left_s"]) - (time.monotonic() - self._told_at))

    # ------------------------------------------------------------------------------------------ after

    def report(self, as_json: bool, is_said: bool = True) -> list[str]:
        """Every run, and how it differs from the baseline; the states of the runs. Remembers the noise."""
        with contextlib.ExitStack() as stack:
            runs = [stack.enter_context(contextlib.closing(RunData(path))).load() for path in self._paths]
            compared = compare_runs(runs[0], runs[1:]) if runs else []
            for run in runs if is_said else ():
                if as_json:
                    emit({**run.complete_summary(), "interleaved": _in_json(run, runs[0], compared)})
                else:
                    print(sentence(run), flush=True)
            if is_said and not as_json:
                for result in compared:
                    print_against(result, runs[0])
            self._remember(runs, compared)
            return [run.info.status for run in runs]

    def _remember(self, runs: Sequence[RunData], compared: Sequence[Compared]) -> None:
        for result in compared:
            if result.is_control:
                start_s = self._told.get("start_s")
                noise = noise_of(runs[0], result.run, None if start_s is None else start_s / len(runs))
                if noise is not None:
                    with contextlib.suppress(OSError):  # a full disk: the next comparison foretells less well
                        save_noise(noise)


def _rounds(count: int) -> str:
    return words.counted(count, tr_mark("1 round"), tr_mark("{count} rounds"))


def _foretold(found: Outlook, precision: float) -> str:
    scatter = tr_mark("blocks here scatter by {blocks:.1f} % and processes by {processes:.1f} %") \
        if found.scatter.is_measured else \
        tr_mark("blocks scattered by {blocks:.1f} % and processes by {processes:.1f} % elsewhere; nothing is known of "
                "this machine yet")
    because = scatter.format(blocks=100 * found.scatter.between_blocks, processes=100 * found.scatter.between_processes)
    enough = tr_mark("±{wanted:g} % take about {time} in {rounds}, or less: in 9 of 10 comparisons ({because}).")
    cut = tr_mark("About {time} in {rounds}, in which 9 of 10 comparisons reach ±{reached:.1f} %, not ±{wanted:g} % "
                  "({because}).")
    template = cut if found.is_cut else enough
    return template.format(wanted=precision, time=words.seconds(found.seconds), rounds=_rounds(found.rounds),
                           reached=found.reached_percent, because=because)


def _short(effect: Any) -> str:
    if not math.isfinite(effect.low):
        return words.percent(effect.percent)
    return f"{words.percent(effect.percent)} ±{(effect.high - effect.low) / 2:.1f}"


def _in_json(run: RunData, baseline: RunData, compared: Sequence[Compared]) -> dict[str, Any]:
    found = next((as_dict(result, baseline) for result in compared if result.run is run), {})
    role = run.facts.get("comparison", {}).get("role", "")
    return {"comparison": run.info.comparison, "role": role, "baseline": str(baseline.path),
            "effects": found.get("effects", {})}
