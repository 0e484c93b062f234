"""The audit on a CUDA device: what techniques claim holds there too, also of those that only such a device can do."""

from __future__ import annotations

import pytest
import torch

from tests.contract.test_audit_catalogue import OPTIONS, UNTRIED, complaints
from tests.helpers.tiny import task_for, tiny_config
from tfx_engine.data import make_task
from tfx_engine.model.validate import validate
from tfx_engine.protocol.config import Config
from tfx_engine.protocol.problems import errors_among
from tfx_engine.techniques.catalogue import discover
from tfx_engine.worker.audit import audit
from tfx_engine.worker.audit.finding import Finding
from tfx_engine.worker.audit.stand import Stand

CUDA = torch.device("cuda")
# Sizes that 8-bit products and 16-bit kernels take, and of which something is worth an offload.
SIZES = {"width": 64, "heads": 4, "head_width": 16, "layers": 2, "context": 64, "vocab": 64}
ONLY_HERE = [
    {"precision": "tf32"}, {"precision": "float8"}, {"precision": {"use": "float8", "recipe": "rowwise"}},
    {"offload": {"use": "activations", "smallest": 1024}}, {"offload": {"use": "activations", "pinned": False}},
    {"kernel": "cudnn", "precision": "bfloat16"}, {"kernel": "flash", "precision": "bfloat16"}, {"kernel": "flex"},
    {"compile": "default"}, {"compile": "reduce_overhead"}, {"compile": "max_autotune"},
]  # fmt: skip


def config_of(techniques, task="copy") -> Config:
    sizes = {k: v for k, v in SIZES.items() if k != "context" or task != "digits"}
    config = tiny_config(techniques, data={"task": task}, model=sizes, run={"device": "cuda", "batch": 4})
    if problems := errors_among(validate(config)):
        pytest.skip(problems[0].sentence())
    return config


def findings(config: Config, slot: str) -> list[Finding]:
    return list(audit(Stand(config, CUDA, make_task(config)), budget_s=1e9, slots=(slot,)))


@pytest.mark.parametrize(("slot", "name"), [key for key in discover() if key[0] not in UNTRIED], ids=str)
def test_every_claim_of_a_technique_holds_on_this_device(slot: str, name: str) -> None:
    task = task_for(slot, name, "recall" if (slot, name) == ("mask", "bidirectional") else "copy")
    for options in ({}, *OPTIONS.get((slot, name), [])):
        assert not complaints(findings(config_of({slot: {"use": name, **options}}, task), slot))


@pytest.mark.filterwarnings("default")  # torch's compiler looks at gradients of what is no leaf
@pytest.mark.parametrize("techniques", ONLY_HERE, ids=str)
def test_what_only_this_device_can_do_is_proved_and_not_passed_over(techniques) -> None:
    slot = next(iter(techniques))
    found = findings(config_of(techniques), slot)
    print(*(f"{f.technique} {f.claim}: {f.evidence.ok} {f.evidence.message}" for f in found), sep="\n")
    assert not complaints(found) and any(f.evidence.ok for f in found)
