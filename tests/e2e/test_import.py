"""A pre-trained model from elsewhere is imported, and an adapter is trained on it."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import transformers
from safetensors.torch import load_file

from tests.helpers.commandline import command
from tests.helpers.hugging_face import randomised
from tfx_engine.protocol.toml import dumps, read_toml

RUN = {"batch": 2, "warmup_steps": 1, "measure_steps": 4, "device": "cpu", "threads": 1, "save_weights": True}


@pytest.mark.parametrize("kind", ["gpt2", "llama"])
def test_lora_runs_on_an_imported_checkpoint_and_leaves_its_weights_alone(tmp_path: Path, kind: str) -> None:
    if kind == "gpt2":
        sizes = transformers.GPT2Config(vocab_size=256, n_embd=16, n_layer=1, n_head=2, n_positions=16)
        model = transformers.GPT2LMHeadModel(sizes)
    else:
        model = transformers.LlamaForCausalLM(transformers.LlamaConfig(
            vocab_size=256, hidden_size=16, num_hidden_layers=1, num_attention_heads=4, num_key_value_heads=2,
            intermediate_size=24, max_position_embeddings=16))
    randomised(model, torch.float32).to(torch.bfloat16).save_pretrained(tmp_path / "model")
    file = tmp_path / "tiny.toml"
    assert command("import", tmp_path / "model", "-o", file).code == 0
    data = read_toml(file)
    data["run"] = {**data["run"], **RUN}
    data["techniques"]["adapter"] = {"use": "lora", "rank": 2}
    file.write_text(dumps(data), encoding="utf-8")
    done = command("run", file, "--store", tmp_path / "store", "--json")
    assert done.code == 0, done.out + done.err
    (summary,) = done.objects
    assert summary["status"] == "finished"
    assert summary["params"]["trainable"] < summary["params"]["total"] / 4
    before = load_file(tmp_path / "tiny.safetensors")
    (after,) = (load_file(path) for path in (tmp_path / "store").glob("*.safetensors"))
    assert torch.equal(after["embedding.weight"], before["embedding.weight"].float())
    change = after["blocks.0.attention.query.weight"] - before["blocks.0.attention.query.weight"].float()
    assert 1 <= torch.linalg.matrix_rank(change, atol=1e-5) <= 2  # the adapter, merged: of no higher rank than its own
