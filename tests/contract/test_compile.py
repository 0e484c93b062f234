"""A compiled training is the training: compiled before its first step, measured as it is, probed uncompiled."""

from __future__ import annotations

import subprocess
from typing import Any

import numpy as np
import pytest
import torch

from tests.helpers.tiny import tiny_config
from tests.helpers.training import ListRecorder, recorded, small_setup, split_of_step
from tfx_engine.model.validate import validate
from tfx_engine.protocol.config import parse_config
from tfx_engine.techniques import compile as compiling
from tfx_engine.techniques.compile import obstacle
from tfx_engine.train.compiling import compile_now
from tfx_engine.train.step import train_step
from tfx_engine.worker.facts import missing_facts, training_facts

# torch hides warnings of its own compiler by a hook that is only asked where warnings are shown.
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")
NOTHING_HERE = obstacle("cpu")
REASON = "" if NOTHING_HERE is None else NOTHING_HERE.template.format_map(NOTHING_HERE.args)
needs_compiler = pytest.mark.skipif(NOTHING_HERE is not None, reason=f"compiling {REASON}")
SECTIONS: dict[str, Any] = {
    "model": {"width": 16, "layers": 2, "heads": 2, "head_width": None},
    "run": {"warmup_steps": 1, "measure_steps": 4, "memory_every": 2, "probe_budget_percent": 100},
}


@pytest.fixture(scope="module")
def both() -> tuple[ListRecorder, ListRecorder]:
    usual = recorded(small_setup({"recompute": "selective"}, **SECTIONS))
    return usual, recorded(small_setup({"compile": "default", "recompute": "selective"}, **SECTIONS))


@needs_compiler
def test_compiling_is_a_phase_of_its_own_and_no_step_waits_for_it(both: tuple[ListRecorder, ListRecorder]) -> None:
    usual, compiled = both
    assert compiled.phases == ["compile", *usual.phases]
    assert [r.step for r in compiled.readings] == [r.step for r in usual.readings]
    ((code, said),) = compiled.events
    assert code == "compiled" and said["seconds"] > 0 and said["graphs"] >= 1
    assert max(r.step_ms for r in compiled.readings) < 500 * said["seconds"]


@needs_compiler
def test_a_compiled_training_takes_the_same_steps(both: tuple[ListRecorder, ListRecorder]) -> None:
    usual, compiled = both
    assert compiled.losses == pytest.approx(usual.losses, rel=1e-4)
    for ours, theirs in zip(usual.readings, compiled.readings, strict=True):
        assert theirs.probed == ours.probed
        if ours.probed:
            np.testing.assert_allclose(theirs.layer_grad_norm, ours.layer_grad_norm, rtol=1e-3)


@needs_compiler
def test_probes_see_a_compiled_training_as_it_is(both: tuple[ListRecorder, ListRecorder]) -> None:
    usual, compiled = both
    maps = [dict(recorder.maps) for recorder in both]
    seen_by_both = maps[0].keys() & maps[1].keys()  # at which steps there is time for it depends on how long they take
    assert len(seen_by_both) >= 2
    for step in seen_by_both:
        np.testing.assert_allclose(maps[1][step].layers, maps[0][step].layers, atol=2e-3)
    for (_, _, ours), (_, _, theirs) in zip(usual.splits, compiled.splits, strict=True):
        assert theirs.kernels == ours.kernels == ("flash",)
        assert sum(theirs.at_peak.values()) == theirs.peak_bytes
        own = [split.category_peak[:3].tolist() for split in (ours, theirs)]
        assert own[0] == own[1], "parameters, gradients and optimizer state are the same"


def test_a_budget_makes_the_compiler_keep_less(monkeypatch: pytest.MonkeyPatch) -> None:
    """The choice is made before any code is generated, so none is."""
    real, kept = torch.compile, []
    backend = "aot_eager_decomp_partition"
    monkeypatch.setattr(torch, "compile", lambda f, mode: real(f, backend=backend))
    for share in (1.0, 0.0):
        techniques = {"compile": "default", "recompute": {"use": "budget", "share": share}}
        setup = small_setup(techniques, model={**SECTIONS["model"], "layers": 1}, run={"batch": 4})
        kept.append(int(split_of_step(setup, step=2).category_peak[3]))
        assert "flops_per_token.hardware" in missing_facts(setup)
        assert training_facts(setup)["flops_per_token"].keys() == {"model"}
        assert torch._functorch.config.activation_memory_budget == 1.0
    assert kept[1] < 0.7 * kept[0]


