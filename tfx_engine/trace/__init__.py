"""The training step under fake tensors: what it will allocate, exactly, and nothing is allocated.

`traced(config, device_kind)` answers. A step is the very same code as in training, on tensors that have shapes and no
numbers; every allocation and free is recorded with its place in the step, and goes into categories by the same code as
what torch's allocator really did. What kernels allocate within an operator and fake tensors do not show is in
`scratch.py`. Of a deep model few layers are run, and what a layer adds is repeated (`depth.py`).
"""

from __future__ import annotations

from tfx_engine.trace.peak import PhasePeak, Traced, traced

__all__ = ["PhasePeak", "Traced", "traced"]
