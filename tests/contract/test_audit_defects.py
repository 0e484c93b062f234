"""The audit catches what is broken on purpose: each defect is planted in a technique's module, or around it."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from tests.helpers.tiny import tiny_config
from tfx_engine.data import make_task
from tfx_engine.data.task import IGNORED
from tfx_engine.protocol.config import Config
from tfx_engine.techniques import initial, lowrank, optimizer, recompute
from tfx_engine.techniques.adapter import dora
from tfx_engine.techniques.adapting import LinearAdapter
from tfx_engine.techniques.claims import Same
from tfx_engine.techniques.clip import norm as clip_norm
from tfx_engine.techniques.compile import default
from tfx_engine.techniques.feedforward import TwoLayers, mixture_of_experts, swiglu
from tfx_engine.techniques.head import tied
from tfx_engine.techniques.kernel import eager
from tfx_engine.techniques.loss import chunked_cross_entropy, predictions, sum_of_nats
from tfx_engine.techniques.mask import causal
from tfx_engine.techniques.norm import rms_norm
from tfx_engine.techniques.optimizer import adamw
from tfx_engine.techniques.position import rotary
from tfx_engine.techniques.precision import float16_autocast
from tfx_engine.techniques.qk_norm import l2
from tfx_engine.techniques.softcap import tanh
from tfx_engine.techniques.update import in_backward
from tfx_engine.techniques.window import sliding
from tfx_engine.train import step
from tfx_engine.train.setup import set_up
from tfx_engine.worker.audit import PROOFS, audit
from tfx_engine.worker.audit.finding import Evidence
from tfx_engine.worker.audit.stand import Stand

Patch = pytest.MonkeyPatch


def zero_gradients(patch: Patch) -> None:
    inner = lowrank.LowRankLinear.detour
    patch.setattr(lowrank.LowRankLinear, "detour", lambda self, x: inner(self, x).detach() + 0.0 * inner(self, x))


def base_is_not_frozen(patch: Patch) -> None:
    inner = LinearAdapter.apply

    def apply(self: LinearAdapter, model: nn.Module) -> None:
        inner(self, model)
        model.blocks[1].requires_grad_(True)

    patch.setattr(LinearAdapter, "apply", apply)


def adapter_is_merged_without_its_scale(patch: Patch) -> None:
    patch.setattr(lowrank.LowRankLinear, "change", lambda self: self.adapter_B @ self.adapter_A)


def lengths_begin_twice_too_long(patch: Patch) -> None:
    inner = dora.DoraLinear.initialise_parameter

    def initialise(self: Any, name: str, parameter: Any, generator: Any) -> bool:
        done = inner(self, name, parameter, generator)
        if name == "adapter_magnitude":
            parameter.mul_(2)
        return done

    patch.setattr(dora.DoraLinear, "initialise_parameter", initialise)


def mask_sees_one_token_too_many(patch: Patch) -> None:
    patch.setattr(causal.CausalMask, "allowed", lambda self, tokens, device="cpu": torch.ones(
        tokens, tokens, dtype=torch.bool, device=device).tril(1))


def mask_hides_the_nearest_token(patch: Patch) -> None:
    def allowed(self: Any, tokens: int, device: Any = "cpu") -> Any:
        square = torch.ones(tokens, tokens, dtype=torch.bool, device=device)
        return square.tril(-2) | torch.eye(tokens, dtype=torch.bool, device=device)

    patch.setattr(causal.CausalMask, "allowed", allowed)


def kernel_looks_one_token_ahead(patch: Patch) -> None:
    inner = eager.eager_attention

    def attend(q: Any, k: Any, v: Any, scoring: Any) -> Any:
        if not scoring.is_causal:
            return inner(q, k, v, scoring)
        forbidden = torch.ones(q.shape[2], k.shape[2], dtype=torch.bool, device=q.device).triu(2)
        bias = torch.zeros_like(forbidden, dtype=q.dtype).masked_fill_(forbidden, -torch.inf)
        return inner(q, k, v, dataclasses.replace(scoring, is_causal=False, bias=bias))

    patch.setattr(eager, "eager_attention", attend)


def feedforward_reads_the_next_token(patch: Patch) -> None:
    inner = TwoLayers.forward
    patch.setattr(TwoLayers, "forward", lambda self, x: inner(self, x + 0.01 * x.roll(-1, dims=1)))


def window_is_one_too_wide(patch: Patch) -> None:
    inner = sliding.SlidingWindow.size
    patch.setattr(sliding.SlidingWindow, "size", lambda self, layer: (inner(self, layer) or 0) + 1)


def window_is_one_too_narrow(patch: Patch) -> None:
    inner = sliding.SlidingWindow.size
    patch.setattr(sliding.SlidingWindow, "size", lambda self, layer: (inner(self, layer) or 0) - 1)


def recompute_keeps_everything(patch: Patch) -> None:
    patch.setattr(recompute.Checkpointed, "__call__", lambda self, index, block, x, context: block(x, context))


def recompute_draws_anew(patch: Patch) -> None:
    patch.setattr(recompute, "checkpoint", functools.partial(checkpoint, preserve_rng_state=False))


def recompute_saves_next_to_nothing(patch: Patch) -> None:
    inner = recompute.Checkpointed.__call__

    def call(self: Any, index: int, block: nn.Module, x: Any, context: Any) -> Any:
        return inner(self, index, block, x, context) if index == 0 else block(x, context)

    patch.setattr(recompute.Checkpointed, "__call__", call)


def recompute_computes_something_else(patch: Patch) -> None:
    def call(self: Any, index: int, block: nn.Module, x: Any, context: Any) -> Any:
        runs = iter((block,))  # torch misses the tensors that the second run does not keep: a CheckpointError
        return checkpoint(lambda x, context: next(runs, lambda x, _: x)(x, context), x, context, use_reentrant=False)

    patch.setattr(recompute.Checkpointed, "__call__", call)


def pieces_of_the_loss_count_alike(patch: Patch) -> None:
    def nats(self: Any, head: nn.Module, x: Any, targets: Any, counted: Any) -> Any:
        (prediction,) = predictions(head, x)
        rows, wanted = prediction.x_BTD.flatten(0, -2).split(7), targets.flatten().split(7)
        means = [sum_of_nats(head.project(r), w, chunked_cross_entropy.Options()) / (w != IGNORED).sum().clamp(min=1)
                 for r, w in zip(rows, wanted, strict=True)]  # fmt: skip
        return torch.stack(means).mean()

    patch.setattr(chunked_cross_entropy._ByRecompute, "__call__", nats)
    patch.setattr(chunked_cross_entropy._ByTorch, "__call__", nats)


def pieces_of_the_batch_count_alike(patch: Patch) -> None:
    inner = step.losses

    def losses(training: Any, piece: Any, counted: Any, part: Any) -> Any:
        own = (piece[1] != IGNORED).sum().clamp(min=1)
        return inner(training, piece, own * training.pieces, part)

    patch.setattr(step, "losses", losses)


def gradients_stay_twice_as_large(patch: Patch) -> None:
    class Scaler(torch.amp.GradScaler):
        def unscale_(self, optimizer: Any) -> None:
            super().unscale_(optimizer)
            for parameter in optimizer.param_groups[0]["params"]:
                parameter.grad *= 2

    patch.setattr(float16_autocast, "GradScaler", Scaler)


def soft_cap_is_not_there(patch: Patch) -> None:
    patch.setattr(tanh.SoftCap, "__call__", lambda self, scores: scores)


def kernel_forgets_the_soft_cap(patch: Patch) -> None:
    inner = eager.eager_attention
    patch.setattr(eager, "eager_attention", lambda q, k, v, s: inner(q, k, v, dataclasses.replace(s, softcap=None)))


def norm_is_over_the_tokens(patch: Patch) -> None:
    patch.setattr(rms_norm.RMSNorm, "forward", lambda self, x: self.weight * x * (
        x.square().mean(dim=1, keepdim=True) + self.eps).rsqrt())


def norm_has_no_epsilon(patch: Patch) -> None:
    patch.setattr(rms_norm.RMSNorm, "forward", lambda self, x: self.weight * x / x.square().mean(
        dim=-1, keepdim=True).sqrt())


def queries_are_not_normed(patch: Patch) -> None:
    patch.setattr(l2.CosineNorm, "forward", lambda self, q, k: (q * self.scale * self.undone, k))


def optimizer_skips_a_tensor(patch: Patch) -> None:
    inner = optimizer.decay_groups

    def groups(named: Any, *more: Any) -> Any:
        return inner([(n, p) for n, p in named if n != "blocks.1.feedforward.down.weight"], *more)

    patch.setattr(adamw, "decay_groups", groups)


def decay_falls_on_norms_too(patch: Patch) -> None:
    inner = optimizer.decay_groups

    def groups(named: Any, *more: Any) -> Any:
        return [{**group, "weight_decay": 0.5} for group in inner(named, *more)]

    patch.setattr(adamw, "decay_groups", groups)


def clip_does_not_clip(patch: Patch) -> None:
    patch.setattr(clip_norm.torch.nn.utils, "clip_grad_norm_", lambda parameters, maximum: None)


def tied_head_is_a_copy(patch: Patch) -> None:
    inner = tied.TiedHead.__init__

    def init(self: Any, *given: Any) -> None:
        inner(self, *given)
        self.weight = nn.Parameter(self.weight.detach().clone())

    patch.setattr(tied.TiedHead, "__init__", init)


def dropout_goes_on_in_evaluation(patch: Patch) -> None:
    patch.setattr(nn.Dropout, "forward", lambda self, x: F.dropout(x, self.p, training=True))


def experts_are_the_worst(patch: Patch) -> None:
    inner = mixture_of_experts.Router.forward

    def forward(self: Any, x: Any) -> Any:
        weights, experts = inner(self, x)
        return weights, (experts + 1) % self.options.experts

    patch.setattr(mixture_of_experts.Router, "forward", forward)


def rate_is_never_set(patch: Patch) -> None:
    patch.setattr(step, "set_learning_rate", lambda optimizer, factor: None)


def rotation_turns_nothing(patch: Patch) -> None:
    patch.setattr(rotary.RotaryPosition, "rotate", lambda self, q, k, layer: (q, k))


def weights_begin_too_large(patch: Patch) -> None:
    patch.setattr(initial, "deviation", lambda inputs: 2 * (2 / (5 * inputs)) ** 0.5)


def weights_move_twice(patch: Patch) -> None:
    inner = in_backward.PassingOptimizer.hook

    def hook(self: Any, part: Any) -> Callable[[nn.Parameter], None]:
        move = inner(self, part)

        def twice(parameter: nn.Parameter) -> None:
            part.step()
            move(parameter)

        return twice

    patch.setattr(in_backward.PassingOptimizer, "hook", hook)


def bend_is_another_one(patch: Patch) -> None:
    patch.setattr(swiglu.F, "silu", F.gelu)


LORA = {"adapter": "lora"}
DEFECTS: list[tuple[Callable[[Patch], None], dict[str, Any], str, str]] = [
    (zero_gradients, LORA, "adapter", "every-gradient"),
    (base_is_not_frozen, LORA, "adapter", "trains-only"),
    (adapter_is_merged_without_its_scale, LORA, "adapter", "merges"),
    (lengths_begin_twice_too_long, {"adapter": "dora"}, "adapter", "begins-at-base"),
    (mask_sees_one_token_too_many, {"position": "alibi"}, "mask", "hides"),
    (mask_sees_one_token_too_many, {"position": "alibi"}, "mask", "no-leak"),
    (mask_hides_the_nearest_token, {"position": "t5_bias"}, "mask", "reference"),
    (kernel_looks_one_token_ahead, {"kernel": "eager"}, "mask", "hides"),
    (kernel_looks_one_token_ahead, {"kernel": "eager"}, "kernel", "reference"),
    (feedforward_reads_the_next_token, {}, "mask", "no-leak"),
    (window_is_one_too_wide, {"window": {"use": "sliding", "size": 3}}, "window", "hides"),
    (window_is_one_too_narrow, {"window": {"use": "sliding", "size": 3}}, "window", "shows"),
    (recompute_keeps_everything, {"recompute": "every_block"}, "recompute", "keeps-less"),
    (recompute_keeps_everything, {"recompute": "every_block"}, "recompute", "runs-again"),
    (recompute_saves_next_to_nothing, {"recompute": "every_block"}, "recompute", "keeps-less"),
    (recompute_computes_something_else, {"recompute": "every_block"}, "recompute", "same"),
    (recompute_computes_something_else, {"recompute": "every_block"}, "recompute", "runs-again"),
    (recompute_draws_anew, {"recompute": "every_block", "residual": {"use": "stochastic_depth", "rate": 0.9}},
     "recompute", "same"),
    (pieces_of_the_loss_count_alike, {"loss": "chunked_cross_entropy"}, "loss", "same"),
    (pieces_of_the_batch_count_alike, {"accumulation": "micro_batches"}, "accumulation", "same"),
    (gradients_stay_twice_as_large, {"precision": "float16_autocast"}, "precision", "near"),
    (soft_cap_is_not_there, {"softcap": "tanh"}, "softcap", "bounded"),
    (kernel_forgets_the_soft_cap, {"softcap": {"use": "tanh", "cap": 1.0}, "kernel": "eager"}, "kernel", "reference"),
    (norm_is_over_the_tokens, {"norm": "rms_norm"}, "norm", "normed"),
    (norm_has_no_epsilon, {"norm": "rms_norm"}, "norm", "normed"),
    (queries_are_not_normed, {"qk_norm": "l2"}, "qk_norm", "unit"),
    (optimizer_skips_a_tensor, {}, "optimizer", "moves-all"),
    (decay_falls_on_norms_too, {}, "optimizer", "reference"),
    (clip_does_not_clip, {"clip": "norm"}, "clip", "limits"),
    (tied_head_is_a_copy, {}, "head", "shares"),
    (dropout_goes_on_in_evaluation, {"embedding": {"dropout": 0.5}}, "embedding", "quiet"),
    (bend_is_another_one, {"feedforward": "swiglu"}, "feedforward", "reference"),
    (experts_are_the_worst, {"feedforward": "mixture_of_experts"}, "feedforward", "routes"),
    (rate_is_never_set, {"schedule": "cosine"}, "schedule", "schedules"),
    (rotation_turns_nothing, {"position": "rotary"}, "position", "order"),
    (weights_begin_too_large, {}, "init", "begins"),
    (weights_move_twice, {"update": "in_backward"}, "update", "same-steps"),
]  # fmt: skip


def found(config: Config, slot: str) -> dict[str, bool | None]:
    stand = Stand(config, torch.device("cpu"), make_task(config))
    return {finding.claim: finding.evidence.ok for finding in audit(stand, slots=[slot])}


def config_of(techniques: dict[str, Any], slot: str) -> Config:
    sizes = {"width": 48, "heads": 3, "head_width": 16} if slot == "init" else {}
    sizes = {"layers": 4} if slot == "recompute" else sizes
    return tiny_config(techniques, model=sizes)


@pytest.mark.parametrize(("plant", "techniques", "slot", "claim"), DEFECTS, ids=lambda x: getattr(x, "__name__", None))
def test_a_planted_defect_is_caught(
    plant: Callable[[Patch], None], techniques: dict[str, Any], slot: str, claim: str, monkeypatch: Patch
) -> None:
    config = config_of(techniques, slot)
    assert found(config, slot)[claim] is True
    plant(monkeypatch)
    assert found(config, slot)[claim] is False


def evidence_of_same(config: Config) -> Evidence:
    stand = Stand(config, torch.device("cpu"), make_task(config))
    return next(f.evidence for f in audit(stand, slots=["recompute"]) if f.claim == "same")


def test_a_technique_that_crashes_is_broken_and_its_traceback_logged(
    monkeypatch: Patch, caplog: pytest.LogCaptureFixture
) -> None:
    recompute_computes_something_else(monkeypatch)
    evidence = evidence_of_same(tiny_config({"recompute": "every_block"}))
    assert (evidence.ok, evidence.code) == (False, "crashed") and "CheckpointError: " in evidence.message
    assert "recompute = none" in evidence.message and "Traceback" in caplog.text and "observe" in caplog.text


@pytest.mark.parametrize("error", [ValueError("no proof"), MemoryError("too much")])
def test_what_only_the_proof_cannot_cope_with_says_nothing_of_the_technique(
    error: Exception, monkeypatch: Patch
) -> None:
    def proof(case: Any, claim: Any) -> Evidence:
        raise error

    monkeypatch.setitem(PROOFS, Same, proof)
    evidence = evidence_of_same(tiny_config({"recompute": "every_block"}))
    assert evidence.ok is None and str(error) in evidence.message


@pytest.mark.parametrize(("error", "holds"), [(0.0, True), (0.01, False)])
def test_a_compiler_that_changes_numbers_is_caught(error: float, holds: bool, monkeypatch: Patch) -> None:
    def compiler(config: Config, mode: str) -> Callable[[Any], Any]:
        return lambda function: lambda *inputs: function(*inputs) * (1 + error)

    monkeypatch.setattr(default, "compiler", compiler)  # as torch.compile, and a thousand times as fast
    config = tiny_config({"compile": "default"})
    assert found(config, "compile") == {"same-compiled": holds}
    setup = set_up(config, torch.device("cpu"))
    before = [p.detach().clone() for p in setup.training.model.parameters()]
    stand = Stand(config, setup.device, setup.task, run=setup.training)
    assert [finding.evidence.ok for finding in audit(stand, slots=["compile"])] == [holds]
    after = list(setup.training.model.parameters())
    assert all(torch.equal(a, b) and b.grad is None for a, b in zip(before, after, strict=True))
