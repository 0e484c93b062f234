"""On what an audit tried its claims, in words: a copy of the model that may be smaller than the run's own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tfx_engine.protocol.marker import tr_mark

_OF_RUN = tr_mark(
    "Tried on copies with {layers} of {of_layers} layers, {tokens} of {of_tokens} tokens and {samples} of {of_samples} "
    "samples of a batch, with the run's weights, in {precision} (steps that move weights in {steps_precision})."
)
_FIRST = tr_mark(
    "Tried on copies with {layers} of {of_layers} layers, {tokens} of {of_tokens} tokens and {samples} of {of_samples} "
    "samples of a batch, with first weights and not a run's, in {precision} (steps that move weights in "
    "{steps_precision})."
)
_NUMBERS = ("layers", "of_layers", "tokens", "of_tokens", "samples", "of_samples", "precision", "steps_precision")


def stand_words(stand: Any) -> tuple[str, dict[str, Any]]:
    """(template, what fills it) of the fact `audit_stand`; an empty template where an older audit does not say it."""
    if not isinstance(stand, Mapping) or any(name not in stand for name in _NUMBERS):
        return "", {}
    return _OF_RUN if stand.get("weights") == "run" else _FIRST, {name: stand[name] for name in _NUMBERS}
