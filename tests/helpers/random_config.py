"""Random configurations from the whole catalogue: any technique in any slot, with any options."""

from __future__ import annotations

import random
from typing import Any

from tests.helpers.tiny import SIZES
from tfx_engine.protocol.cards import Catalogue, SlotCard
from tfx_engine.protocol.options import OptionCard
from tfx_engine.protocol.tasks import TASKS

_LARGEST = 6  # of numbers without a natural size: everything stays small
KEEP_DEFAULT = 0.6  # of a slot, or of an option: else nearly every draw would break some rule


def random_config(seed: int, catalogue: Catalogue, leave: frozenset[str] = frozenset()) -> dict[str, Any]:
    """A configuration as somebody might write it, legal or not. The slots in `leave` keep their default."""
    draw = random.Random(seed)
    task = draw.choice(["copy", "copy", "copy", "recall", *TASKS])
    task = "copy" if task == "text" else task  # whose corpus has no vocabulary so small
    sizes = {"width": draw.choice([6, 8, 12]), "heads": draw.choice([1, 2, 4]), "layers": draw.choice([1, 2, 3]),
             "head_width": draw.choice([2, 4, 5]), "context": draw.choice([6, 9])}  # fmt: skip
    own_length = {"context"} if TASKS[task].frames else set()
    techniques = {s.name: _choice(draw, s, catalogue) for s in catalogue.slots if s.name not in leave}
    return {
        "seed": seed, "data": {"task": task, "symbols": 5},
        "model": {k: v for k, v in {**SIZES, **sizes}.items() if k not in own_length},
        "techniques": {slot: choice for slot, choice in techniques.items() if choice},
        "run": {"batch": draw.choice([2, 3]), "warmup_steps": 0, "measure_steps": 2, "device": "cpu"},
    }


def _choice(draw: random.Random, slot: SlotCard, catalogue: Catalogue) -> dict[str, Any]:
    return {} if draw.random() < KEEP_DEFAULT else _chosen(draw, slot, catalogue)


def _chosen(draw: random.Random, slot: SlotCard, catalogue: Catalogue) -> dict[str, Any]:
    technique = draw.choice(catalogue.in_slot(slot.name))
    options = {o.name: _value(draw, o) for o in technique.options if draw.random() > KEEP_DEFAULT}
    return {"use": technique.name, **{name: value for name, value in options.items() if value is not None}}


def _value(draw: random.Random, option: OptionCard) -> Any:
    low, high = option.low or 0, _LARGEST if option.high is None else min(option.high, _LARGEST)
    match option.kind:
        case "bool":
            return draw.random() < 0.5
        case "int":
            return draw.randint(int(low), max(int(low), int(high)))
        case "float":
            return option.default if low > high else draw.uniform(low, high)
        case "choice":
            return draw.choice(option.choices)
        case "set":
            return draw.sample(option.choices, draw.randint(1, len(option.choices)))
    return option.default


def realistic_config(seed: int, catalogue: Catalogue, leave: frozenset[str] = frozenset()) -> dict[str, Any]:
    """The same with sizes at which what a step allocates is made of tensors and not of constants."""
    draw = random.Random(seed)
    task = draw.choice(["text", "copy", "recall", *TASKS])
    heads = draw.choice([2, 4, 8])
    sizes = {"width": draw.choice([64, 96, 128, 192, 256, 384, 512]), "heads": heads, "head_width": None,
             "layers": draw.randint(2, 8), "context": draw.choice([64, 96, 128, 192, 256]),
             "vocab": draw.choice([256, 1000, 4096])}  # fmt: skip
    slots = draw.sample([s for s in catalogue.slots if s.name not in leave], draw.randint(2, 6))
    return {
        "seed": seed, "data": {"task": task, "symbols": 16},
        "model": {k: v for k, v in sizes.items() if k != "context" or not TASKS[task].frames},
        "techniques": {slot.name: _chosen(draw, slot, catalogue) for slot in slots},
        "run": {"batch": draw.randint(2, 8), "warmup_steps": 0, "measure_steps": 2, "device": "cpu"},
    }
