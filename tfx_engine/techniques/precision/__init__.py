"""Slot `precision`: in which number format the model computes."""

from __future__ import annotations

import contextlib
from contextlib import AbstractContextManager
from typing import Any, Protocol

import torch
from torch import nn
from torch.amp import GradScaler

from tfx_engine.protocol.config import Config
from tfx_engine.protocol.marker import tr_mark
from tfx_engine.techniques.devices import count_devices, device_kind


class Precision(Protocol):
    """How forward and loss are run. `tolerance`: error relative to float32 that one layer may show.

    `dtype`: of the weights. `product_format`: in which the matrix products run, of `protocol.ceilings.FORMATS`; of
    several the fastest, None where nobody knows.
    `mixes_tokens`: whether how one token is rounded depends on the others.
    `scaler` makes what keeps small gradients from vanishing, or None where there is no need.
    """

    tolerance: float
    dtype: torch.dtype
    product_format: str | None
    mixes_tokens: bool

    def settle(self) -> None:
        """Set what holds for the whole process, from before the first step on, the backward pass included."""

    def convert(self, model: nn.Module) -> None:
        """Change the modules of a model that compute otherwise, before its weights are filled."""

    def scaler(self, device_type: str) -> GradScaler | None:
        """What losses are scaled with, or None."""

    def context(self, device_type: str) -> AbstractContextManager[Any]:
        """What to put around forward and loss (not around backward), once a step."""


class PlainPrecision:
    """What most precisions have in common: float32 weights, no conversion, no scaler."""

    tolerance = 0.0
    dtype = torch.float32
    product_format: str | None = "float32"
    mixes_tokens = False
    products = "highest"  # of float32 matrices, in torch's words

    def settle(self) -> None:
        """Products of float32 matrices are float32, unless the precision says otherwise."""
        torch.set_float32_matmul_precision(self.products)

    def convert(self, model: nn.Module) -> None:
        """Every module computes as it is."""

    def scaler(self, device_type: str) -> GradScaler | None:
        """Nothing is scaled."""
        return None

    def context(self, device_type: str) -> AbstractContextManager[Any]:
        """A context that does nothing."""
        return contextlib.nullcontext()


_NO_CARD = tr_mark("it needs an NVIDIA card, and the device is {kind!r}")
_OLD_CARD = tr_mark("the card has compute capability {there}, and it needs {needed}")


def not_here(config: Config, capability: tuple[int, int]) -> str:
    """Why a configuration's device is no NVIDIA card of that compute capability; "" where it is one."""
    kind = device_kind(config)
    if kind != "cuda" or not count_devices(kind) or torch.version.cuda is None:
        return _NO_CARD.format(kind=kind)
    there = torch.cuda.get_device_capability(config.run.device if config.run.device != "auto" else None)
    if there >= capability:
        return ""
    return _OLD_CARD.format(there="{}.{}".format(*there), needed="{}.{}".format(*capability))
