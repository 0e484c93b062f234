"""Which attention kernels a run really used: what the layers say, held against what the profiler saw."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from torch import nn

from tfx_engine.protocol.marker import tr_mark
from tfx_engine.techniques.kernel import COMPILED, UNKNOWN
from tfx_engine.techniques.scores import KernelUse, kernel_use
from tfx_engine.train.recorder import Recorder

_NO_ATTENTION = tr_mark("This model has no attention.")
_NOT_SAID = tr_mark("Torch does not say which kernel it took, and no step was looked into.")
_ANOTHER = tr_mark("The attention kernel that was asked for is {asked!r}, but {used!r} was used in {layers}: {reason}.")
_DIFFERENT = tr_mark("The layers say that the attention ran on {told}, but the profiler saw {seen}.")
_SILENT = frozenset({COMPILED, UNKNOWN})  # what layers say where they cannot know


class Kernels:
    """Writes the facts "kernel" and "kernel_by_layer", and says where the kernel is not the one asked for."""

    def __init__(self, model: nn.Module, recorder: Recorder) -> None:
        self._model, self._recorder = model, recorder
        self._told: frozenset[str] | None = None
        self._is_compared = False

    def told(self) -> None:
        """To be called once, after a step of the training: other forward passes may take other kernels."""
        uses = kernel_use(self._model)
        self._told = frozenset(use.used for use in uses)
        if not uses:
            self._recorder.missing("kernel", _NO_ATTENTION)
        elif not self._told & _SILENT:
            self._write(self._told, uses)
        elif not self._is_compared:
            self._recorder.missing("kernel", _NOT_SAID)
        for asked, used, reason in dict.fromkeys((u.asked, u.used, u.reason) for u in uses if u.reason):
            layers = ", ".join(u.layer for u in uses if (u.used, u.reason) == (used, reason))
            self._recorder.event(
                "warning", "another-kernel", _ANOTHER, asked=asked, used=used, layers=layers, reason=reason
            )

    def seen(self, kernels: Sequence[str]) -> None:
        """What the profiler saw in a step of the training."""
        if self._is_compared or not kernels:
            return
        self._is_compared = True
        uses = kernel_use(self._model)
        told = frozenset(use.used for use in uses)
        if told & _SILENT:
            self._recorder.fact("kernel", _listed(kernels))
        elif told != frozenset(kernels):
            self._recorder.event(
                "warning", "kernels-differ", _DIFFERENT, told=_listed(told), seen=_listed(kernels)
            )
            self._recorder.fact("kernel", _listed(kernels))

    def _write(self, told: Iterable[str], uses: Sequence[KernelUse]) -> None:
        self._recorder.fact("kernel", _listed(told))
        self._recorder.fact("kernel_by_layer", [use.used for use in uses])


def _listed(names: Iterable[str]) -> str:
    return ", ".join(sorted(names))
