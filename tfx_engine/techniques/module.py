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
from torch.nn.parameter import is_lazy

from tfx_engine.protocol.config import Config
from tfx_engine.protocol.marker import tr_mark
from tfx_engine.protocol.problems import ConfigError, Problem
from tfx_engine.protocol.trust import load_trusted
from tfx_engine.techniques.buffers import with_buffers
from tfx_engine.techniques.catalogue import technique_for
from tfx_engine.techniques.costs import Linear, Work
from tfx_engine.techniques.guarded import in_words
from tfx_engine.techniques.module_trial import Refused, try_module

LARGEST_TRIED = 50_000_000  # parameters; a larger module gets no numbers until it runs

Make = Callable[..., nn.Module]  # a class
Sizes = tuple[tuple[str, int], ...]

_NOT_IMPORTED = tr_mark("Its file fails when it is imported: {error}.")
_NOWHERE = tr_mark("There is no module {package!r} in the trusted folders ({folders}).")
_NOT_MADE = tr_mark("It cannot be made: {error}. It is given those of width, heads, head_width, context that it names.")
_LAZY = tr_mark("It has a lazy layer, whose size nobody knows before it runs. Give its layers their sizes.")
_FAILS = tr_mark("Its forward() fails: {error}.")

_PLACES: set[str] = set()  # folders that are in sys.path for the user's modules
_DOTTED = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*")


class Unfit(ConfigError):
    """Why a module cannot be used: `reason`, in words."""

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__([Problem(
            code="own-module", path="techniques", template="name a module of yours that cannot be used: {reason}",
            args={"reason": reason},
        )])


def find_class(name: str) -> Make:
    """The class that "package.module:Class" names. Raises `Unfit`."""
    if not _DOTTED.fullmatch(name):
        raise Unfit(tr_mark('Write it as "package.module:Class".'))
    module_name, _, class_name = name.partition(":")
    _check_trusted(module_name.partition(".")[0])
    try:
        found = getattr(importlib.import_module(module_name), class_name)
    except (Exception, SystemExit) as error:  # anything may happen in somebody's file
        raise Unfit(_NOT_IMPORTED.format(error=in_words(error, _file_of(module_name)))) from error
    if not (isinstance(found, type) and issubclass(found, nn.Module)):
        raise Unfit(tr_mark("It is no class of torch modules."))
    return found


def _check_trusted(package: str) -> None:
    trusted = load_trusted()
    if package not in sys.modules or set(trusted.folders) != _PLACES:  # looking through folders anew is what costs
        importable(trusted.folders)
    if package in (__name__.partition(".")[0], *trusted.packages):
        return
    try:
        spec = importlib.util.find_spec(package)
    except (ImportError, ValueError):  # "__main__", for example
        spec = None
    places = [] if spec is None else [spec.origin or "", *(spec.submodule_search_locations or ())]
    if not places and trusted.folders:
        raise Unfit(_NOWHERE.format(package=package, folders=", ".join(trusted.folders)))
    if not any(Path(folder) in Path(place).parents for folder in trusted.folders for place in places):
        raise Unfit(tr_mark("Its package is not trusted: it is code. `tfx-workbench trust` its folder first."))


def _file_of(module_name: str) -> str:
    """The file of a module that may not have been imported; "" where that cannot be known."""
    try:
        spec = importlib.util.find_spec(module_name)
    except Exception:  # a package above it fails
        return ""
    return "" if spec is None else spec.origin or ""


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
        module = with_buffers(lambda: kind(**dict(sizes)))
    except Exception as error:  # anything may happen in somebody's class
        raise Unfit(_NOT_MADE.format(error=in_words(error, _source(kind)))) from error
    if any(is_lazy(parameter) for parameter in module.parameters()):
        raise Unfit(_LAZY)
    return module


def _source(kind: Make) -> str:
    return getattr(sys.modules.get(kind.__module__), "__file__", None) or ""


def check_module(name: str, path: str, config: Config) -> Iterator[Problem]:
    """It must be there, be trusted, and do with a few tokens what a run needs (`module_trial.py`)."""
    try:
        kind = find_class(name)
        technique, options = technique_for("precision", config.techniques["precision"])
        dtype = technique.build(options, config).dtype
        model, is_causal = config.model, config.use("mask") == "causal"
        _try(kind, _sizes(kind, config), model.width, model.context, dtype, is_causal)
    except Unfit as error:
        yield Problem(
            code="own-module", path=path, args={"name": name, "reason": error.reason},
            template="{name!r} cannot be used: {reason}",
        )


@functools.lru_cache(maxsize=32)
def _try(kind: Make, sizes: Sizes, width: int, context: int, dtype: torch.dtype, is_causal: bool) -> None:
    if _look(kind, sizes)[1] > LARGEST_TRIED:
        return

    def failed(error: Exception) -> str:
        return _FAILS.format(error=in_words(error, _source(kind)))

    with torch.random.fork_rng(devices=[]):
        module = _make(kind, sizes)
    try:
        try_module(module, width, context, dtype, is_causal, failed)
    except Refused as error:
        raise Unfit(str(error)) from error


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
