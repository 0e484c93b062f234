"""Which of torch's own attention kernels is used: torch's choice, found out once for each kind of input.

`scaled_dot_product_attention` (SDPA) is one function with several kernels behind it. Which of them it takes depends on
shapes, dtypes, device, mask and gradients; asking for it costs a call of its own, so the answers are kept.

B batch, H query heads, G key heads, T queries, S keys, K head width, V value width.
"""

from __future__ import annotations

import functools
import warnings
from collections.abc import Hashable, Iterator
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel

from tfx_engine.protocol.config import Config
from tfx_engine.protocol.marker import tr_mark
from tfx_engine.protocol.problems import Problem
from tfx_engine.techniques.aside import once
from tfx_engine.techniques.assumptions import assumed
from tfx_engine.techniques.counts import head_shape
from tfx_engine.techniques.devices import device_kind
from tfx_engine.techniques.kernel import COMPILED, UNKNOWN, Scoring, eager_attention

NO_SOFTCAP = tr_mark("scaled_dot_product_attention knows no soft cap")
NO_SUCH_KERNEL = tr_mark("torch has no such kernel for these inputs on {kind}")
NEEDS_16_BITS = tr_mark("it takes 16-bit inputs only")
MASK_WRITTEN_OUT = tr_mark("it takes no mask but the causal one, and the {slot} needs one that is written out")
BACKENDS = {
    "math": SDPBackend.MATH, "flash": SDPBackend.FLASH_ATTENTION, "efficient": SDPBackend.EFFICIENT_ATTENTION,
    "cudnn": SDPBackend.CUDNN_ATTENTION,
}
_REFUSALS = ("No available kernel", "No viable backend")  # how torch's refusals begin


class _Plan(NamedTuple):
    used: str
    is_forced: bool = False  # torch would take another one by itself
    repeats_keys: bool = False
    reason: str = ""


class TorchKernel:
    """SDPA: by torch's own choice where nothing is `asked` for, and where what is asked for is refused."""

    def __init__(self, asked: str = "") -> None:
        self.asked, self.reason = asked, ""
        self._plans: dict[Hashable, _Plan] = {}

    def attend(self, q_BHTK: Tensor, k_BGSK: Tensor, v_BGSV: Tensor, scoring: Scoring) -> tuple[Tensor, str]:
        """y_BHTV, and the kernel that torch really used."""
        if scoring.softcap is not None:
            self.reason = NO_SOFTCAP if self.asked else ""
            return eager_attention(q_BHTK, k_BGSK, v_BGSV, scoring), "eager"
        if torch.compiler.is_compiling():
            return self._run(_Plan(COMPILED, is_forced=bool(self.asked)), q_BHTK, k_BGSK, v_BGSV, scoring), COMPILED
        kind = kind_of(q_BHTK, k_BGSK, v_BGSV, scoring)
        plan = self._plans.get(kind)
        if plan is None:
            plan = self._plans[kind] = once(lambda: self.plan(q_BHTK, k_BGSK, v_BGSV, scoring))
        self.reason = plan.reason
        return self._run(plan, q_BHTK, k_BGSK, v_BGSV, scoring), plan.used

    def _run(self, plan: _Plan, q_BHTK: Tensor, k_BGSK: Tensor, v_BGSV: Tensor, scoring: Scoring) -> Tensor:
        if plan.repeats_keys:
            k_BGSK, v_BGSV = _repeated(q_BHTK, k_BGSK, v_BGSV)
        if not plan.is_forced:
            return sdpa(q_BHTK, k_BGSK, v_BGSV, scoring)
        with sdpa_kernel([BACKENDS[self.asked]]):
            return sdpa(q_BHTK, k_BGSK, v_BGSV, scoring)

    def plan(self, q_BHTK: Tensor, k_BGSK: Tensor, v_BGSV: Tensor, scoring: Scoring) -> _Plan:
        """How to compute attention for this kind of input."""
        is_shared = q_BHTK.shape[1] != k_BGSK.shape[1]
        own = dispatched(q_BHTK, k_BGSK, v_BGSV, scoring)
        if not self.asked:
            # A fused kernel that knows no shared keys is still better than none.
            repeated = dispatched(q_BHTK, *_repeated(q_BHTK, k_BGSK, v_BGSV), scoring) if is_shared else own
            gains = own == "math" and repeated not in ("math", UNKNOWN)
            return _Plan(repeated, repeats_keys=True) if gains else _Plan(own)
        if own == self.asked:
            return _Plan(own)
        reason = refusal(self.asked, q_BHTK, k_BGSK, v_BGSV, scoring)
        if reason and is_shared and not refusal(self.asked, q_BHTK, *_repeated(q_BHTK, k_BGSK, v_BGSV), scoring):
            return _Plan(self.asked, is_forced=True, repeats_keys=True)
        return _Plan(own, reason=reason) if reason else _Plan(self.asked, is_forced=True)


