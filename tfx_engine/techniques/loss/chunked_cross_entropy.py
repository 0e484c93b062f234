"""Chunked cross-entropy: the same loss, without all logits at once.

What it is: the logits of a batch are batch × tokens × vocabulary numbers, and cross-entropy needs of them only one sum
per token. So the rows are taken a piece at a time: project the piece, add up its loss, forget its logits. Loss and
gradients are those of `cross_entropy`, up to the rounding of another order of addition.

There are two ways to have the gradients. Torch's `linear_cross_entropy` computes them together with the loss, while
the logits of a piece are there, and keeps them: no work is done twice. It knows plain logits in float32 only. Where it
is missing, or label smoothing, z-loss, a soft cap or 16-bit numbers ask for more, each piece is checkpointed: only its
input is kept, and its logits are computed again in the backward pass. Which one a run used is written in the run.

Formula: loss = Σ over pieces p of Σ over rows i in p of -log softmax(W x[i])[target[i]], divided by the targets that
count

What it costs: rows × V numbers instead of B · T · V. Torch's way keeps one more gradient of the table, V · d numbers,
until the backward pass; recomputing costs one more product with the table, 2 · V · d FLOPs per token, about a third
more for the head. Small pieces are slow: a product wants enough rows to be worth its start.

Choose it when the memory split shows the logits as the largest activation: large vocabularies, long contexts, small
models. Rather not with bytes or a few classes: there is nothing to save. Fused kernels in the manner of Cut
Cross-Entropy go further and never write logits to memory at all.

Paper: Wijmans and others, "Cut Your Losses in Large-Vocabulary Language Models" (2024), arXiv:2411.09009; Hsu and
others, "Liger Kernel" (2024), arXiv:2410.10989.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterable, Iterator, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from tfx_engine.protocol.cards import Effect, Guide
from tfx_engine.protocol.config import Config
from tfx_engine.protocol.marker import tr_mark
from tfx_engine.protocol.options import option
from tfx_engine.protocol.problems import Problem
from tfx_engine.techniques.assumptions import assumed
from tfx_engine.techniques.claims import Same
from tfx_engine.techniques.costs import Run
from tfx_engine.techniques.head import Project
from tfx_engine.techniques.loss import (
    IGNORED,
    Loss,
    LossOptions,
    nats_memory,
    predictions,
    reference_of,
    shifted,
    sum_of_nats,
)
from tfx_engine.techniques.ranges import doing
from tfx_engine.techniques.recompute import marked
from tfx_engine.techniques.tape import FLOAT, Op, Tape, Value
from tfx_engine.techniques.technique import Technique

_LOGITS_AT_ONCE = 2**22  # numbers of a piece where nothing else is said: 16 MiB in float32


@dataclasses.dataclass(frozen=True)
class Options(LossOptions):
    """What can be chosen."""

    rows: int | None = option(
        None, kind="int", label="rows", low=1, high=10_000_000, unit="tokens",
        automatic="as many as have four million logits",
        help="Tokens whose logits exist at the same time.",
    )
    implementation: str = option(
        "auto", kind="choice", label="implementation", choices=("auto", "torch", "recompute"),
        help="torch: its own kernel, which computes nothing twice. recompute: any options, logits are computed twice. "
             "auto: torch where it can.",
    )


class _ByTorch:
    """Pieces by `linear_cross_entropy`."""

    implementation = "chunked by torch"
    is_one_graph = False  # a kernel and a loop that exist to keep what a compiler would fuse apart

    def __init__(self, options: Options) -> None:
        self._rows = options.rows

    def __call__(self, head: nn.Module, x_BTD: Tensor, targets_BT: Tensor, counted: Tensor) -> Tensor:
        """Nats, in the precision of the weights."""
        total = x_BTD.new_zeros(())
        for prediction in predictions(head, x_BTD):
            weight = (prediction.head or head).weight
            nats = F.linear_cross_entropy(
                prediction.x_BTD.flatten(0, -2), weight, shifted(targets_BT, prediction.shift).flatten(),
                reduction="sum", ignore_index=IGNORED,
                options=nn.LinearCrossEntropyOptions(batch_chunk_size=self._rows or rows_for(len(weight))),
            )
            total = total + prediction.weight * nats
        return total / counted


class _ByRecompute:
    """Pieces under checkpoint."""

    implementation = "chunked by recompute"
    is_one_graph = False

    def __init__(self, options: Options, rows: int) -> None:
        self._options, self.rows = options, rows

    def __call__(self, head: nn.Module, x_BTD: Tensor, targets_BT: Tensor, counted: Tensor) -> Tensor:
        """Nats, in float32 or better."""
        total = x_BTD.new_zeros((), dtype=torch.promote_types(x_BTD.dtype, torch.float32))
        for prediction in predictions(head, x_BTD):
            rows_ND = prediction.x_BTD.flatten(0, -2)
            targets = shifted(targets_BT, prediction.shift).reshape(len(rows_ND), -1)
            piece = functools.partial(self._piece, prediction.head or head)
            for some_ND, wanted in _pieces(rows_ND, targets, self.rows):
                nats = checkpoint(piece, some_ND, wanted, use_reentrant=False, preserve_rng_state=False,
                                  context_fn=marked)
                total = total + prediction.weight * nats
        return total / counted

    def _piece(self, head: nn.Module, x_ND: Tensor, targets: Tensor) -> Tensor:
        with doing("head"):
            logits = head.project(x_ND)
        return sum_of_nats(logits, targets, self._options)


def _pieces(x_ND: Tensor, targets: Tensor, rows: int) -> Iterable[tuple[Tensor, Tensor]]:
    if assumed.pieces is not None:
        return assumed.pieces(x_ND, targets, rows)
    return zip(x_ND.split(rows), targets.split(rows), strict=True)


def rows_for(outputs: int) -> int:
    """How many rows of so many logits are computed at once where nothing else is said."""
    return max(1, _LOGITS_AT_ONCE // outputs)


def _why_not_torch(options: Options, config: Config) -> str | None:
    """What torch's kernel does not know of a configuration, in words; None where it knows all."""
    from tfx_engine.techniques.catalogue import technique_for  # which loads the techniques, and they this

    if not (hasattr(F, "linear_cross_entropy") and hasattr(nn, "LinearCrossEntropyOptions")):
        return tr_mark("this torch has none")
    if options.label_smoothing or options.z_loss:
        return tr_mark("it knows neither label smoothing nor z-loss")
    head = config.techniques["head"].options
    if head.get("softcap") is not None:
        return tr_mark("it knows no soft cap")
    if head.get("bias") or head.get("transform"):
        return tr_mark("it knows a table and nothing else in the head")
    if head.get("multiplier", 1.0) != 1.0:
        return tr_mark("it knows no multiplier of the logits")
    if config.task.answers > 1:
        return tr_mark("it knows one answer per token")
    initial, given = technique_for("init", config.techniques["init"])
    if initial.build(given, config).output_multiplier != 1.0:
        return tr_mark("it knows no multiplier of the logits")
    technique, given = technique_for("precision", config.techniques["precision"])
    precision = technique.build(given, config)
    with precision.context("cpu"):
        if precision.dtype != torch.float32 or torch.is_autocast_enabled("cpu"):
            return tr_mark("it would compute the loss in 16 bits")
    return None


