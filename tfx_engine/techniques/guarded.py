"""Techniques of the user's own, so wrapped that whatever fails in one is said with its name and the line."""

from __future__ import annotations

import dataclasses
import functools
import traceback
from collections.abc import Callable
from typing import Any

from torch import nn

from tfx_engine.protocol.marker import tr_mark
from tfx_engine.protocol.problems import ConfigError, Problem
from tfx_engine.techniques.buffers import with_buffers
from tfx_engine.techniques.costs import Work
from tfx_engine.techniques.technique import Technique

_GIVES: dict[str, Callable[[Any], bool]] = {  # what a technique's functions must give
    "check": lambda found: all(isinstance(problem, Problem) for problem in found),
    "params": lambda found: isinstance(found, int) and found >= 0,
    "trainable": lambda found: isinstance(found, int) and found >= 0,
    "again": lambda found: isinstance(found, int) and found >= 0,
    "work": lambda found: isinstance(found, Work),
    "alike": lambda found: all(isinstance(count, int) and count > 0 for count in found),
    "adapts": lambda found: isinstance(found, Work),
}
_MODULES = ("embedding", "position", "mixer", "attention", "feedforward", "norm", "head")  # slots whose build gives one
_WRONG = tr_mark("it gives {found}")


def guarded(technique: Technique, origin: str) -> Technique:
    """The same, whose functions raise nothing but ConfigError."""
    functions: dict[str, Any] = {name: getattr(technique, name) for name in ("build", *_GIVES)}
    safe: dict[str, Any] = {n: _guarded(technique, origin, n, f) for n, f in functions.items() if f is not None}
    return dataclasses.replace(technique, **safe)


def _guarded(technique: Technique, origin: str, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    def fault(reason: str) -> ConfigError:
        return ConfigError([Problem(
            code="own-technique", path=f"techniques.{technique.slot}.use", hint_template="Mend {origin}.",
            template="is your technique {technique!r}, whose {name}() fails: {reason}.",
            args={"technique": technique.name, "name": name, "reason": reason, "origin": origin},
        )])

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        try:
            found = with_buffers(lambda: function(*args, **kwargs)) if name == "build" else function(*args, **kwargs)
            found = list(found) if name == "check" else found  # a generator fails only when it is asked
            fits = _GIVES[name](found) if name in _GIVES else _is_built(technique.slot, found)
        except (ConfigError, KeyboardInterrupt, MemoryError):
            raise
        except BaseException as error:  # also SystemExit: a technique does not end the program
            raise fault(in_words(error, origin)) from error
        if not fits:
            raise fault(_WRONG.format(found=repr(found)[:80]))
        return found

    return call


def _is_built(slot: str, found: Any) -> bool:
    return slot not in _MODULES or isinstance(found, nn.Module)


def in_words(error: BaseException, origin: str) -> str:
    """What was raised, and in which line of the file."""
    first = next((line.strip() for line in str(error).splitlines() if line.strip()), "").rstrip(".")
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == origin]
    where = f" (line {lines[-1]})" if lines else ""
    return f"{type(error).__name__}: {first}{where}" if first else f"{type(error).__name__}{where}"
