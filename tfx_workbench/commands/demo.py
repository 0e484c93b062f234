"""`--demo --headless`: the five-technique comparison without a display, its table, and a picture of the window."""

from __future__ import annotations

import argparse
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tfx_engine.protocol.cards import resource
from tfx_engine.protocol.launch import child_environment, module_argv
from tfx_engine.protocol.marker import tr_mark
from tfx_engine.protocol.problems import ConfigError
from tfx_engine.protocol.toml import read_toml
from tfx_workbench.analysis.statistics import effect, exact_effect
from tfx_workbench.commands import words
from tfx_workbench.commands.configs import read_configs
from tfx_workbench.commands.output import DONE, FAILED, print_table, say
from tfx_workbench.commands.run import run_all
from tfx_workbench.runs.rundata import RunData

PRESET = "five_techniques"
PICTURE = "five-techniques.png"
THEMES = ("light", "dark")
PICTURE_S = 120.0  # a window takes a second; a machine that is busy with other things, more


def demo(args: argparse.Namespace) -> int:
    """Exit code 0 where every run finished, 1 where one did not. A picture that fails is said, and is no failure."""
    given = read_configs(preset_files(PRESET), store=args.store)
    say(tr_mark("The five-technique comparison: {count} runs, one after the other.").format(count=len(given)))
    runs: list[RunData] = []
    try:
        paths = run_all(given, lambda run: runs.append(keep(run)), args.store)
        print_comparison(runs)
        save_report(runs)
    finally:
        for run in runs:
            run.close()
    save_picture(paths, Path(args.screenshot) if args.screenshot else paths[0].parent / PICTURE, args.store)
    print(tr_mark("The runs are in {store}; `tfx-workbench` opens the window on them where there is a display.").format(
        store=paths[0].parent))
    return DONE if all(run.info.status == "finished" for run in runs) else FAILED


def preset_files(name: str) -> list[str]:
    """The configuration files of a preset, in the order in which they run."""
    presets = read_toml(resource("presets", "index.toml"))["preset"]
    files = next(preset["files"] for preset in presets if preset["name"] == name)
    return [str(resource("presets", *file.split("/"))) for file in files]


def keep(run: RunData) -> RunData:
    """A reader of the same run for later: the follower closes its own."""
    return RunData(run.path).load()


def print_comparison(runs: Sequence[RunData]) -> None:
    """One line a run; differences are to the first."""
    baseline = runs[0]
    headings = [
        "", tr_mark("tokens/s [95 %]"), tr_mark("diff."), tr_mark("peak memory"), tr_mark("diff."),
        tr_mark("activations"), tr_mark("grad. + optim."), tr_mark("trained params"), tr_mark("loss"),
        tr_mark("held out"),
    ]
    print_table(headings, [_line(run, baseline) for run in runs], right=range(1, len(headings)))
    note = tr_mark("diff.: against {name}, in %; ~ means not distinguishable from it. Activations: their own peak.")
    print(note.format(name=words.title(baseline.info.name)))
    for run in runs:
        if run.info.status != "finished":
            print(f"{words.title(run.info.name)}: {run.info.status}. {run.info.reason}")


def _line(run: RunData, baseline: RunData) -> list[str]:
    summary, before = run.summary(), baseline.summary()
    peaks = summary["category_peak_bytes"]
    speed = effect(baseline.measured("tokens_per_s"), run.measured("tokens_per_s"))
    memory = exact_effect(before["memory_bytes"]["peak"], summary["memory_bytes"]["peak"])
    is_other = run is not baseline
    mark = "~" if speed.distinguishable is False else ""
    return [
        words.title(run.info.name), words.interval(summary["tokens_per_s"]),
        mark + words.percent(speed.percent) if is_other else "",
        words.size(summary["memory_bytes"]["peak"]), words.percent(memory.percent) if is_other else "",
        words.size(peaks["activations"]), words.size(_sum(peaks["gradients"], peaks["optimizer"])),
        words.count(summary["params"]["trainable"]), words.number(summary["loss"]["final"]),
        words.number(summary["loss"]["held_out"]),
    ]


def _sum(*values: Any) -> Any:
    return None if None in values else sum(values)


def save_report(runs: Sequence[RunData]) -> None:
    """The same comparison as a page to hand on, beside the runs. Where it cannot be written, that is said."""
    from tfx_workbench.exporting.target import written
    from tfx_workbench.report.build import Wanted, build
    from tfx_workbench.report.page import page
    from tfx_workbench.report.subject import Subject

    first = runs[0].path
    target = first.with_name("-".join([*first.stem.split("-")[:2], "five-techniques.html"]))  # its runs' date and time
    text = page(build(Subject.of(runs), Wanted(title=tr_mark("The five-technique comparison"))))
    try:
        with written(target, force=True) as file:
            file.write(text.encode("utf-8"))
    except ConfigError as error:
        say(tr_mark("No report: {problem}").format(problem=error.problems[0].sentence()))
    else:
        print(tr_mark("The report, for any browser: {target}").format(target=target))


def save_picture(runs: Sequence[Path], picture: Path, store: str | None) -> None:
    """Let a window without a display show the runs and save itself: in a process of its own, as Qt may end it.

    Where the name contains `{theme}` there are two.
    """
    pictures = [Path(str(picture).replace("{theme}", theme)) for theme in THEMES]
    command = module_argv("tfx_workbench", *map(str, runs), "--headless", "--screenshot", str(picture))
    if store:
        command += ["--store", store]
    environment = {**child_environment(), "QT_QPA_PLATFORM": "offscreen"}
    try:
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=PICTURE_S)
        failed = done.returncode != 0 or not all(p.exists() for p in pictures)
        trouble = done.stderr.strip() or tr_mark("the window ended with exit code {code}.").format(code=done.returncode)
    except (OSError, subprocess.TimeoutExpired) as error:
        failed, trouble = True, str(error)
    if failed:
        say(tr_mark("No picture of the window: {trouble}").format(trouble=trouble))
    else:
        for path in dict.fromkeys(pictures):
            print(tr_mark("A picture of the window: {picture}").format(picture=path))
