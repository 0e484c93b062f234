"""The memory of what happens between projections and output of every attention: `scores.py` on a tape."""

from __future__ import annotations

import functools
from collections.abc import Iterator

import torch

from tfx_engine.techniques import kernel
from tfx_engine.techniques.dispatch import TorchKernel
from tfx_engine.techniques.mask import Mask
from tfx_engine.techniques.scores import HeadShape
from tfx_engine.techniques.tape import FLOAT, RESULT, Attending, Tape, Value, Weight


def shape_of(tape: Tape) -> HeadShape:
    """The heads of each attention layer."""
    from tfx_engine.techniques.counts import head_shape

    if "shape" not in tape.shared:
        tape.shared["shape"] = head_shape(tape.config)
    found: HeadShape = tape.shared["shape"]
    return found


def prepared(tape: Tape, q: Value, k: Value) -> tuple[Value, Value]:
    """Queries and keys, normed and turned."""
    return tape.places.rotate(tape, *tape.use("qk_norm", q, k))


def attended(tape: Tape, q: Value, k: Value, v: Value) -> Value:
    """What attention reads."""
    shape, window, config = shape_of(tape), _window(tape), tape.config
    bias, keys = _bias(tape, window)
    if bias is not None:
        k, v, bias, keys = _more_keys(tape, k, v, bias, keys)
    scoring = Attending(shape.heads, shape.key_heads, shape.width, shape.value_width, bias,
                      bias is None and config.use("mask") == "causal", config.use("softcap") != "none", keys)
    y: Value = tape.use("kernel", q, k, v, scoring)
    return y


def gated(tape: Tape, x: Value, y: Value) -> Value:
    """What the gate lets through."""
    found: Value = tape.use("gate", x, y)
    return found


def write_bias(tape: Tape) -> None:
    """What layers of the same window share is made once, before the blocks."""
    if tape.config.use("mixer") != "attention":
        return
    tape.shared["positions"] = tape.places.bias(tape)
    for layer in range(tape.config.model.layers):
        tape.layer = layer
        _bias(tape, _window(tape))


def _bias(tape: Tape, window: int | None) -> tuple[Value | None, int]:
    """Mask, window and positions written out, and how many keys there are; None where a kernel knows the mask."""
    positions, mask = tape.shared["positions"], _mask(tape)
    plain = window is None and positions is None and tape.config.use("sink") == "none" \
        and tape.config.use("adapter") != "prefix"
    if plain and (mask.is_causal or mask.is_full):
        return None, tape.context
    key = "bias", window
    if key not in tape.shared:
        square = tape.context**2
        allowed = tape.make(numbers=square, width=1, needs=False)
        inputs = (allowed,) if positions is None else (positions, allowed)
        numbers = square if positions is None else positions.numbers
        tape.shared[key] = tape.make(*inputs, numbers=numbers, width=tape.widths.weights, passes=1)
    found: Value = tape.shared[key]
    return found, tape.context


def _mask(tape: Tape) -> Mask:
    if "mask" not in tape.shared:
        technique, options = tape.chosen["mask"]
        tape.shared["mask"] = technique.build(options, tape.config)
    found: Mask = tape.shared["mask"]
    return found


def _window(tape: Tape) -> int | None:
    if "window" not in tape.shared:
        technique, options = tape.chosen["window"]
        tape.shared["window"] = technique.build(options, tape.config)
    size: int | None = tape.shared["window"].size(tape.layer)
    return size if size is not None and size < tape.context else None


