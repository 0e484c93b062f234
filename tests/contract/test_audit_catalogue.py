"""The audit finds nothing to complain of where nothing is broken: each technique alone, and what is drawn at random.

`python -m pytest tests/contract/test_audit_catalogue.py --audits 500` draws more.
"""

from __future__ import annotations

from typing import Any

import pytest
import torch

from tests.helpers.random_config import random_config
from tests.helpers.tiny import task_for, tiny_config
from tfx_engine.data import make_task
from tfx_engine.model.assemble import assemble
from tfx_engine.model.validate import validate
from tfx_engine.protocol.claims import CLAIMS
from tfx_engine.protocol.config import Config, parse_config
from tfx_engine.protocol.problems import errors_among
from tfx_engine.techniques import claims
from tfx_engine.techniques.catalogue import catalogue, discover
from tfx_engine.techniques.claims import Claim
from tfx_engine.worker.audit import PROOFS, audit
from tfx_engine.worker.audit.finding import Finding
from tfx_engine.worker.audit.stand import Stand

UNTRIED = frozenset({"compile"})  # each would take a minute of a compiler's time
PIECES = 8  # of the drawing, so that a failure says roughly where
EXPECTED = {"too-few", "nobody", "small", "no-future", "nothing", "unknown", "no-rate", "short", "absent", "cannot",
            "own"}
OPTIONS: dict[tuple[str, str], list[dict[str, Any]]] = {  # beside the defaults, where they bring other claims
    ("adapter", "lora"): [{"dropout": 0.3}], ("embedding", "token"): [{"dropout": 0.3}],
    ("embedding", "frames"): [{"dropout": 0.3}], ("residual", "stochastic_depth"): [{"rate": 0.5}],
    ("head", "tied"): [{"softcap": 2.0}], ("head", "untied"): [{"softcap": 2.0}],
    ("feedforward", "mixture_of_experts"): [{"balance_rate": 0.1, "shared": 1}],
    ("recompute", "every_block"): [{"every": 2}], ("window", "sliding"): [{"full_every": 2, "size": 4}],
}  # fmt: skip


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "seeds" in metafunc.fixturenames:
        count = metafunc.config.getoption("audits")
        metafunc.parametrize("seeds", [range(i, count, PIECES) for i in range(PIECES)], ids=lambda r: f"from-{r.start}")


def findings(config: Config, slots: tuple[str, ...] = ()) -> list[Finding]:
    return list(audit(Stand(config, torch.device("cpu"), make_task(config)), budget_s=1e9, slots=slots))


def complaints(found: list[Finding]) -> list[str]:
    """What does not hold, and what could not be tried for a reason that is none of the model's own."""
    return [f"{f.slot} {f.technique} {f.claim}: {f.evidence.message}" for f in found
            if f.evidence.ok is False or (f.evidence.ok is None and f.evidence.code not in EXPECTED)]  # fmt: skip


@pytest.mark.parametrize(("slot", "name"), [key for key in discover() if key[0] not in UNTRIED], ids=str)
def test_every_claim_of_a_technique_holds_where_nothing_is_broken(slot: str, name: str) -> None:
    task = task_for(slot, name, "recall" if (slot, name) == ("mask", "bidirectional") else "copy")
    sizes = {"width": 48, "heads": 3, "head_width": 16} if slot == "init" else {}
    sizes = {"heads": 4} if name in ("differential", "grouped_query") else sizes
    for options in ({}, *OPTIONS.get((slot, name), [])):
        config = tiny_config({slot: {"use": name, **options}}, data={"task": task}, model=sizes)
        if problems := errors_among(validate(config)):
            pytest.skip(problems[0].sentence())
        assert not complaints(findings(config, (slot,)))


def is_dead(config: Config) -> bool:
    """What learns nothing: branches that begin closed with frozen gates, queries and keys with one key to choose."""
    window = config.techniques["window"]
    one_key = window.use == "sliding" and (window.options["size"] or config.model.context // 4) <= 1
    return one_key or (config.use("residual") == "rezero" and config.use("adapter") != "none")


def test_nothing_is_broken_in_what_is_drawn_at_random(seeds: range) -> None:
    for seed in seeds:
        config, problems = parse_config(random_config(seed, catalogue(), leave=UNTRIED))
        if problems or is_dead(config) or errors_among(validate(config)):
            continue
        assert not complaints(findings(config)), f"configuration {seed}"


def test_an_adapter_on_branches_that_stay_closed_is_found_to_learn_nothing() -> None:
    found = findings(tiny_config({"residual": "rezero", "adapter": "lora"}), ("adapter",))
    assert {f.claim: f.evidence.ok for f in found}["every-gradient"] is False


def test_units_that_a_run_has_killed_are_no_fault_of_a_technique() -> None:
    config = tiny_config({"feedforward": {"use": "relu", "bias": True}})
    dead = {n: p.detach().clone() for n, p in assemble(config, "cpu").named_parameters()}
    for name in (n for n in dead if n.endswith("feedforward.up.bias")):
        dead[name].fill_(-1e4)
    stand = Stand(config, torch.device("cpu"), make_task(config), dead)
    (found,) = (f for f in audit(stand, slots=("adapter",)) if f.claim == "every-gradient")
    assert (found.evidence.ok, found.evidence.code) == (None, "saturated"), found.evidence.message


def test_every_claim_has_words_and_a_proof() -> None:
    kinds = [kind for kind in vars(claims).values() if isinstance(kind, type) and issubclass(kind, Claim)]
    kinds = [kind for kind in kinds if kind not in (Claim, claims.Rests)]
    assert set(PROOFS) == set(kinds) and {kind.name for kind in kinds} == set(CLAIMS)
    for technique in discover().values():
        names = {card.name for card in technique.card().options}
        assert all(not claim.when or claim.when in names for claim in technique.claims), technique.module


@pytest.mark.parametrize("recompute", ["selective", {"use": "selective", "keep": ["matmuls"]}, "every_block"], ids=str)
def test_a_sink_is_one_key_more_than_what_is_said_to_run_again(recompute: Any) -> None:
    config = tiny_config({"sink": "learned", "recompute": recompute})
    assert complaints(findings(config, ("recompute",))) == []


def test_what_torch_does_not_count_is_not_said_to_be_missing() -> None:
    frozen = {"mixer": "lstm", "adapter": "ia3", "recompute": "selective"}
    (found,) = (f for f in findings(tiny_config(frozen), ("recompute",)) if f.claim == "runs-again")
    assert found.evidence.ok is None and "torch does not count" in found.evidence.message


@pytest.mark.filterwarnings("default")  # of torchao, while it is imported
def test_that_float8_rounds_a_token_by_the_others_is_not_said_of_the_mask() -> None:
    sizes = {"width": 64, "heads": 4, "head_width": 16, "layers": 2, "context": 32, "vocab": 64}
    config = tiny_config({"precision": "float8"}, model=sizes)  # on a CPU the rounding alone
    found = [f for f in findings(config, ("mask",)) if f.claim in ("hides", "no-leak")]
    assert len(found) == 2 and all(f.evidence.ok for f in found)
