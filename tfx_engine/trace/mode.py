"""What modes that see every operator of a trace have in common."""

from __future__ import annotations

from torch.utils._python_dispatch import TorchDispatchMode


class TraceMode(TorchDispatchMode):
    """Sees operators that no compiler compiles."""

    @classmethod
    def ignore_compile_internals(cls) -> bool:
        """What a compiler does within is not looked at."""
        return True

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """Torch would keep its compiler out by two more calls for every operator."""
        return False
