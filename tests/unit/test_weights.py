"""Weights on disk: saved by one run, started from by another; what does not fit is said; warnings hinder nothing."""

from __future__ import annotations

import datetime
import os
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

import tfx_engine.api as tfx
from tests.helpers.tiny import tiny_config
from tfx_engine.__main__ import main
from tfx_engine.model import weights
from tfx_engine.model.assemble import assemble
from tfx_engine.model.validate import validate
from tfx_engine.protocol.config import Config
from tfx_engine.protocol.problems import ConfigError, errors_among
from tfx_engine.runfile.create import create
from tfx_engine.runfile.reader import RunReader
from tfx_engine.runfile.store import new_run_path
from tfx_engine.techniques.adapter import is_adapter
from tfx_engine.worker.run import execute

TINY = {"model": {"width": 32, "layers": 2, "heads": 2, "context": 32},
        "run": {"batch": 8, "warmup_steps": 1, "measure_steps": 25, "device": "cpu", "threads": 1,
                "probes": False}}  # fmt: skip


def config_of(**changes: Any) -> Config:
    keys = TINY.keys() | changes.keys()
    return tfx.load_config({k: {**TINY.get(k, {}), **changes.get(k, {})} for k in keys})


def done(store: Path, config: Config) -> Path:
    path = new_run_path(store, config.name, datetime.datetime.now())
    create(path, config, "")
    outcome = execute(path)
    assert outcome.status == "finished", outcome.reason
    return path


