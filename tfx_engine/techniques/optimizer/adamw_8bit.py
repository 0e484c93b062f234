"""AdamW with 8-bit states: Adam's two running means, each number in one byte.

What it is: AdamW, whose means m and v are stored in 8 bits between steps. A tensor is cut into blocks of 256 numbers.
Each block remembers its largest absolute value as a float32; every number is stored as the nearest of 256 steps between
nothing and that value. The steps are not even: they are dense near zero and reach down to about a millionth of the
largest value, since v spans many orders of magnitude. A step computes in float32 and rounds only what it puts back, so
the error of one step is not that of the next.

Formula: AdamW's, with m and v replaced by q(m) and q(v) between steps; for x in a block with s = max |x|
    q(x) = s · (the nearest to x / s of the 256 steps)

What it costs: 2 bytes and a 32nd per weight instead of 8. Small tensors (below 4096 numbers), embedding, positions and
head keep 32-bit states: they are few or, as the embedding of rare tokens, spoilt by sharing a block's scale. Time: the
states are unpacked and packed again; fast where that is one kernel, slower in plain torch operations.

Which code does it: bitsandbytes or torchao on CUDA, as far as they are installed, torchao there only with a compiler;
otherwise the plain form in this file, which needs nothing and works on every device. The run names the one that was
used. All three store the same steps.

When to choose it: when optimizer state is what fills the memory, in full fine-tuning above all; losses are usually
indistinguishable from AdamW's. When not: when activations fill the memory, or with an adapter: its state is small as it
is.

Paper: Dettmers, Lewis, Shleifer, Zettlemoyer, "8-bit Optimizers via Block-wise Quantization" (2021), arXiv:2110.02861.
"""

from __future__ import annotations

import dataclasses
import importlib
import importlib.util
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tfx_engine.protocol.cards import Effect, Guide
from tfx_engine.protocol.config import Config
from tfx_engine.protocol.engine_python import is_frozen
from tfx_engine.protocol.marker import tr_mark
from tfx_engine.protocol.options import option
from tfx_engine.protocol.problems import Problem
from tfx_engine.techniques.claims import MovesAll
from tfx_engine.techniques.optimizer import (
    Group,
    Named,
    Rate,
    adamw,
    decay_groups,
    same_rate,
    together,
)
from tfx_engine.techniques.tape import FLOAT, Weight
from tfx_engine.techniques.technique import Technique

LEAST = 1e-12  # a block's scale is never less
_PACKAGES = ("bitsandbytes", "torchao")
_GET = tr_mark('Install it (pip install {name}), or choose "own".')
_OWN_PYTHON = tr_mark('Do runs in a Python of your own that has it (`tfx-workbench engine PYTHON`), or choose "own".')


@dataclasses.dataclass(frozen=True)
class Options(adamw.Options):
    """AdamW's, and what concerns the states."""

    implementation: str = option(
        "auto", kind="choice", label="implementation", choices=("auto", "own", *_PACKAGES),
        help="Which code does the update; auto takes the fastest that is installed and fits the device.",
    )
    smallest: int = option(
        4096, kind="int", label="smallest tensor", low=1, high=1_000_000_000,
        help="Tensors with fewer numbers keep 32-bit states; torchao itself never packs fewer than 4096.",
    )
    block: int = option(
        256, kind="int", label="block", low=2, high=65_536,
        help="Numbers that share a scale; bitsandbytes knows 256 only.",
    )


def check(options: Options, config: Config) -> Iterator[Problem]:
    """A package that is named must be there, and able."""
    name = options.implementation
    if name in _PACKAGES and importlib.util.find_spec(name) is None:
        yield Problem(
            code="unavailable", path="techniques.optimizer.implementation",
            template="is {name!r}, but that package is not installed.",
            hint_template=_OWN_PYTHON if is_frozen() else _GET, args={"name": name},
        )
    if name == "bitsandbytes" and options.block != 256:
        yield Problem(
            code="does-not-fit", path="techniques.optimizer.block",
            template="is {block}, but bitsandbytes knows 256 only.",
            hint_template="Set block = 256, or choose another implementation.", args={"block": options.block},
        )


def steps(is_signed: bool, device: torch.device) -> Tensor:
    """float32 [256]: what the bytes stand for, ascending. Each power of ten has twice as many as the one below."""
    numbers = [0.0, 1.0]
    for power in range(7):
        edges = torch.linspace(0.1, 1, 2 ** (power + (not is_signed)) + 1)
        middles = (10 ** (power - 6) * (edges[:-1] + edges[1:]) / 2.0).tolist()
        numbers += middles + [-x for x in middles if is_signed]
    return torch.tensor(sorted(numbers), device=device)


