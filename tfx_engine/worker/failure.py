"""Why a run failed, in one sentence or two for its reader; the traceback is for the log."""

from __future__ import annotations

import re
import traceback
from collections.abc import Mapping

from torch import nn

from tfx_engine.protocol.problems import ConfigError
from tfx_engine.runfile.errors import RunFileError

_ASKED = re.compile(r"tried to allocate ([\d.]+)\s*(bytes?|[KMGT]i?B)?", re.IGNORECASE)
_UNITS = {"b": 1, "k": 2**10, "m": 2**20, "g": 2**30, "t": 2**40}
_PARTS = {
    "": "before the forward pass", "forward": "in the forward pass", "loss": "in the loss",
    "backward": "in the backward pass", "measure": "while the gradients were measured", "optimizer": "in the optimizer",
}


def out_of_memory(
    error: BaseException, device: str, part: str, step: int, held: Mapping[str, int], capacity_bytes: int | None,
    module: str = "",
) -> str:
    """What was being allocated, where, and what was held."""
    where = f"{_PARTS.get(part, 'in ' + part)} of step {step}" if step else "while the model was built"
    where += f", by {module}" if module else ""
    asked = asked_bytes(str(error))
    wanted = f"{in_words(asked)} more were asked for" if asked is not None else "more was asked for than there is"
    capacity = f", which has {in_words(capacity_bytes)} in all" if capacity_bytes else ""
    sentence = f"Out of memory {where}: {wanted} on {device}{capacity}."
    parts = ", ".join(f"{name} {in_words(size)}" for name, size in held.items() if size)
    return f"{sentence} Peak so far: {in_words(sum(held.values()))} ({parts})." if parts else sentence


def module_at(error: BaseException, model: nn.Module) -> str:
    """The innermost module of the model in whose forward pass an exception was raised; empty where it was in none.

    (In the backward pass only what is computed again is: the rest is no Python.)
    """
    names = {id(module): name for name, module in model.named_modules()}
    found = ""
    frame = error.__traceback__
    while frame is not None:
        found = names.get(id(frame.tb_frame.f_locals.get("self"))) or found
        frame = frame.tb_next
    return found


def asked_bytes(message: str) -> int | None:
    """The bytes that an allocator's message says it was asked for; None where it does not say."""
    found = _ASKED.search(message)
    if found is None:
        return None
    return int(float(found[1]) * _UNITS[(found[2] or "bytes")[0].lower()])


def in_words(size: int) -> str:
    """Bytes for people: `3.2 GiB`."""
    amount = float(size)
    for unit in ("bytes", "KiB", "MiB", "GiB"):
        if amount < 1024:
            return f"{amount:.0f} {unit}" if unit == "bytes" else f"{amount:.1f} {unit}"
        amount /= 1024
    return f"{amount:,.1f} TiB"


def in_a_sentence(error: BaseException) -> str:
    """Any other failure: what was wrong with the request, or the exception's own first line."""
    if isinstance(error, ConfigError):
        return " ".join(problem.sentence() for problem in error.problems)
    if isinstance(error, RunFileError):
        return error.problem.sentence()
    first = next((line.strip() for line in str(error).splitlines() if line.strip()), "")
    name = type(error).__name__
    return f"{name}: {first}" if first else f"The run broke off with {name}."


def full_traceback(error: BaseException) -> str:
    """For the log."""
    return "".join(traceback.format_exception(error))
