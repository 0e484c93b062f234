"""A torch module of the user's own in place of attention or feed-forward, named as "package.module:Class".

Naming it runs its code, so its package, or the folder that it lies in, must be trusted (`protocol/trust.py`). The class
is given those of `width`, `heads`, `head_width` and `context` that its constructor takes.

What was found out about a class of some size is kept, as a module is made and tried for it: where its file changes, it
is another class. What could not be made is tried anew.
"""

from __future__ import annotations

import functools
import importlib
import importlib.util
import inspect
import re
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import torch
from torch import nn

from tfx_engine.protocol.config import Config
from tfx_engine.protocol.marker import tr_mark
from tfx_engine.protocol.problems import Problem
from tfx_engine.protocol.trust import load_trusted
from tfx_engine.techniques.costs import Linear, Work

LARGEST_TRIED = 50_000_000  # parameters; a larger module gets no numbers until it runs

Make = Callable[..., nn.Module]  # a class
Sizes = tuple[tuple[str, int], ...]

_PLACES: set[str] = set()  # folders that are in sys.path for the user's modules
_DOTTED = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*")


class Unfit(Exception):
    """Why a module cannot be used, in words."""


def find_class(name: str) -> Make:
    """The class that "package.module:Class" names. Raises `Unfit`."""
    if not _DOTTED.fullmatch(name):
        raise Unfit(tr_mark('Write it as "package.module:Class".'))
    module_name, _, class_name = name.partition(":")
    trusted = load_trusted()
    package = module_name.partition(".")[0]
    importable(trusted.folders)
    spec = importlib.util.find_spec(package)
    origin = "" if spec is None else spec.origin or ""
    is_trusted = package in (__name__.partition(".")[0], *trusted.packages)
    if not is_trusted and not any(Path(folder) in Path(origin).parents for folder in trusted.folders):
        raise Unfit(tr_mark("Its package is not trusted: it is code. `tfx-workbench trust` its folder first."))
    try:
        found = getattr(importlib.import_module(module_name), class_name)
    except Exception as error:  # anything may happen in somebody's file
        raise Unfit(f"{type(error).__name__}: {error}") from error
    if not (isinstance(found, type) and issubclass(found, nn.Module)):
        raise Unfit(tr_mark("It is no class of torch modules."))
    return found


def importable(folders: Iterable[str]) -> None:
    """Have Python look for modules in these folders, after all other places, and no more in those named before."""
    wanted = set(folders)
    sys.path[:] = [place for place in sys.path if place not in _PLACES or place in wanted]
    _PLACES.intersection_update(wanted)
    for folder in folders:
        if folder not in sys.path:
            sys.path.append(folder)  # at the end: it takes no other module's place
            _PLACES.add(folder)
    importlib.invalidate_caches()


def forget_modules() -> None:
    """Modules from the folders that `importable` was told are read anew by the next who imports them."""
    for name, module in list(sys.modules.items()):
        places = {str(place) for place in Path(getattr(module, "__file__", None) or "").parents}
        if places & _PLACES and name != "__main__" and not name.startswith("tfx_own."):
            del sys.modules[name]


def make_module(name: str, config: Config) -> nn.Module:
    """One such module for a configuration. Raises `Unfit`."""
    kind = find_class(name)
    return _make(kind, _sizes(kind, config))


def _sizes(kind: Make, config: Config) -> Sizes:
    sizes = {"width": config.model.width, "heads": config.model.heads, "head_width": config.head_width,
             "context": config.model.context}  # fmt: skip
    takes = inspect.signature(kind).parameters
    return tuple((key, value) for key, value in sizes.items() if key in takes)


def _make(kind: Make, sizes: Sizes) -> nn.Module:
    try:
        return kind(**dict(sizes))
    except Exception as error:  # anything may happen in somebody's class
        raise Unfit(f"{type(error).__name__}: {error}") from error


def check_module(name: str, path: str, config: Config, keeps_order: bool = False) -> Iterator[Problem]:
    """It must be there, be trusted, and give [B, T, width] for [B, T, width]; `keeps_order`: without a look ahead."""
    try:
        kind = find_class(name)
        if _looks_ahead(kind, _sizes(kind, config), config.model.width) and keeps_order:
            raise Unfit(tr_mark("The mask is causal, but what it gives for a token depends on the tokens after it."))
    except Unfit as error:
        yield Problem(
            code="own-module", path=path, args={"name": name, "reason": str(error)},
            template="{name!r} cannot be used: {reason}",
        )


@functools.lru_cache(maxsize=32)
@torch.no_grad()
def _looks_ahead(kind: Make, sizes: Sizes, width: int) -> bool:
    """Whether what it gives for a token depends on later ones. Raises `Unfit` where it does not keep the shape."""
    if _look(kind, sizes)[1] > LARGEST_TRIED:
        return False
    module, x_BTD = _make(kind, sizes).eval(), torch.randn(2, 4, width, generator=torch.Generator().manual_seed(0))
    try:
        y_BTD = module(x_BTD)
        changed_BTD = x_BTD.clone()
        changed_BTD[:, 2:] += 1
        ahead_BTD = module(changed_BTD)
    except Exception as error:
        raise Unfit(f"{type(error).__name__}: {error}") from error
    if not isinstance(y_BTD, torch.Tensor) or y_BTD.shape != x_BTD.shape:
        shape = list(getattr(y_BTD, "shape", []))
        raise Unfit(f"It gives {shape} for {list(x_BTD.shape)}; both must be [batch, tokens, width].")
    return not torch.allclose(y_BTD[:, :2], ahead_BTD[:, :2], rtol=1e-4, atol=1e-5)


@functools.lru_cache(maxsize=32)
def _look(kind: Make, sizes: Sizes) -> tuple[Work, int]:
    """(its linear layers, all of its parameters)."""
    with torch.device("meta"):
        module = _make(kind, sizes)
    linears = [(name, m) for name, m in module.named_modules() if isinstance(m, nn.Linear)]
    work = Work(tuple(Linear(name, m.in_features, m.out_features, m.bias is not None) for name, m in linears))
    return work, sum(p.numel() for p in module.parameters())


def work_of(name: str, config: Config) -> Work:
    """Its linear layers; what else it multiplies is not known."""
    kind = find_class(name)
    return _look(kind, _sizes(kind, config))[0]


def params_of(name: str, config: Config) -> int:
    """Its parameters beside those of the linear layers, in all blocks."""
    kind = find_class(name)
    work, parameters = _look(kind, _sizes(kind, config))
    return config.model.layers * (parameters - work.parameters)


class SineFeedForward(nn.Module):
    """An example: x_BTD -> x_BTD, two linear layers with a sine between them."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.up = nn.Linear(width, 4 * width)
        self.down = nn.Linear(4 * width, width)

    def forward(self, x_BTD: torch.Tensor) -> torch.Tensor:
        """Widen, bend, narrow."""
        return self.down(torch.sin(self.up(x_BTD)))


class MeanOfThePast(nn.Module):
    """An example: x_BTD -> x_BTD, each token reads the mean of itself and all tokens before it."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.value = nn.Linear(width, width)
        self.output = nn.Linear(width, width)

    def forward(self, x_BTD: torch.Tensor) -> torch.Tensor:
        """Values, their running mean, and a projection back."""
        count_T1 = torch.arange(1, x_BTD.shape[1] + 1, device=x_BTD.device, dtype=x_BTD.dtype).unsqueeze(1)
        return self.output(self.value(x_BTD).cumsum(dim=1) / count_T1)
