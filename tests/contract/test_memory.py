"""Each technique's closed form of memory against what torch's allocator really does in a step on the CPU."""

from __future__ import annotations

import pytest

from tests.helpers.tiny import tiny_config
from tests.helpers.training import CPU, split_of_step
from tfx_engine.estimate.memory import memory_of_step
from tfx_engine.model.validate import validate
from tfx_engine.protocol.problems import errors_among
from tfx_engine.techniques.catalogue import discover
from tfx_engine.train.setup import set_up

SIZES = {"width": 64, "layers": 2, "heads": 4, "head_width": None, "context": 64, "vocab": 300}
KEEP_NOTHING = ("schedule", "init", "clip", "window", "compile")  # beside what others keep
TOLERANCE = 0.01
UNKNOWN = ("own_module", "budget")  # nobody knows beforehand what a module of one's own keeps, or a compiler
LOOSE = {("mixer", "lstm"): 0.02}  # oneDNN decides what it keeps


@pytest.mark.parametrize(
    ("slot", "name"), [(slot, name) for slot, name in discover() if slot not in KEEP_NOTHING and name not in UNKNOWN]
)
def test_the_closed_form_of_memory_is_what_a_step_takes(slot, name):
    kinds = discover()[slot, name].kinds
    task = "copy" if not kinds or "language" in kinds else {"answers": "multi_lag", "classes": "digits"}[kinds[0]]
    sizes = {key: value for key, value in SIZES.items() if key != "context" or task != "digits"}
    config = tiny_config({slot: name}, data={"task": task}, model=sizes, run={"batch": 4, "threads": 1})
    if problems := errors_among(validate(config)):
        pytest.skip(problems[0].sentence())
    predicted, measured = memory_of_step(config), split_of_step(set_up(config, CPU), 2)
    tolerance = LOOSE.get((slot, name), TOLERANCE)
    assert abs(predicted.peak / measured.peak_bytes - 1) < tolerance
    if tolerance == TOLERANCE:
        for category in ("parameters", "adapters", "optimizer"):
            assert predicted.at_peak[category] == pytest.approx(measured.at_peak[category], rel=0.02, abs=2000)


@pytest.mark.parametrize("techniques", [
    {"mixer": "lstm", "precision": "bfloat16_autocast"}, {"mixer": "gru", "precision": "bfloat16_autocast"},
    {"mixer": "gru", "precision": "bfloat16", "adapter": {"use": "ia3", "targets": ["feedforward"]}},
    {"norm": "rms_norm", "precision": "bfloat16"}, {"qk_norm": "full", "precision": "bfloat16_autocast"},
    {"adapter": "qlora", "precision": "bfloat16"}, {"adapter": "dora", "precision": "bfloat16_autocast"},
    {"residual": "hyper_connections", "precision": "bfloat16_autocast"},
    {"optimizer": {"use": "adamw_8bit", "smallest": 16}, "recompute": "every_block", "precision": "bfloat16"},
    {"loss": {"use": "chunked_cross_entropy", "z_loss": 0.1, "label_smoothing": 0.1}},
    {"loss": {"use": "chunked_cross_entropy", "implementation": "recompute", "rows": 60}},
    {"loss": {"use": "chunked_cross_entropy", "implementation": "recompute", "rows": 128}, "head": "untied"},
], ids=str)
def test_the_closed_form_knows_number_formats_and_what_is_cut_in_pieces(techniques):
    config = tiny_config(techniques, data={"task": "copy"}, model=SIZES, run={"batch": 4, "threads": 1})
    if problems := errors_among(validate(config)):
        pytest.skip(problems[0].sentence())
    predicted, measured = memory_of_step(config), split_of_step(set_up(config, CPU), 2)
    assert predicted.peak / measured.peak_bytes == pytest.approx(1.0, abs=TOLERANCE)


@pytest.mark.parametrize("techniques", [
    {"recompute": {"use": "every_block", "every": 3}, "window": {"use": "sliding", "full_every": 2}},
    {"adapter": {"use": "freeze", "blocks": "last", "count": 17}},
    {"adapter": {"use": "freeze", "blocks": "first", "count": 3}, "recompute": "every_block"},
], ids=str)
def test_deep_models_are_worked_out_from_shallow_ones(techniques, monkeypatch):
    config = tiny_config(techniques, model={**SIZES, "layers": 40})
    quick = memory_of_step(config)
    monkeypatch.setattr("tfx_engine.estimate.memory._SHALLOW", 40)
    exact = memory_of_step(config)
    assert quick.at_peak == pytest.approx(exact.at_peak, rel=1e-6, abs=2)
    assert quick.category_peak == pytest.approx(exact.category_peak, rel=1e-6, abs=2)


def test_ten_trillion_parameters_are_answered_at_once():
    config = tiny_config(model={**SIZES, "width": 65536, "layers": 10_000, "heads": 128})
    assert memory_of_step(config).at_peak["parameters"] > 10**14
