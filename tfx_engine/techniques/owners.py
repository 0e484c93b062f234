"""Which technique each module of a model belongs to, so that memory and time can be told by technique.

What a technique's `build` gives is signed with its slot and name. Other modules are known by the file that their class
comes from, or belong to whoever holds them; a linear layer that an adapter has taken over stays with the branch.
"""

from __future__ import annotations

from typing import NamedTuple

from torch import nn

from tfx_engine.techniques.adapting import AdaptedLinear
from tfx_engine.techniques.slots import SLOTS

_SIGNATURE = "built_by"
_ROOM = __name__.rpartition(".")[0]
_HOLDER = {"dropout": "embedding"}  # modules of the skeleton itself: name -> the module whose technique asks for it


class Owner(NamedTuple):
    """The technique that a module belongs to; empty for the skeleton."""

    slot: str = ""
    technique: str = ""


def sign(module: nn.Module, slot: str, technique: str) -> None:
    """Note who built a module; the first signature stays, since a mixer may hand on what an attention built."""
    if not hasattr(module, _SIGNATURE):
        setattr(module, _SIGNATURE, Owner(slot, technique))


def owners(model: nn.Module) -> dict[str, Owner]:
    """The owner of every module, by its name in the model ("" is the model)."""
    found: dict[str, Owner] = {}
    for name, module in model.named_modules():
        holder = found.get(_HOLDER.get(name, name.rpartition(".")[0]), Owner())
        found[name] = getattr(module, _SIGNATURE, None) or _by_class(module) or holder
    return found


def _by_class(module: nn.Module) -> Owner | None:
    """Of a class in a technique's own file."""
    if isinstance(module, AdaptedLinear):
        return None
    room, _, name = type(module).__module__.rpartition(".")
    above, _, slot = room.rpartition(".")
    return Owner(slot, name) if above == _ROOM and slot in SLOTS else None