def _more_keys(tape: Tape, k: Value, v: Value, bias: Value, keys: int) -> tuple[Value, Value, Value, int]:
    """Keys of a prefix, and the one of a sink, are put before the others."""
    shape, rows = shape_of(tape), tape.batch * shape_of(tape).key_heads
    for added, weights, by_head in _added(tape):
        keys += added
        k = tape.make(k, numbers=rows * keys * shape.width, needs=k.needs or bool(weights), weights=weights[:1])
        v = tape.make(v, numbers=rows * keys * shape.value_width, needs=v.needs or bool(weights), weights=weights[1:])
        heads = shape.heads if by_head else max(1, bias.numbers // tape.context**2)
        bias = tape.make(bias, numbers=heads * tape.context * keys, needs=bias.needs or (by_head and bool(weights)))
    return k, v, bias, keys


def _added(tape: Tape) -> Iterator[tuple[int, tuple[Weight, ...], bool]]:
    """(keys that are added, parameters in them, whether each head has a bias of its own then)."""
    tokens = getattr(tape.options("adapter"), "tokens", 0) if tape.config.use("adapter") == "prefix" else 0
    if tokens:
        shape = shape_of(tape)
        size = tokens * shape.key_heads
        yield tokens, tuple(Weight(("prefix", tape.layer, name), (size, width), tape.widths.weights, True)
                            for name, width in (("k", shape.width), ("v", shape.value_width))), False
    if tape.config.use("sink") != "none":
        yield 1, tape.use("sink"), True


def by_torch(tape: Tape, asked: str, q: Value, k: Value, v: Value, scoring: Attending) -> Value:
    """The memory of `TorchKernel`: whichever kernel torch would take."""
    if scoring.is_capped:
        return by_hand(tape, q, k, v, scoring)
    if tape.device == "cpu":
        bias = scoring.bias
        heads = 0 if bias is None else bias.numbers // (tape.context * scoring.keys)
        used, repeats = _on_cpu(asked, scoring.heads, scoring.key_heads, scoring.key_width, scoring.value_width,
                                tape.kernel_width, scoring.is_causal, heads, bias is not None and bias.needs)
    else:
        used, repeats = asked if asked in ("math", "flash", "efficient") else "fused", False
    if repeats or (used == "math" and scoring.heads != scoring.key_heads):
        k, v = _repeated(tape, k, v, scoring)
    return _by_math(tape, q, k, v, scoring) if used == "math" else _fused(tape, q, k, v, scoring)


@functools.cache
def _on_cpu(
    asked: str, heads: int, key_heads: int, width: int, value_width: int, bytes_each: int, is_causal: bool,
    bias_heads: int, bias_needs: bool,
) -> tuple[str, bool]:
    """What torch takes on the CPU, and whether keys are repeated for it: asked with four tokens."""
    dtype = torch.float32 if bytes_each == FLOAT else torch.bfloat16
    q, k, v = (torch.zeros(1, h, 4, w, dtype=dtype, requires_grad=True)
               for h, w in ((heads, width), (key_heads, width), (key_heads, value_width)))
    bias = torch.zeros(*((bias_heads,) if bias_heads > 1 else ()), 4, 4, dtype=dtype) if bias_heads else None
    bias = bias.requires_grad_(bias_needs) if bias is not None else None
    scoring = kernel.Scoring(1.0, is_causal, bias)
    plan = TorchKernel(asked).plan(q, k, v, scoring)
    return plan.used, plan.repeats_keys


def _repeated(tape: Tape, k: Value, v: Value, scoring: Attending) -> tuple[Value, Value]:
    times = scoring.heads // scoring.key_heads
    if times == 1:
        return k, v
    return tape.make(k, numbers=k.numbers * times), tape.make(v, numbers=v.numbers * times)


def _fused(tape: Tape, q: Value, k: Value, v: Value, scoring: Attending) -> Value:
    """One kernel: it keeps queries, keys, values, the result and a number for each row of the scores."""
    q, k, v = (tape.cast(x, tape.kernel_width) for x in (q, k, v))
    rows = tape.tokens * scoring.heads
    bias = () if scoring.bias is None else (tape.cast(scoring.bias, tape.kernel_width),)
    return tape.make(
        q, k, v, *bias, numbers=rows * scoring.value_width, width=tape.kernel_width, saves=(q, k, v, *bias, RESULT),
        extra=FLOAT * rows, operator="_scaled_dot_product_flash_attention_for_cpu",
    )


def _by_math(tape: Tape, q: Value, k: Value, v: Value, scoring: Attending) -> Value:
    """Scores written out: queries and keys are scaled and copied, and the weights are kept."""
    q, k, v = (tape.cast(x, tape.kernel_width) for x in (q, k, v))
    if tape.kernel_width != FLOAT:
        q, k, v = (tape.cast(x, FLOAT) for x in (q, k, v))
    q, k = tape.scaled(q), tape.scaled(k)
    return tape.cast(_weighted(tape, q, k, v, scoring), tape.kernel_width)


def by_hand(tape: Tape, q: Value, k: Value, v: Value, scoring: Attending) -> Value:
    """The memory of `eager_attention`."""
    k, v = _repeated(tape, k, v, scoring)
    return _weighted(tape, q, k, v, scoring, by_hand=True)


def _weighted(tape: Tape, q: Value, k: Value, v: Value, scoring: Attending, by_hand: bool = False) -> Value:
    numbers = tape.tokens * scoring.heads * (scoring.keys or tape.context)
    # torch multiplies batches of matrices that lie in one piece, so that heads are copied first
    scores = tape.matmul(tape.copy(q), tape.copy(k), numbers)
    scores = tape.scaled(scores) if by_hand else scores
    if scoring.is_capped:
        scores = tape.use("softcap", scores)
    if scoring.bias is not None:
        scores = tape.make(scores, scoring.bias, numbers=numbers)
    elif scoring.is_causal:
        scores = tape.make(scores, extra=tape.context**2 if by_hand else 0)
    weights = tape.make(scores, width=FLOAT, saves=(RESULT,))
    weights = tape.cast(weights, v.width)
    return tape.matmul(weights, tape.copy(v), tape.tokens * scoring.heads * scoring.value_width)
