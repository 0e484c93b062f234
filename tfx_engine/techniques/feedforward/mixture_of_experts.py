"""Mixture of experts: many feed-forwards side by side, of which each token passes only a few.

What it is: a small linear layer, the router, gives every token a probability for each of E experts. The k likeliest do
the work, and their outputs are added with the probabilities as weights. So a model holds many times the weights that
any token uses: parameters grow with E, FLOPs with k.

Formula: y = Σ over the k chosen e of p_e · FFN_e(x) + shared(x), p = softmax(W_r x), the chosen ones' scaled to sum 1

Left to itself a router soon prefers a few experts, and the others never learn. Two remedies, which may be combined:
a loss E · Σ f_e · P_e, f_e being the share of choices that fell on e and P_e its mean probability, 1 where all is even;
or a bias on the choice alone, not on the weights, that goes up by a constant after each step for every expert with less
than its share and down for the others. The z-loss, mean(log² Σ exp) of the router's scores, keeps these small. Shared
experts serve every token, whatever the router says.

No token is dropped, whatever the imbalance. An expert that no token chose gets a gradient of zero.

What it costs, per block: E experts' parameters and d · E for the router; FLOPs per token of k experts, the shared ones
and the router. Memory holds all experts and their optimizer state. The experts run one after another and each waits to
hear how many tokens it has: small ones make poor use of a GPU.

When to choose it: training is bound by FLOPs and memory is plenty. When not: on one small device, with few tokens per
step, or when steps are to be compared in pieces, whose losses for balance differ from the whole batch's.

Paper: Shazeer and others (2017), arXiv:1701.06538; Switch (2021), arXiv:2101.03961; Mixtral (2024), arXiv:2401.04088;
DeepSeekMoE (2024), arXiv:2401.06066; bias: Wang and others (2024), arXiv:2408.15664; z-loss: ST-MoE (2022),
arXiv:2202.08906.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tfx_engine.protocol.cards import Effect, Guide
from tfx_engine.protocol.config import Config
from tfx_engine.protocol.options import option
from tfx_engine.protocol.problems import Problem
from tfx_engine.techniques.assumptions import assumed
from tfx_engine.techniques.claims import Rests, Routes
from tfx_engine.techniques.costs import Linear, Work, bias_of
from tfx_engine.techniques.feedforward import (
    GatedLayers,
    TwoLayers,
    exact_gelu,
    gated_memory,
    linears,
    rounded_up,
    two_memory,
)
from tfx_engine.techniques.tape import FLOAT, INDEX, RESULT, Tape, Value
from tfx_engine.techniques.technique import Technique

# B batch, T tokens, S = B · T, D width, E experts, K chosen ones, C = S · K choices


@dataclasses.dataclass(frozen=True)
class Options:
    """What can be chosen."""

    experts: int = option(8, kind="int", label="experts", low=1, high=1024, help="Feed-forwards side by side, E.")
    top_k: int = option(2, kind="int", label="chosen", low=1, high=64, help="Experts that each token passes, k.")
    shared: int = option(
        0, kind="int", label="shared experts", low=0, high=64,
        help="Further experts that every token passes; built as one of so many times the inner width.",
    )
    width: int | None = option(
        None, kind="int", label="inner width", low=1, high=10_000_000,
        automatic="8/3 × width in eights if gated, else 4 × width", help="Inner width of each expert, f.",
    )
    gated: bool = option(True, kind="bool", label="gated", help="Experts are SwiGLU; otherwise GELU.")
    bias: bool | None = option(
        None, kind="bool", label="biases", automatic="as the model's biases",
        help="Biases in the experts' linear layers. The router has none.",
    )
    normalise: bool = option(
        True, kind="bool", label="normalise",
        help="Scale the probabilities of the chosen experts so that they add up to 1, as Mixtral does.",
    )
    balance_loss: float = option(
        0.01, kind="float", label="balance loss", low=0.0, high=10.0,
        help="Weight of the loss that evens out how often experts are chosen; 0 leaves it out.",
    )
    z_loss: float = option(
        0.001, kind="float", label="router z-loss", low=0.0, high=10.0,
        help="Weight of the loss that keeps the router's scores small; 0 leaves it out.",
    )
    balance_rate: float = option(
        0.0, kind="float", label="balance by bias", low=0.0, high=1.0,
        help="What is added to or taken from an expert's score after each step; DeepSeek-V3 has 0.001. 0: no bias.",
    )

    def inner(self, config: Config) -> int:
        """f."""
        wide = rounded_up(8 * config.model.width // 3, 8) if self.gated else 4 * config.model.width
        return self.width or wide


def check(options: Options, config: Config) -> Iterator[Problem]:
    """No more can be chosen than there are."""
    if options.top_k > options.experts:
        yield Problem(
            code="out-of-range", path="techniques.feedforward.top_k",
            template="is {top_k}, but there are {experts} experts.", hint_template="Choose at most {experts}.",
            args={"top_k": options.top_k, "experts": options.experts},
        )


class Router(nn.Module):
    """x_SD -> (weights_SK, experts_SK). No nn.Linear: adapters leave it alone.

    `auxiliary` is the loss of the last training pass. The bias is kept as a count of steps up and down, which is exact
    in every number format.
    """

    votes_E: Tensor
    load_E: Tensor

    def __init__(self, width: int, options: Options) -> None:
        super().__init__()
        self.options = options
        self.weight = nn.Parameter(torch.empty(options.experts, width))
        self.auxiliary: Tensor | None = None
        for name in ("votes_E", "load_E"):
            zeros = torch.zeros(options.experts, dtype=torch.int64, device="cpu")
            self.register_buffer(name, zeros, persistent=name == "votes_E" and options.balance_rate > 0)

    def forward(self, x_SD: Tensor) -> tuple[Tensor, Tensor]:
        """The chosen experts of each token, and what their outputs count."""
        logits_SE = F.linear(x_SD, self.weight)
        logits_SE = logits_SE.to(torch.promote_types(logits_SE.dtype, torch.float32))
        probabilities_SE = logits_SE.softmax(dim=-1)
        scores_SE = probabilities_SE.detach()
        if self.options.balance_rate > 0:
            scores_SE = scores_SE + self.options.balance_rate * self.votes_E
        experts_SK = scores_SE.topk(self.options.top_k, dim=-1).indices
        if self.training and torch.is_grad_enabled():
            self._account(logits_SE, probabilities_SE, experts_SK)
        weights_SK = probabilities_SE.gather(-1, experts_SK)
        if self.options.normalise:
            weights_SK = weights_SK / weights_SK.sum(dim=-1, keepdim=True)
        return weights_SK, experts_SK

    def _account(self, logits_SE: Tensor, probabilities_SE: Tensor, experts_SK: Tensor) -> None:
        """Note how often each expert was chosen, and the losses that follow from it."""
        options = self.options
        chosen_E = F.one_hot(experts_SK.flatten(), options.experts).sum(dim=0)
        self.load_E += chosen_E
        losses = []
        if options.balance_loss > 0:
            share_E = chosen_E / experts_SK.numel()
            balance = options.experts * (share_E * probabilities_SE.mean(dim=0)).sum()
            losses.append(options.balance_loss * balance)
        if options.z_loss > 0:
            losses.append(options.z_loss * logits_SE.logsumexp(dim=-1).square().mean())
        self.auxiliary = sum(losses[1:], start=losses[0]) if losses else None

    def after_step(self) -> None:
        """Vote for the experts with less than their share, and let go of what the step needed."""
        if self.options.balance_rate > 0:
            self.votes_E += torch.sign(self.load_E.sum() - self.load_E * self.options.experts)
        self.load_E.zero_()
        self.auxiliary = None


class MixtureOfExperts(nn.Module):
    """x_BTD -> x_BTD."""

    def __init__(self, width: int, inner: int, bias: bool, options: Options) -> None:
        super().__init__()
        self.top_k, self.among = options.top_k, options.experts
        layers, bend = (GatedLayers, F.silu) if options.gated else (TwoLayers, exact_gelu)
        self.router = Router(width, options)
        self._assumed = assumed.experts
        made = self.among if self._assumed is None else self._assumed.made()
        self.experts = nn.ModuleList(layers(width, inner, bias, bend) for _ in range(made))
        self.shared = layers(width, options.shared * inner, bias, bend) if options.shared else None

    def forward(self, x_BTD: Tensor) -> Tensor:
        """Sort the choices by expert, let each expert work on its own, put them back in order and add them up.

        Everything is a permutation, so that the gradients are the same in every run, on every device.
        """
        x_SD = x_BTD.flatten(0, -2)
        weights_SK, experts_SK = self.router(x_SD)
        order_C = experts_SK.flatten().argsort(stable=True)
        counts = self._counts(experts_SK)
        chosen_CD = x_SD.unsqueeze(1).expand(-1, self.top_k, -1).flatten(0, 1)[order_C]
        if self._assumed is None:
            pieces = chosen_CD.split(counts)  # some may be empty: their experts still get a gradient, of zero
            y_CD = torch.cat([expert(piece) for expert, piece in zip(self.experts, pieces, strict=True)])
        else:
            y_CD = self._assumed.through(self.experts, chosen_CD)
        back_C = torch.empty_like(order_C).scatter_(0, order_C, torch.arange(len(order_C), device=order_C.device))
        y_SKD = y_CD[back_C].unflatten(0, (-1, self.top_k))
        y_SD = (y_SKD * weights_SK.unsqueeze(-1).to(y_SKD.dtype)).sum(dim=1)
        if self.shared is not None:
            y_SD = y_SD + self.shared(x_SD)
        return y_SD.view_as(x_BTD)

    def _counts(self, experts_SK: Tensor) -> list[int]:
        """How many choices fell on each expert. On a GPU this waits for it."""
        counts_E = F.one_hot(experts_SK.flatten(), self.among).sum(dim=0)
        return counts_E.tolist() if self._assumed is None else []


def build(options: Options, config: Config) -> nn.Module:
    """A feed-forward of the model's width."""
    return MixtureOfExperts(config.model.width, options.inner(config), bias_of(options.bias, config), options)


