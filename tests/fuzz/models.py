"""Readers of published models."""

from __future__ import annotations

import random
from pathlib import Path

from tests.fuzz.mutate import as_json
from tests.fuzz.target import Seeds, Target, as_data
from tfx_engine.pretrained.checkpoint import read_checkpoint
from tfx_engine.pretrained.importing import import_config
from tfx_engine.pretrained.safetensors import read_header


def _models(_: Path) -> Seeds:
    base = {"hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 128,
            "vocab_size": 100, "max_position_embeddings": 64, "rms_norm_eps": 1e-6, "hidden_act": "silu"}
    kinds = ("llama", "mistral", "qwen2", "qwen3", "gemma2", "mixtral", "phi3", "olmo2", "cohere", "falcon", "mpt",
             "opt", "bloom", "gpt_neox", "deepseek_v2", "bert", "roberta", "distilbert", "vit", "smollm3")  # fmt: skip
    rope = {"rope_scaling": {"rope_type": "yarn", "factor": 4.0}, "sliding_window": 16, "num_key_value_heads": 2}
    return [as_json({"model_type": "gpt2", "n_embd": 64, "n_layer": 2, "n_head": 4, "n_positions": 64}),
            *(as_json({"model_type": kind, **base, **rope}) for kind in kinds)]  # fmt: skip


def _model(data: bytes, folder: Path) -> None:
    place = folder / "model"
    place.mkdir(exist_ok=True)
    (place / "config.json").write_bytes(data)
    imported = import_config(place)
    for lost in imported.lost:
        lost.sentence()


def _headers(_: Path) -> Seeds:
    table = {"__metadata__": {"format": "pt"}, "a.weight": {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]},
             "b": {"dtype": "BF16", "shape": [4], "data_offsets": [24, 32]}}
    header = as_json(table)
    return [len(header).to_bytes(8, "little") + header + bytes(32)]


def tensors(seeds: Seeds, draw: random.Random) -> bytes:
    """A file of tensors with another header; now and then a length that is not its."""
    header = as_data([seed[8:-32] for seed in seeds], draw)
    length = len(header) if draw.random() < 0.9 else draw.choice((0, 1, 2**31, 2**63, 2**64 - 1, len(header) + 1))
    return length.to_bytes(8, "little") + header + bytes(draw.choice((32, 32, 31, 0, 5000)))


def _tensors(data: bytes, folder: Path) -> None:
    path = folder / "model.safetensors"
    path.write_bytes(data)
    for stored in read_header(path).values():
        assert stored.read().nbytes <= len(data)
    read_checkpoint([path], "a.")


def _indexes(_: Path) -> Seeds:
    return [as_json({"metadata": {"total_size": 1}, "weight_map": {"a": "x-1.safetensors", "b": "x-2.safetensors"}})]


def _index(data: bytes, folder: Path) -> None:
    from tfx_engine.pretrained.checkpoint import find_checkpoint

    place = folder / "sharded"
    place.mkdir(exist_ok=True)
    for name in ("x-1.safetensors", "x-2.safetensors"):
        (place / name).touch()
    (place / "model.safetensors.index.json").write_bytes(data)
    assert all(path.parent == place for path in find_checkpoint(place))


TARGETS = (
    Target("config.json", _models, _model, as_data),
    Target("safetensors", _headers, _tensors, tensors),
    Target("index of shards", _indexes, _index, as_data),
)
