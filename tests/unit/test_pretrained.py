"""Import of published models: what is right arrives, what cannot be expressed is said, what is hostile is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

from tests.helpers.commandline import command
from tests.helpers.synthetic_run import write_run
from tfx_engine.pretrained.families import families
from tfx_engine.pretrained.importing import import_config, import_weights
from tfx_engine.pretrained.safetensors import read_header, write
from tfx_engine.protocol.problems import ConfigError
from tfx_engine.protocol.toml import read_toml
from tfx_workbench.cli import main

GPT2 = {"model_type": "gpt2", "n_embd": 8, "n_layer": 1, "n_head": 2, "n_positions": 16, "vocab_size": 256}


def write_json(folder: Path, data: Any, name: str = "config.json") -> Path:
    folder.mkdir(exist_ok=True)
    path = folder / name
    path.write_text(data if isinstance(data, str) else json.dumps(data), encoding="utf-8")
    return path


def gpt2_tensors(width: int = 8, prefix: str = "") -> dict[str, torch.Tensor]:
    shapes = {"wte.weight": (256, width), "wpe.weight": (16, width), "ln_f.weight": (width,), "ln_f.bias": (width,)}
    layers = {"attn.c_attn": (1, 3), "attn.c_proj": (1, 1), "mlp.c_fc": (1, 4), "mlp.c_proj": (4, 1)}
    for name, (inputs, outputs) in layers.items():
        shapes |= {f"h.0.{name}.weight": (inputs * width, outputs * width), f"h.0.{name}.bias": (outputs * width,)}
    for name in ("ln_1", "ln_2"):
        shapes |= {f"h.0.{name}.weight": (width,), f"h.0.{name}.bias": (width,)}
    return {prefix + name: torch.randn(shape) for name, shape in shapes.items()}


def model(folder: Path, tensors: dict[str, torch.Tensor] | None = None, **changed: Any) -> Path:
    write_json(folder, {**GPT2, **changed})
    save_file(gpt2_tensors() if tensors is None else tensors, folder / "model.safetensors")
    return folder


def refused(path: Path) -> list[str]:
    """The codes of all problems."""
    with pytest.raises(ConfigError) as error:
        import_config(path)
    assert all(problem.sentence() for problem in error.value.problems)
    return [problem.code for problem in error.value.problems]


# ------------------------------------------------------------------------------------------ config.json


@pytest.mark.parametrize(("text", "code"), [
    ("", "not-json"), ("{", "not-json"), ("[]", "not-json"), ("3", "not-json"), ('{"a": NaN}', "not-json"),
    ('{"a": Infinity}', "not-json"), ("[" * 100_000, "not-json"), ('{"a":' * 40 + "1" + "}" * 40, "too-deep"),
    ('{"a": ' + "9" * 5000 + "}", "not-json"), ('{"a": ' + "9" * 4000 + "}", "out-of-range"),
    (" " * 2_000_000, "too-large"), ("{}", "unknown-family"), ('{"model_type": 3}', "wrong-type"),
    ('{"model_type": "gtp2"}', "unknown-family"), ('{"model_type": "__import__"}', "unknown-family"),
])
def test_what_is_no_configuration_of_a_known_family_is_refused(tmp_path: Path, text: str, code: str) -> None:
    assert code in refused(write_json(tmp_path, text))


def test_files_that_cannot_be_read_are_refused(tmp_path: Path) -> None:
    assert refused(tmp_path) == ["no-such-file"]
    assert refused(tmp_path / "nowhere" / "config.json") == ["no-such-file"]
    (tmp_path / "config.json").write_bytes(b"\xff\xfe{}")
    assert refused(tmp_path) == ["not-text"]


@pytest.mark.parametrize(("key", "value", "code"), [
    ("n_embd", "wide", "wrong-type"), ("n_embd", True, "wrong-type"), ("n_layer", 0, "wrong-type"),
    ("n_layer", 10**9, "out-of-range"), ("n_head", 2.5, "wrong-type"), ("n_head", 3, "heads-do-not-divide"),
    ("vocab_size", -1, "wrong-type"), ("layer_norm_epsilon", [], "wrong-type"), ("embd_pdrop", 7, "out-of-range"),
    ("activation_function", "mish", "not-expressible"), ("tie_word_embeddings", "yes", "wrong-type"),
    ("layer_norm_epsilon", 10**400, "out-of-range"),
])
def test_a_bad_value_is_named_by_its_key(tmp_path: Path, key: str, value: Any, code: str) -> None:
    assert code in refused(write_json(tmp_path, {**GPT2, key: value}))


def test_all_that_is_wrong_is_said_at_once(tmp_path: Path) -> None:
    assert refused(write_json(tmp_path, {**GPT2, "n_embd": "a", "n_layer": [], "n_head": {}})) == ["wrong-type"] * 3


def test_what_cannot_be_expressed_is_said_in_words(tmp_path: Path) -> None:
    data = {**GPT2, "resid_pdrop": 0.1, "scale_attn_by_inverse_layer_idx": True, "rope_of_tomorrow": {"a": 1}}
    lost = {problem.path: problem.sentence() for problem in import_config(write_json(tmp_path, data)).lost}
    assert lost.keys() == {"resid_pdrop", "scale_attn_by_inverse_layer_idx", "rope_of_tomorrow"}
    assert "0.1" in lost["resid_pdrop"]
    assert import_config(write_json(tmp_path, GPT2)).lost == ()


@pytest.mark.parametrize("kind", sorted(families()))
def test_every_family_has_defaults_of_its_own(tmp_path: Path, kind: str) -> None:
    """Files often leave out what is usual in their family."""
    found = import_config(write_json(tmp_path, {"model_type": kind}))
    assert found.family is families()[kind]
    assert list(found.family.tensors(found.config))


_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3), max_leaves=5,
)
_KEYS = ("n_embd", "hidden_size", "n_layer", "num_hidden_layers", "num_attention_heads", "num_key_value_heads",
         "head_dim", "rope_parameters", "rope_scaling", "rope_theta", "layer_types", "sliding_window", "hidden_act",
         "vocab_size", "attn_config", "rms_norm_eps", "intermediate_size", "max_position_embeddings",
         "attention_bias", "image_size")


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(kind=st.sampled_from(sorted(families())), data=st.dictionaries(st.sampled_from(_KEYS), _VALUES, max_size=6))
def test_no_table_ends_in_anything_but_a_configuration_or_problems(tmp_path: Path, kind: str, data: dict) -> None:
    path = write_json(tmp_path, {**data, "model_type": kind})
    try:
        found = import_config(path)
    except ConfigError as error:
        assert all(problem.sentence() for problem in error.problems)
    else:
        assert all(problem.sentence() for problem in found.lost)


# ------------------------------------------------------------------------------------------ checkpoints


def test_weights_arrive_turned_and_cut_whatever_prefix_and_number_format_they_have(tmp_path: Path) -> None:
    for prefix, dtype in (("", torch.float32), ("transformer.", torch.bfloat16)):
        tensors = {name: t.to(dtype) for name, t in gpt2_tensors(prefix=prefix).items()}
        found = import_config(model(tmp_path / f"model {prefix}", tensors))
        assert import_weights(found, tmp_path / "ours.safetensors") == ()
        ours = load_file(tmp_path / "ours.safetensors")
        fused = tensors[f"{prefix}h.0.attn.c_attn.weight"]
        assert torch.equal(ours["blocks.0.attention.key.weight"], fused[:, 8:16].T)
        assert ours["blocks.0.attention.key.weight"].dtype == dtype
        assert torch.equal(ours["blocks.0.attention.value.bias"], tensors[f"{prefix}h.0.attn.c_attn.bias"][16:])


def test_shards_are_one_checkpoint(tmp_path: Path) -> None:
    tensors, folder = gpt2_tensors(), tmp_path / "shards"
    import_weights(import_config(model(tmp_path / "whole", tensors)), tmp_path / "whole.safetensors")
    write_json(folder, GPT2)
    names = sorted(tensors)
    files = {name: f"part-{i % 3}.safetensors" for i, name in enumerate(names)}
    for file in set(files.values()):
        save_file({name: tensors[name] for name in names if files[name] == file}, folder / file)
    write_json(folder, {"weight_map": files}, "model.safetensors.index.json")
    import_weights(import_config(folder), tmp_path / "shards.safetensors")
    whole, shards = (load_file(tmp_path / f"{name}.safetensors") for name in ("whole", "shards"))
    assert whole.keys() == shards.keys()
    assert all(torch.equal(whole[name], shards[name]) for name in whole)


@pytest.mark.parametrize("name", ["../secret.safetensors", "/etc/passwd", "a/b.safetensors", "gone", "a\0b"])
def test_an_index_that_leads_elsewhere_is_refused(tmp_path: Path, name: str) -> None:
    folder = tmp_path / "model"
    write_json(folder, GPT2)
    save_file(gpt2_tensors(), tmp_path / "secret.safetensors")
    write_json(folder, {"weight_map": {"wte.weight": name}}, "model.safetensors.index.json")
    assert refused(folder) == ["bad-index"]


@pytest.mark.parametrize("content", [
    b"", b"\0" * 8, b"\xff" * 8, (10**12).to_bytes(8, "little") + b"{}", (2).to_bytes(8, "little") + b"[]",
    (3).to_bytes(8, "little") + b"{a}",
])
def test_a_file_that_is_no_safetensors_is_refused(tmp_path: Path, content: bytes) -> None:
    folder = model(tmp_path / "model")
    (folder / "model.safetensors").write_bytes(content)
    with pytest.raises(ConfigError, match="not a whole safetensors file"):
        import_weights(import_config(folder), tmp_path / "ours.safetensors")
    assert not list(tmp_path.glob("*.safetensors*"))


@pytest.mark.parametrize("entry", [
    {}, {"dtype": "F32", "shape": [2], "data_offsets": [0, 7]}, {"dtype": "F32", "shape": [2], "data_offsets": [-8, 0]},
    {"dtype": "F32", "shape": [2], "data_offsets": [8, 16]}, {"dtype": "X", "shape": [2], "data_offsets": [0, 8]},
    {"dtype": "F32", "shape": [-2], "data_offsets": [0, 8]},
    {"dtype": "F32", "shape": [2**62, 4], "data_offsets": [0, 0]},
    {"dtype": "F32", "shape": [True, 2], "data_offsets": [0, 8]}, 3, None,
])
def test_a_header_that_cannot_be_true_is_refused(tmp_path: Path, entry: Any) -> None:
    text = json.dumps({"a": entry}).encode()
    file = tmp_path / "a.safetensors"
    file.write_bytes(len(text).to_bytes(8, "little") + text + b"\0" * 8)
    with pytest.raises(ConfigError):
        read_header(file)


def test_a_missing_tensor_and_one_of_another_shape_are_named(tmp_path: Path) -> None:
    tensors = gpt2_tensors()
    del tensors["h.0.ln_1.bias"]
    tensors["h.0.attn.c_attn.weight"] = torch.zeros(8, 25)
    with pytest.raises(ConfigError) as error:
        import_weights(import_config(model(tmp_path / "model", tensors)), tmp_path / "ours.safetensors")
    found = {problem.code: problem.path for problem in error.value.problems}
    assert found == {"missing-tensor": "h.0.ln_1.bias", "wrong-shape": "h.0.attn.c_attn.weight"}


def test_a_tensor_without_a_place_is_named_and_a_buffer_is_not(tmp_path: Path) -> None:
    tensors = {**gpt2_tensors(), "h.0.attn.bias": torch.zeros(4), "h.0.extra.weight": torch.zeros(3)}
    left = import_weights(import_config(model(tmp_path / "model", tensors)), tmp_path / "ours.safetensors")
    assert [problem.path for problem in left] == ["h.0.extra.weight"]


def test_the_checkpoint_is_never_overwritten_with_itself(tmp_path: Path) -> None:
    folder = model(tmp_path / "model")
    before = (folder / "model.safetensors").read_bytes()
    with pytest.raises(ConfigError, match="itself"):
        import_weights(import_config(folder), folder / "model.safetensors")
    assert (folder / "model.safetensors").read_bytes() == before


def test_what_is_written_is_read_by_the_library_that_everybody_has(tmp_path: Path) -> None:
    numbers = {"a": np.arange(6, dtype=np.float64).reshape(2, 3), "b": np.zeros((0, 4), np.float32)}
    write(tmp_path / "a.safetensors", {
        "a": ("F64", lambda: numbers["a"].T), "b": ("F32", lambda: numbers["b"]),
    }, {"made_by": "a test"})
    found = load_file(tmp_path / "a.safetensors")
    assert torch.equal(found["a"], torch.arange(6, dtype=torch.float64).reshape(2, 3).T)
    assert found["b"].shape == (0, 4)
    again = read_header(tmp_path / "a.safetensors")
    assert np.array_equal(again["a"].read(), numbers["a"].T)


# ------------------------------------------------------------------------------------------ the command


def test_import_writes_a_configuration_that_can_be_run_and_its_weights(tmp_path: Path) -> None:
    folder = model(tmp_path / "model", resid_pdrop=0.1)
    done = command("import", folder, "-o", tmp_path / "tiny.toml", "--json")
    assert done.code == 0, done.err
    (told,) = done.objects
    assert told["ok"] and told["family"] == "GPT-2" and told["weights"] == str(tmp_path / "tiny.safetensors")
    assert [entry["path"] for entry in told["lost"]] == ["resid_pdrop"]
    assert command("check", tmp_path / "tiny.toml").code == 0
    assert load_file(tmp_path / "tiny.safetensors").keys() > {"embedding.weight", "final_norm.bias"}


def test_import_replaces_nothing_unasked_and_never_a_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def refusal(*arguments: object) -> str:
        assert main(["import", str(folder), "-o", *map(str, arguments), "--json"]) == 2
        (problem,) = json.loads(capsys.readouterr().out)["problems"]
        return str(problem["code"])

    folder, target, weights = model(tmp_path / "model"), tmp_path / "tiny.toml", tmp_path / "tiny.safetensors"
    for mine in (target, weights):
        mine.write_text("mine", encoding="utf-8")
        assert refusal(target) == "exists"
        assert mine.read_text(encoding="utf-8") == "mine" and len(list(tmp_path.iterdir())) == 2
        mine.unlink()
    assert refusal(weights) == "same-file"
    target.write_text("mine", encoding="utf-8")
    assert main(["import", str(folder), "-o", str(target), "--force"]) == 0
    assert read_toml(target)["run"] == {"start_from": weights.name} and weights.stat().st_size > 1000
    capsys.readouterr()
    assert refusal(write_run(tmp_path / "run.tfx", steps=2), "--no-weights", "--force") == "is-a-run"


def test_import_without_a_file_prints_the_configuration(tmp_path: Path) -> None:
    done = command("import", model(tmp_path / "model") / "config.json")
    assert done.code == 0
    assert 'position = "learned"' in done.out
    assert "-o FILE.toml" in done.err


def test_import_refuses_with_a_sentence(tmp_path: Path) -> None:
    done = command("import", write_json(tmp_path, {"model_type": "gtp2"}), "--json")
    assert done.code == 2
    assert done.objects[0]["problems"][0]["code"] == "unknown-family"
    assert "gpt2" in done.objects[0]["problems"][0]["hint"]
    assert command("import", tmp_path / "nowhere").code == 2
