"""File > Import: a published model is in the form, with its weights, and nothing waits."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from tests.helpers.windows import wait, window
from tfx_workbench.app.importing import ModelImport, weights_file

pytestmark = pytest.mark.usefixtures("qapp")

GPT2 = {"model_type": "gpt2", "n_embd": 8, "n_layer": 1, "n_head": 2, "n_positions": 16, "vocab_size": 256}


def model(folder: Path, weights: bool = True, **changed: object) -> Path:
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps({**GPT2, **changed}), encoding="utf-8")
    if weights:
        d = int(str(changed.get("n_embd", 8)))
        shapes = {"wte": (256, d), "wpe": (16, d), "h.0.ln_1": (d,), "h.0.ln_2": (d,), "ln_f": (d,),
                  "h.0.attn.c_attn": (d, 3 * d), "h.0.attn.c_proj": (d, d), "h.0.mlp.c_fc": (d, 4 * d),
                  "h.0.mlp.c_proj": (4 * d, d)}
        tensors = {f"{name}.weight": torch.ones(shape) for name, shape in shapes.items()}
        tensors |= {f"{name}.bias": torch.ones(shape[-1:]) for name, shape in shapes.items() if name[0] != "w"}
        save_file(tensors, folder / "model.safetensors")
    return folder / "config.json"


def test_a_model_and_its_weights_arrive_in_the_form_and_what_was_lost_is_said(tmp_path: Path) -> None:
    file = model(tmp_path / "tiny one", resid_pdrop=0.1)
    with window(tmp_path) as made:
        ModelImport(made).start(str(file))
        wait(lambda: made.session.draft.config.model.width == 8, "the model in the form")
        assert made.session.draft.config.name == "tiny one"
        start = Path(str(made.session.draft.config.run.start_from))
        assert start == tmp_path / "runs" / "imported" / "tiny-one.safetensors"
        assert load_file(start)["blocks.0.attention.query.weight"].shape == (8, 8)
        assert "resid_pdrop" in made.messages.text
        made.actions_.undo.trigger()
        assert made.session.draft.config.model.width == 256


def test_weights_that_runs_began_with_stay_when_another_model_of_that_name_is_imported(tmp_path: Path) -> None:
    found = []
    with window(tmp_path) as made:
        for folder, width in (("a", 8), ("b", 16), ("c", 8)):
            (tmp_path / folder).mkdir()
            file = model(tmp_path / folder / "tiny", n_embd=width)
            made.session.draft.reset()
            ModelImport(made).start(str(file))
            wait(lambda width=width: made.session.draft.config.model.width == width, "the model in the form")
            found.append(Path(str(made.session.draft.config.run.start_from)).name)
    assert found == ["tiny.safetensors", "tiny-2.safetensors", "tiny.safetensors"]
    assert len(list((tmp_path / "runs" / "imported").iterdir())) == 2


def test_a_model_without_weights_is_a_configuration_alone(tmp_path: Path) -> None:
    with window(tmp_path) as made:
        ModelImport(made).start(str(model(tmp_path / "tiny", weights=False)))
        wait(lambda: made.session.draft.config.model.width == 8, "the model in the form")
        assert made.session.draft.config.run.start_from is None


def test_what_cannot_be_imported_is_said_and_changes_nothing(tmp_path: Path) -> None:
    with window(tmp_path) as made:
        ModelImport(made).start(str(model(tmp_path / "tiny", model_type="gtp2")))
        wait(lambda: "gtp2" in made.messages.text, "the refusal")
        assert made.session.draft.config.model.width == 256


def test_the_presets_of_published_models_stand_under_their_families(tmp_path: Path) -> None:
    with window(tmp_path) as made:
        made.top.preset_menu.aboutToShow.emit()
        menus = {action.text(): action.menu() for action in made.top.preset_menu.actions() if action.menu()}
        gpt2 = next(action for action in menus["GPT"].actions() if action.text() == "GPT-2 124M")
        assert "124,439,808" in gpt2.toolTip()
        gpt2.trigger()
        assert made.session.draft.config.model.layers == 12
        assert made.session.draft.title == "GPT-2 124M"


@pytest.mark.parametrize("name", ["../../etc/passwd", "a/b", "", "...", "CON:"])
def test_the_weights_stay_in_their_folder_whatever_the_model_is_called(tmp_path: Path, name: str) -> None:
    assert weights_file(tmp_path, name).parent == tmp_path / "imported"
