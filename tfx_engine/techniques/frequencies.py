"""How fast rotary positions turn, plain and stretched for contexts longer than those of the training.

Everything is computed in float64 on the CPU. P pairs of numbers; pair i turns by `radians[i]` per token.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from tfx_engine.techniques.position.rotary import Options

SCALINGS = ("none", "linear", "ntk", "dynamic", "yarn", "llama3")


def frequencies(options: Options, width: int, original: int, tokens: int) -> tuple[Tensor, float]:
    """(radians_P per token for the pairs of `width` numbers, the factor on every sine and cosine).

    `original`: the context of the training before. `tokens`: how many there are now, for "dynamic".
    """
    match options.scaling:
        case "linear":
            return _plain(options.base, width) / options.factor, 1.0
        case "ntk":
            return _plain(_stretched(options.base, options.factor, width), width), 1.0
        case "dynamic":
            stretch = options.factor * max(tokens, original) / original - (options.factor - 1)
            return _plain(_stretched(options.base, stretch, width), width), 1.0
        case "yarn":
            return _yarn(options, width, original), _yarn_size(options)
        case "llama3":
            return _llama3(options, width, original), 1.0
        case _:
            return _plain(options.base, width), 1.0


def _plain(base: float, width: int) -> Tensor:
    return base ** (-torch.arange(0, width, 2, dtype=torch.float64, device="cpu") / width)


def _stretched(base: float, stretch: float, width: int) -> float:
    """The base with which the slowest pair turns `stretch` times slower, and the fastest as before."""
    return base if width <= 2 else base * stretch ** (width / (width - 2))  # a single pair has no slower ones


def _yarn(options: Options, width: int, original: int) -> Tensor:
    """Pairs that turn more than `beta_fast` times within the context stay, less than `beta_slow` times are slowed."""
    first, last = (_pair_that_turns(times, options.base, width, original)
                   for times in (options.beta_fast, options.beta_slow))  # fmt: skip
    if options.truncate:
        first, last = math.floor(first), math.ceil(last)
    first, last = max(first, 0), min(last, width - 1)
    if first == last:
        last += 0.001
    plain = _plain(options.base, width)
    slowed = ((torch.arange(width // 2, dtype=torch.float64, device="cpu") - first) / (last - first)).clamp(0, 1)
    return plain / options.factor * slowed + plain * (1 - slowed)


def _pair_that_turns(times: float, base: float, width: int, original: int) -> float:
    """The (fractional) number of the pair that turns so many times within the original context."""
    return width * math.log(original / (times * 2 * math.pi)) / (2 * math.log(base))


def _yarn_size(options: Options) -> float:
    if options.attention_factor is not None:
        return options.attention_factor
    return 0.1 * math.log(options.factor) + 1.0


def _llama3(options: Options, width: int, original: int) -> Tensor:
    """Long waves are slowed, short ones stay, and between the two there is a smooth passage."""
    plain = _plain(options.base, width)
    low, high = options.low_frequency_factor, options.high_frequency_factor
    kept = ((original * plain / (2 * math.pi) - low) / (high - low)).clamp(0, 1)
    return (1 - kept) * plain / options.factor + kept * plain
