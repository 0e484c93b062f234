"""Published models: as many parameters as published, counted twice, and as many FLOPs."""

from __future__ import annotations

import dataclasses

import pytest

from tests.helpers.tiny import tiny_config
from tfx_engine.estimate import count_parameters, flops_per_token
from tfx_engine.estimate.models import generate_table, load_model
from tfx_engine.model.assemble import assemble
from tfx_engine.pretrained.index import PublishedModel, models_folder, published_models
from tfx_engine.protocol.config import Config
from tfx_engine.protocol.problems import errors_among
from tfx_engine.techniques.catalogue import technique_for

MODELS = published_models()
AT_MOST = 4  # layers that are assembled; every further one has as many parameters as the last of these
FLOPS = {  # forward, of a whole sample: measured with torch's counter on Hugging Face's models
    "gpt2": (1024, 291_648_307_200),
    "llama_3_8b": (2048, 32_938_104_193_024),
    "qwen2_5_0_5b": (1024, 1_101_826_883_584),
    "vit_b_16": (197, 35_127_656_448),
}


def with_sizes(config: Config, **sizes: int) -> Config:
    return dataclasses.replace(config, model=dataclasses.replace(config.model, **sizes))


def assembled(config: Config) -> int:
    return sum(parameter.numel() for parameter in assemble(config, "meta").parameters())


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.name)
def test_a_published_model_has_the_published_number_of_parameters(model: PublishedModel) -> None:
    config = load_model(model)
    assert count_parameters(config).total == model.parameters - model.difference
    assert bool(model.note) == bool(model.difference)


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.name)
def test_the_assembled_model_has_it_too_without_being_allocated(model: PublishedModel) -> None:
    config = load_model(model)
    layers = min(config.model.layers, AT_MOST)
    count = assembled(with_sizes(config, layers=layers))
    if layers < config.model.layers:
        count += (config.model.layers - layers) * (count - assembled(with_sizes(config, layers=layers - 1)))
    assert count == model.parameters - model.difference


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.name)
def test_no_technique_of_it_refuses_a_published_model(model: PublishedModel) -> None:
    config = load_model(model)
    chosen = [technique_for(slot, choice) for slot, choice in config.techniques.items()]
    found = [problem for technique, options in chosen for problem in technique.check(options, config)]
    assert not errors_among(found)


@pytest.mark.parametrize("name", FLOPS)
def test_the_flops_of_a_sample_are_those_that_were_measured(name: str) -> None:
    tokens, wanted = FLOPS[name]
    config = with_sizes(load_model(next(m for m in MODELS if m.name == name)), context=tokens)
    assert round(tokens * flops_per_token(config).forward) == wanted  # per token it may be a fraction


def test_the_index_names_every_file_once_and_families_stand_together() -> None:
    names = [model.name for model in MODELS]
    assert sorted(names) == sorted(path.stem for path in models_folder().glob("*.toml") if path.stem != "index")
    families = [model.family for model in MODELS]
    assert families == sorted(families, key=families.index)
    assert len({model.title for model in MODELS}) == len(MODELS)


def test_the_table_in_the_documents_is_up_to_date(repo) -> None:
    table = (repo / "docs" / "models.md").read_text(encoding="utf-8")
    assert table == generate_table(), "python -m tfx_engine.estimate.models --write"


def test_the_count_by_difference_sees_a_layer_that_differs() -> None:
    """The shortcut above is only as good as its assumption: here it is checked against the whole model."""
    config = tiny_config(model={"layers": 9})
    count = assembled(with_sizes(config, layers=4))
    assert assembled(config) == count + 5 * (count - assembled(with_sizes(config, layers=3)))