def reference(module: MixtureOfExperts, x_BTD: Tensor) -> Tensor:
    """Every expert works on every token; what was not chosen counts nothing."""
    router = module.router
    p_BTE = (x_BTD @ router.weight.T).softmax(dim=-1)
    chosen_BTE = torch.zeros_like(p_BTE).scatter(-1, p_BTE.topk(module.top_k, dim=-1).indices, 1.0)
    w_BTE = p_BTE * chosen_BTE
    if router.options.normalise:
        w_BTE = w_BTE / w_BTE.sum(dim=-1, keepdim=True)
    y_BTD = sum(w_BTE[..., e : e + 1] * expert(x_BTD) for e, expert in enumerate(module.experts))
    return y_BTD if module.shared is None else y_BTD + module.shared(x_BTD)


def work(options: Options, config: Config) -> Work:
    """The router, the experts and the shared one."""
    d, inner, bias = config.model.width, options.inner(config), bias_of(options.bias, config)
    router = Linear("router", d, options.experts, adaptable=False)
    experts = linears(d, inner, bias, options.gated, copies=options.experts, active=options.top_k, flat=True)
    if not options.shared:
        return Work((router, *experts), keeps_after=True)  # the outputs, for the gradients of their weights
    shared = linears(d, options.shared * inner, bias, options.gated, prefix="shared_", flat=True)
    return Work((router, *experts, *shared))