def read(path: Path, what: str) -> Any:
    with closing(RunReader(path)) as reader:
        return getattr(reader, what)()


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that learnt one text and kept its weights."""
    return done(tmp_path_factory.mktemp("first"), config_of(run={"save_weights": True, "measure_steps": 60}))


def test_a_run_keeps_its_weights_beside_its_file_under_the_models_names(trained: Path) -> None:
    kept = load_file(trained.with_name(trained.name + ".safetensors"))
    model = assemble(config_of(), "cpu")
    assert kept.keys() == {name for name, _ in model.named_parameters()}
    assert not torch.equal(kept["blocks.0.attention.query.weight"], model.blocks[0].attention.query.weight)
    assert read(trained, "facts")["weights"] == trained.name + ".safetensors"
    assert not list(trained.parent.glob(".*safetensors*")), "nothing unfinished is left"


@pytest.mark.parametrize("of", ["weights", "run"])
def test_another_run_begins_where_the_first_ended(trained: Path, of: str) -> None:
    given = trained if of == "run" else weights.weights_beside(trained)
    model = assemble(config_of(run={"start_from": str(given)}), "cpu")
    kept = load_file(weights.weights_beside(trained))
    assert all(torch.equal(p, kept[name]) for name, p in model.named_parameters())


def test_lora_on_trained_weights_lowers_the_loss_on_other_data_and_trains_its_own_alone(
    trained: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other.txt"
    other.write_text("".join(f"{i}: the quick brown fox\n" for i in range(4000)))
    adapted = {"techniques": {"adapter": {"use": "lora", "rank": 4}, "optimizer": {"learning_rate": 0.01}},
               "data": {"path": str(other)}, "run": {"start_from": str(trained), "measure_steps": 40}}  # fmt: skip
    path = done(tmp_path, config_of(**adapted))
    loss = read(path, "steps")["loss"]
    assert loss[-5:].mean() < 0.75 * loss[0]
    assert not [e for e in read(path, "events") if e.code == "untrained-base"]
    merged = done(tmp_path, config_of(**{**adapted, "run": {**adapted["run"], "save_weights": True}}))
    before, after = load_file(weights.weights_beside(trained)), load_file(weights.weights_beside(merged))
    assert after.keys() == before.keys(), "an adapter is merged into the weights that are kept"
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed == {n for n in before if n.startswith("blocks.") and n.endswith("weight") and "norm" not in n}
    adapter = [n for n, p in assemble(config_of(**adapted), "cpu").named_parameters() if p.requires_grad]
    assert adapter and all(is_adapter(name) for name in adapter)


def test_an_adapter_on_random_weights_is_warned_of_in_the_check_and_in_the_run(tmp_path: Path, capsys) -> None:
    config = config_of(techniques={"adapter": "lora"}, run={"measure_steps": 1})
    (warning,) = validate(config)
    assert (warning.level, warning.code, warning.path) == ("warning", "untrained-base", "techniques.adapter.use")
    assert not errors_among([warning])
    path = done(tmp_path, config)
    (event,) = [e for e in read(path, "events") if e.kind == "warning"]
    assert event.code == "untrained-base" and "says nothing about LoRA" in event.args["sentence"]
    file = tmp_path / "lora.toml"
    file.write_text('[techniques]\nadapter = "lora"\n')
    assert main(["check", str(file), "--json"]) == 0
    said = capsys.readouterr().out
    assert '"ok":true' in said and '"level":"warning"' in said


def problems_with(path: Path | str, **model: Any) -> list[tuple[str, str]]:
    config = tiny_config(model=model, run={"start_from": str(path)})
    found = validate(config)
    assert all(p.path == "run.start_from" and p.message and "{" not in p.sentence() for p in found)
    if found:
        with pytest.raises(ConfigError):
            assemble(config, "cpu")
    return [(p.code, p.sentence()) for p in found]


def test_weights_that_do_not_fit_are_refused_by_name_and_shape(tmp_path: Path) -> None:
    config = tiny_config({"head": "untied"})
    path = tmp_path / "w.safetensors"
    weights.save(assemble(config, "cpu"), path, config)
    (beyond,) = problems_with(path)
    assert beyond[0] == "weights-beyond" and "head.weight" in beyond[1] and "head = untied" in beyond[1]
    found = dict(problems_with(path, layers=3, width=8))
    assert found.keys() == {"weights-missing", "weights-beyond", "weights-of-another-shape"}
    assert "blocks.2.attention.query.weight" in found["weights-missing"]
    assert "model.width = 7" in found["weights-missing"]
    assert "embedding.weight [11, 7] / [11, 8]" in found["weights-of-another-shape"]


def test_what_is_no_file_of_weights_is_refused(tmp_path: Path) -> None:
    (tmp_path / "pickle.pt").write_bytes(b"\x80\x02}q\x00.")
    (tmp_path / "cut.safetensors").write_bytes((100).to_bytes(8, "little") + b'{"a":')
    (tmp_path / "alone.tfx").write_bytes(b"")
    codes = [problems_with(tmp_path / name)[0][0] for name in ("pickle.pt", "cut.safetensors", "", "none", "alone.tfx")]
    assert codes == ["not-weights"] * 3 + ["no-such-file"] * 2
    assert "save_weights" in problems_with(tmp_path / "alone.tfx")[0][1]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_nobody_waits_for_a_pipe_to_be_written_to(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.safetensors")
    assert "it is no file" in problems_with(tmp_path / "pipe.safetensors")[0][1]


def test_weights_that_are_no_numbers_to_train_with_are_refused_when_they_are_loaded(tmp_path: Path) -> None:
    config, path = tiny_config(run={"start_from": str(tmp_path / "w.safetensors")}), tmp_path / "w.safetensors"
    state = {name: tensor.clone() for name, tensor in weights.state_of(assemble(tiny_config(), "cpu")).items()}
    state["blocks.0.attention.query.weight"][0, 0] = torch.nan
    state["blocks.1.attention.query.bias"] = state["blocks.1.attention.query.bias"].int()
    save_file(state, path)
    with pytest.raises(ConfigError) as error:
        assemble(config, "cpu")
    found = {problem.code: problem.args["names"] for problem in error.value.problems}
    assert found == {"weights-not-finite": "blocks.0.attention.query.weight",
                     "weights-of-another-type": "blocks.1.attention.query.bias"}  # fmt: skip


def test_what_somebody_called_a_tensor_is_shown_without_control_characters_and_not_at_any_length(
    tmp_path: Path
) -> None:
    save_file({"\x1b[2J" + 5000 * "x": torch.zeros(1)}, tmp_path / "w.safetensors",
              {weights.METADATA: 100_000 * "["})  # fmt: skip
    sentences = " ".join(sentence for _, sentence in problems_with(tmp_path / "w.safetensors"))
    assert "\x1b" not in sentences and len(sentences) < 1000


def test_a_file_without_our_metadata_serves_as_well(tmp_path: Path) -> None:
    model = assemble(tiny_config(seed=5), "cpu")
    save_file(weights.state_of(model), tmp_path / "plain.safetensors")
    assert problems_with(tmp_path / "plain.safetensors") == []
    (missing, *_) = problems_with(tmp_path / "plain.safetensors", layers=3)
    assert missing[1].endswith(".")


def test_weights_that_cannot_be_written_leave_the_old_ones_and_the_run_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = config_of(run={"save_weights": True, "measure_steps": 1})

    def full(*given: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("safetensors.torch.save_file", full)
    path = done(tmp_path, config)
    assert "No space left" in read(path, "missing")["weights"]
    assert not list(tmp_path.glob("*.safetensors")) and not list(tmp_path.glob(".*"))


@pytest.mark.parametrize("adapter", ["qlora", "dora", "ia3", "prefix", "freeze"])
def test_every_adapter_starts_from_a_file_is_counted_and_can_be_kept(
    trained: Path, tmp_path: Path, adapter: str
) -> None:
    run = {"start_from": str(trained), "save_weights": True, "measure_steps": 2, "probes": False}
    config = config_of(techniques={"adapter": adapter}, run=run)
    path = done(tmp_path, config)
    facts, kept = read(path, "facts"), load_file(weights.weights_beside(path))
    assert facts["params"]["trainable"] < facts["params"]["total"] and facts["flops_per_token"]["model"] > 0
    base = load_file(weights.weights_beside(trained))
    assert base.keys() <= kept.keys() and all(is_adapter(name) for name in kept.keys() - base.keys())
    assert bool(kept.keys() - base.keys()) == (adapter == "prefix"), "what cannot be merged is kept beside the model's"
    assert torch.equal(kept["embedding.weight"], base["embedding.weight"])
