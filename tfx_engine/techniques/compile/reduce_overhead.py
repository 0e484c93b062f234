"""Reduce overhead: compiled, and each step's kernels are started by one call: CUDA graphs.

What it is: as `default`, and then the kernels of a whole pass are recorded once and played back as one unit. Starting a
kernel takes the CPU a few microseconds, whatever the kernel's size. A step of a transformer has thousands of them; when
each runs for less time than it takes to start the next, the device waits for the CPU, and no faster kernel helps. A
recorded graph is started by a single call, and the device goes through it without asking.

Formula: f(x), up to rounding; time per step ≈ the kernels' own, where it was kernels · time to start one

What it costs: memory. The recorded kernels read and write fixed addresses, so what they work on stays reserved between
steps; forward and backward have a pool of their own that other parts of the step cannot use. Time before the first
step: it is compiled, run to warm up and recorded before anything is measured. Shapes are fixed; another shape is
another recording. What cannot be recorded, such as a copy to the host in the middle, breaks the graph or keeps that
part out of it.

When to choose it: for small models and small batches on a fast GPU: when its utilisation is low although nothing waits
for data. It is also the reason why a tiny model may train several times as fast without one number of it changing. When
not: for large models, whose kernels outlast the starting of the next one anyway; if memory is tight; on any device but
CUDA, where there is nothing to record and it is refused. The optimizer is not part of the graph.

Paper: Ansel and others, "PyTorch 2" (ASPLOS 2024), doi:10.1145/3620665.3640366; CUDA graphs: NVIDIA's programming guide
of CUDA 10 (2018) and later.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from torch import Tensor

from tfx_engine.protocol.cards import Effect, Guide
from tfx_engine.protocol.config import Config
from tfx_engine.protocol.problems import Problem
from tfx_engine.techniques.claims import SameCompiled
from tfx_engine.techniques.compile import check_compiler, compiler
from tfx_engine.techniques.devices import device_kind
from tfx_engine.techniques.technique import NoOptions, Technique


def check(options: NoOptions, config: Config) -> Iterator[Problem]:
    """Only CUDA has such graphs."""
    kind = device_kind(config)
    if kind != "cuda":
        yield Problem(
            code="not-on-this-device", path="techniques.compile.use", args={"kind": kind},
            template="needs CUDA graphs, which the device {kind!r} does not have.",
            hint_template='Use "default": beside the graphs it is the same.',
        )
    yield from check_compiler(options, config)


def build(options: NoOptions, config: Config) -> Callable[[Any], Any]:
    """torch.compile with CUDA graphs."""
    return compiler(config, "reduce-overhead")


def reference(function: Callable[..., Tensor], *inputs: Tensor) -> Tensor:
    """The function itself."""
    return function(*inputs)


TECHNIQUE = Technique(
    module=__name__,
    slot="compile",
    order=2,
    title="Compile, reduce overhead",
    short="CUDA graphs",
    summary="Compiled, and each pass's kernels are started by one call.",
    paper="Ansel et al. 2024, doi:10.1145/3620665.3640366",
    guide=Guide(
        choose="a small model leaves a fast GPU waiting for Python.",
        avoid="kernels are large, memory is tight, or shapes change.",
    ),
    build=build,
    reference=reference,
    check=check,
    effects=(
        Effect(quantity="time", sign="-", formula="as default, less the starting of each kernel"),
        Effect(quantity="activations", sign="+", formula="a pool of its own for what is recorded"),
        Effect(quantity="flops", sign="0", formula="0"),
    ),
    claims=(SameCompiled(),),
)
