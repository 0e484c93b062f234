"""Names for what runs, in a profiler's trace: the module, and work that is no module's own but a technique's.

While no profiler runs, a range costs next to nothing, and a compiler does not see it.
"""

from __future__ import annotations

import contextlib
from contextlib import AbstractContextManager

import torch

MODULE = "tfx module "  # and the module's name
SLOT = "tfx slot "  # and the slot whose technique works here, within a module of another


def doing(slot: str) -> AbstractContextManager[object]:
    """Work of a slot's technique that is not a module's call, such as the rotation of queries."""
    if torch.compiler.is_compiling() or not torch.autograd._profiler_enabled():
        return contextlib.nullcontext()
    return named(SLOT + slot)


def named(name: str) -> AbstractContextManager[object]:
    """A range in a profiler's trace; about a microsecond."""
    return torch._C._profiler._RecordFunctionFast(name)
