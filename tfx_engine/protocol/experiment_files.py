"""Experiments on disk: reading the files of `resources/experiments`, and every fault of one as a `Problem`."""

from __future__ import annotations

import functools
import re
import string
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from tfx_engine.protocol.cards import resource
from tfx_engine.protocol.config import FORMAT, parse_config
from tfx_engine.protocol.experiments import INSTRUMENTS, Expectation, Experiment
from tfx_engine.protocol.marker import tr_mark
from tfx_engine.protocol.problems import ConfigError, Problem, nearest
from tfx_engine.protocol.toml import read_toml

_NAME = re.compile(r"[a-z][a-z0-9_]{0,63}")
_GUIDE = "guide.toml"
_NO_VARIANT = tr_mark("There is no variant {name!r}.")
_ARGUMENTS = ("value", "low", "high", "of", "to", "unit")  # of `says`


class Topic(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A section of the guide: a question (`short`: in a word or two), and what is known to answer it."""

    name: str
    short: str
    title: str
    advice: tuple[str, ...]


class _Topics(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    topic: tuple[Topic, ...]


def load_topics() -> tuple[Topic, ...]:
    """The sections of the guide, in their order."""
    return msgspec.convert(read_toml(resource("experiments", _GUIDE)), _Topics).topic


@functools.cache
def shipped_experiments() -> tuple[Experiment, ...]:
    """The experiments that come with the program, by their numbers."""
    files = [file for file in resource("experiments").glob("*.toml") if file.name != _GUIDE]
    return tuple(sorted(map(read_experiment, files), key=lambda e: _in_order(e.number)))


def experiments_about(slot: str, name: str) -> tuple[Experiment, ...]:
    """Those that try what is said of a technique."""
    return tuple(e for e in shipped_experiments() if f"{slot}/{name}" in e.techniques)


def _in_order(number: str) -> tuple[int, str]:
    digits = re.match(r"\d*", number)
    return int(digits[0]) if digits and digits[0] else 99, number


def find_experiments(names: list[str]) -> tuple[Experiment, ...]:
    """Those of these names, numbers or files; all that ship where none is named. Raises `ConfigError`."""
    own = tuple(read_experiment(Path(name)) for name in names if name.endswith(".toml"))
    names, known = [name for name in names if not name.endswith(".toml")], shipped_experiments()
    problems = []
    for name in names:
        if not any(name in (e.name, e.number) for e in known):
            near = nearest(name, [e.name for e in known])
            unlike = tr_mark("`tfx-workbench experiment --list` lists them.")
            hint = tr_mark("Did you mean {near!r}?") if near else unlike
            problems.append(Problem(code="unknown-experiment", path=name, template="is no experiment.",
                                    hint_template=hint, args={"near": near}))
    if problems:
        raise ConfigError(problems)
    if not names:
        return own or known
    return (*(e for e in known if e.name in names or e.number in names), *own)


def read_experiment(path: Path) -> Experiment:
    """The experiment in a file. Raises `ConfigError` carrying every `Problem`."""
    data = read_toml(path)
    try:
        experiment = msgspec.convert({**data, "name": path.stem}, Experiment)
    except msgspec.ValidationError as error:
        raise ConfigError([Problem(
            code="not-an-experiment", path=str(path), template="is no experiment: {error}.",
            hint_template="docs/experiments.md says what a file of experiments holds.",
            args={"error": str(error).replace("Object missing", "it lacks the").replace("Object", "it")},
        )]) from None
    problems = list(check_experiment(experiment))
    if problems:
        raise ConfigError([msgspec.structs.replace(p, path=f"{path}: {p.path}") for p in problems])
    return experiment


def check_experiment(experiment: Experiment) -> Iterator[Problem]:
    """What is wrong with an experiment, its configurations included as far as they can be judged without torch."""
    if experiment.format != FORMAT:
        yield _wrong("format", tr_mark("is {value}, but this program knows {known}."), value=experiment.format,
                     known=FORMAT)
    if not experiment.variants or not experiment.expect:
        yield _wrong("expect", tr_mark("An experiment needs variants and something that is expected of them."))
    if not experiment.seeds or not 0 < experiment.seconds <= 3600:
        yield _wrong("seconds", tr_mark("An experiment needs a seed, and between 0 and 3600 seconds."))
    broken = False
    for problem in _check_variants(experiment):
        broken = True
        yield problem
    yield from _check_goals(experiment)
    for index, expectation in enumerate(experiment.expect):
        yield from _check_expectation(experiment, expectation, f"expect[{index}]")
    if not broken:
        for name in experiment.variants:
            _, problems = parse_config(experiment.config_of(name, experiment.seeds[0] if experiment.seeds else 0))
            for problem in problems:
                yield msgspec.structs.replace(problem, path=f"variants.{name}.{problem.path}")


def _check_variants(experiment: Experiment) -> Iterator[Problem]:
    for name, variant in experiment.variants.items():
        where = f"variants.{name}"
        if not _NAME.fullmatch(name):
            yield _wrong(where, tr_mark("A name is of small letters, digits and _."))
        seen, before = {name}, variant.after
        while before:
            if before not in experiment.variants or before in seen:
                yield _wrong(f"{where}.after", tr_mark("{before!r} is no variant that comes before."), before=before)
                return
            if not _leaves_weights(experiment, before):
                yield _wrong(f"{where}.after", tr_mark("{before!r} leaves no weights: it must be an ordinary run with "
                             "save_weights = true."), before=before)
            seen.add(before)
            before = experiment.variants[before].after
        yield from _check_instrument(experiment, name)


def _leaves_weights(experiment: Experiment, variant: str) -> bool:
    run = experiment.config_of(variant, 0).get("run", {})
    return experiment.instrument_of(variant) == "run" and run.get("save_weights") is True


def _check_instrument(experiment: Experiment, name: str) -> Iterator[Problem]:
    used, variant = experiment.instrument_of(name), experiment.variants[name]
    card = INSTRUMENTS.get(used)
    if card is None and used != "run":
        yield _wrong(f"variants.{name}.instrument", tr_mark("There is no instrument {used!r}; there are: {known}."),
                     used=used, known=", ".join(INSTRUMENTS))
        return
    options = card.options if card else {}
    if unknown := [key for key in variant.options if key not in options]:
        yield _wrong(f"variants.{name}.options", tr_mark("{used!r} has no option {key!r}."), used=used, key=unknown[0])
    if card is not None and card.needs_weights and not variant.after:
        yield _wrong(f"variants.{name}.after", tr_mark("{used!r} needs weights that were trained before."), used=used)


def _check_goals(experiment: Experiment) -> Iterator[Problem]:
    for name, parts in experiment.candidates.items():
        if lost := [part for part in parts if part not in experiment.variants]:
            yield _wrong(f"candidates.{name}", _NO_VARIANT, name=lost[0])
    for name, goal in experiment.goals.items():
        if lost := [cost for cost in (goal.least, goal.within) if cost and cost not in experiment.costs]:
            yield _wrong(f"goals.{name}", tr_mark("There is no cost {cost!r}."), cost=lost[0])
    if experiment.goals and len(experiment.candidates) < 2:
        yield _wrong("goals", tr_mark("A goal needs two candidates or more."))


def _check_expectation(experiment: Experiment, e: Expectation, where: str) -> Iterator[Problem]:
    if lost := [name for name in experiment.needed_by(e) if name not in experiment.variants]:
        yield _wrong(where, _NO_VARIANT, name=lost[0])
        return
    if e.statistic == "unbeaten" and e.goal not in experiment.goals:
        yield _wrong(f"{where}.goal", tr_mark("There is no goal {name!r}."), name=e.goal)
        return
    if not (e.statistic == "unbeaten" or e.metric):
        yield _wrong(f"{where}.metric", tr_mark("A metric must be named."))
    needs = {"value": (e.of,), "difference": (e.of, e.to), "ratio": (e.of, e.to), "share": (e.of, e.to, e.from_),
             "slope": e.over[:2] or ("",), "least_fall": e.over[:2] or ("",), "unbeaten": (e.goal,)}[e.statistic]
    if not all(needs) or (e.statistic in ("slope", "least_fall") and len(e.over) < 2):
        yield _wrong(where, tr_mark("{statistic} lacks the variants that it is made of."), statistic=e.statistic)
        return
    if e.statistic == "slope" and any((experiment.variants[name].x or 0) <= 0 for name in e.over):
        yield _wrong(where, tr_mark("The variants of a slope need an x above 0."))
    if e.at_least is None and e.at_most is None:
        yield _wrong(where, tr_mark("Nothing is expected: give at_least, at_most or both."))
    fewest = min(len(experiment.seeds_of(name)) for name in experiment.needed_by(e))
    if not e.exact and fewest < 2 and len(experiment.seeds) < 2:
        yield _wrong(where, tr_mark("A number that is not exact needs two seeds or more, else it has no interval."))
    for name in e.variants:
        card = INSTRUMENTS.get(experiment.instrument_of(name))
        if card is not None and e.metric not in card.metrics:
            yield _wrong(f"{where}.metric", tr_mark("{used!r} gives {known}, not {metric!r}."), used=card.name,
                         known=", ".join(card.metrics), metric=e.metric)
    yield from _check_words(e.says, f"{where}.says")


def _check_words(says: str, where: str) -> Iterator[Problem]:
    try:
        unknown = {name for _, name, spec, turned in string.Formatter().parse(says)
                   if name is not None and (name not in _ARGUMENTS or spec or turned)}
    except ValueError:
        unknown = {says}
    if unknown:
        yield _wrong(where, tr_mark("Only {known} can stand in braces."), known=", ".join(sorted(_ARGUMENTS)))


def _wrong(path: str, template: str, **args: Any) -> Problem:
    return Problem(code="wrong-experiment", path=path, template=template, args=args)
