"""Which module is at work, for the profiler: a range around every call of a module of a model, while one looks.

The hooks are torch's global ones and stay only as long as the block lasts, so steps that nobody looks at are as fast as
ever. A compiled model has no calls of modules to hook into, and hooks would only make it compile again.
"""

from __future__ import annotations

from types import TracebackType
from typing import Any

from torch import nn
from torch.nn.modules import module as torch_module

from tfx_engine.techniques.ranges import MODULE, named


class ModuleRanges:
    """`with ModuleRanges(model):` every call of one of its modules is a range `MODULE + name` of the profiler."""

    def __init__(self, model: nn.Module, is_compiled: bool = False) -> None:
        self._names = {} if is_compiled else {id(m): MODULE + name for name, m in model.named_modules() if name}
        self._open: list[tuple[int, Any]] = []
        self._handles: list[Any] = []

    def __enter__(self) -> ModuleRanges:
        if self._names:
            self._handles = [
                torch_module.register_module_forward_pre_hook(self._begin),
                # Also when the call breaks off, as a recomputation does once it has all that it is wanted for.
                torch_module.register_module_forward_hook(self._end, always_call=True),
            ]
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for handle in self._handles:
            handle.remove()
        while self._open:
            self._open.pop()[1].__exit__(None, None, None)

    def _begin(self, module: nn.Module, inputs: Any) -> None:
        name = self._names.get(id(module))
        if name is not None:
            module_range: Any = named(name)
            module_range.__enter__()
            self._open.append((id(module), module_range))

    def _end(self, module: nn.Module, inputs: Any, output: Any) -> None:
        if id(module) not in self._names:
            return
        while self._open:
            number, module_range = self._open.pop()
            module_range.__exit__(None, None, None)
            if number == id(module):
                return
