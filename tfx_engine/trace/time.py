"""The time of a configuration's step on a device that was measured, before anything runs."""

from __future__ import annotations

from collections.abc import Iterable

import torch

from tfx_engine.estimate.time import Past, StepTime, step_time
from tfx_engine.estimate.time import step_ms as corrected
from tfx_engine.protocol.ceilings import Ceilings
from tfx_engine.protocol.config import Config
from tfx_engine.protocol.ledger import OwnError
from tfx_engine.protocol.marker import tr_mark
from tfx_engine.trace.look import operators_of
from tfx_engine.trace.manners import BrokenOff, GivenUp, Manners
from tfx_engine.trace.operators import Operators

_COMPILED = tr_mark("What the compiler makes of a step is not known beforehand, so neither is its time.")
_UNTRACEABLE = tr_mark("The step cannot be traced: {error}")


class Unknown(Exception):
    """The step's time cannot be known beforehand; says why."""


def time_of(
    config: Config, ceilings: Ceilings, manners: Manners | None = None, operators: Operators | None = None
) -> StepTime:
    """The terms of a step's time, uncorrected. Raises `Unknown`, and `BrokenOff` where `manners` say so.

    `operators`: those of the step, where it was traced already.
    """
    if config.use("compile") != "none":
        raise Unknown(_COMPILED)
    try:
        device = torch.device(ceilings.circumstances.kind)
        operators = operators_of(config, device, manners or Manners()) if operators is None else operators
    except BrokenOff:
        raise
    except GivenUp as error:
        raise Unknown(str(error)) from error
    except Exception as error:  # techniques that look at numbers, such as routing; and whatever one's own may raise
        raise Unknown(_UNTRACEABLE.format(error=str(error).strip().splitlines()[0] if str(error) else error)) from error
    return step_time(operators, ceilings)


def step_ms(config: Config, ceilings: Ceilings, past: Iterable[Past] = ()) -> tuple[float, OwnError | None]:
    """(milliseconds, the error that predictions of `past` had, None where those are few).

    `past`: the user's own runs on the same device. Raises `Unknown`.
    """
    return corrected(time_of(config, ceilings), past)