def sdpa(q_BHTK: Tensor, k_BGSK: Tensor, v_BGSV: Tensor, scoring: Scoring) -> Tensor:
    """y_BHTV by torch's function; the soft cap is not for it."""
    return F.scaled_dot_product_attention(
        q_BHTK, k_BGSK, v_BGSV, attn_mask=scoring.bias, is_causal=scoring.is_causal, scale=scoring.scale,
        enable_gqa=q_BHTK.shape[1] != k_BGSK.shape[1],
    )


def dispatched(q_BHTK: Tensor, k_BGSK: Tensor, v_BGSV: Tensor, scoring: Scoring) -> str:
    """The kernel that SDPA takes for these inputs; `UNKNOWN` where this torch does not tell."""
    choice = assumed.kernel or getattr(torch, "_fused_sdp_choice", None)  # private: it may be gone
    if choice is None:
        return UNKNOWN
    q, k, v, bias = (None if t is None else _as_autocast(t) for t in (q_BHTK, k_BGSK, v_BGSV, scoring.bias))
    try:
        number = choice(
            q, k, v, bias, 0.0, scoring.is_causal, scale=scoring.scale, enable_gqa=q_BHTK.shape[1] != k_BGSK.shape[1]
        )
    except (TypeError, NotImplementedError):
        return UNKNOWN
    return next((name for name, backend in BACKENDS.items() if int(backend.value) == number), UNKNOWN)


def refusal(name: str, q_BHTK: Tensor, k_BGSK: Tensor, v_BGSV: Tensor, scoring: Scoring) -> str:
    """Why torch does not take that kernel for these inputs, in its own words; empty where it takes it."""
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        try:
            with sdpa_kernel([BACKENDS[name]]):
                sdpa(q_BHTK, k_BGSK, v_BGSV, scoring)
        except RuntimeError as error:
            if not str(error).startswith(_REFUSALS):
                raise
        else:
            return ""
    lines = [str(w.message).partition(" (Triggered")[0].strip().rstrip(".") for w in said]
    details = [line for line in lines if not line.endswith("because:")]  # "... kernel not used because:" goes before
    return details[0] if details else NO_SUCH_KERNEL.format(kind=q_BHTK.device.type)


def kind_of(q_BHTK: Tensor, k_BGSK: Tensor, v_BGSV: Tensor, scoring: Scoring) -> Hashable:
    """What the choice of a kernel may depend on."""
    bias, device = scoring.bias, q_BHTK.device
    return (
        q_BHTK.shape, k_BGSK.shape, v_BGSV.shape, q_BHTK.dtype, k_BGSK.dtype, v_BGSV.dtype, device, scoring.is_causal,
        None if bias is None else (bias.shape, bias.requires_grad), torch.is_grad_enabled(), q_BHTK.requires_grad,
        v_BGSV.requires_grad, torch.is_autocast_enabled(device.type), scoring.softcap is None,
    )


def _as_autocast(x: Tensor) -> Tensor:
    """The tensor as SDPA sees it: autocast turns its inputs into 16 bits."""
    kind = x.device.type
    if x.dtype == torch.float64 or not torch.is_autocast_enabled(kind):
        return x
    return x.to(torch.get_autocast_dtype(kind))


def _repeated(q_BHTK: Tensor, k_BGSK: Tensor, v_BGSV: Tensor) -> tuple[Tensor, Tensor]:
    """Keys and values with a head for each head of the queries."""
    shared = q_BHTK.shape[1] // k_BGSK.shape[1]
    return k_BGSK.repeat_interleave(shared, dim=1), v_BGSV.repeat_interleave(shared, dim=1)


def check_kernel(name: str, config: Config) -> Iterator[Problem]:
    """Warn where a kernel is known beforehand not to be used; what only the device can tell, the run will say."""
    kind = device_kind(config)
    if reason := _known_refusal(name, kind, config):
        yield Problem(
            code="kernel-not-here", path="techniques.kernel.use", level="warning",
            template="is {name!r}, which cannot be used here: {reason}. Torch will choose another one.",
            hint_template="Choose the kernel 'auto', or a device that has it.", args={"name": name, "reason": reason},
        )


def _known_refusal(name: str, kind: str, config: Config) -> str:
    """On a CUDA device nothing is run for it: that would take memory of the device before the run begins."""
    if kind == "cpu":
        shape = head_shape(config)
        return _refusal_on_cpu(name, shape.width, shape.value_width)
    if kind == "cuda":
        if name in ("flash", "cudnn") and config.use("precision") in ("float32", "tf32"):
            return NEEDS_16_BITS
        written = [slot for slot in ("window", "sink") if config.use(slot) != "none"]
        return MASK_WRITTEN_OUT.format(slot=written[0]) if name == "flash" and written else ""
    return "" if name == "math" or kind == "xpu" else NO_SUCH_KERNEL.format(kind=kind)


@functools.cache
def _refusal_on_cpu(name: str, width: int, value_width: int) -> str:
    q, v = torch.zeros(1, 1, 4, width), torch.zeros(1, 1, 4, value_width)
    return refusal(name, q, q, v, Scoring(1.0, is_causal=True))
