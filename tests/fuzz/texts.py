"""Readers of what people type, and of configurations."""

from __future__ import annotations

import random
from pathlib import Path

from tests.fuzz.mutate import as_json, mutated, reshaped
from tests.fuzz.target import Seeds, Target, anyhow
from tests.helpers.synthetic_run import make_config
from tfx_engine.protocol.cards import load_catalogue, resource
from tfx_engine.protocol.config import parse_config
from tfx_engine.protocol.experiment_files import read_experiment
from tfx_engine.protocol.problems import ConfigError
from tfx_engine.protocol.sizes import parse_bytes
from tfx_engine.protocol.toml import apply_settings, dumps, read_toml
from tfx_workbench.analysis.factors import parse_over
from tfx_workbench.runs.search import EXAMPLE, Found, Query


def _tomls(_: Path) -> Seeds:
    presets = sorted(resource("presets").glob("*.toml"))[:6]
    return [dumps(make_config().as_dict()).encode(), *(path.read_bytes() for path in presets)]


def _toml(data: bytes, folder: Path) -> None:
    path = folder / "c.toml"
    path.write_bytes(data)
    _, problems = parse_config(read_toml(path))
    for problem in problems:
        problem.sentence()
    if problems:
        raise ConfigError(problems)


def as_table(seeds: Seeds, draw: random.Random) -> bytes:
    """TOML of another shape, or bytes turned around."""
    if draw.random() < 0.5:
        return mutated(draw.choice(seeds), draw, seeds)
    made = reshaped(make_config().as_dict(), draw)
    try:
        return dumps(made).encode()
    except (AttributeError, UnicodeError, ValueError):
        return as_json(made)


def _settings(_: Path) -> Seeds:
    return [b"model.layers=2", b"techniques.adapter={use='lora', rank=4}", b"run.device=cpu", b"name=a b",
            b"seed=3", b"model.bias=false", b"data.task=copy", b"techniques.position=rotary",
            b"run.store=/x", b'a."b.c"=1', b"=",
            b"a.b.c.d=[1,{x=2}]"]  # fmt: skip


def _set(data: bytes, _: Path) -> None:
    text = data.decode("utf-8", "replace")
    _, problems = parse_config(apply_settings(make_config().as_dict(), [text]))
    if problems:
        raise ConfigError(problems)


def _overs(_: Path) -> Seeds:
    return [b"adapter=lora,dora", b"adapter.rank=4,8", b"model.width=64..512:log:4", b"width=1..9:3", b"norm=rms_norm"]


def _over(data: bytes, _: Path) -> None:
    parse_over(data.decode("utf-8", "replace"), load_catalogue())


def _sizes(_: Path) -> Seeds:
    return [b"24GiB", b"80 GB", b"RTX 4090", b"1.5TiB", b"512"]


def _size(data: bytes, _: Path) -> None:
    parse_bytes(data.decode("utf-8", "replace"))


def _searches(_: Path) -> Seeds:
    return [EXAMPLE.encode(), b"since:2026 -x", b"steps>=1k", b'name:"a b', b"memory<4GiB", b"loss=1e9", b"-", b"tag:"]


def _search(data: bytes, _: Path) -> None:
    query = Query(data.decode("utf-8", "replace"))
    words = dict.fromkeys(("name", "note", "tag", "status", "technique", "device", "comparison", "run"), ("abc",))
    query.matches(Found(words, "2026-01-01", {"steps": 3.0, "size": None, "loss": float("nan")}))


def _experiments(_: Path) -> Seeds:
    return [path.read_bytes() for path in sorted(resource("experiments").glob("*.toml"))[:5]]


def _experiment(data: bytes, folder: Path) -> None:
    path = folder / "e.toml"
    path.write_bytes(data)
    read_experiment(path)


TARGETS = (
    Target("configuration", _tomls, _toml, as_table),
    Target("--set", _settings, _set, anyhow),
    Target("--over", _overs, _over, anyhow),
    Target("--device-memory", _sizes, _size, anyhow),
    Target("search", _searches, _search, anyhow),
    Target("experiment", _experiments, _experiment, anyhow),
)
