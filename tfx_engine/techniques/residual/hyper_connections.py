"""Hyper-connections: several residual streams, which every branch reads from, writes to and mixes with trained weights.

What it is: one residual stream forces a compromise. If branches write loudly, late ones drown early ones and all layers
become alike; if they write softly, late layers do little. Hyper-connections keep n streams of the model's width. A
branch reads a weighted sum of them, what it found is written to each with a weight of its own, and the streams are
mixed among each other. The weights are trained for every connection, and in the dynamic form they also depend on the
token.

Formula, H being the n streams of a token, one a row:
    h = Aₘᵀ H        H ← Bᵀ F(h) + Aᵣᵀ H
dynamic: Aₘ, Aᵣ (B) = static part + s · tanh(norm(H) W), one row for each stream

The streams begin as n copies of the input, B with ones, Aᵣ as the identity, Aₘ reading one stream (number l modulo n in
connection l), W at zero, s at 0.01. So the model begins exactly as with a plain residual, and the static part alone can
express pre-norm, post-norm and parallel blocks. After the last block the mean of the streams goes on; the paper takes
their sum, which differs by the factor n before a norm that removes it. The norm is root mean square, without weights:
they could be absorbed into W.

What it costs, per connection: n² + 2 n parameters, and d · (n + 2) + 2 more in the dynamic form; 2 · n · (n + 1) · d
FLOPs per token for mixing, and 2 · n · (n + 2) · d for the dynamic weights. Small beside a block. But n streams instead
of one go through the whole model: n times the memory of the residual path and its traffic, which is what one notices.

When to choose it: deep models for which pre-norm's late blocks do little. When not: short of memory, or small models.

Paper: Zhu and others, "Hyper-Connections" (2024), arXiv:2409.19606.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tfx_engine.protocol.cards import Effect, Guide
from tfx_engine.protocol.config import Config
from tfx_engine.protocol.options import option
from tfx_engine.techniques.costs import STREAM, Linear, Product, Work
from tfx_engine.techniques.counts import connection_count, placement_of
from tfx_engine.techniques.residual import Branch, Residual
from tfx_engine.techniques.rms import rms_memory
from tfx_engine.techniques.tape import Streams, Tape, Value
from tfx_engine.techniques.technique import Technique

# B batch, T tokens, N streams, M = N + 1 (what the branch reads, then the streams), D width

_EPSILON = 1e-6
_SCALE = 0.01  # of the dynamic part at the beginning


@dataclasses.dataclass(frozen=True)
class Options:
    """What can be chosen."""

    streams: int = option(
        4, kind="int", label="streams", low=1, high=16, help="Residual streams, n. The paper recommends 4.",
    )
    dynamic: bool = option(
        True, kind="bool", label="dynamic", help="Weights depend on the token too, not on the connection alone.",
    )


class HyperConnection(nn.Module):
    """([B, T, N, D], Branch, skip) -> [B, T, N, D]. `read`: the stream that the branch reads at the beginning.

    The matrix `mix`, [N, M], is kept flat: weight decay falls on matrices, and would pull the identity to zero.
    """

    def __init__(self, width: int, streams: int, read: int, dynamic: bool) -> None:
        super().__init__()
        self.width, self.streams, self.read = width, streams, read
        self.mix = nn.Parameter(torch.empty(streams * (streams + 1)))
        self.write = nn.Parameter(torch.empty(streams))
        self.mix_scale = nn.Parameter(torch.empty(1)) if dynamic else None
        self.write_scale = nn.Parameter(torch.empty(1)) if dynamic else None
        self.dynamic = nn.Parameter(torch.empty(streams + 2, width)) if dynamic else None

    def forward(self, stream: Tensor, branch: Branch, skip: float = 1.0) -> Tensor:
        """Read, mix, write."""
        stream = stream.to(self.mix.dtype)  # an embedding that multiplies gives 16 bits under autocast
        with torch.autocast(stream.device.type, enabled=False):  # else it would round the streams at every connection
            stream = stream.to(self.mix.dtype)  # what a layer of frames gives may be rounded already
            mix_NM, write_N = self._weights(stream)
            mixed_BTMD = mix_NM.mT @ stream
        y_BTD = branch(mixed_BTMD[..., 0, :])
        kept_BTND = mixed_BTMD[..., 1:, :] if skip == 1.0 else mixed_BTMD[..., 1:, :] * skip
        return torch.addcmul(kept_BTND, write_N.unsqueeze(-1), y_BTD.unsqueeze(-2))

    def _weights(self, stream: Tensor) -> tuple[Tensor, Tensor]:
        """(mix [(B, T,) N, M], write [(B, T,) N]): static, or different for every token."""
        mix_NM, write_N = self.mix.view(self.streams, self.streams + 1), self.write
        if self.dynamic is None or self.mix_scale is None or self.write_scale is None:
            return mix_NM, write_N
        found = F.linear(F.rms_norm(stream, (self.width,), eps=_EPSILON), self.dynamic).tanh()
        return mix_NM + self.mix_scale * found[..., :-1], write_N + self.write_scale * found[..., -1]

    def initialise_parameter(self, name: str, parameter: Tensor, generator: torch.Generator) -> bool:
        """So that the model begins as with a plain residual."""
        match name:
            case "mix":
                begin_NM = torch.eye(self.streams, self.streams + 1).roll(1, dims=1)
                begin_NM[self.read, 0] = 1.0
                parameter.copy_(begin_NM.flatten())
            case "write":
                parameter.fill_(1.0)
            case "dynamic":
                parameter.zero_()
            case _:
                parameter.fill_(_SCALE)
        return True


@dataclasses.dataclass(frozen=True)
class HyperConnections:
    """N streams, [B, T, N, D]."""

    width: int
    streams: int
    dynamic: bool
    branches: tuple[str, ...]

    def connection(self, layer: int, branch: str) -> nn.Module:
        """A connection that begins with reading the next stream."""
        number = layer * len(self.branches) + (self.branches.index(branch) if branch in self.branches else 0)
        return HyperConnection(self.width, self.streams, number % self.streams, self.dynamic)

    def enter(self, x_BTD: Tensor) -> Tensor:
        """Copies."""
        return x_BTD.unsqueeze(-2).expand(-1, -1, self.streams, -1).contiguous()

    def leave(self, stream: Tensor) -> Tensor:
        """Their mean."""
        return stream.mean(dim=-2)


def build(options: Options, config: Config) -> Residual:
    """The residual for the connections that the placement has."""
    return HyperConnections(config.model.width, options.streams, options.dynamic, placement_of(config).branches)


def reference(module: HyperConnection, stream: Tensor, branch: Branch, skip: float) -> Tensor:
    """Stream by stream, with every weight written out."""
    n, rows = module.streams, stream.unbind(dim=-2)
    static_NM = module.mix.view(n, n + 1)
    found = []
    for row_BTD in rows:
        normed_BTD = row_BTD / (row_BTD.square().mean(dim=-1, keepdim=True) + _EPSILON).sqrt()
        found.append(None if module.dynamic is None else torch.tanh(normed_BTD @ module.dynamic.T))

    def weight(i: int, j: int) -> Tensor:
        own = found[i]
        return static_NM[i, j] if own is None else static_NM[i, j] + module.mix_scale * own[..., j : j + 1]

    y_BTD = branch(sum(weight(i, 0) * rows[i] for i in range(n)))
    after = []
    for j in range(n):
        own = found[j]
        write = module.write[j] if own is None else module.write[j] + module.write_scale * own[..., n + 1 :]
        after.append(write * y_BTD + skip * sum(weight(i, j + 1) * rows[i] for i in range(n)))
    return torch.stack(after, dim=-2)


def work(options: Options, config: Config) -> Work:
    """Of one connection: the dynamic weights, n times the same layer, and the mixing."""
    n, d = options.streams, config.model.width
    if not options.dynamic:
        mixing = Linear("mix", n, n + 1, active=d, adaptable=False, operator="mm", frozen_operator="bmm")
        return Work((mixing,), keeps_after=True, gives_slice=True)
    weights = Linear("dynamic", d, n + 2, active=n, adaptable=False)
    mixing_each = Product(n * (n + 1) * d, ("dynamic",), (STREAM,), "bmm")
    return Work((weights,), (mixing_each,), keeps_after=True, gives_slice=True)


def params(options: Options, config: Config) -> int:
    """Beside the layers in `work`: what is static, and the scales."""
    n = options.streams
    return connection_count(config) * (n * (n + 1) + n + 2 if options.dynamic else n)


def memory(tape: Tape, options: Options) -> Streams:
    """The streams, and the mixed ones with what the branch reads, are kept at each connection."""
    n, d = options.streams, tape.config.model.width

    def join(tape: Tape, stream: Value, branch: Callable[[Value], Value], skip: float) -> Value:
        one, stream = stream.numbers // n, tape.cast(stream, tape.widths.weights)
        before, tape.slot, tape.work = (tape.slot, tape.work), "residual", tape.work_of("residual")
        mix = tape.parameter("mix", n * (n + 1)) + tape.parameter("write", n)
        weights = rows = Value(0, stream.width, bool(mix))
        if options.dynamic:
            normed, widths = rms_memory(tape, stream, d, is_weighted=False), tape.widths
            tape.widths = dataclasses.replace(widths, products=None)  # no autocast within
            found = tape.bent(tape.plain_linear(tape.work.linears[0], normed), of_result=True)
            tape.widths = widths
            weights, rows = (tape.make(found, numbers=found.numbers * k // (n + 2), saves=(found,)) for k in (n + 1, 1))
        mixed = tape.make(stream, weights, numbers=(n + 1) * one, saves=(stream, weights), weights=mix)
        tape.slot, tape.work = before
        y = branch(tape.part(mixed, one))
        kept = tape.part(mixed, n * one)
        kept = kept if skip == 1.0 else tape.scaled(kept)
        return tape.make(kept, rows, y, numbers=n * one, saves=(y, rows), passes=1, back=n * y.bytes)

    return Streams(join=join, enter=lambda tape, x: tape.make(x, numbers=n * x.numbers),
                   leave=lambda tape, stream: tape.make(stream, numbers=stream.numbers // n))


TECHNIQUE = Technique(
    module=__name__,
    slot="residual",
    order=4,
    title="Hyper-connections",
    short="hyper",
    summary="Several residual streams, which every branch reads, writes and mixes with trained weights.",
    paper="Zhu et al. 2024, arXiv:2409.19606",
    guide=Guide(
        choose="the model is deep and its late blocks do little with pre-norm.",
        avoid="memory is short: there are n residual streams instead of one.",
    ),
    build=build,
    reference=reference,
    memory=memory,
    options=Options,
    work=work,
    params=params,
    effects=(
        Effect(quantity="parameters", sign="+", formula="per connection: n² + 2 n, and width · (n + 2) + 2 if dynamic"),
        Effect(quantity="flops", sign="+", formula="per token and connection: 2 · width · n · (2 n + 3) if dynamic"),
        Effect(quantity="activations", sign="+", formula="n residual streams of width numbers per token"),
    ),
)
