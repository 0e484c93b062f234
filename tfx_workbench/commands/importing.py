"""`import PATH`: a published model as a configuration, and what of it could not be expressed."""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from pathlib import Path

from tfx_engine.pretrained.importing import import_config, import_weights
from tfx_engine.protocol.marker import tr_mark
from tfx_engine.protocol.problems import ConfigError, Problem
from tfx_engine.protocol.toml import dumps
from tfx_workbench.commands.output import DONE, emit, say
from tfx_workbench.exporting.target import refuse_existing, written


def import_model(args: argparse.Namespace) -> int:
    """Exit code 0 where there is a configuration, 2 where there is none."""
    imported = import_config(Path(args.path))
    target = Path(args.output) if args.output else None
    lost, weights = list(imported.lost), None
    if target is not None:
        if imported.checkpoint and not args.no_weights:
            weights = _beside(target)
            refuse_existing(weights, args.force)
        refuse_existing(target, args.force)
        if weights is not None:
            lost += import_weights(imported, weights)
            imported.data["run"] = {"start_from": weights.name}  # counted from the configuration's folder
        with written(target, args.force) as file:
            file.write(dumps(imported.data).encode())
    if args.json:
        emit({
            "ok": True, "family": imported.family.title, "config": imported.data,
            "lost": [problem.as_dict() for problem in lost], "file": None if target is None else str(target),
            "weights": None if weights is None else str(weights),
        })
        return DONE
    _say(lost)
    if target is None:
        print(dumps(imported.data), end="")
        if imported.checkpoint and not args.no_weights:
            say(tr_mark("With -o FILE.toml its weights are imported too."))
    else:
        print(tr_mark("{file}: {family}, ready to run.").format(file=target, family=imported.family.title))
    return DONE


def _beside(target: Path) -> Path:
    """Where the weights go. Raises ConfigError where the configuration would lie there itself."""
    weights = target.with_suffix(".safetensors")
    if weights == target:
        raise ConfigError([Problem(
            code="same-file", path=str(target), template=tr_mark("is where the weights go: the configuration needs "
            "another name."), hint_template=tr_mark("Name it so that it ends in .toml."),
        )])
    return weights


def _say(lost: Iterable[Problem]) -> None:
    lost = list(lost)
    if lost:
        say(tr_mark("What could not be expressed:"))
    for problem in lost:
        say(f"  {problem.sentence()}")
