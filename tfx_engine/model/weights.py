"""Weights on disk: what a run saves beside its file, and what another run starts from. safetensors only, no pickle.

A file holds the parameters (and what else belongs to the state of a model) under their names in the model, a shared one
once, and in its metadata the configuration that they were trained with.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from tfx_engine.pretrained.safetensors import LONGEST_HEADER
from tfx_engine.protocol.config import Config
from tfx_engine.protocol.marker import tr_mark
from tfx_engine.protocol.problems import ConfigError, Problem
from tfx_engine.runfile.store import absolute, beside
from tfx_engine.runfile.tables import SUFFIX
from tfx_engine.runfile.unfinished import whole_or_not

WEIGHTS_SUFFIX = ".safetensors"  # run.tfx has its weights in run.tfx.safetensors
METADATA = "tfx_config"
_PATH = "run.start_from"
_SHOWN = 4  # names in one sentence
_LONGEST = 120  # letters of each

Shapes = Mapping[str, tuple[int, ...]]


def weights_beside(run: str | os.PathLike[str]) -> Path:
    """Where the weights of a run file lie."""
    return beside(run, WEIGHTS_SUFFIX)


def state_of(model: nn.Module) -> dict[str, Tensor]:
    """Name -> tensor of everything that makes up a model's state; what has two names is there under its first."""
    state = model.state_dict(keep_vars=True)
    own = {name for name, _ in model.named_parameters()}
    return {name: t.detach() for name, t in state.items() if name in own or not isinstance(t, nn.Parameter)}


def shapes_of(model: nn.Module) -> dict[str, tuple[int, ...]]:
    """Name -> shape of the same."""
    return {name: tuple(tensor.shape) for name, tensor in state_of(model).items()}


def save(model: nn.Module, path: Path, config: Config, keep: Callable[[str], bool] = lambda name: True) -> None:
    """Write the state of a model, whole or not at all, of it what `keep` says by name. Raises OSError."""
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    tensors = {name: tensor.cpu().contiguous() for name, tensor in state_of(model).items() if keep(name)}
    try:
        with whole_or_not(path) as unfinished:
            save_file(tensors, unfinished, {"format": "pt", METADATA: json.dumps(config.as_dict())})
    except SafetensorError as error:  # what the system refused comes as one of these
        raise OSError(str(error)) from None


def check(config: Config, wanted: Shapes) -> Iterator[Problem]:
    """What does not fit between the file that a configuration starts from and a model of these names and shapes."""
    if config.run.start_from is None:
        return
    path = _file(config.run.start_from)
    try:
        there, metadata = _header(path)
    except FileNotFoundError:
        yield _missing(config.run.start_from, path)
        return
    except (OSError, ValueError) as error:
        yield Problem(
            code="not-weights", path=_PATH, template="is {path!r}, which cannot be read as weights: {error}.",
            hint_template="Name a .safetensors file.", args={"path": str(path), "error": str(error).rstrip(".")},
        )
        return
    yield from _compare(there, wanted, _other_choices(metadata, config))


def load(config: Config, model: nn.Module) -> None:
    """Fill a model from the file that its configuration starts from. Raises ConfigError where they do not fit."""
    if config.run.start_from is None:
        return
    from safetensors.torch import load_file

    problems = list(check(config, shapes_of(model)))
    if problems:
        raise ConfigError(problems)
    loaded, state = load_file(_file(config.run.start_from)), state_of(model)
    if problems := list(_check_numbers(loaded, state)):
        raise ConfigError(problems)
    with torch.no_grad():
        for name, tensor in state.items():
            tensor.copy_(loaded[name])


