"""FLOPs of a step in closed form against what torch counts while the step runs.

    python -m pytest tests/bench/test_flops.py

Torch's counter counts nothing in the CPU's fused attention and in fused recurrent layers, so attention runs on the
math kernel here; what the optimizer multiplies (Muon) is no work of the model and left out. Published models run under
fake tensors with four layers at most, every option of every technique and random combinations on small real ones.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from tests.contract.variants import sizes_for, variants
from tests.helpers.random_config import random_config
from tests.helpers.tiny import task_for, tiny_config
from tfx_engine.estimate import flops_per_token
from tfx_engine.estimate.models import load_model
from tfx_engine.model.validate import validate
from tfx_engine.pretrained.index import published_models
from tfx_engine.protocol.cards import built_in_catalogue
from tfx_engine.protocol.config import Config, parse_config
from tfx_engine.protocol.problems import errors_among
from tfx_engine.techniques.catalogue import discover
from tfx_engine.techniques.counts import chosen
from tfx_engine.trace.fake import fake_training
from tfx_engine.train.setup import set_up
from tfx_engine.train.step import Batch, Training, train_step

pytestmark = pytest.mark.filterwarnings("default")
CPU = torch.device("cpu")
RANDOM = 120
# Their defaults: an optimizer's products are left out in any case, and of the others much is not counted (see above).
LEFT = frozenset({"optimizer", "kernel", "mixer", "sink", "compile"})


def counted(training: Training, batch: Batch) -> int:
    """FLOPs that torch counts in one step, but for its optimizer."""
    left_out = 0
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:

        @contextlib.contextmanager
        def part(name: str) -> Iterator[None]:
            nonlocal left_out
            before = counter.get_total_flops()
            yield
            left_out += counter.get_total_flops() - before if name == "optimizer" else 0

        train_step(training, batch, 0, part)
    return counter.get_total_flops() - left_out


_OTHERS = {
    "mixer": (("lstm", "gru"), "no formula for fused recurrent layers"),
    "kernel": (("flash", "efficient", "cudnn"), "no formula for fused attention on the CPU"),
    "loss": (("chunked_cross_entropy",), "no formula for torch's fused linear cross-entropy"),
    "adapter": (("dora",), "the product of its two matrices is work per step, not per token"),
    "sink": (("learned", "off_by_one"), "the sink is one more key, which is no work of the model"),
}
_NOT_RUN = {"compile": ("default", "reduce_overhead", "max_autotune"), "kernel": ("flex",)}  # compiled


def is_run(config: Config) -> bool:
    """Whether it is legal here and torch can count it at all."""
    return not errors_among(validate(config)) and not any(config.use(s) in names for s, names in _NOT_RUN.items())


def why_not(config: Config) -> str:
    """Why torch's counter does not see the same operators; "" where it does."""
    found = [reason for slot, (names, reason) in _OTHERS.items() if config.use(slot) in names]
    options = config.techniques["recompute"].options
    if config.use("recompute") == "selective" and "scaled_dot" in (options.get("operators") or ""):
        found.append("it keeps what fused attention gave, which runs as plain products here")
    if not all(technique.is_counted for technique, _ in chosen(config)):
        found.append("its technique does not say all that it multiplies")
    if any(technique.again is None for technique, _ in chosen(config)):
        found.append("the compiler decides what is computed again")
    return found[0] if found else ""


def row(name: str, config: Config, count: int) -> tuple[str, int, int, str]:
    flops = flops_per_token(config).hardware * config.run.batch * config.model.context
    return name, count, round(flops), why_not(config)


def say(title: str, rows: list[tuple[str, int, int, str]]) -> None:
    """Print the table and hold it to what was promised."""
    print(f"\n{title}\n{'configuration':<58}{'torch counts':>22}{'closed form':>22}{'error':>10}")
    for name, count, ours, reason in rows:
        error = f"{100 * (ours / count - 1):+.3f} %" if count else "-"
        print(f"{name[:57]:<58}{count:>22,}{ours:>22,}{error:>10}  {reason}")
    same = [r for r in rows if not r[3]]
    equal = [r for r in same if r[1] == r[2]]
    print(f"equal on {len(equal)} of {len(same)} configurations whose operators torch counts; "
          f"{len(rows) - len(same)} more have operators that it does not count")
    assert len(equal) == len(same), [r for r in same if r[1] != r[2]]
    assert same


def test_published_models():
    rows = []
    for model in published_models():
        config = load_model(model)
        if config.use("feedforward") == "mixture_of_experts":
            continue  # routing depends on numbers, which fake tensors have not; see the techniques below
        few = {**config.as_dict(), "model": {**config.as_dict()["model"], "layers": min(4, config.model.layers)}}
        config, _ = parse_config(few)
        with fake_training(config) as (training, batch):
            rows.append(row(model.name, config, counted(training, batch)))
    say("published models, four layers at most", rows)


def test_every_option_of_every_technique():
    rows = []
    for slot, name in sorted(discover()):
        for given in variants(slot, name):
            config = tiny_config({slot: {"use": name, **given}}, model=sizes_for(slot, name),
                                 data={"task": task_for(slot, name, "recall")})
            if not is_run(config):
                continue
            setup = set_up(config, CPU)
            label = f"{slot} {name} {' '.join(f'{k}={v}' for k, v in given.items())}"
            rows.append(row(label, config, counted(setup.training, setup.task.batch(0, CPU))))
    say("every option of every technique", rows)


def test_random_combinations():
    rows, seed = [], 0
    while len(rows) < RANDOM:
        seed += 1
        config, problems = parse_config(random_config(seed, built_in_catalogue(), LEFT))
        if problems or not is_run(config):
            continue
        setup = set_up(config, CPU)
        chosen_here = [f"{s}={c.use}" for s, c in config.techniques.items() if c.use != "none"]
        rows.append(row(f"{seed} {' '.join(chosen_here)}", config, counted(setup.training, setup.task.batch(0, CPU))))
    say("random combinations", rows)
