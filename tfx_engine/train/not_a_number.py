"""Where numbers that are not finite began: the step is done again with a look at every module, before its update.

Before an update the weights are still those that the step began with, so doing it again shows the same. That is known
in time where the host waits for the device (the CPU), or is told to wait (`on_nan = "find"`).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from tfx_engine.data.task import IGNORED
from tfx_engine.protocol.marker import tr_mark
from tfx_engine.train.step import Batch, Training, cut, losses, no_name

_WEIGHT = tr_mark(
    "It was in the weights before step {step}: {tensor} has {count} numbers that are not finite, of {size}."
)
_FORWARD = tr_mark(
    "It began in the forward pass of step {step}, in {module} ({type}): {count} of the {size} numbers that it gives "
    "are not finite{inputs}."
)
_LOSS = tr_mark("It began in the loss of step {step}, whose input is finite{inputs}.")
_BACKWARD = tr_mark(
    "It began in the backward pass of step {step}, after {module} ({type}): of the gradient of what that gives, "
    "{count} of {size} numbers are not finite{inputs}."
)
_PARAMETER = tr_mark("The gradient of {tensor} in step {step} has {count} numbers that are not finite, of {size}.")
_NOT_AGAIN = tr_mark("Where it began in step {step} is not known: done again, that step gave finite numbers.")
_FAILED = tr_mark("Where it began in step {step} is not known: {error}")


@dataclasses.dataclass(frozen=True)
class Origin:
    """Where it began: a template with its args, which hold the statistics of the inputs too."""

    code: str
    template: str
    args: dict[str, Any]

    @property
    def sentence(self) -> str:
        return self.template.format_map(self.args)


def find_origin(training: Training, batch: Batch, step: int) -> Origin:
    """Do the forward and backward pass of a step again and look. Weights and gradients stay as they are."""
    try:
        with _random_numbers_kept(batch[0].device):
            return _find(training, batch, step)
    except Exception as error:  # a look must never be what ends a run
        return Origin("origin-unknown", _FAILED, {"step": step, "error": f"{type(error).__name__}: {error}"})


def _find(training: Training, batch: Batch, step: int) -> Origin:
    for name, parameter in training.model.named_parameters():
        if not _is_finite(parameter):
            return Origin("origin-weight", _WEIGHT, {"step": step, "tensor": name, **_counts(parameter)})
    eager = dataclasses.replace(training, forward=training.model.hidden, nats=training.loss)
    counted = (batch[1] != IGNORED).sum()
    for piece in cut(batch, training.pieces):
        with _Watch(training.model) as watch:
            loss, extra = losses(eager, piece, counted, no_name)
            whole = loss if extra is None else loss + extra / training.pieces
            if not _is_finite(whole):
                return watch.forward_origin(step)
            named = [(name, p) for name, p in training.model.named_parameters() if p.requires_grad]
            gradients = torch.autograd.grad(whole, [p for _, p in named], allow_unused=True)
        if watch.gradient is not None:
            return Origin("origin-backward", _BACKWARD, {"step": step, **watch.gradient})
        for (name, _), gradient in zip(named, gradients, strict=True):
            if gradient is not None and not _is_finite(gradient):
                return Origin("origin-gradient", _PARAMETER, {"step": step, "tensor": name, **_counts(gradient)})
    return Origin("origin-unknown", _NOT_AGAIN, {"step": step})


class _Watch:
    """Looks at what every module gives, and at the gradient of it."""

    def __init__(self, model: nn.Module) -> None:
        self.output: dict[str, Any] | None = None  # of the first module that gave what is not finite
        self.gradient: dict[str, Any] | None = None  # likewise, from the loss backwards
        self._last: dict[str, Any] = {}
        self._model = model
        self._handles: list[Any] = []

    def __enter__(self) -> _Watch:
        for name, module in self._model.named_modules():
            self._handles.append(module.register_forward_hook(partial(self._gave, name), with_kwargs=True))
        return self

    def __exit__(self, *error: object) -> None:
        for handle in self._handles:
            handle.remove()

    def _gave(self, name: str, module: nn.Module, args: Any, kwargs: Any, output: Any) -> None:
        inputs = list(_tensors((args, kwargs)))
        who = {"module": name or "model", "type": type(module).__name__}
        for tensor in _tensors(output):
            self._last = {**who, "of": _statistics(tensor)}
            if self.output is None and not _is_finite(tensor):
                self.output = {**who, **_counts(tensor), **_described(inputs)}
            if tensor.requires_grad:
                tensor.register_hook(partial(self._has_gradient, who, inputs))

    def _has_gradient(self, who: dict[str, str], inputs: list[Tensor], gradient: Tensor) -> None:
        if self.gradient is None and not _is_finite(gradient):
            self.gradient = {**who, **_counts(gradient), **_described(inputs)}

    def forward_origin(self, step: int) -> Origin:
        """The loss is not finite: the first module that gave such a number, or the loss itself."""
        if self.output is not None:
            return Origin("origin-forward", _FORWARD, {"step": step, **self.output})
        of = [self._last["of"]] if self._last else []
        return Origin("origin-loss", _LOSS, {"step": step, "statistics": of, "inputs": _range_words(of)})


def _tensors(value: Any) -> Iterator[Tensor]:
    """The tensors of floating-point numbers within arguments."""
    if isinstance(value, Tensor):
        if value.is_floating_point():
            yield value
    elif isinstance(value, dict):
        for each in value.values():
            yield from _tensors(each)
    elif isinstance(value, (tuple, list)):
        for each in value:
            yield from _tensors(each)


def _is_finite(tensor: Tensor) -> bool:
    return bool(torch.isfinite(tensor.detach()).all())


def _counts(tensor: Tensor) -> dict[str, int]:
    return {"count": int((~torch.isfinite(tensor.detach())).sum()), "size": tensor.numel()}


def _described(inputs: list[Tensor]) -> dict[str, Any]:
    statistics = [_statistics(tensor) for tensor in inputs]
    return {"statistics": statistics, "inputs": _range_words(statistics)}


def _statistics(tensor: Tensor) -> dict[str, Any]:
    """Shape, dtype, and of the finite numbers the least, the largest, mean and spread."""
    numbers = tensor.detach().float()
    finite = numbers[torch.isfinite(numbers)]
    known = finite.numel() > 0
    return {
        "shape": list(tensor.shape), "dtype": str(tensor.dtype).removeprefix("torch."),
        "not_finite": tensor.numel() - finite.numel(),
        "low": float(finite.min()) if known else None, "high": float(finite.max()) if known else None,
        "mean": float(finite.mean()) if known else None,
        "std": float(finite.std(unbiased=False)) if known else None,
    }


def _range_words(statistics: list[dict[str, Any]]) -> str:
    """What a sentence says of the first input."""
    if not statistics or statistics[0]["low"] is None:
        return ""
    first = statistics[0]
    text = f"; input {first['shape']} {first['dtype']} from {first['low']:.4g} to {first['high']:.4g}"
    return text + (f", {first['not_finite']} not finite" if first["not_finite"] else "")


@contextmanager
def _random_numbers_kept(device: torch.device) -> Iterator[None]:
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        yield