def memory(tape: Tape, options: Options, x: Value) -> Value:
    """Each token is kept once for each of its experts, whichever these are."""
    many, d = tape.tokens * options.top_k, tape.config.model.width
    chances = tape.make(tape.linear("router", x), width=FLOAT, saves=(RESULT,))
    weights = tape.make(chances, numbers=many, extra=INDEX * many)
    weights = tape.make(weights, saves=(weights,)) if options.normalise else weights
    chosen = tape.make(x, numbers=many * d, extra=INDEX * many, scratch=many * d * x.width)
    one = gated_memory if options.gated else two_memory
    y = one(tape, chosen, tape.bent)
    back = tape.make(tape.make(y), extra=INDEX * many)
    y = tape.make(tape.times(back, tape.make(weights, width=back.width)), numbers=x.numbers)
    if not options.shared:
        return y
    return tape.add(y, one(tape, x, tape.bent, "shared_"))


TECHNIQUE = Technique(
    module=__name__,
    slot="feedforward",
    order=5,
    title="Mixture of experts",
    short="experts",
    summary="Many feed-forwards side by side, of which each token passes only a few.",
    paper="Shazeer et al. 2017, arXiv:1701.06538",
    guide=Guide(
        choose="training is bound by FLOPs, memory is plenty and there are many tokens per step.",
        avoid="the device is small or steps have few tokens: all experts are stored, few work.",
    ),
    build=build,
    reference=reference,
    memory=memory,
    options=Options,
    check=check,
    work=work,
    effects=(
        Effect(quantity="parameters", sign="+", formula="layers × (experts × one feed-forward + width · experts)"),
        Effect(quantity="flops", sign="+", formula="per token and layer: those of k and the shared experts"),
        Effect(quantity="activations", sign="+", formula="per token and layer: k times those of one expert"),
        Effect(quantity="optimizer", sign="+", formula="state for all experts"),
    ),
    claims=(Rests("experts"), Routes()),
)
