"""What the command line says of taking turns: how precisely, in how many rounds, for how long."""

from __future__ import annotations

import argparse
import math

from tfx_engine.protocol.interleaving import Interleave
from tfx_engine.protocol.marker import tr_mark
from tfx_engine.protocol.problems import ConfigError, Problem

PRECISION_PERCENT, ROUNDS, MINUTES = 2.0, 30, 10.0


def wanted_turns(args: argparse.Namespace) -> tuple[Interleave, float]:
    """What the command line asks for, and the half-width in per cent. Raises `ConfigError`."""
    minutes = MINUTES if args.minutes is None and args.rounds is None else args.minutes
    rounds = ROUNDS if args.rounds is None else args.rounds
    problems = []
    if not 1 <= rounds <= 1000:
        problems.append(_wrong("--rounds", tr_mark("must be between 1 and 1000.")))
    if minutes is not None and not (math.isfinite(minutes) and minutes > 0):
        problems.append(_wrong("--minutes", tr_mark("must be more than 0.")))
    precision = PRECISION_PERCENT
    if args.precision is not None:
        try:
            precision = float(args.precision.strip().rstrip("%"))
        except ValueError:
            precision = math.nan
        if not 0 < precision < math.inf:
            problems.append(_wrong("--precision", tr_mark("must be per cent, such as 2%.")))
    if problems:
        raise ConfigError(problems)
    return Interleave(rounds=rounds, minutes=minutes, control=not args.no_control), precision


def refuse_turns(args: argparse.Namespace) -> None:
    """Raise `ConfigError` where something is said of rounds though runs take no turns."""
    said = {"--precision": args.precision, "--rounds": args.rounds, "--minutes": args.minutes,
            "--no-control": args.no_control or None}
    if wrong := [name for name, value in said.items() if value is not None]:
        raise ConfigError([_wrong(wrong[0], tr_mark("means something only beside --interleave."))])


def _wrong(option: str, template: str) -> Problem:
    return Problem(code="bad-command-line", path=option, template=template)
