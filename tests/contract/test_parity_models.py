"""Whole models: Hugging Face's own, tiny and random, imported as a folder; the same logits and the same gradients.

Configuration and weights go through our importer, so a wrong key, a wrong name, a transposed matrix or a head out of
its place shows here.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from torch import Tensor, nn

from tests.helpers.hugging_face import gradients_of, imported, in_dtype, randomised

TOLERANCE = {torch.float32: 1e-5, torch.float64: 1e-10}
TOKENS = 11
SIZES = {"vocab_size": 260, "attn_implementation": "eager"}
GPT2 = {**SIZES, "n_embd": 24, "n_layer": 2, "n_head": 3, "n_positions": 16}

MODELS: dict[str, Callable[[], nn.Module]] = {
    "gpt2": lambda: transformers.GPT2LMHeadModel(transformers.GPT2Config(**GPT2)),
    "gpt2, inner width, relu": lambda: transformers.GPT2LMHeadModel(transformers.GPT2Config(
        **GPT2, n_inner=40, activation_function="gelu", layer_norm_epsilon=1e-3)),
    "gpt1": lambda: transformers.OpenAIGPTLMHeadModel(transformers.OpenAIGPTConfig(**GPT2)),
}


def close(actual: Tensor, wanted: Tensor, tolerance: float, what: str) -> None:
    scale = max(1.0, wanted.abs().max().item())
    torch.testing.assert_close(actual, wanted, rtol=tolerance, atol=tolerance * scale, msg=lambda m: f"{what}: {m}")


def backward(logits: Tensor) -> None:
    """From a sum over all logits, each with a weight of its own."""
    (logits * torch.linspace(-1, 1, logits.numel(), dtype=logits.dtype).view_as(logits)).sum().backward()


@pytest.mark.parametrize("dtype", TOLERANCE, ids=str)
@pytest.mark.parametrize("name", MODELS)
def test_the_imported_model_has_the_logits_and_every_gradient_of_its_original(
    name: str, dtype: torch.dtype, tmp_path: Path
) -> None:
    tokens_BT = torch.randint(260, (2, TOKENS), generator=torch.Generator().manual_seed(2))
    with in_dtype(dtype):
        theirs = randomised(MODELS[name](), dtype)
        logits: Any = theirs(input_ids=tokens_BT).logits
        backward(logits)
    found, ours = imported(theirs, tmp_path / "model", dtype)
    assert not [problem.sentence() for problem in found.lost if "dropout" not in problem.template]
    actual = ours(tokens_BT)
    backward(actual)
    close(actual.detach(), logits.detach(), TOLERANCE[dtype], "logits")
    wanted = gradients_of(theirs, tmp_path / "gradients")
    assert wanted.keys() == dict(ours.named_parameters()).keys()
    for parameter, tensor in ours.named_parameters():
        assert tensor.grad is not None, parameter
        close(tensor.grad, wanted[parameter], TOLERANCE[dtype], f"gradient of {parameter}")
