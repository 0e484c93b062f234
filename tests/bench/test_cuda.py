"""Published shapes on a CUDA device: ours, measured, against Hugging Face's and x-transformers' in a bare loop.

    python -m pytest tests/bench/test_cuda.py

bfloat16 autocast, the same batches, optimizer and number of parameters, step by step in turn, eager and compiled. MFU
is model FLOPs / (step time x peak); the peak is the best of matrix products that run here just before.
"""

from __future__ import annotations

import pytest
import torch

import tfx_engine.api as tfx
from tests.bench.test_against_gpt2 import gpt2_step
from tests.bench.test_against_llama import THEIRS, step_of
from tests.bench.turns import Pair, in_turn, table
from tfx_engine.protocol.config import Config

pytestmark = [pytest.mark.gpu, pytest.mark.filterwarnings("default")]
LIMIT = 1.0
PAIRS = 40
SIZES = {"width": 768, "layers": 12, "heads": 12, "context": 1024, "vocab": 50304}
RUN = {"batch": 16, "warmup_steps": 5, "measure_steps": 2 * PAIRS, "device": "cuda"}
GPT2 = {
    "name": "gpt2", "model": SIZES, "run": RUN,
    "techniques": {"position": "learned", "feedforward": {"use": "gelu", "approximate": "tanh"},
                   "precision": "bfloat16_autocast"},
}
LLAMA = {
    "name": "llama", "model": {**SIZES, "bias": False}, "run": RUN,
    "techniques": {
        "position": "rotary", "attention": {"use": "grouped_query", "kv_heads": 4}, "head": "untied",
        "norm": {"use": "rms_norm", "epsilon": 1e-5}, "feedforward": {"use": "swiglu", "width": 2048},
        "precision": "bfloat16_autocast",
    },
}  # fmt: skip


@pytest.fixture(scope="module")
def peak_flops() -> float:
    """FLOPs per second of bfloat16 matrix products, the best of 20."""
    left, right = (torch.randn(8192, 8192, device="cuda", dtype=torch.bfloat16) for _ in range(2))
    best_ms = float("inf")
    for _ in range(25):
        begun, ended = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        begun.record()
        torch.mm(left, right)
        ended.record()
        ended.synchronize()
        best_ms = min(best_ms, begun.elapsed_time(ended))
    print(f"\n{torch.cuda.get_device_name()}, torch {torch.__version__}: {2 * 8192**3 / best_ms / 1e9:.0f} TFLOP/s")
    return 2 * 8192**3 / best_ms * 1000


def configuration(data: dict, compiled: bool) -> Config:
    techniques = {**data["techniques"], "compile": "default" if compiled else "none"}
    return tfx.load_config({**data, "techniques": techniques})


def say(config: Config, pairs: list[Pair], name: str, peak_flops: float) -> float:
    """Print times, tokens/s and MFU; returns ours / theirs."""
    how = config.techniques["compile"].use
    ratio = table(f"{config.name}, bfloat16 autocast, compile {how}, batch 16 x 1024", ("measured run", name), pairs)
    tokens, flops = config.run.batch * config.model.context, tfx.estimate(config)["flops_per_token"]
    model_flops = flops["forward"] + flops["backward"]
    for whose, times in (("ours", [p.ours for p in pairs]), (name, [p.theirs for p in pairs])):
        per_s = tokens * 1000 / sorted(times)[len(times) // 2]
        print(f"{whose:>16}: {per_s:,.0f} tokens/s, MFU {100 * per_s * model_flops / peak_flops:.1f} %")
    return ratio


@pytest.mark.parametrize("compiled", [False, True], ids=["eager", "compiled"])
def test_the_shape_of_gpt2_is_no_slower_than_hugging_face(tmp_path, peak_flops, compiled):
    config = configuration(GPT2, compiled)
    pairs = in_turn(config, tmp_path, gpt2_step(config), PAIRS)
    assert say(config, pairs, "GPT2LMHeadModel", peak_flops) <= LIMIT


@pytest.mark.parametrize("compiled", [False, True], ids=["eager", "compiled"])
@pytest.mark.parametrize("name", THEIRS)
def test_the_shape_of_llama_is_no_slower_than_that_of_others(tmp_path, peak_flops, name, compiled):
    config = configuration(LLAMA, compiled)
    make, loss_of = THEIRS[name]
    pairs = in_turn(config, tmp_path, step_of(config, make(config).train(), loss_of), PAIRS)
    assert say(config, pairs, name, peak_flops) <= LIMIT
