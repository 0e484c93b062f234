"""`--demo --headless`: the five-technique comparison without a display, its table, and a picture of the window."""

from __future__ import annotations

import argparse
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from tfx_engine.protocol.cards import resource
from tfx_engine.protocol.launch import child_environment, module_argv
from tfx_engine.protocol.marker import tr_mark
from tfx_engine.protocol.problems import ConfigError
from tfx_engine.protocol.toml import read_toml
from tfx_workbench.analysis.compare import Compared, compare_runs
from tfx_workbench.analysis.statistics import Effect
from tfx_workbench.commands import words
from tfx_workbench.commands.configs import read_configs
from tfx_workbench.commands.output import DONE, FAILED, print_table, say
from tfx_workbench.commands.run import run_all
from tfx_workbench.runs.rundata import RunData

PRESET = "five_techniques"
PICTURE = "five-techniques.png"
THEMES = ("light", "dark")
_DISTURBED = "*"
_STEPS = (tr_mark("1 step"), tr_mark("{count} steps"))
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
    others = compare_runs(baseline, runs[1:])
    lines = [_line(baseline, None), *(_line(one.run, one) for one in others)]
    print_table(headings, lines, right=range(1, len(headings)))
    note = tr_mark("diff.: against {name}, in %; ~ means not distinguishable from it. Activations: their own peak.")
    print(note.format(name=words.title(baseline.info.name)))
    for said in _notes(runs, [one.effects["tokens_per_s"] for one in others]):
        print(said)
    for run in runs:
        if run.info.status != "finished":
            print(f"{words.title(run.info.name)}: {run.info.status}. {run.info.reason}")


def _notes(runs: Sequence[RunData], effects: Sequence[Effect]) -> Iterator[str]:
    """What the differences are corrected for, the noise, and which runs were disturbed."""
    family = max((effect.family for effect in effects if effect.corrected), default=1)
    if family > 1:
        template = tr_mark("What is told apart is so with {count} comparisons made at once (max-t bootstrap).")
        yield template.format(count=family)
    band = next((effect.noise_band for effect in effects if effect.noise_band is not None), None)
    if band is not None:
        yield tr_mark("Equal runs differ by up to {band} on this machine: within that, nothing is told apart.").format(
            band=words.percent(band).lstrip("+"))
    for run in runs:
        summary = run.summary()
        if summary["disturbed_steps"]:
            yield tr_mark("{mark} {name}: {steps}, of which {measured} count{disturbed}.").format(
                mark=_DISTURBED, name=words.title(run.info.name), steps=words.counted(summary["steps"], *_STEPS),
                measured=words.count(summary["measured_steps"]),
                disturbed=words.disturbed(summary["disturbed_steps"], summary["left_out_steps"]))


def _line(run: RunData, against: Compared | None) -> list[str]:
    summary = run.summary()
    peaks = summary["category_peak_bytes"]
    speed, memory = (None if against is None else against.effects[name] for name in ("tokens_per_s", "peak_bytes"))
    mark = "~" if speed is not None and speed.distinguishable is False else ""
    return [
        words.title(run.info.name),
        words.interval(summary["tokens_per_s"]) + (f" {_DISTURBED}" if summary["disturbed_steps"] else ""),
        "" if speed is None else mark + words.percent(speed.percent),
        words.size(summary["memory_bytes"]["peak"]), "" if memory is None else words.percent(memory.percent),
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
