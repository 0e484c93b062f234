"""Every technique does what its slow and obvious reference does: outputs and gradients, in float64, on odd sizes.

Memory is poisoned, so that a number that was never written shows as NaN, and everything runs twice, to the bit.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.contract.harness import HARNESS, WITHOUT_SIZES
from tests.contract.variants import all_variants, sizes_for, variants
from tests.helpers.tiny import task_for, tiny_config
from tfx_engine.protocol.problems import errors_among
from tfx_engine.protocol.tasks import TASKS
from tfx_engine.techniques.catalogue import discover
from tfx_engine.techniques.slots import SLOTS
from tfx_engine.techniques.technique import Technique

pytestmark = pytest.mark.usefixtures("poisoned_memory")

ELSEWHERE = ("not-on-this-device",)  # what only some device can do is compared as it is imitated here
SIZES: list[dict[str, Any]] = [{}, {"width": 1, "heads": 1, "head_width": 1}, {"context": 2, "bias": False}]


def cases() -> Iterator[Any]:
    for technique in discover().values():
        for options in variants(technique.slot, technique.name):
            for sizes in SIZES[:1] if technique.slot in WITHOUT_SIZES else SIZES:
                name = f"{technique.slot}.{technique.name}-{options or 'defaults'}-{sizes or 'odd'}"
                yield pytest.param(technique, options, sizes, id=name)


@pytest.mark.parametrize(("technique", "given", "sizes"), list(cases()))
def test_it_equals_its_reference(technique: Technique, given: dict[str, Any], sizes: dict[str, Any]) -> None:
    usual = "recall" if technique.slot == "mask" else "copy"  # one that every mask is made for
    task = task_for(technique.slot, technique.name, usual)
    own = {"context"} if TASKS[task].frames else set()
    wanted = {**sizes_for(technique.slot, technique.name), **sizes}
    config = tiny_config(model={k: v for k, v in wanted.items() if k not in own}, data={"task": task})
    options = technique.options(**given)
    problems = [p for p in technique.check(options, config) if p.code not in ELSEWHERE]
    if technique.slot == "compile" and problems:
        pytest.skip(problems[0].sentence())
    if refused := errors_among(problems):
        assert sizes, f"the variant {given} is refused at ordinary sizes: {refused[0].sentence()}"
        return
    HARNESS[technique.slot](technique, options, config)


def test_every_slot_has_a_harness_and_every_variant_a_technique() -> None:
    assert HARNESS.keys() == SLOTS.keys()
    assert set(all_variants()) <= discover().keys()
