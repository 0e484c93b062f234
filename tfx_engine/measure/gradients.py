"""Gradient norms and update ratios by layer, on the device, in a handful of calls whatever the number of parameters.

One fused call takes the L2 norm of every tensor, one `index_add` groups their squares by layer. Nothing here waits for
the device; the host reads the results later, many steps at once. The norm over all layers is computed from the same
vector, so that it always agrees with them.

Shapes: L layers of the grouping (embedding, blocks, head), P parameter tensors.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
import psutil
import torch
from torch import Tensor, nn

_SHARE_OF_FREE_MEMORY = 0.25


class LayerNorms:
    """L2 norms of tensors grouped by layer. `layer_of`: parameter name -> number of its layer, from 0."""

    def __init__(self, model: nn.Module, layer_of: Mapping[str, int], layers: int) -> None:
        named = [(name, p) for name, p in model.named_parameters() if p.requires_grad]
        self.parameters: list[nn.Parameter] = [p for _, p in named]
        self.layers = layers
        self._layer_of = [layer_of[name] for name, _ in named]
        self._place = {parameter: place for place, parameter in enumerate(self.parameters)}
        self._taken: dict[int, Tensor] = {}  # norms that `take` has read since the last `of_gradients`
        self._groups: dict[tuple[torch.device, tuple[bool, ...]], tuple[Tensor, Tensor]] = {}

    def of_gradients(self) -> Tensor:
        """float32 [L]: norm of each layer's gradients; NaN where a layer has none."""
        if self._taken:
            taken, self._taken = self._taken, {}
            have = tuple(place in taken for place in range(len(self.parameters)))
            return self._by_layer([taken[place] for place in sorted(taken)], have)
        have = tuple(p.grad is not None for p in self.parameters)
        return self._norms([p.grad for p in self.parameters if p.grad is not None], have)

    def take(self, parameter: nn.Parameter) -> None:
        """Read one gradient that will be gone when the backward pass is over; `of_gradients` then tells it."""
        assert parameter.grad is not None
        self._taken[self._place[parameter]] = torch.linalg.vector_norm(parameter.grad, dtype=torch.float32)

    def of(self, tensors: Sequence[Tensor]) -> Tensor:
        """float32 [L]: norm of each layer's tensors, which are parallel to `parameters`."""
        return self._norms(list(tensors), (True,) * len(self.parameters))

    def _norms(self, tensors: list[Tensor], have: tuple[bool, ...]) -> Tensor:
        if not tensors:
            return torch.full((self.layers,), math.nan)
        return self._by_layer(torch._foreach_norm(tensors, 2, torch.float32), have)  # type: ignore[arg-type]

    def _by_layer(self, norms: Sequence[Tensor], have: tuple[bool, ...]) -> Tensor:
        norms_P = torch.stack(list(norms))
        empty_L, index_P = self._group(norms_P.device, have)
        return empty_L.index_add(0, index_P, norms_P.square_()).sqrt_()

    def _group(self, device: torch.device, have: tuple[bool, ...]) -> tuple[Tensor, Tensor]:
        """(0 where a layer has tensors and NaN where it has none [L], the layer of each tensor [P]), made once."""
        key = (device, have)
        if key not in self._groups:
            layers = [layer for layer, there in zip(self._layer_of, have, strict=True) if there]
            empty = [0.0 if layer in layers else math.nan for layer in range(self.layers)]
            self._groups[key] = torch.tensor(empty, device=device), torch.tensor(layers, device=device)
        return self._groups[key]


class UpdateRatio:
    """|update| / |weight| by layer, over trainable parameters.

    It needs the weights from before the step, so it is taken on scheduled steps only. The copy lives in host memory, so
    that the device's memory figures of the step stay its own, and only from `before` to `after`.
    """

    def __init__(self, norms: LayerNorms) -> None:
        self._norms = norms
        self._before: list[Tensor] = []

    def fits(self) -> bool:
        """Whether host memory has room to spare for the copy."""
        size = sum(p.numel() * p.element_size() for p in self._norms.parameters)
        return size <= _SHARE_OF_FREE_MEMORY * psutil.virtual_memory().available

    def before(self) -> None:
        """Copy the weights."""
        self._before = [p.detach().to("cpu", copy=True) for p in self._norms.parameters]

    @torch.no_grad()
    def after(self) -> tuple[np.ndarray, np.ndarray]:
        """(float32 [L] norm of the step's weight change, float32 [L] norm of the weights before it)."""
        before, self._before = self._before, []
        weight_L = self._norms.of(before).numpy()
        for old, new in zip(before, self._norms.parameters, strict=True):
            old.sub_(new.detach().to("cpu"))
        return self._norms.of(before).numpy(), weight_L


def global_norm(norms_L: np.ndarray) -> float:
    """The norm over all layers from the norms by layer; layers without a value are left out."""
    known = norms_L[~np.isnan(norms_L)] if np.isnan(norms_L).any() else norms_L
    return float(np.sqrt(np.square(known.astype(np.float64)).sum())) if known.size else math.nan
