"""Rotary positions: queries and keys are turned by an angle that grows with their place.

What it is: the numbers of every query and key are taken in pairs, and pair i of the token at p is turned by the angle
p · f_i, fast for the first pairs and slow for the last. Turning both sides leaves in their product only the difference
of the angles: scores depend on how far apart two tokens are and not on where they stand. Nothing is added to the
stream, nothing is learnt, and values are left alone.

Formula, with r rotated numbers per head: f_i = base^(-2 i / r), (a, b) -> (a cos - b sin, b cos + a sin) at p · f_i.
The layout "half" pairs number i with number i + r / 2 (Llama, GPT-NeoX), "interleaved" pairs neighbours (GPT-J): the
same model, with the rows of the query and key weights in another order. A fraction below 1 leaves the rest of each
head unrotated.

Scaling stretches a trained model to longer contexts by a factor s: "linear" divides all frequencies by s; "ntk" raises
the base to base · s^(r / (r - 2)), which leaves the fast pairs nearly alone; "dynamic" does so only as far as the
input really exceeds the original context; "yarn" divides slow pairs, keeps fast ones, and multiplies sines and cosines
by 0.1 ln s + 1; "llama3" divides waves longer than original / low, keeps those shorter than original / high. Reported
gains come from further training after the change.

What it costs: no parameters; 6 · r FLOPs per head, token and layer on queries and keys, not counted here; a table of
context × r numbers, computed in float64 and kept in float32. Layers that see only a window may have a base of their
own: near tokens need no slow pairs (Gemma 3).

Choose it as the standard for language models. Without scaling, quality usually falls beyond the training length; where
one must go there untrained, ALiBi was made for it. "Every n-th layer without" leaves some layers to the mask alone, as
SmolLM3 does.

Paper: Su and others, "RoFormer" (2021), arXiv:2104.09864. Scaling: Chen and others (2023), arXiv:2306.15595 (linear);
Peng and others, "YaRN" (2023), arXiv:2309.00071; "The Llama 3 Herd of Models" (2024), arXiv:2407.21783.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator

import torch
from torch import Tensor

from tfx_engine.protocol.cards import Effect, Guide, Rule
from tfx_engine.protocol.config import Config
from tfx_engine.protocol.options import option
from tfx_engine.protocol.problems import Problem
from tfx_engine.techniques.claims import TellsOrder
from tfx_engine.techniques.counts import window_of
from tfx_engine.techniques.frequencies import SCALINGS, frequencies
from tfx_engine.techniques.position import Position, Positioned, Tables
from tfx_engine.techniques.tape import Places, Tape, Value
from tfx_engine.techniques.technique import Technique

# B batch, H heads, T tokens, K head width, R rotated numbers of a head, P = R / 2 pairs


@dataclasses.dataclass(frozen=True)
class Options:
    """What can be chosen."""

    base: float = option(
        10_000.0, kind="float", label="base", low=2.0, high=1e12,
        help="The slowest pair needs about 2π · base tokens for a turn. Llama 3 has 500000.",
    )
    fraction: float = option(
        1.0, kind="float", label="fraction", low=0.01, high=1.0,
        help="Share of each head's numbers that is rotated, rounded down to whole pairs.",
    )
    layout: str = option(
        "half", kind="choice", label="layout", choices=("half", "interleaved"),
        help="half: number i is paired with number i + r / 2. interleaved: neighbours are paired.",
    )
    without_every: int | None = option(
        None, kind="int", label="every n-th layer without", low=2, high=10_000, unit="layers",
        automatic="all layers rotate", help="Every so many layers, one does not rotate: the n-th, the 2 n-th, ...",
    )
    scaling: str = option(
        "none", kind="choice", label="scaling", choices=SCALINGS,
        help="How a model that was trained on the original context is stretched to a longer one.",
    )
    factor: float = option(
        2.0, kind="float", label="scaling factor", low=1.0, high=10_000.0,
        only_when={"scaling": SCALINGS[1:]},
        help="How many times longer the context is to become; of no effect without scaling.",
    )
    original_context: int | None = option(
        None, kind="int", label="original context", low=2, high=10_000_000, unit="tokens",
        only_when={"scaling": ("dynamic", "yarn", "llama3")},
        automatic="the model's context", help="What the model was trained on before, for dynamic, yarn and llama3.",
    )
    beta_fast: float = option(
        32.0, kind="float", label="fast beta", low=0.01, high=10_000.0,
        only_when={"scaling": ("yarn",)},
        help="yarn: a pair that turns more often than this within the original context keeps its frequency.",
    )
    beta_slow: float = option(
        1.0, kind="float", label="slow beta", low=0.001, high=10_000.0,
        only_when={"scaling": ("yarn",)},
        help="yarn: a pair that turns less often than this is slowed by the whole factor.",
    )
    truncate: bool = option(
        True, kind="bool", label="whole pairs", help="yarn: the passage begins and ends at a whole pair.",
        only_when={"scaling": ("yarn",)},
    )
    attention_factor: float | None = option(
        None, kind="float", label="attention factor", low=0.01, high=100.0, automatic="0.1 · ln(factor) + 1",
        only_when={"scaling": ("yarn",)},
        help="yarn: multiplies sines and cosines, so the scores by its square.",
    )
    low_frequency_factor: float = option(
        1.0, kind="float", label="low-frequency factor", low=0.01, high=10_000.0,
        only_when={"scaling": ("llama3",)},
        help="llama3: waves longer than the original context divided by this are slowed by the whole factor.",
    )
    high_frequency_factor: float = option(
        4.0, kind="float", label="high-frequency factor", low=0.01, high=10_000.0,
        only_when={"scaling": ("llama3",)},
        help="llama3: waves shorter than the original context divided by this keep their frequency.",
    )
    window_base: float | None = option(
        None, kind="float", label="base in windows", low=2.0, high=1e12, automatic="the same base, scaled alike",
        help="A base of their own, without scaling, for the layers that see only a window. Gemma 3 has 10000 there.",
    )


class RotaryPosition(Position):
    """Turns the first numbers of queries and keys, whatever their width; sines and cosines are made once."""

    def __init__(self, options: Options, config: Config) -> None:
        super().__init__()
        self.options, self.context, self.layers = options, config.model.context, config.model.layers
        self.width, self.window = _head_part(config), window_of(config)
        self.original = options.original_context or self.context
        self._tables = Tables()

    def options_at(self, layer: int) -> Options:
        """The options of a layer: one that sees only a window may have another base."""
        if self.options.window_base is None or self.window.size(layer) is None:
            return self.options
        return dataclasses.replace(self.options, base=self.options.window_base, scaling="none")

    def prepare(self, device: torch.device, dtype: torch.dtype) -> None:
        """Sines and cosines for the context."""
        if rotated := rotated_width(self.options, self.width):
            for options in {self.options_at(layer) for layer in range(self.layers)}:
                self._cos_sin(options, self.context, rotated, device, dtype)

    def rotate(self, q_BHTK: Tensor, k_BGTK: Tensor, layer: int) -> tuple[Tensor, Tensor]:
        """Queries and keys, turned."""
        every, rotated = self.options.without_every, rotated_width(self.options, q_BHTK.shape[-1])
        if rotated == 0 or (every is not None and (layer + 1) % every == 0):
            return q_BHTK, k_BGTK
        cos_TP, sin_TP = self._cos_sin(
            self.options_at(layer), q_BHTK.shape[2], rotated, q_BHTK.device, q_BHTK.dtype
        )
        return self._turned(q_BHTK, cos_TP, sin_TP), self._turned(k_BGTK, cos_TP, sin_TP)

    def _turned(self, x_BHTK: Tensor, cos_TP: Tensor, sin_TP: Tensor) -> Tensor:
        rotated = 2 * cos_TP.shape[-1]
        if self.options.layout == "half" and rotated == x_BHTK.shape[-1]:
            # The same products and sums, without cutting the halves out, which costs the backward pass a copy of each.
            other_BHTK = x_BHTK.roll(rotated // 2, dims=-1)
            turned_BHTK = x_BHTK * torch.cat((cos_TP, cos_TP), -1) + other_BHTK * torch.cat((-sin_TP, sin_TP), -1)
            return turned_BHTK.to(x_BHTK.dtype)
        if self.options.layout == "half":
            a_BHTP, b_BHTP = x_BHTK[..., : rotated // 2], x_BHTK[..., rotated // 2 : rotated]
        else:
            a_BHTP, b_BHTP = x_BHTK[..., 0:rotated:2], x_BHTK[..., 1:rotated:2]
        # The tables are float32 at least: so are these products, also of queries in 16 bits.
        new = [a_BHTP * cos_TP - b_BHTP * sin_TP, b_BHTP * cos_TP + a_BHTP * sin_TP]
        if self.options.layout == "interleaved":
            new = [torch.stack(new, dim=-1).flatten(-2)]
        rest = [x_BHTK[..., rotated:]] if rotated < x_BHTK.shape[-1] else []
        return torch.cat([*(part.to(x_BHTK.dtype) for part in new), *rest], dim=-1)

    def _cos_sin(
        self, options: Options, tokens: int, rotated: int, device: torch.device, dtype: torch.dtype
    ) -> tuple[Tensor, Tensor]:
        rows, own = max(tokens, self.context), None
        if options.scaling == "dynamic":
            rows, own = (tokens, tokens) if tokens > self.original else (self.original, None)

        def make() -> Tensor:
            radians_P, size = frequencies(options, rotated, self.original, rows)
            angle_TP = torch.arange(rows, dtype=torch.float64, device="cpu").unsqueeze(1) * radians_P
            return size * torch.stack([angle_TP.cos(), angle_TP.sin()], dim=1)

        exact = torch.promote_types(dtype, torch.float32)
        table_T2P = self._tables.get(device, exact, tokens, make, (rotated, own, options.base, options.scaling))
        return table_T2P[:, 0], table_T2P[:, 1]


def rotated_width(options: Options, head_width: int) -> int:
    """How many numbers of a head are rotated: an even number."""
    return int(head_width * options.fraction) // 2 * 2


def _head_part(config: Config) -> int:
    """How many numbers of a head are given to the rotation: all, but for an attention with a part of its own for it."""
    attention = config.techniques["attention"].options
    if "rope_width" in attention:
        return attention["rope_width"] or max(2, config.head_width // 4 * 2)
    return config.head_width


def check(options: Options, config: Config) -> Iterator[Problem]:
    """Refuse what leaves nothing to rotate, and scalings whose passage has no length."""
    path, k = "techniques.position", _head_part(config)
    if rotated_width(options, k) == 0:
        yield Problem(
            code="nothing-to-rotate", path=f"{path}.fraction",
            args={"fraction": options.fraction, "k": k, "fit": math.ceil(2000 / k) / 1000},
            template="is {fraction}: of {k} numbers it leaves no pair of numbers to rotate.",
            hint_template="Choose at least {fit:g}." if k > 1 else "Choose a head width of 2 or more.",
        )
    if options.scaling == "yarn":
        yield from _ordered(f"{path}.beta_fast", options.beta_fast, options.beta_slow, "beta_slow")
        original, least = options.original_context or config.model.context, math.floor(2 * math.pi * options.beta_slow)
        if original <= least:
            yield Problem(
                code="context-too-short", path=f"{path}.original_context",
                template="is {original} tokens: even the fastest pair turns less than beta_slow times within them.",
                hint_template="Choose {fit} or more.", args={"original": original, "fit": least + 1},
            )
    if options.scaling == "llama3":
        high, low = options.high_frequency_factor, options.low_frequency_factor
        yield from _ordered(f"{path}.high_frequency_factor", high, low, "low_frequency_factor")


def _ordered(path: str, high: float, low: float, name: str) -> Iterator[Problem]:
    if high <= low:
        yield Problem(
            code="wrong-order", path=path, template="is {high:g}, but must be greater than {name}, which is {low:g}.",
            hint_template="Choose {fit:g} or more.", args={"high": high, "low": low, "name": name, "fit": 2 * low},
        )


def build(options: Options, config: Config) -> Position:
    """The rotation."""
    return RotaryPosition(options, config)


def reference(module: RotaryPosition, x_BTD: Tensor, q_BHTK: Tensor, k_BGTK: Tensor, layer: int) -> Positioned:
    """Pair by pair and token by token: a complex number times one of its angle."""
    every = module.options.without_every
    if every is not None and layer % every == every - 1:
        return Positioned(x_BTD.clone(), q_BHTK.clone(), k_BGTK.clone(), None)
    turned = []
    for x in (q_BHTK, k_BGTK):
        rotated, tokens = rotated_width(module.options, x.shape[-1]), x.shape[2]
        radians_P, size = frequencies(module.options_at(layer), rotated, module.original, tokens)
        columns = list(x.clone().unbind(-1))
        for i, radians in enumerate(radians_P.tolist()):
            a, b = (i, i + rotated // 2) if module.options.layout == "half" else (2 * i, 2 * i + 1)
            angle_T = x.new_tensor([p * radians for p in range(tokens)])
            new = torch.complex(columns[a], columns[b]) * torch.polar(torch.full_like(angle_T, size), angle_T)
            columns[a], columns[b] = new.real, new.imag
        turned.append(torch.stack(columns, dim=-1))
    return Positioned(x_BTD.clone(), turned[0], turned[1], None)


def memory(tape: Tape, options: Options) -> Places:
    """Products with a table, which needs nothing of queries and keys; they are made anew."""
    part = _head_part(tape.config)
    is_whole = options.layout == "half" and rotated_width(options, part) == part  # then heads lie as they lay

    def rotate(tape: Tape, q: Value, k: Value) -> tuple[Value, Value]:
        every = options.without_every
        if every is not None and (tape.layer + 1) % every == 0:
            return q, k
        if is_whole:
            whole = [tape.make(x, scratch=2 * x.bytes, back=2 * x.bytes) for x in (q, k)]
            return whole[0], whole[1]
        turned = [tape.headed(tape.make(x, scratch=x.bytes, back=2 * x.bytes)) for x in (q, k)]
        return turned[0], turned[1]

    return Places(rotate=rotate if rotated_width(options, part) else Places.rotate)


TECHNIQUE = Technique(
    module=__name__,
    slot="position",
    order=3,
    title="Rotary positions",
    short="rotary",
    summary="Queries and keys are turned by an angle that grows with their place: scores see distances only.",
    paper="Su et al. 2021, arXiv:2104.09864",
    guide=Guide(
        choose="you build a language model as most recent ones are built.",
        avoid="inputs will be much longer than in training and nothing is trained after the change.",
    ),
    build=build,
    reference=reference,
    memory=memory,
    options=Options,
    check=check,
    requires=(
        Rule(slot="mixer", names=("attention",), reason="Only attention has queries and keys that can be rotated."),
    ),
    effects=(
        Effect(quantity="parameters", sign="0", formula="0"),
        Effect(quantity="flops", sign="0", formula="6 · rotated width per head, token and layer, not counted"),
        Effect(quantity="time", sign="+", formula="queries and keys of each layer are read and written once more"),
    ),
    claims=(TellsOrder(),),
)
