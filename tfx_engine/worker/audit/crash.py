"""A proof that ends in an exception: whether the technique crashed, or nobody can tell.

A technique that raises where the model without it works does not do what it says. What only the proof itself cannot
cope with says nothing of the technique.
"""

from __future__ import annotations

import logging
import traceback

from tfx_engine.measure.memory import is_out_of_memory
from tfx_engine.protocol.config import Config
from tfx_engine.protocol.marker import tr_mark
from tfx_engine.techniques.claims import Claim
from tfx_engine.worker.audit.case import Case
from tfx_engine.worker.audit.finding import Evidence, broken, untried
from tfx_engine.worker.audit.stand import Stand, observe, with_choice

_LOG = logging.getLogger(__name__)
_NO_MEMORY = tr_mark("It ran out of memory: {error}")
_FAILED = tr_mark("It could not be tried: {error}")
_CRASHED = tr_mark("It crashes: {error}. With {plain} a step works.")


def crashed(case: Case, claim: Claim, error: Exception) -> Evidence:
    """What an exception within the proof of a claim says; its traceback goes to the log.

    It is the technique's own where it was raised in the technique's code, or where a plain step with the technique
    raises too; and in either case only where a step without the technique works.
    """
    first_line = str(error).partition("\n")[0]
    if is_out_of_memory(error):
        return untried("out-of-memory", _NO_MEMORY, error=first_line)
    stand, slot, name = case.stand, case.technique.slot, case.technique.name
    _LOG.error("The claim %r of %s = %s could not be tried.", claim.name, slot, name, exc_info=error)
    words = f"{type(error).__name__}: {first_line.rstrip('.')}"
    plain = stand.plain(slot)
    if plain.use(slot) != name and (_is_own(case, error) or not _works(stand, _with(case))) and _works(stand, plain):
        return broken("crashed", _CRASHED, error=words, plain=f"{slot} = {plain.use(slot)}")
    return untried("failed", _FAILED, error=words)


def _with(case: Case) -> Config:
    """The stand's configuration with the technique, also where the stand leaves it out (a compiler)."""
    choice = case.stand.full.techniques[case.technique.slot]
    return with_choice(case.stand.config, case.technique.slot, choice.use, choice.options)


def _is_own(case: Case, error: Exception) -> bool:
    """Whether it was raised in or below the technique's own code, but for its reference, which no run calls."""
    frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
    if any(frame.f_code.co_name == "reference" for frame in frames):
        return False
    return any(frame.f_globals.get("__name__") == case.technique.module for frame in frames)


def _works(stand: Stand, config: Config) -> bool:
    """Whether a step that moves nothing comes to its end."""
    try:
        observe(stand.training(config), stand.batch)
    except Exception:
        return False
    return True
