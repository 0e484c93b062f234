"""What the warm worker takes to answer one toggle: every problem of a configuration, its parameters and FLOPs.

    python -m pytest tests/bench/test_validation.py

Processor time, so that other programs do not count; the median over answers of a worker that is warm, as it is when
the second toggle is made. Every published model is tried with what is dearest to judge: an adapter of linear layers,
one that trains a part of the blocks, and selective recompute.
"""

from __future__ import annotations

import re
import statistics
import time
from pathlib import Path
from typing import Any

from tfx_engine.client.own import write_down
from tfx_engine.pretrained.index import published_models
from tfx_engine.protocol.toml import read_toml
from tfx_engine.protocol.trust import Trusted, save_trusted
from tfx_engine.protocol.worker_messages import Check
from tfx_engine.worker.conversation import _checked

DOCUMENT = Path(__file__).parents[2] / "docs" / "own_technique.md"
LIMIT_MS = 5.0
ANSWERS = 15
WORST = 4  # of the published models' configurations, in the table

_SELECTIVE: dict[str, Any] = {"recompute": {"use": "selective", "keep": ["matmuls"]}}
_PARTS = {"use": "freeze", "train": ["norms", "biases", "attention"], "blocks": "last", "count": 24}
_DEEP = {"width": 1024, "layers": 48, "heads": 16}
DEAR: dict[str, dict[str, Any]] = {
    "the default": {},
    "LoRA": {"techniques": {"adapter": "lora"}},
    "selective, DoRA": {"techniques": {**_SELECTIVE, "adapter": "dora"}},
    "own modules": {"techniques": {"attention": "own_module", "feedforward": "own_module"}},
    "own modules, LoRA": {
        "techniques": {"attention": "own_module", "feedforward": "own_module", "adapter": "lora"},
        "model": {"layers": 48},
    },
    "GRU, partly frozen": {"techniques": {"mixer": "gru", "adapter": _PARTS}, "model": _DEEP},
    "48 layers, latent attention, experts, partly frozen": {
        "techniques": {"attention": "latent", "feedforward": "mixture_of_experts", "adapter": _PARTS}, "model": _DEEP,
    },
    "the same with hyper-connections, selective": {
        "techniques": {
            **_SELECTIVE, "attention": "latent", "feedforward": "mixture_of_experts", "adapter": _PARTS,
            "residual": "hyper_connections",
        },
        "model": _DEEP,
    },
    "1000 layers, prefix": {"techniques": {"adapter": "prefix", "attention": "grouped_query"},
                            "model": {**_DEEP, "layers": 1000}},
}  # fmt: skip
ON_MODELS: dict[str, dict[str, Any]] = {
    "DoRA, selective": {**_SELECTIVE, "adapter": "dora"}, "IA3": {"adapter": "ia3"},
    "partly frozen": {"adapter": _PARTS},
}  # fmt: skip


def answer_ms(config: dict[str, Any], answers: int = ANSWERS) -> float:
    """Milliseconds of processor time for one answer, in the median."""
    check = Check(id=1, config=config)
    times = []
    for _ in range(answers + 1):
        start = time.process_time()
        reply = _checked(check)
        times.append(1000 * (time.process_time() - start))
    assert reply.ok, reply.problems
    return statistics.median(times[1:])


def on_published_models() -> dict[str, float]:
    """The same of every published model as it is and with each of `ON_MODELS`, the slowest last."""
    found = {}
    for model in published_models():
        written = read_toml(model.file)
        for name, techniques in {"": {}, **ON_MODELS}.items():
            config = {**written, "techniques": {**written.get("techniques", {}), **techniques}}
            found[f"{model.name} {name}"] = answer_ms(config, 5)
    return dict(sorted(found.items(), key=lambda item: item[1]))


def of_an_own_file(folder: Path) -> float:
    """The same for toggles beside a technique of the user's own, each of which has not been seen before."""
    text = re.search(r"```python\n(\"\"\"Sine.*?)```", DOCUMENT.read_text(encoding="utf-8"), re.DOTALL)
    assert text is not None
    (folder / "sine.py").write_text(text[1], encoding="utf-8")
    save_trusted(Trusted((str(folder),)))
    write_down()
    own = {"use": "sine"}
    toggles = [{"feedforward": own, "recompute": recompute, "norm": norm, "position": position}
               for recompute in ("none", "every_block") for norm in ("layer_norm", "rms_norm")
               for position in ("rotary", "learned", "sinusoidal", "none")]  # fmt: skip
    times = []
    for techniques in ({"feedforward": own}, *toggles):
        start = time.process_time()
        reply = _checked(Check(id=1, config={"techniques": techniques}))
        times.append(1000 * (time.process_time() - start))
        assert reply.ok, reply.problems
    save_trusted(Trusted())
    return statistics.median(times[1:])


def test_a_configuration_is_judged_within_5_ms(tmp_path: Path) -> None:
    table = {name: answer_ms(config) for name, config in DEAR.items()}
    table["a technique file of one's own, new toggles"] = of_an_own_file(tmp_path)
    table.update(list(on_published_models().items())[-WORST:])
    print(f"\n{'configuration':>54}{'processor time':>18}")
    for name, took in table.items():
        print(f"{name:>54}{took:>15.2f} ms")
    assert max(table.values()) <= LIMIT_MS
