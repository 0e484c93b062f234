"""Bytes of a training step in closed form: what techniques declare, run forwards and backwards without numbers.

It is the step after the first: the optimiser has its state. Categories are those of `measure/memory_split.py`.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

from tfx_engine.estimate.parameters import count_parameters
from tfx_engine.estimate.pass_through import write_pass
from tfx_engine.estimate.replay import KEPT, Account, Highest, Replay
from tfx_engine.estimate.stretches import stretches_of, with_blocks
from tfx_engine.protocol.config import Config
from tfx_engine.protocol.metrics import CATEGORIES
from tfx_engine.techniques.counts import chosen, parameters_of
from tfx_engine.techniques.tape import FLOAT, INDEX, Op, Tape, Weight
from tfx_engine.techniques.technique import Technique

Techniques = dict[str, tuple[Technique, Any]]

_SHALLOW = 4  # blocks from which deeper models are worked out
_MANY = 200  # blocks that are worked out one by one where they are not alike
_CUDA_BLOCK = 512  # bytes to which torch's allocator for CUDA rounds up


@dataclasses.dataclass(frozen=True)
class Memory:
    """Bytes of one step: at the peak (the composition adds up to it), and each category at its own."""

    peak: int
    at_peak: dict[str, int]
    category_peak: dict[str, int]


def memory_of_step(config: Config, device: str = "cpu") -> Memory:
    """The closed form for a configuration, on a device of that kind.

    Blocks of a stretch are alike, so that each part of a step is affine in their number: of long stretches two shorter
    ones are worked out.
    """
    period, stretches = _period(config), stretches_of(config)
    short = {name: min(number, _SHALLOW + (number - _SHALLOW) % period) for name, number in stretches.items()}
    long = [name for name, number in stretches.items() if number > short[name] + period]
    if not long or (config.model.layers <= _MANY and not _is_known(config)):
        return _memory(_parts(config, device))
    short |= {name: number for name, number in stretches.items() if name not in long}
    few = _parts(with_blocks(config, short), device)
    longer = {name: _parts(with_blocks(config, {**short, name: short[name] + period}), device) for name in long}
    times = {name: (stretches[name] - short[name]) / period for name in long}
    return _memory({part: _further(few[part], [(times[name], longer[name][part]) for name in long]) for part in few})


def kept_for_backward(config: Config, device: str = "cpu") -> int:
    """Bytes that the forward pass of the batch's first piece leaves for its backward pass."""
    techniques = {technique.slot: (technique, options) for technique, options in chosen(config)}
    tape, loss, blocks = write_pass(config, device, -(-config.run.batch // _pieces(techniques, config)))
    offload, where = techniques["offload"]
    account = Account({}, _CUDA_BLOCK if device == "cuda" else 1)
    replay = Replay(account, packs=offload.memory(where, device) if offload.memory else None)
    replay.forward(tape.ops, frozenset({loss.root}), blocks)
    return account.now[KEPT]


def _period(config: Config) -> int:
    """After how many blocks they are the same again; even, so that both halves have whole ones."""
    every = [value for choice in config.techniques.values() for name, value in choice.options.items()
             if "every" in name and isinstance(value, int) and value > 0]
    return math.lcm(2, *every)


def _is_known(config: Config) -> bool:
    """Whether an adapter treats all blocks of a stretch alike."""
    adapter, options = next((t, o) for t, o in chosen(config) if t.slot == "adapter")
    return len(adapter.alike(options, config)) == len(stretches_of(config))


def _further(few: Highest, longer: Sequence[tuple[float, Highest]]) -> Highest:
    def on(a: float, *others: float) -> float:
        return a + sum(times * (b - a) for (times, _), b in zip(longer, others, strict=True))

    more = [one for _, one in longer]
    return Highest(
        on(few.total, *(one.total for one in more)), list(map(on, few.at_peak, *(one.at_peak for one in more))),
        list(map(on, few.own, *(one.own for one in more))),
    )


def _memory(parts: dict[str, Highest]) -> Memory:
    peak = max(parts.values(), key=lambda part: part.total)
    at_peak = {name: round(value) for name, value in zip(CATEGORIES, peak.at_peak, strict=True)}
    own = (max(part.own[i] for part in parts.values()) for i in range(len(CATEGORIES)))
    return Memory(sum(at_peak.values()), at_peak, {n: round(v) for n, v in zip(CATEGORIES, own, strict=True)})


def _parts(config: Config, device: str) -> dict[str, Highest]:
    """The highest moments of each part of a step, over all pieces of its batch."""
    techniques = {technique.slot: (technique, options) for technique, options in chosen(config)}
    pieces, batch = _pieces(techniques, config), config.run.batch
    first = _parts_of_piece(config, device, techniques, -(-batch // pieces), is_later=False)
    if pieces == 1:
        return first
    second = batch // pieces + (batch % pieces > 1)
    later = _parts_of_piece(config, device, techniques, second, is_later=True)
    return {**{f"first {name}": part for name, part in first.items()}, **later}


def _parts_of_piece(
    config: Config, device: str, techniques: Techniques, samples: int, is_later: bool
) -> dict[str, Highest]:
    tape, loss, blocks = write_pass(config, device, samples)
    weights = list(dict.fromkeys(w for op in _all(tape.ops) for w in op.weights))
    optimizer, options = techniques["optimizer"]
    state, scratch = optimizer.memory(options, weights) if optimizer.memory else _as_adam(weights)
    resting = {**_resting(config, tape, techniques), "optimizer": state}
    if is_later:  # an earlier piece left them
        resting["gradients"] = sum(w.numbers * w.width for w in weights)
    account = Account(resting, _CUDA_BLOCK if device == "cuda" else 1)
    update, own = techniques["update"]
    move = update.memory(own, optimizer, options) if update.memory else None
    offload, where = techniques["offload"]
    replay = Replay(account, move, is_later, offload.memory(where, device) if offload.memory else None)
    replay.forward(tape.ops, frozenset({loss.root}), blocks)
    replay.backward(tape.ops, loss, blocks, list(stretches_of(config).values()))
    account.begin("optimizer")
    if move is None:
        account.take(scratch, CATEGORIES.index("temporary"))
    return account.parts


def _all(ops: list[Op]) -> list[Op]:
    return [x for op in ops for x in (op.inside or (op,))]


def _pieces(techniques: Techniques, config: Config) -> int:
    technique, options = techniques["accumulation"]
    return min(int(technique.build(options, config)), config.run.batch)


def _resting(config: Config, tape: Tape, techniques: Techniques) -> dict[str, int]:
    """Bytes that are there when a step begins, but for the optimiser's state."""
    adapter, options = techniques["adapter"]
    total = count_parameters(config).total
    added = parameters_of(adapter, options, config) if adapter.freezes else 0
    task, tokens = config.task, config.run.batch * config.model.context
    rows = config.run.batch if task.classes else tokens * task.answers
    inputs = config.run.batch * task.frames * task.features * FLOAT if task.frames else tokens * INDEX
    held = adapter.held(options, config, tape.widths.weights) if adapter.held else 0
    return {
        "parameters": (total - added) * tape.widths.weights - held, "adapters": added * tape.widths.weights,
        "other": inputs + rows * INDEX,
    }


def _as_adam(weights: list[Weight]) -> tuple[int, int]:
    """An optimiser that says nothing of its state: two moments."""
    return 2 * sum(w.numbers * w.width for w in weights), 0
