"""The Python surface, as the design fixes it."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch

import tfx_engine.api as tfx
from tfx_engine.runfile.reader import RunReader

SMALL = {"model": {"width": 16, "layers": 2, "heads": 2, "context": 16},
         "run": {"batch": 2, "warmup_steps": 1, "measure_steps": 2, "device": "cpu", "profile": False, "audit": False}}


def test_a_configuration_comes_from_a_dict_or_a_file(tmp_path):
    file = tmp_path / "small.toml"
    file.write_text("[model]\nwidth = 16\nheads = 2\n")
    assert tfx.load_config(file) == tfx.load_config(str(file)) == tfx.load_config({"model": {"width": 16, "heads": 2}})


def test_every_problem_of_a_configuration_is_raised_at_once():
    with pytest.raises(tfx.ConfigError) as raised:
        tfx.load_config({"model": {"widht": 3, "layers": "six"}, "techniques": {"position": {"use": "rotory"}}})
    assert [p.path for p in raised.value.problems] == ["model.widht", "model.layers", "techniques.position.use"]


def test_a_file_that_is_not_there_is_a_problem(tmp_path):
    with pytest.raises(tfx.ConfigError, match="there is no such file"):
        tfx.load_config(tmp_path / "gone.toml")


def test_a_model_takes_tokens_and_gives_logits_and_a_seed_means_the_same_weights():
    config = tfx.load_config({**SMALL, "seed": 7})
    tokens_BT = torch.randint(256, (3, 16))
    one, other = tfx.build_model(config), tfx.build_model(config, device="cpu")
    assert one(tokens_BT).shape == (3, 16, 256)
    assert torch.equal(one(tokens_BT), other(tokens_BT))
    different = tfx.build_model(tfx.load_config({**SMALL, "seed": 8}))
    assert not torch.equal(one(tokens_BT), different(tokens_BT))


def test_a_device_that_is_not_there_is_a_problem():
    with pytest.raises(tfx.ConfigError, match=r"run\.device"):
        tfx.build_model(tfx.load_config(SMALL), device="cuda:77")


@pytest.mark.parametrize("techniques", [{}, {"adapter": "lora"}, {"head": "untied", "position": "learned"}])
def test_an_estimate_counts_the_parameters_of_the_model(techniques):
    config = tfx.load_config({**SMALL, "techniques": techniques})
    estimate, model = tfx.estimate(config), tfx.build_model(config)
    assert estimate["params"] == {
        "total": sum(p.numel() for p in model.parameters()),
        "trainable": sum(p.numel() for p in model.parameters() if p.requires_grad),
    }
    assert estimate["level"] == "instant" and estimate["flops_per_token"]["forward"] > 0


def test_an_estimate_adds_up_and_says_whether_it_fits():
    config = tfx.load_config(SMALL)
    estimate = tfx.estimate(config, device_memory="1GiB")
    memory = estimate["memory_bytes"]
    assert memory["peak"] == sum(value for name, value in memory.items() if name != "peak") > 0
    assert all(own >= memory[name] for name, own in estimate["category_peak_bytes"].items())
    assert (estimate["fits"], estimate["device_bytes"]) == (True, 2**30)
    assert tfx.estimate(config, device_memory=1000)["fits"] is False
    close = tfx.estimate(config, device_memory=memory["peak"])
    assert close["fits"] is None and close["missing"]["fits"]


def test_an_estimate_for_a_device_that_is_not_here_knows_no_capacity():
    estimate = tfx.estimate(tfx.load_config({**SMALL, "run": {"device": "cuda:77"}}))
    assert estimate["fits"] is None and "--device-memory" in estimate["missing"]["fits"]


def test_a_size_that_is_none_is_refused():
    with pytest.raises(tfx.ConfigError, match="device_memory"):
        tfx.estimate(tfx.load_config(SMALL), device_memory="a lot")


def test_an_unknown_level_is_refused():
    with pytest.raises(tfx.ConfigError, match="clairvoyant"):
        tfx.estimate(tfx.load_config(SMALL), level="clairvoyant")


def test_a_run_gives_its_file_in_the_store(tmp_path):
    path = tfx.run(tfx.load_config({**SMALL, "name": "my run"}), store=tmp_path / "runs")
    assert path.parent == tmp_path / "runs" and "my-run" in path.name
    reader = RunReader(path)
    assert reader.info().status == "finished" and reader.count_steps() == 4
    reader.close()


def test_a_run_that_cannot_begin_leaves_no_file(tmp_path):
    config = tfx.load_config({**SMALL, "data": {"path": str(tmp_path / "gone.txt")}})
    with pytest.raises(tfx.ConfigError, match=r"gone\.txt"):
        tfx.run(config, store=tmp_path / "runs")
    assert not list(tmp_path.rglob("*.tfx"))


def test_loading_needs_no_torch():
    code = ("import sys, tfx_engine.api as tfx; tfx.load_config({}); "
            "assert 'torch' not in sys.modules, 'torch was imported'")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
