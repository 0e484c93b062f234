"""What stands in a script for parts of the engine that look things up, or refuse things in many words."""

from __future__ import annotations

import base64
import functools
import hashlib
import io
import json
import os
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from tfx_engine.data import grammar
from tfx_engine.data.corpus import Corpus
from tfx_engine.protocol.config import Choice
from tfx_engine.script.filled import BLOCK_PARTS, DIGITS, TECHNIQUES, Used
from tfx_engine.script.given import WEIGHTS_SHA256, Config
from tfx_engine.techniques.context import AttentionContext
from tfx_engine.techniques.costs import Work
from tfx_engine.techniques.dispatch import sdpa
from tfx_engine.techniques.kernel import Scoring, eager_attention


def technique_for(slot: str, choice: Choice) -> tuple[Used, Any]:
    """What fills a slot, and its options."""
    return TECHNIQUES[slot], TECHNIQUES[slot].options


def in_slot(config: Config, slot: str) -> tuple[Used, Any]:
    """What fills a slot, and its options."""
    return TECHNIQUES[slot], TECHNIQUES[slot].options


def built(slot: str, config: Config, *more: Any) -> Any:
    """What fills a slot, built."""
    used = TECHNIQUES[slot]
    return used.build(used.options, config, *more)


def block_parts(config: Config) -> list[Work]:
    """The linear layers of a block."""
    return BLOCK_PARTS


class TorchKernel:
    """Torch's attention: it chooses among its kernels by itself."""

    asked = reason = ""

    def attend(self, q_BHTK: Tensor, k_BGSK: Tensor, v_BGSV: Tensor, scoring: Scoring) -> tuple[Tensor, str]:
        """y_BHTV, and whose attention it was."""
        if scoring.softcap is not None:  # which torch's does not know
            return eager_attention(q_BHTK, k_BGSK, v_BGSV, scoring), "eager"
        return sdpa(q_BHTK, k_BGSK, v_BGSV, scoring), "torch"


class Checkpointed:
    """Runs one block in `every` so that its inside is computed again in the backward pass, and not kept."""

    def __init__(self, every: int) -> None:
        self.every = every

    def __call__(self, index: int, block: nn.Module, x_BTD: Tensor, context: AttentionContext) -> Tensor:
        """What the block gives."""
        if index % self.every or not torch.is_grad_enabled():
            return block(x_BTD, context)
        return checkpoint(block, x_BTD, context, use_reentrant=False)


def device_of(name: str) -> torch.device:
    """The device of that name; `auto` is the fastest there is."""
    if name != "auto":
        return torch.device(name)
    there = {"cuda": torch.cuda.is_available(), "xpu": torch.xpu.is_available(),
             "mps": torch.backends.mps.is_available(), "cpu": True}
    return torch.device(next(kind for kind, is_there in there.items() if is_there))


def device_kind(config: Config) -> str:
    """The kind of device that this runs on."""
    return device_of(config.run.device).type


def open_python(path: str | None, name: str = "python") -> Corpus:
    """The reference of the Python language, as it comes with Python; other versions have another one."""
    from pydoc_data.topics import topics

    text = b"\n\n".join(topics[key].encode() for key in sorted(topics))
    return Corpus("Python language reference", np.frombuffer(bytearray(text), np.uint8))


def open_grammar(path: str | None, name: str = "python") -> Corpus:
    """Sentences made by rules."""
    return Corpus("grammar", np.frombuffer(bytearray(grammar.write()), np.uint8))


def open_path(path: str | None, name: str = "python") -> Corpus:
    """A text file, or the text files below a folder in the order of their names, joined by empty lines."""
    place = Path(str(path)).expanduser()
    text = b"\n\n".join(_texts(place)) if place.is_dir() else place.read_bytes()
    return Corpus(str(place), np.frombuffer(bytearray(text), np.uint8))


def _texts(folder: Path) -> Iterator[bytes]:
    for parent, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(name for name in names if not name.startswith(".")):
            path = Path(parent, name)
            if path.is_file() and is_text(text := path.read_bytes()):
                yield text


def is_text(data: bytes) -> bool:
    """Whether these bytes are UTF-8."""
    try:
        return bool(data.decode()) and b"\0" not in data
    except UnicodeDecodeError:
        return False


@functools.cache
def digits() -> tuple[Tensor, Tensor]:
    """Handwritten digits: uint8 patches [N, 16, 4], and which digit each is [N]."""
    with np.load(io.BytesIO(base64.b85decode(DIGITS)), allow_pickle=False) as file:
        images, classes = torch.from_numpy(file["images"]), torch.from_numpy(file["classes"])
    return images.view(-1, 4, 2, 4, 2).transpose(2, 3).reshape(len(images), 16, 4), classes


@torch.no_grad()
def load_weights(config: Config, model: nn.Module) -> None:
    """Fill a model from the .safetensors file that the run began with: a header of names and places, and numbers."""
    path = Path(str(config.run.start_from))
    path = path.with_name(f"{path.name}.safetensors") if path.suffix == ".tfx" else path  # beside the run's own file
    data = path.read_bytes()
    assert hashlib.sha256(data).hexdigest() == WEIGHTS_SHA256, f"{path} does not hold the weights of the run"
    length = struct.unpack("<Q", data[:8])[0]
    header, begin = json.loads(data[8 : 8 + length]), 8 + length
    state = model.state_dict(keep_vars=True)
    types = {"F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16,
             "I64": torch.int64, "I32": torch.int32, "U8": torch.uint8, "BOOL": torch.bool}
    for name, about in header.items():
        if name != "__metadata__":
            first, last = about["data_offsets"]
            raw = bytearray(data[begin + first : begin + last])
            numbers = torch.frombuffer(raw, dtype=types[about["dtype"]]) if raw else torch.empty(0)
            state[name].copy_(numbers.view(about["shape"]))