def packed(x: Tensor, block: int, steps_256: Tensor) -> tuple[Tensor, Tensor]:
    """(uint8 in the shape of x, float32 [blocks]); the last block may be shorter."""
    flat = x.flatten()
    blocks = F.pad(flat, (0, -flat.numel() % block)).view(-1, block)
    scale = blocks.abs().amax(dim=1).float().clamp(min=LEAST)
    known = steps_256.to(x.dtype)
    codes = torch.bucketize(blocks / scale[:, None], (known[:-1] + known[1:]) / 2, out_int32=True)
    return codes.to(torch.uint8).flatten()[: flat.numel()].view(x.shape), scale


def unpacked(codes: Tensor, scale: Tensor, block: int, steps_256: Tensor, dtype: torch.dtype) -> Tensor:
    """What was packed, rounded."""
    values = steps_256.to(dtype).index_select(0, codes.flatten().int())
    values = F.pad(values, (0, -values.numel() % block)).view(-1, block) * scale[:, None]
    return values.flatten()[: codes.numel()].view(codes.shape)


class OwnAdamW8bit(torch.optim.Optimizer):
    """The plain form, one tensor after the other."""

    def __init__(self, groups: list[Group], block: int, **defaults: Any) -> None:
        super().__init__(groups, defaults)
        self.block = block
        devices = {p.device for group in self.param_groups for p in group["params"]}
        # Made now, since they belong to no step.
        self._steps = {(s, device): steps(s, device) for s in (True, False) for device in devices}

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Move every parameter that has a gradient."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    self._move(parameter, parameter.grad, self.state[parameter], group)
        return loss

    def _move(self, weight: nn.Parameter, gradient: Tensor, state: dict[str, Any], group: Group) -> None:
        (beta1, beta2), exact = group["betas"], torch.promote_types(weight.dtype, torch.float32)
        if not state:
            state["step"] = 0
            for name, is_signed in (("exp_avg", True), ("exp_avg_sq", False)):
                state[name], state[f"{name}_scale"] = packed(
                    torch.zeros_like(weight), self.block, self._steps[is_signed, weight.device])
        state["step"] += 1
        gradient = gradient.to(exact)
        signed, unsigned = (self._steps[is_signed, weight.device] for is_signed in (True, False))
        mean = unpacked(state["exp_avg"], state["exp_avg_scale"], self.block, signed, exact)
        mean.lerp_(gradient, 1 - beta1)
        self._keep(state, "exp_avg", mean, signed)
        square = unpacked(state["exp_avg_sq"], state["exp_avg_sq_scale"], self.block, unsigned, exact)
        square.mul_(beta2).addcmul_(gradient, gradient, value=1 - beta2)
        self._keep(state, "exp_avg_sq", square, unsigned)
        size = square.div_(1 - beta2 ** state["step"]).sqrt_().add_(group["eps"])
        weight.mul_(1 - group["lr"] * group["weight_decay"])
        weight.sub_(mean.mul_(group["lr"] / (1 - beta1 ** state["step"])).div_(size).to(weight.dtype))

    def _keep(self, state: dict[str, Any], name: str, values: Tensor, steps_256: Tensor) -> None:
        """In place, so that the state stays where it is for the whole run."""
        codes, scale = packed(values, self.block, steps_256)
        state[name].copy_(codes)
        state[f"{name}_scale"].copy_(scale)


def build(options: Options, named: Named, rate: Rate = same_rate) -> torch.optim.Optimizer:
    """8-bit states for large tensors of the blocks and AdamW's own for the others, as one optimiser."""
    trained = [(name, p) for name, p in named if p.requires_grad]
    large = [(n, p) for n, p in trained if n.startswith("blocks.") and p.numel() >= options.smallest]
    names = {name for name, _ in large}
    small = [(n, p) for n, p in trained if n not in names]
    parts = []
    if large:
        groups = decay_groups(large, options.learning_rate, options.weight_decay, rate)
        parts.append(_eight_bit(options, groups))
    if small:
        fields = {field.name: getattr(options, field.name) for field in dataclasses.fields(adamw.Options)}
        parts.append(adamw.build(adamw.Options(**{**fields, "implementation": "auto"}), small, rate))
    return together(parts)


