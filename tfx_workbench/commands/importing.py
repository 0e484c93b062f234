"""`import PATH`: a published model as a configuration, and what of it could not be expressed."""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from pathlib import Path

from tfx_engine.pretrained.importing import Imported, import_config, import_weights
from tfx_engine.protocol.marker import tr_mark
from tfx_engine.protocol.problems import ConfigError, Problem
from tfx_engine.protocol.toml import dumps
from tfx_workbench.commands.output import DONE, emit, say


def import_model(args: argparse.Namespace) -> int:
    """Exit code 0 where there is a configuration, 2 where there is none."""
    imported = import_config(Path(args.path))
    target = Path(args.output) if args.output else None
    lost, weights = list(imported.lost), None
    if target is not None:
        if imported.checkpoint and not args.no_weights:
            weights = target.with_suffix(".safetensors")
            lost += import_weights(imported, weights)
            imported.data["run"] = {"start_from": weights.name}  # counted from the configuration's folder
        _write(target, imported)
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


def _write(target: Path, imported: Imported) -> None:
    try:
        target.write_text(dumps(imported.data), encoding="utf-8")
    except OSError as error:
        raise ConfigError([Problem(
            code="unwritable", path=str(target), template="cannot be written: {error}.",
            args={"error": error.strerror or str(error)},
        )]) from None


def _say(lost: Iterable[Problem]) -> None:
    lost = list(lost)
    if lost:
        say(tr_mark("What could not be expressed:"))
    for problem in lost:
        say(f"  {problem.sentence()}")
