"""Every technique can be exported: a run with it, as one program without this project, has the same losses to the bit.

A few configurations hold all techniques, several to each. `python -m pytest tests/contract/test_script.py --scripts
each` makes one for every technique and every variant of its options, which takes minutes.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.contract.variants import sizes_for, variants
from tests.helpers.scripts import STEPS, run_scripts, with_weights, write_scripts
from tests.helpers.tiny import task_for, tiny_config
from tfx_engine.model.validate import validate
from tfx_engine.protocol.config import Config
from tfx_engine.protocol.problems import errors_among
from tfx_engine.script.make import Recorded, make_script, refusal
from tfx_engine.script.source import NoScript
from tfx_engine.techniques.catalogue import discover

OWN = {("attention", "own_module"), ("feedforward", "own_module")}  # code of the user's
# A compiler takes its time for each; `--scripts each` tries them.
COMPILED = {("recompute", "budget"), *(("compile", name) for name in ("default", "reduce_overhead", "max_autotune"))}
# What no CPU can do, in a sentence that `validate` says.
ELSEWHERE = {("offload", "activations"), ("precision", "tf32"), ("precision", "float8")}
TRIED = [key for key in discover() if key not in OWN | COMPILED | ELSEWHERE]


def legal(techniques: dict[str, Any], task: str) -> Config | None:
    """The configuration, where it is one that runs here."""
    model: dict[str, Any] = {}
    for slot, choice in techniques.items():
        model |= sizes_for(slot, choice["use"])
    try:
        config = tiny_config(techniques, data={"task": task}, model=model)
    except AssertionError:
        return None
    return None if errors_among(validate(config)) else config


def usual(slot: str, name: str) -> str:
    return task_for(slot, name, "recall" if name == "bidirectional" else "copy")


def each_alone() -> dict[str, Config]:
    found = {}
    for slot, name in (*TRIED, *sorted(COMPILED)):
        for number, options in enumerate(variants(slot, name)):
            config = legal({slot: {"use": name, **options}}, usual(slot, name))
            if config is not None:
                found[f"{slot}.{name}.{number}"] = config
    return found


def together() -> dict[str, Config]:
    """As few configurations as come of putting each technique into the first that it goes with."""
    packs: list[tuple[dict[str, Any], str, Config]] = []
    for slot, name in TRIED:
        task, options = usual(slot, name), variants(slot, name)
        choice = {slot: {"use": name, **options[len(packs) % len(options)]}}
        for place, (techniques, of_task, _) in enumerate(packs):
            if slot not in techniques and of_task == task and (config := legal(techniques | choice, task)):
                packs[place] = (techniques | choice, task, config)
                break
        else:
            config = legal(choice, task)
            assert config is not None, f"{slot}.{name} is not legal by itself"
            packs.append((choice, task, config))
    return {f"{number:02}": config for number, (_, _, config) in enumerate(packs)}


def every_task(folder: Path) -> dict[str, Config]:
    """One configuration for each way to have data."""
    text = "the cat sat on the mat. ä → ö\n" * 40
    (folder / "texts" / ".hidden").mkdir(parents=True)
    for name in ("b.txt", "a.txt", ".c.txt", ".hidden/d.txt"):
        (folder / "texts" / name).write_text(text + name, encoding="utf-8")
    (folder / "texts" / "picture").write_bytes(b"\x89PNG\0")
    file, whole = str(folder / "texts" / "a.txt"), str(folder / "texts")
    tokens = {"vocab": 300}
    data: dict[str, dict[str, Any]] = {
        **{name: {"task": name} for name in ("reverse", "induction", "audio", "noise", "digits", "recall")},
        "file": {"task": "text", "path": file}, "folder": {"task": "text", "path": whole},
        "bpe": {"task": "text", "path": file, "tokenizer": "bpe", "bpe_vocab": 280},
        "grammar": {"task": "text", "corpus": "grammar"}, "python": {"task": "text"},
    }
    data["noise"] |= {"frames": 5, "features": 6, "classes": 4}
    return {f"task-{name}": tiny_config(data=each, model=tokens if each["task"] == "text" else {})
            for name, each in data.items()}


@pytest.fixture(scope="module")
def exported(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("scripts")
    configs = each_alone() if request.config.getoption("scripts") == "each" else together()
    configs |= every_task(folder)
    write_scripts(folder, configs)
    configs["weights"], said = with_weights(folder)
    (folder / "weights.py").write_text(make_script(configs["weights"], said), encoding="utf-8")
    return configs, folder


def test_a_script_whose_model_or_loss_is_another_ends_with_an_assertion(exported, tmp_path):
    text = min((path.read_text() for path in exported[1].glob("*.py")), key=len)
    (tmp_path / "model.py").write_text(text.replace("TRAINABLE = ", "TRAINABLE = 1 + "))
    (tmp_path / "loss.py").write_text(text.replace("LOSSES = [", "LOSSES = [1e-7 + "))
    (tmp_path / "data.py").write_text(text.replace("DATA_SHA256 = '", "DATA_SHA256 = 'x"))
    for name, found in run_scripts(tmp_path).items():
        assert "AssertionError" in found["error"], (name, found)


def test_every_technique_repeats_the_losses_to_the_bit_without_this_project(exported):
    configs, folder = exported
    used = {(slot, choice.use) for config in configs.values() for slot, choice in config.techniques.items()}
    assert used >= set(TRIED)
    found = run_scripts(folder)
    assert found.keys() == configs.keys()
    for name, config in configs.items():
        where = {slot: c.use for slot, c in config.techniques.items() if c.use != "none"}
        assert not found[name]["error"], (where, found[name]["error"])
        assert found[name]["said"].count("equal to the run's") == STEPS, (where, found[name]["said"])


@pytest.mark.parametrize(("slot", "name"), sorted(ELSEWHERE))
def test_what_runs_elsewhere_is_written_here_whole(slot, name, tmp_path):
    """That it gives the same losses there, tests/gpu says."""
    made_with = {"torch": "x", "cpu": None, "machine": None, "threads": 1, "device": "cuda"}
    said = Recorded(name=name, steps=3, parameters=1, trainable=1, losses=[1.0], data_sha256="", made_with=made_with)
    text = make_script(tiny_config({slot: name}, run={"device": "cuda"}), said)
    (tmp_path / "script.py").write_text(text, encoding="utf-8")
    checked(tmp_path)


def checked(folder):
    rules = ["--select", "F,E9", "--ignore", "F841"]  # of a branch that is gone a name may be left
    argv = [sys.executable, "-m", "ruff", "check", "--isolated", "--quiet", *rules, str(folder)]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout


def test_a_script_defines_all_that_it_names_and_imports_nothing_needless(exported):
    checked(exported[1])


def test_a_script_holds_no_technique_that_is_not_used(exported):
    _, folder = exported
    text = min((path.read_text() for path in folder.glob("*.py")), key=len)
    assert "tfx_engine" not in text and "tr_mark" not in text and "Problem(" not in text and "doing(" not in text


@pytest.mark.parametrize(("slot", "name"), sorted(OWN))
def test_a_module_of_ones_own_is_refused_by_name(slot, name):
    config = tiny_config()
    techniques = {**config.techniques, slot: type(config.techniques[slot])(name, {})}
    config = type(config)(**{**vars(config), "techniques": techniques})
    assert name in refusal(config)
    with pytest.raises(NoScript, match=name):
        make_script(config, None)
