"""Tries a module of the user's own on a few tokens, as a run would use it: what would go wrong there is said before.

Its parameters get numbers as in a run, and for what must not depend on what, others that hide nothing: a weight that
is zero at the beginning would hide everything behind it.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from tfx_engine.protocol.marker import tr_mark
from tfx_engine.techniques.buffers import plain_tensors
from tfx_engine.techniques.initial import initialise

TOKENS = 8
_DISTURBANCE = 0.1  # of parameters, against zeros

_PLAIN = tr_mark(
    "It keeps a tensor in the plain attribute {name!r}, which stays behind when the model goes to another device or"
    " precision. Write self.register_buffer({last!r}, ...)."
)
_BATCH_NORM = tr_mark(
    "Its part {name!r} is a {kind}, whose statistics mix the samples of a batch, and later tokens with earlier ones."
    " Use nn.LayerNorm, nn.RMSNorm or nn.GroupNorm."
)
_NO_TENSOR = tr_mark("Its forward() gives no tensor, but {kind}; it must give one tensor [batch, tokens, width].")
_SHAPE = tr_mark("It gives {found} for {given}; both must be [batch, tokens, width].")
_IN_PLACE = tr_mark(
    "It writes into its input, which the residual connection still needs: relu_(), x += ..., x[...] = ... and the like."
    " Work on x.clone()."
)
_DTYPE = tr_mark(
    "It gives {found} for {given}, so that the next layer cannot go on. Make new tensors with dtype=x.dtype, or end"
    " with .to(x.dtype)."
)
_NOT_FINITE = tr_mark(
    "It gives NaN or infinity for ordinary numbers ({count} of {total}). Look for a division by zero, a logarithm or"
    " root of what is not above zero, or a softmax over nothing but -inf."
)
_NOT_REPEATED = tr_mark(
    "It gives another answer when it is asked again with the same seed, so that no run could be repeated. Draw random"
    " numbers with torch alone."
)
_SAMPLES = tr_mark("What it gives for one sample depends on the others in its batch: no mean may run over them.")
_AHEAD = tr_mark(
    "The mask is causal, but what it gives for a token depends on the tokens after it, which it is to predict."
    " Mask them (torch.tril), or choose another mask."
)


class Refused(Exception):
    """Why a module is of no use, in words."""


def try_module(
    module: nn.Module, width: int, context: int, dtype: torch.dtype, is_causal: bool, in_words: Callable[[Any], str]
) -> None:
    """Raises `Refused` where the module, which has memory for its parameters, does not do as a run needs it.

    `dtype`: of the stream. `in_words` says what an exception was and where. Afterwards the module is of no further use.
    """
    for name, _ in plain_tensors(module):
        raise Refused(_PLAIN.format(name=name, last=name.rpartition(".")[2]))
    for name, part in module.named_modules():
        if isinstance(part, _BatchNorm):
            raise Refused(_BATCH_NORM.format(name=name or "self", kind=type(part).__name__))
    try:
        initialise(module.train(), seed=0)
    except Exception as error:  # its own initialise_parameter(), or numbers of a strange kind
        raise Refused(in_words(error)) from error
    trial = _Trial(module, in_words)
    x_BTD = trial.fitting_input(width, context)
    trial.look_at_the_answer(x_BTD)
    if dtype != torch.float32:
        _Trial(copy_of(module).to(dtype), in_words).look_at_the_answer(x_BTD.to(dtype))
    _disturb(module)
    trial.look_at_what_depends_on_what(x_BTD, is_causal)


class _Trial:
    """A module and what it answers."""

    def __init__(self, module: nn.Module, in_words: Callable[[Any], str]) -> None:
        self._module, self._in_words = module, in_words

    def fitting_input(self, width: int, context: int) -> Tensor:
        """x_BTD of a few tokens; of as many as a run has for a module that takes no other number of them."""
        lengths = list(dict.fromkeys([min(TOKENS, context), context]))
        for length in lengths:
            x_BTD = torch.randn(2, length, width, generator=torch.Generator().manual_seed(0))
            try:
                self.answer(x_BTD.clone())
                break
            except Refused:
                if length == lengths[-1]:
                    raise
        return x_BTD

    def answer(self, x_BTD: Tensor) -> Any:
        """What it gives in training, always from the same state and with the same random numbers."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            try:
                return copy_of(self._module)(x_BTD)
            except Exception as error:  # anything may happen in somebody's class
                raise Refused(self._in_words(error)) from error

    def look_at_the_answer(self, x_BTD: Tensor) -> None:
        """One tensor like the input, of numbers, with the input left as it was."""
        given_BTD = 1 * x_BTD.clone().requires_grad_()
        y_BTD = self.answer(given_BTD)
        if not isinstance(y_BTD, Tensor):
            raise Refused(_NO_TENSOR.format(kind=type(y_BTD).__name__))
        if y_BTD.shape != x_BTD.shape:
            raise Refused(_SHAPE.format(found=list(y_BTD.shape), given=list(x_BTD.shape)))
        if not torch.equal(given_BTD, x_BTD):
            raise Refused(_IN_PLACE)
        if y_BTD.dtype != x_BTD.dtype:
            raise Refused(_DTYPE.format(found=str(y_BTD.dtype)[6:], given=str(x_BTD.dtype)[6:]))
        wrong = int((~torch.isfinite(y_BTD)).sum())
        if wrong:
            raise Refused(_NOT_FINITE.format(count=wrong, total=y_BTD.numel()))
        if y_BTD.requires_grad:
            try:
                y_BTD.sum().backward()
            except Exception as error:  # a formula of its own, or what it has written over
                raise Refused(self._in_words(error)) from error

    @torch.no_grad()
    def look_at_what_depends_on_what(self, x_BTD: Tensor, is_causal: bool) -> None:
        """The answer comes again; it is each sample's own; and under a causal mask no later token is in it."""
        y_BTD, other_BTD = self.answer(x_BTD), 3 * x_BTD.flip(0, 1)
        if not _alike(y_BTD, self.answer(x_BTD)):
            raise Refused(_NOT_REPEATED)
        if not _alike(y_BTD[:1], self.answer(torch.cat([x_BTD[:1], other_BTD[1:]]))[:1]):
            raise Refused(_SAMPLES)
        for first in _cuts(x_BTD.shape[1]) if is_causal else ():
            changed_BTD = torch.cat([x_BTD[:, :first], other_BTD[:, first:]], dim=1)
            if not _alike(y_BTD[:, :first], self.answer(changed_BTD)[:, :first]):
                raise Refused(_AHEAD)


def copy_of(module: nn.Module) -> nn.Module:
    """The module in the state that it is in; itself where it cannot be copied."""
    try:
        return copy.deepcopy(module)
    except Exception:  # it holds what cannot be copied
        return module


def _disturb(module: nn.Module) -> None:
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in module.parameters():
            if parameter.is_floating_point():
                parameter += _DISTURBANCE * torch.randn(parameter.shape, generator=generator)


def _cuts(tokens: int) -> Sequence[int]:
    """Before which tokens the input is cut: all of a few; of many the ends and the middle."""
    return range(1, tokens) if tokens <= TOKENS else (1, tokens // 2, tokens - 1)


def _alike(one: Tensor, other: Tensor) -> bool:
    return torch.allclose(one, other, rtol=1e-4, atol=1e-5, equal_nan=True)
