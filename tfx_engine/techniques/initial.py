"""Initial weights from (seed, parameter name), so that switching one technique leaves every other weight as it was.

What the numbers are is the slot `init`'s business. Its default: matrices normal with deviation sqrt(2 / (5 n)), n
being their last size (the inputs of a linear layer, the width of a table), biases 0, the weights of norms 1. At width
768 that is 0.023, where GPT-2 has 0.02; at width 64 it is 0.079, without which small models hardly learn. It is the
"small" initialisation of Nguyen and Salazar (2019), arXiv:1910.05895, taken for each matrix by its own inputs.

A module that wants it otherwise for its own parameters has a method `initialise_parameter(name, parameter, generator)`,
which returns whether it did it. Numbers are drawn on the CPU, so a seed means the same weights on every device.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Collection

import torch
from torch import Tensor, nn


def deviation(inputs: int) -> float:
    """Standard deviation of a matrix's numbers at the beginning."""
    return math.sqrt(2 / (5 * inputs))


def seed_for(seed: int, *names: str | int) -> int:
    """A seed of 63 bits for one use, independent of every other use: the same on every machine, in every version."""
    text = "\0".join(str(part) for part in (seed, *names))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "little") >> 1


def generator_for(seed: int, *names: str | int) -> torch.Generator:
    """A generator on the CPU for one use."""
    return torch.Generator().manual_seed(seed_for(seed, *names))


class DefaultInitial:
    """The rule above; nothing else depends on the numbers."""

    output_multiplier = 1.0

    def fill(self, name: str, parameter: Tensor, generator: torch.Generator) -> None:
        """Matrices by their inputs, biases 0, weights of norms 1."""
        if parameter.dim() >= 2:
            parameter.normal_(0.0, deviation(parameter.shape[-1]), generator=generator)
        elif name.endswith("bias"):
            parameter.zero_()
        else:
            parameter.fill_(1.0)

    def rate(self, name: str, parameter: Tensor) -> float:
        """The same rate for all."""
        return 1.0

    def attention_scale(self, head_width: int) -> float:
        """1 / sqrt(K)."""
        return 1 / math.sqrt(head_width)


Fill = Callable[[str, Tensor, torch.Generator], None]


@torch.no_grad()
def initialise(
    model: nn.Module, seed: int, prefix: str = "", only: Collection[str] = (), fill: Fill | None = None,
    gain: Callable[[str], float] = lambda name: 1.0,
) -> None:
    """Fill the parameters of a model in place, a shared one under its first name.

    `only`: just those of these names; `prefix`: the model's own name; `fill`: the rule for what a module does not fill
    itself; `gain`: a factor on the numbers of the parameter of that name.
    """
    fill = fill or DefaultInitial().fill
    filled: set[Tensor] = set()
    for module_name, module in model.named_modules(prefix=prefix):
        for name, parameter in module.named_parameters(recurse=False):
            if parameter not in filled and (not only or name in only):
                filled.add(parameter)
                full_name = f"{module_name}.{name}" if module_name else name
                drawn = parameter if parameter.device.type == "cpu" else torch.empty_like(parameter, device="cpu")
                generator = generator_for(seed, full_name)
                own = getattr(module, "initialise_parameter", None)
                if own is None or not own(name, drawn, generator):
                    fill(full_name, drawn, generator)
                if (factor := gain(full_name)) != 1.0:
                    drawn.mul_(factor)
                if drawn is not parameter:
                    parameter.copy_(drawn)
