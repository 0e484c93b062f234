"""Max autotune: compiled, and for each matrix product several kernels are tried and the fastest is taken.

What it is: as `default`, but matrix products are not simply handed to the vendor's library. For every shape that occurs
the compiler generates a number of kernels of its own, with other tile sizes and other orders of loops, runs them all,
compares them with the library's, and keeps the winner. A winner of its own can have what follows it fused in: bias,
activation function, cast. On CUDA the kernels are recorded as graphs too, unless that is switched off.

Formula: f(x), up to rounding

What it costs: compiling takes several times as long as in `default`, minutes for a model of ordinary size, since every
candidate is compiled and timed; the findings are kept in a cache on the disk, so that the next run with the same shapes
on the same device is quicker. What was measured while the device was busy with something else may be a bad choice, and
two runs may choose differently: their times are then not quite comparable. Fewer steps than a few thousand will hardly
earn it back. With CUDA graphs it also needs their memory.

Where the vendor's library is as good as it gets, which for large regular shapes on recent GPUs is often so, nothing is
found and the result is `default`'s. Gains come from odd shapes, from narrow models, and from what can be fused.

When to choose it: before a long training whose shapes are settled, with the device for oneself. When not: while shapes
still change, on a shared device, or when configurations are to be compared with each other on equal terms.

Paper: Ansel and others, "PyTorch 2" (ASPLOS 2024), doi:10.1145/3620665.3640366.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

from torch import Tensor

from tfx_engine.protocol.cards import Effect, Guide
from tfx_engine.protocol.config import Config
from tfx_engine.protocol.options import option
from tfx_engine.techniques.claims import SameCompiled
from tfx_engine.techniques.compile import check_compiler, compiler
from tfx_engine.techniques.technique import Technique


@dataclasses.dataclass(frozen=True)
class Options:
    """What can be chosen."""

    graphs: bool = option(
        True, kind="bool", label="CUDA graphs",
        help="On CUDA, start the kernels of a pass by one call; other devices have no such graphs.",
    )


def build(options: Options, config: Config) -> Callable[[Any], Any]:
    """torch.compile with its search for kernels."""
    return compiler(config, "max-autotune" if options.graphs else "max-autotune-no-cudagraphs")


def reference(function: Callable[..., Tensor], *inputs: Tensor) -> Tensor:
    """The function itself."""
    return function(*inputs)


TECHNIQUE = Technique(
    module=__name__,
    slot="compile",
    order=3,
    title="Compile, max autotune",
    short="autotune",
    summary="Compiled, and for each matrix product several kernels are tried and the fastest is taken.",
    paper="Ansel et al. 2024, doi:10.1145/3620665.3640366",
    guide=Guide(
        choose="a long training is ahead, its shapes are settled and the device is yours.",
        avoid="runs are short or are to be compared: compiling takes minutes, and may choose differently each time.",
    ),
    build=build,
    reference=reference,
    options=Options,
    check=check_compiler,
    effects=(
        Effect(quantity="time", sign="-", formula="as default, and matrix products where a better kernel is found"),
        Effect(quantity="activations", sign="+", formula="on CUDA a pool of its own for what is recorded"),
        Effect(quantity="flops", sign="0", formula="0"),
    ),
    claims=(SameCompiled(),),
)
