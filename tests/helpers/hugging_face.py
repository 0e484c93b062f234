"""Tiny Hugging Face models with weights of our choosing: saved by their library, read by our importer."""

from __future__ import annotations

import contextlib
import copy
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from tfx_engine.model.assemble import assemble
from tfx_engine.model.transformer import Transformer
from tfx_engine.pretrained.importing import Imported, import_config, import_weights


class _Double:
    """torch, but for the names of the 32-bit format, which mean the 64-bit one."""

    float32 = torch.float64
    float = torch.float64

    def __getattr__(self, name: str) -> Any:
        return getattr(torch, name)


@contextlib.contextmanager
def everything_in_double() -> Iterator[None]:
    """Hugging Face computes norms, rotations and softmaxes in float32 whatever the model's dtype; here in float64."""
    modules = [m for name, m in sys.modules.items()
               if name.startswith("transformers.mod") and getattr(m, "torch", None) is torch]
    keep = torch.Tensor.float
    for module in modules:
        module.torch = _Double()
    torch.Tensor.float = torch.Tensor.double
    torch.set_default_dtype(torch.float64)
    try:
        yield
    finally:
        torch.set_default_dtype(torch.float32)
        torch.Tensor.float = keep
        for module in modules:
            module.torch = torch


def in_dtype(dtype: torch.dtype) -> contextlib.AbstractContextManager[None]:
    """Around everything that is done with a Hugging Face model of that dtype."""
    return everything_in_double() if dtype == torch.float64 else contextlib.nullcontext()


def randomised(model: nn.Module, dtype: torch.dtype) -> nn.Module:
    """The model with no number at a beginning's 0 or 1, in evaluation mode: no dropout."""
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in model.parameters():
            deviation = 0.5 / max(1.0, parameter.shape[-1] ** 0.5) if parameter.dim() > 1 else 0.3
            drawn = torch.randn(parameter.shape, generator=generator, dtype=torch.float64) * deviation
            parameter.copy_(drawn + (0.5 if parameter.dim() == 1 else 0.0))
    if hasattr(model, "set_experts_implementation"):
        model.set_experts_implementation("eager")  # the fast one has no float64
    return model.to(dtype).eval()


def imported(model: nn.Module, folder: Path, dtype: torch.dtype) -> tuple[Imported, Transformer]:
    """The model as our importer makes it from what `save_pretrained` wrote."""
    model.save_pretrained(folder)
    found = import_config(folder)
    import_weights(found, folder / "ours.safetensors")
    ours = assemble(found.config, "cpu", dtype).eval()
    load(ours, load_file(folder / "ours.safetensors"))
    return found, ours


def load(ours: Transformer, tensors: dict[str, Tensor]) -> None:
    """Every parameter from the file, and nothing in the file that is no parameter."""
    parameters = dict(ours.named_parameters())
    assert parameters.keys() == tensors.keys()
    with torch.no_grad():
        for name, tensor in tensors.items():
            assert parameters[name].shape == tensor.shape, name
            parameters[name].copy_(tensor)


def gradients_of(model: nn.Module, folder: Path) -> dict[str, Tensor]:
    """Their gradients under our names: a model with gradients for weights, saved and imported."""
    twin = copy.deepcopy(model)
    with torch.no_grad():
        for theirs, parameter in zip(model.parameters(), twin.parameters(), strict=True):
            parameter.copy_(torch.zeros_like(theirs) if theirs.grad is None else theirs.grad)
    twin.save_pretrained(folder)
    import_weights(import_config(folder), folder / "ours.safetensors")
    return load_file(folder / "ours.safetensors")