def _eight_bit(options: Options, groups: list[Group]) -> torch.optim.Optimizer:
    common: dict[str, Any] = {"lr": options.learning_rate, "betas": (options.beta1, options.beta2),
                              "eps": options.epsilon, "weight_decay": options.weight_decay}  # fmt: skip
    failed = ""
    for name in _candidates(options.implementation, groups):
        try:
            found = importlib.import_module(f"{name}.optim").AdamW8bit
        except Exception as error:  # a package may be there and yet not fit this torch
            if options.implementation == name:
                raise RuntimeError(f"{name} is installed, but cannot be used here: {error}") from error
            failed += f"; {name} cannot be used here"
            continue
        more = {"block_size": options.block} if name == "torchao" else {"min_8bit_size": options.smallest}
        optimizer = found(groups, **common, **more)
        optimizer.implementation = f"AdamW8bit ({name})"
        return optimizer
    own = OwnAdamW8bit(groups, options.block, **common)
    own.implementation = f"AdamW8bit (own{failed})"
    return own


def _candidates(wanted: str, groups: list[Group]) -> list[str]:
    """The packages to be tried, best first."""
    if wanted != "auto":
        return [wanted] if wanted in _PACKAGES else []
    if any(p.device.type != "cuda" for group in groups for p in group["params"]):
        return []
    found = [name for name in _PACKAGES if importlib.util.find_spec(name) is not None]
    return found if importlib.util.find_spec("triton") is not None else [n for n in found if n != "torchao"]


def reference(options: Options, weight: Tensor, gradients: Sequence[Tensor]) -> Tensor:
    """The weight after these gradients, as one of a block: number by number."""
    if weight.numel() < options.smallest:
        return adamw.reference(options, weight, gradients)
    decay = options.weight_decay if weight.dim() >= 2 else 0.0
    m, v = torch.zeros_like(weight), torch.zeros_like(weight)
    for t, g in enumerate(gradients, start=1):
        m = options.beta1 * m + (1 - options.beta1) * g
        v = options.beta2 * v + (1 - options.beta2) * g * g
        direction = (m / (1 - options.beta1**t)) / ((v / (1 - options.beta2**t)).sqrt() + options.epsilon)
        weight = weight - options.learning_rate * (decay * weight + direction)
        m, v = _rounded(m, options.block, True), _rounded(v, options.block, False)
    return weight


def _rounded(x: Tensor, block: int, is_signed: bool) -> Tensor:
    known, numbers, rounded = steps(is_signed, x.device).tolist(), x.flatten().tolist(), []
    for start in range(0, len(numbers), block):
        inside = numbers[start : start + block]
        scale = torch.tensor(max(LEAST, *map(abs, inside)), dtype=torch.float32).item()
        rounded += [scale * min((abs(step - x / scale), step) for step in known)[1] for x in inside]
    return x.new_tensor(rounded).view(x.shape)


def memory(options: Options, weights: Sequence[Weight]) -> tuple[int, int]:
    """Two bytes and a part of a scale for each number of large parameters within blocks; one at a time."""
    large = [w for w in weights if w.is_hidden and w.numbers >= options.smallest]
    state, _ = adamw.memory(adamw.Options(), [w for w in weights if w not in large])
    packed = sum(2 * (options.block + FLOAT) * -(-w.numbers // options.block) for w in large)  # the last one is whole
    numbers = max((w.numbers for w in large), default=0)
    # Both means, and of the second its blocks, these by their scales, and codes that are no bytes yet; a float32 of a
    # gradient that is none.
    unpacked = 5 + any(w.width < FLOAT for w in large)
    return state + packed, unpacked * FLOAT * numbers


TECHNIQUE = Technique(
    module=__name__,
    slot="optimizer",
    order=3,
    title="AdamW, 8-bit states",
    short="AdamW 8-bit",
    summary="Adam's two running means, each number in one byte.",
    paper="Dettmers et al. 2021, arXiv:2110.02861",
    guide=Guide(
        choose="optimizer state fills the memory, as in full fine-tuning, and results should stay AdamW's.",
        avoid="activations fill the memory, or an adapter's state is small already.",
    ),
    build=build,
    reference=reference,
    memory=memory,
    options=Options,
    check=check,
    effects=(
        Effect(quantity="optimizer", sign="-", formula="about 2 bytes per weight of large tensors, 8 per other"),
        Effect(quantity="time", sign="+", formula="unpacking and packing of the states"),
    ),
    claims=(MovesAll(),),
)
