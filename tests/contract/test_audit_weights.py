"""What training has done to the weights is no fault of a technique, and the audit tells it apart from one."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from tests.helpers.tiny import tiny_config
from tfx_engine.data import make_task
from tfx_engine.model.assemble import assemble
from tfx_engine.worker.audit import audit
from tfx_engine.worker.audit.finding import Evidence
from tfx_engine.worker.audit.stand import Stand


def evidence(slot: str, techniques: dict[str, Any], times: float = 1.0, **sections: Any) -> dict[str, Evidence]:
    """By claim, with all matrices of the blocks so many times as large as the first ones."""
    config = tiny_config(techniques, **sections)
    grown = {name: p.detach() * (times if _is_matrix(name, p) else 1.0)
             for name, p in assemble(config, "cpu").named_parameters()}  # fmt: skip
    stand = Stand(config, torch.device("cpu"), make_task(config), grown)
    return {found.claim: found.evidence for found in audit(stand, slots=(slot,))}


def _is_matrix(name: str, parameter: Tensor) -> bool:
    return name.startswith("blocks.") and parameter.dim() > 1


def test_a_softmax_that_is_all_on_one_token_is_no_fault_of_the_mask() -> None:
    found = evidence("mask", {"mask": "causal"}, times=1e4, seed=4, model={"heads": 1, "context": 3})
    assert found["shows"].ok is None and "rounded to nothing" in found["shows"].message
    assert found["hides"].ok and found["no-leak"].ok


def test_numbers_that_are_not_finite_tell_nothing_of_the_mask_and_everything_of_the_format() -> None:
    diverged = {"mask": "causal", "precision": "float16_autocast"}
    mask = evidence("mask", diverged, times=1e6)
    assert {name: mask[name].code for name in ("hides", "no-leak")} == dict.fromkeys(("hides", "no-leak"), "not-finite")
    near = evidence("precision", diverged, times=1e6)["near"]
    assert near.ok is False and "no finite number in this format" in near.message


def test_a_module_of_ones_own_need_not_read_what_the_mask_shows() -> None:
    found = evidence("mask", {"attention": "own_module", "mask": "bidirectional", "position": "none"},
                     data={"task": "recall"})  # fmt: skip
    assert found["shows"].ok is None and "its own affair" in found["shows"].message


def test_branches_that_are_left_out_at_random_have_gradients_none_the_less() -> None:
    found = evidence("adapter", {"residual": {"use": "stochastic_depth", "rate": 0.9}}, run={"batch": 1})
    assert found["every-gradient"].ok and "within 6 steps" in found["every-gradient"].message