@pytest.mark.parametrize("techniques", [
    {"recompute": "every_block"}, {"adapter": "lora", "position": "rotary"}, {"accumulation": "micro_batches"},
], ids=str)  # fmt: skip
def test_graphs_of_other_techniques_train_as_they_do(techniques: dict[str, Any], monkeypatch: Any) -> None:
    """As torch's compiler sees them, with its kernels left out: those are the ones of `default`."""
    real = torch.compile
    monkeypatch.setattr(torch, "compile", lambda f, mode: real(f, backend="aot_eager"))
    torch.compiler.reset()
    usual, compiled = small_setup(techniques), small_setup({**techniques, "compile": "default"})
    assert not usual.training.is_compiled and compiled.training.is_compiled
    before = {name: p.detach().clone() for name, p in compiled.training.model.state_dict().items()}
    assert compile_now(compiled.training, compiled.task.batch(0)) > 0
    assert all(torch.equal(p, before[name]) for name, p in compiled.training.model.state_dict().items())
    assert all(p.grad is None for p in compiled.training.model.parameters())
    for index in range(3):
        losses = [train_step(setup.training, usual.task.batch(index), index) for setup in (usual, compiled)]
        torch.testing.assert_close(*losses, rtol=1e-5, atol=1e-6)


def test_a_budget_without_a_compiler_is_refused_with_its_reason() -> None:
    _, problems = parse_config({"techniques": {"recompute": "budget"}})
    assert "Only a compiler knows the graph" in problems[0].sentence()


def test_cuda_graphs_are_refused_where_there_are_none() -> None:
    (problem,) = validate(tiny_config({"compile": "reduce_overhead"}))
    assert "needs CUDA graphs, which the device 'cpu' does not have" in problem.sentence()


@pytest.fixture
def anew() -> Any:
    """What was found out about this machine is found out again, and forgotten."""
    obstacle.cache_clear()
    yield
    obstacle.cache_clear()


@pytest.mark.usefixtures("anew")
def test_without_a_compiler_it_is_refused_with_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda name: None)
    monkeypatch.setattr(compiling.sys, "platform", "linux")
    (problem,) = validate(tiny_config({"compile": "default"}))
    assert "needs a C++ compiler" in problem.sentence() and "apt install g++" in problem.hint
    assert problem.code == "unavailable"


@pytest.mark.usefixtures("anew")
def test_a_compiler_without_pythons_headers_is_refused_with_what_it_says(monkeypatch: pytest.MonkeyPatch) -> None:
    said = subprocess.CompletedProcess([], 1, "", "fatal error: Python.h: No such file or directory\nmore")
    monkeypatch.setattr("shutil.which", lambda name: f"/usr/bin/{name}")
    monkeypatch.setattr("subprocess.run", lambda *args, **more: said)
    monkeypatch.setattr(compiling.sys, "platform", "linux")
    found = obstacle("cpu")
    assert found is not None and found.args["error"] == "fatal error: Python.h: No such file or directory"
    assert obstacle("cpu") is found, "it is looked for once"


@pytest.mark.usefixtures("anew")
@pytest.mark.parametrize(("platform", "package"), [("linux", "triton"), ("win32", "triton-windows")])
def test_a_gpu_without_triton_is_refused_with_the_package_to_install(
    platform: str, package: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("torch.cuda.get_device_capability", lambda: (8, 0))
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    monkeypatch.setattr(compiling.sys, "platform", platform)
    found = obstacle("cuda")
    assert found is not None and f"pip install {package})" in found.hint_template.format_map(found.args)
    monkeypatch.setattr("torch.cuda.get_device_capability", lambda: (6, 1))
    obstacle.cache_clear()
    old = obstacle("cuda")
    assert old is not None and "6.1" in old.template.format_map(old.args)
