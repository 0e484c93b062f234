"""What operators give, known from the last time that they were given tensors of the same shapes.

FakeTensorMode remembers it too, but takes longer to find it than to ask: a step runs the same few operators over and
over, and of a tensor only shape, strides, place in its storage, format and device count here.
"""

from __future__ import annotations

import enum
import functools
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode, in_kernel_invocation_manager

_MOST = 50_000  # results that are remembered; then they are learnt anew
_PLAIN = (type(None), bool, int, float, str, torch.dtype, torch.device, torch.layout, torch.memory_format)
UNKNOWN = object()


class _Gives(enum.Enum):
    """What an operator does with its tensors."""

    TENSORS = enum.auto()  # with storages of their own, or one of its first argument
    ITSELF = enum.auto()  # its first argument, changed in place; or nothing, where it changes several
    OTHER = enum.auto()


class _Unclear(Exception):
    """More than shapes may decide of the result."""


class _Of(NamedTuple):
    """A tensor that is to be made. `is_view`: of the first argument, whatever the operator's schema says."""

    is_view: bool
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    offset: int
    dtype: torch.dtype
    device: torch.device


_known: dict[Any, Any] = {}  # key -> the result with an `_Of` for every tensor


class Results:
    """Answers in the place of a mode, where the answer is known."""

    def __init__(self, mode: FakeTensorMode) -> None:
        self._mode = mode

    def of(self, operator: Any, args: Sequence[Any], kwargs: Mapping[str, Any], run: Callable[[], Any]) -> Any:
        """The result; `run` has it made where it is not known."""
        gives = _gives(operator)
        if gives is _Gives.OTHER:
            return run()
        try:
            key = operator, _key(args), _key(kwargs.items()) if kwargs else ()
        except _Unclear:
            return run()
        known = _known.get(key, UNKNOWN)
        if known is UNKNOWN:
            result = run()
            _keep(key, gives, result, args)
            return result
        if known is _Gives.ITSELF:
            return args[0]
        return self._made(known, args)

    def _made(self, known: Any, args: Sequence[Any]) -> Any:
        if isinstance(known, _Of):
            with in_kernel_invocation_manager(self._mode):
                made = torch.empty_strided(known.shape, known.strides, dtype=known.dtype, device="meta")
                if known.is_view:
                    made.set_(args[0].untyped_storage(), known.offset, known.shape, known.strides)
            return FakeTensor(self._mode, made, known.device)
        return type(known)(self._made(one, args) for one in known) if isinstance(known, (tuple, list)) else known


@functools.cache
def _gives(operator: Any) -> _Gives:
    schema = getattr(operator, "_schema", None)
    if schema is None or operator.namespace != "aten":
        return _Gives.OTHER
    aliased = [a for a in schema.arguments if a.alias_info is not None]
    returned = [r for r in schema.returns if r.alias_info is not None]
    if not aliased and not returned:
        return _Gives.TENSORS if schema.returns else _Gives.OTHER
    if not schema.returns and all(a.alias_info.is_write for a in aliased):
        return _Gives.ITSELF
    if [a.name for a in aliased] != [schema.arguments[0].name]:
        return _Gives.OTHER
    if operator.is_view and len(schema.returns) == 1 and str(schema.returns[0].type) == "Tensor":
        return _Gives.TENSORS
    in_place = aliased[0].alias_info.is_write and len(returned) == len(schema.returns) <= 1
    return _Gives.ITSELF if in_place else _Gives.OTHER


def _key(items: Iterable[Any]) -> tuple[Any, ...]:
    return tuple([_key_of(item) for item in items])


def _key_of(item: Any) -> Any:
    if isinstance(item, FakeTensor):
        if item.constant is not None:
            raise _Unclear
        return item.shape, item.stride(), item.storage_offset(), item.dtype, item.fake_device
    if isinstance(item, (list, tuple)):
        return _key(item)
    if isinstance(item, _PLAIN):
        return type(item), item  # 1, 1.0 and True are equal
    raise _Unclear


def _keep(key: Any, gives: _Gives, result: Any, args: Sequence[Any]) -> None:
    if len(_known) >= _MOST:
        _known.clear()
    try:
        if gives is _Gives.ITSELF:
            if result is None or result is args[0]:
                _known[key] = None if result is None else _Gives.ITSELF
        else:
            _known[key] = _noted(result, args)
    except _Unclear:
        pass


def _noted(result: Any, args: Sequence[Any]) -> Any:
    if isinstance(result, FakeTensor):
        if result.constant is not None or result.dtype.is_complex or result.layout != torch.strided:
            raise _Unclear
        is_view = _is_of(result, args[:1])
        if not is_view and (_is_of(result, args) or result.untyped_storage().nbytes() != _bytes(result)):
            raise _Unclear
        shape, device = tuple(result.shape), result.fake_device
        return _Of(is_view, shape, result.stride(), result.storage_offset(), result.dtype, device)
    if type(result) in (tuple, list):
        return type(result)(_noted(one, args) for one in result)
    if result is None:
        return None
    raise _Unclear


def _is_of(tensor: Tensor, items: Iterable[Any]) -> bool:
    """Whether a tensor has its storage from one of the items."""
    storage = tensor.untyped_storage()._cdata
    return any(
        item.untyped_storage()._cdata == storage if isinstance(item, Tensor)
        else isinstance(item, (list, tuple)) and _is_of(tensor, item) for item in items
    )


def _bytes(tensor: Tensor) -> int:
    """Of a storage that begins and ends with the tensor."""
    if not tensor.numel():
        return 0
    last = sum((n - 1) * stride for n, stride in zip(tensor.shape, tensor.stride(), strict=True))
    return (last + 1 + tensor.storage_offset()) * tensor.element_size()