def _by_torch(options: Options, config: Config) -> bool:
    return options.implementation != "recompute" and _why_not_torch(options, config) is None


def check(options: Options, config: Config) -> Iterator[Problem]:
    """Torch's kernel, where it is asked for, must know the rest."""
    reason = _why_not_torch(options, config) if options.implementation == "torch" else None
    if reason is not None:
        yield Problem(
            code="unavailable", path="techniques.loss.implementation",
            template="is 'torch', whose linear_cross_entropy does not fit: {reason}.",
            hint_template="Choose 'recompute', or 'auto'.", args={"reason": reason},
        )


def build(options: Options, config: Config) -> Loss:
    """The loss, by whichever way knows all that is asked for."""
    if _by_torch(options, config):
        return _ByTorch(options)
    return _ByRecompute(options, options.rows or rows_for(config.task.answers * config.vocab))


reference = reference_of


def again(options: Options, config: Config, runs: Sequence[Run]) -> int:
    """Every product with a table of the head, where pieces are recomputed."""
    from tfx_engine.techniques.catalogue import technique_for

    if _by_torch(options, config):
        return 0
    technique, given = technique_for("head", config.techniques["head"])
    return sum(linear.products for linear in technique.work(given, config).linears if linear.name == "head")


def memory(tape: Tape, options: Options, x: Value) -> Value:
    """The logits of a few rows at a time, whichever way they are made again."""
    nats = _memory_by_torch if _by_torch(options, tape.config) else _memory_by_recompute
    total: Value = tape.use("head", x, functools.partial(nats, tape, options))
    return total


def _memory_by_torch(tape: Tape, options: Options, project: Project, x: Value) -> Value:
    """Both gradients are made with the loss."""
    begin = len(tape.ops)
    logits = project(x)
    weights = tuple(w for op in tape.ops[begin:] for w in op.weights)
    del tape.ops[begin:]
    outputs = logits.numbers // tape.tokens
    piece = min(options.rows or rows_for(outputs), tape.tokens) * outputs * FLOAT
    table = sum(w.numbers * w.width for w in weights)
    grown = (Value(x.numbers, FLOAT, False), Value(table // FLOAT, FLOAT, False))
    return tape.make(x, numbers=1, saves=grown, weights=weights, scratch=piece, back=piece)


def _memory_by_recompute(tape: Tape, options: Options, project: Project, x: Value) -> Value:
    """Two pieces under checkpoint stand for all: what those between them keep is a row each and no logits."""
    begin = len(tape.ops)
    outputs = project(x).numbers // tape.tokens
    del tape.ops[begin:]
    width, rows = x.numbers // tape.tokens, min(options.rows or rows_for(outputs), tape.tokens)
    if rows == tape.tokens:
        return tape.again(lambda: nats_memory(tape, options, project(tape.part(x, x.numbers)), rows))
    rest = tape.part(x, x.numbers - rows * width)
    # In this order gradients come as those of a split do, and are joined when all are there.
    some = Value(rows * width, x.width, x.needs, base=rest)
    tape.ops.append(Op((rest,), some, passes=1))
    first = tape.again(lambda: nats_memory(tape, options, project(some), rows))
    last = tape.part(rest, rows * width)
    return tape.add(first, tape.again(lambda: nats_memory(tape, options, project(last), rows)))


TECHNIQUE = Technique(
    module=__name__,
    slot="loss",
    order=1,
    title="Chunked cross-entropy",
    short="chunked",
    summary="The same loss a piece of the batch at a time, so that all logits never exist at once.",
    paper="Wijmans et al. 2024, arXiv:2411.09009",
    guide=Guide(
        choose="the vocabulary is large and logits are the largest activation.",
        avoid="the vocabulary is small: there is nothing to save.",
    ),
    build=build,
    reference=reference,
    memory=memory,
    options=Options,
    check=check,
    again=again,
    effects=(
        Effect(quantity="activations", sign="-", formula="2 · rows · vocabulary numbers, not 2 · batch · tokens · V"),
        Effect(quantity="flops", sign="+", formula="2 · vocabulary · width per token where pieces are recomputed"),
    ),
    kinds=("language", "answers"),
    claims=(Same(tighten={"rows": 7}),),
)