@torch.no_grad()
def load_what_fits(given: str, model: nn.Module) -> None:
    """Fill of a model what the file has by its name and in its shape: a copy with fewer blocks keeps those it has.

    Raises OSError, and ValueError where it is no such file.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(_file(given), framework="pt") as file:
            there = set(file.keys())
            for name, tensor in state_of(model).items():
                if name in there and tuple(file.get_slice(name).get_shape()) == tuple(tensor.shape):
                    tensor.copy_(file.get_tensor(name))
    except SafetensorError as error:
        raise ValueError(str(error)) from None


def _check_numbers(loaded: Mapping[str, Tensor], wanted: Mapping[str, Tensor]) -> Iterator[Problem]:
    """Numbers with which nothing can be trained."""
    fractions = [name for name, tensor in wanted.items() if tensor.is_floating_point()]
    other = [name for name in fractions if not loaded[name].is_floating_point()]
    lost = [name for name in fractions if name not in other and not loaded[name].isfinite().all()]
    hint = tr_mark("Name the weights of a run whose loss was a number to the end.")
    if other:
        yield Problem(
            code="weights-of-another-type", path=_PATH,
            template="holds {count} weights that are no fractions: {names}.",
            hint_template=tr_mark("Name a file of float32, bfloat16 or float16."),
            args={"count": len(other), "names": _some(other)},
        )
    if lost:
        yield Problem(
            code="weights-not-finite", path=_PATH, hint_template=hint,
            template="holds {count} weights with numbers that are infinite or none at all: {names}.",
            args={"count": len(lost), "names": _some(lost)},
        )


def _file(given: str) -> Path:
    path = absolute(given)
    return weights_beside(path) if path.suffix == SUFFIX else path


def _header(path: Path) -> tuple[Shapes, dict[str, str]]:
    """Names with shapes, and metadata. Raises OSError, ValueError."""
    from safetensors import SafetensorError, safe_open

    if path.is_file() and path.stat().st_size >= 8:
        with path.open("rb") as stream:
            if LONGEST_HEADER < int.from_bytes(stream.read(8), "little") < path.stat().st_size:
                raise ValueError(f"its list of tensors is larger than {LONGEST_HEADER >> 20} MiB")
    if path.exists() and not path.is_file():  # to open a pipe would mean to wait for somebody who writes to it
        raise ValueError("it is a folder" if path.is_dir() else "it is no file")
    try:
        with safe_open(path, framework="pt") as file:
            shapes = {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118
            return shapes, file.metadata() or {}
    except SafetensorError as error:
        raise ValueError(str(error)) from None


def _missing(given: str, path: Path) -> Problem:
    if not given.endswith(SUFFIX):
        return Problem(
            code="no-such-file", path=_PATH, template="is {path!r}, but there is no such file.",
            hint_template="Check the path.", args={"path": str(path)},
        )
    return Problem(
        code="no-such-file", path=_PATH, template="is the run {run!r}, beside which no weights are kept.",
        hint_template="Repeat that run with save_weights = true.", args={"run": given},
    )


def _compare(there: Shapes, wanted: Shapes, hint: str) -> Iterator[Problem]:
    lacks = [name for name in wanted if name not in there]
    beyond = [name for name in there if name not in wanted]
    other = [name for name in wanted if name in there and there[name] != wanted[name]]
    if lacks:
        yield Problem(
            code="weights-missing", path=_PATH, template="lacks {count} of this model's weights: {names}.",
            hint_template="{hint}", args={"count": len(lacks), "names": _some(lacks), "hint": hint},
        )
    if beyond:
        yield Problem(
            code="weights-beyond", path=_PATH, hint_template="{hint}",
            template="holds {count} weights that this model does not have: {names}.",
            args={"count": len(beyond), "names": _some(beyond), "hint": hint},
        )
    if other:
        words = [f"{n} {list(there[n])} / {list(wanted[n])}" for n in other]
        yield Problem(
            code="weights-of-another-shape", path=_PATH, hint_template="{hint}",
            template="holds {count} weights of another shape than in this model (its own / this model's): {names}.",
            args={"count": len(other), "names": _some(words), "hint": hint},
        )


def _some(names: list[str]) -> str:
    """The first of them, as they may be shown: a file that somebody made may call its tensors anything."""
    shown = ("".join(c if c.isprintable() else "?" for c in name[:_LONGEST]) for name in names[:_SHOWN])
    return ", ".join(shown) + (", ..." if len(names) > _SHOWN else "")


def _other_choices(metadata: Mapping[str, str], config: Config) -> str:
    """In what the configuration of the file differs from this one, as far as it shapes the model; "" if unknown."""
    try:
        theirs, ours = _choices(json.loads(metadata[METADATA])), _choices(config.as_dict())
    except (KeyError, ValueError, TypeError, AttributeError, RecursionError):
        return ""
    found = [f"{key} = {value}" for key, value in theirs.items() if ours.get(key) != value]
    return f"It was trained with {_some(found)}." if found else ""


def _choices(data: Mapping[str, Any]) -> dict[str, Any]:
    shaping = ("position", "attention", "placement", "norm", "feedforward", "residual", "embedding", "head", "mixer",
               "qk_norm", "sink", "gate")
    found = {f"model.{key}": value for key, value in data["model"].items()}
    for slot in shaping:
        choice = data["techniques"].get(slot, {})
        found |= {f"{slot}.{key}" if key != "use" else slot: value for key, value in choice.items()}
    return found
