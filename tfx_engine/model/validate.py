"""What only the engine can judge about a configuration: techniques' own checks, data, device."""

from __future__ import annotations

import dataclasses
import os
import re
from collections.abc import Iterator
from typing import Any

import msgspec
import torch

from tfx_engine import data
from tfx_engine.model import weights
from tfx_engine.model.assemble import assemble, without_adapter
from tfx_engine.protocol.config import Config
from tfx_engine.protocol.problems import ConfigError, Problem, errors_among, nearest
from tfx_engine.techniques.catalogue import discover, technique_for
from tfx_engine.techniques.devices import KINDS, automatic_kind, count_devices
from tfx_engine.techniques.own import load_own

_NO_PART_OF_IT: dict[str, Any] = {"name": "", "seed": 0}  # of a model's structure
_BUILT: dict[tuple[str, bytes], None] = {}  # the sources of techniques of the user's own, and with what they were built
_REMEMBERED = 256
THREADS_PER_CORE = 4  # more of them only make the machine thrash


def validate(config: Config) -> list[Problem]:
    """Every problem that the techniques, the data and the devices of this machine have with a configuration.

    Problems of the level "warning" are among them.
    """
    problems: list[Problem] = []
    for slot, choice in config.techniques.items():
        try:
            technique, options = technique_for(slot, choice)
            problems += technique.check(options, config)
        except ConfigError as error:  # a technique of the user's own that fails in judging
            problems += error.problems
    problems += data.check(config)
    problems += _check_device(config.run.device)
    problems += _check_threads(config.run.threads)
    problems += _check_untrained(config)
    if not errors_among(problems):
        problems += _check_own(config)
    if config.run.start_from is not None and not errors_among(problems):  # a model is made to compare with
        problems += weights.check(config, weights.shapes_of(assemble(without_adapter(config), "meta")))
    return problems


def _check_untrained(config: Config) -> Iterator[Problem]:
    """Warn of an adapter on a model that has learnt nothing."""
    technique, _ = technique_for("adapter", config.techniques["adapter"])
    if technique.freezes and config.run.start_from is None:
        yield Problem(
            code="untrained-base", path="techniques.adapter.use", level="warning", args={"title": technique.title},
            template="adapts a model whose frozen weights are random, so its loss says nothing about {title}; "
                     "memory and speed are right.",
            hint_template="Train a model with save_weights = true and give its file as start_from.",
        )


def _check_own(config: Config) -> Iterator[Problem]:
    """Build one layer without numbers where a technique is the user's own: nobody has tried it before."""
    own = [slot for slot, choice in config.techniques.items() if (slot, choice.use) not in discover()]
    if not own:
        return
    one = dataclasses.replace(config, model=dataclasses.replace(config.model, layers=1))
    key = load_own().stamp, msgspec.json.encode({**one.as_dict(), **_NO_PART_OF_IT})
    if key in _BUILT:
        return
    try:
        assemble(one, "meta")
    except ConfigError as error:
        yield from error.problems
    except Exception as error:  # what it gave is not what the skeleton can use
        yield Problem(
            code="own-technique", path=f"techniques.{own[0]}.use", args={"error": str(error).rstrip(".")},
            template="is a technique of your own with which no model can be built: {error}.",
        )
    else:
        _BUILT[key] = None
        while len(_BUILT) > _REMEMBERED:
            del _BUILT[next(iter(_BUILT))]


def pick_device(name: str) -> torch.device:
    """The device that a configuration names; `auto` takes the first there is of cuda, xpu, mps, cpu.

    Raises ConfigError where there is none of that name.
    """
    problems = list(_check_device(name))
    if problems:
        raise ConfigError(problems)
    if name == "auto":
        return torch.device(automatic_kind())
    return torch.device(name)


def _check_device(name: str) -> Iterator[Problem]:
    """Refuse what is not the name of a device, and a device that is not there."""
    if name == "auto":
        return
    found = re.fullmatch(r"([a-z]+)(?::(\d{1,4}))?", name)
    kind, number = (found[1], int(found[2] or 0)) if found else (name, 0)
    if found is None or kind not in KINDS:
        near = nearest(kind, ("auto", *KINDS))
        yield Problem(
            code="unknown-device", path="run.device", template="does not know a device {name!r}.",
            hint_template="Did you mean {near!r}? Choices: {choices}." if near else "Choices: {choices}.",
            args={"name": name, "near": near, "choices": "auto, cpu, cuda, cuda:1, mps, xpu"},
        )
    elif number >= count_devices(kind):
        there = ", ".join(_device_names())
        yield Problem(
            code="no-such-device", path="run.device", template="is {name!r}, but torch finds only: {there}.",
            hint_template="Choose one of these, or 'auto'.", args={"name": name, "there": there},
        )


def _check_threads(threads: int | None) -> Iterator[Problem]:
    """Refuse a number of threads that only makes the machine thrash."""
    cores = os.cpu_count() or 1
    if threads is not None and threads > THREADS_PER_CORE * cores:
        yield Problem(
            code="out-of-range", path="run.threads", args={"threads": threads, "cores": cores},
            template="is {threads}, but this machine has {cores} cores.",
            hint_template="Choose at most {cores}, or leave it out.",
        )


def _device_names() -> Iterator[str]:
    for kind in KINDS:
        count = count_devices(kind)
        yield from ([kind] if count == 1 else [f"{kind}:{i}" for i in range(count)])
