"""The kernel that a run shows is the one that was used, whatever was asked for; finding it out costs nothing later."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from tests.helpers.tiny import loss_of, tiny_config
from tests.helpers.training import ListRecorder
from tfx_engine.measure.memory_events import AllocatorRecording
from tfx_engine.model.assemble import assemble, make_precision
from tfx_engine.model.transformer import Transformer
from tfx_engine.model.validate import validate
from tfx_engine.protocol.config import Config
from tfx_engine.techniques import dispatch, flexible
from tfx_engine.techniques.dispatch import TorchKernel, dispatched
from tfx_engine.techniques.flexible import FlexAttention, mask_rule
from tfx_engine.techniques.kernel import UNKNOWN, Reach, Scoring, eager_attention
from tfx_engine.techniques.scores import kernel_use
from tfx_engine.train.kernels import Kernels

ON_CPU = {"auto": "flash", "math": "math", "flash": "flash", "efficient": "flash", "cudnn": "flash", "flex": "eager",
          "eager": "eager"}  # fmt: skip
MODIFIERS: dict[str, dict[str, Any]] = {
    "plain": {}, "window": {"window": {"use": "sliding", "size": 3}}, "sink": {"sink": "off_by_one"},
    "learned": {"sink": "learned"}, "grouped": {"attention": {"use": "grouped_query", "kv_heads": 1}},
    "latent": {"attention": "latent"},
    "alternating": {"sink": "learned", "window": {"use": "sliding", "full_every": 2}},
}  # fmt: skip


def trained(config: Config) -> tuple[Transformer, set[str]]:
    """A model after one forward and backward pass, and the kernels that the profiler saw in it."""
    model = assemble(config, "cpu")
    tokens_BT = torch.randint(config.vocab, (2, config.model.context), generator=torch.Generator().manual_seed(0))
    with AllocatorRecording(torch.device("cpu")) as recording, make_precision(config).context("cpu"):
        loss_of(model, tokens_BT, tokens_BT).backward()
    return model, recording.kernels


@pytest.mark.parametrize("modifier", MODIFIERS)
@pytest.mark.parametrize("kernel", ON_CPU)
@pytest.mark.parametrize("precision", ["float32", "bfloat16_autocast"])
def test_what_the_layers_say_is_what_the_profiler_saw(kernel: str, modifier: str, precision: str) -> None:
    config = tiny_config({"kernel": kernel, "precision": precision, **MODIFIERS[modifier]})
    model, seen = trained(config)
    uses = kernel_use(model)
    assert [use.layer for use in uses] == ["block 1", "block 2"]
    assert {use.used for use in uses} == seen
    if modifier == "plain":
        assert seen == {ON_CPU[kernel]}
    for use in uses:
        assert use.asked == ("" if kernel == "auto" else kernel)
        assert bool(use.reason) == (use.asked not in ("", use.used)), "a kernel that was not used has its reason"


@pytest.mark.parametrize("kernel", ON_CPU)
def test_what_is_known_not_to_work_here_is_said_beforehand(kernel: str) -> None:
    problems = validate(tiny_config({"kernel": kernel}))
    works = ON_CPU[kernel] == kernel or kernel == "auto"
    assert [p.code for p in problems] == ([] if works else ["kernel-not-here"])
    assert all(p.level == "warning" and kernel in p.message and "auto" in p.hint for p in problems)


@pytest.mark.parametrize(("name", "techniques", "words"), [
    ("flash", {"window": "sliding", "precision": "bfloat16_autocast"}, "the window needs one"),
    ("flash", {"sink": "off_by_one", "precision": "bfloat16_autocast"}, "the sink needs one"),
    ("flash", {}, "16-bit"), ("cudnn", {}, "16-bit"), ("flash", {"precision": "bfloat16_autocast"}, ""),
    ("math", {}, ""), ("efficient", {"sink": "learned"}, ""),
])  # fmt: skip
def test_of_a_cuda_device_the_rules_are_known_without_touching_it(
    monkeypatch: pytest.MonkeyPatch, name: str, techniques: dict[str, Any], words: str
) -> None:
    monkeypatch.setattr(dispatch, "device_kind", lambda config: "cuda")
    problems = list(dispatch.check_kernel(name, tiny_config(techniques)))
    assert bool(problems) == bool(words) and all(words in p.sentence() for p in problems)


def inputs(key_heads: int = 2) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    return tuple(torch.randn(2, heads, 5, 4, generator=generator) for heads in (4, key_heads, key_heads))  # type: ignore


def test_the_choice_is_asked_for_once_for_each_kind_of_input(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    monkeypatch.setattr(dispatch, "dispatched", lambda *given: asked.append(given) or dispatched(*given))
    monkeypatch.setattr(dispatch, "sdpa_kernel", None)  # not needed where torch takes it anyway
    kernel = TorchKernel("flash")
    for _ in range(3):
        assert kernel.attend(*inputs(), Scoring(0.5, is_causal=True))[1] == "flash"
    assert len(asked) == 1
    kernel.attend(*(t[:1] for t in inputs()), Scoring(0.5, is_causal=True))
    assert len(asked) == 2


def test_without_torchs_private_word_the_profilers_stands(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(torch, "_fused_sdp_choice")
    config = tiny_config()
    model, seen = trained(config)
    assert {use.used for use in kernel_use(model)} == {UNKNOWN} and seen == {"flash"}
    recorder = ListRecorder()
    kernels = Kernels(model, recorder)
    kernels.told()
    assert "kernel" in recorder.reasons and not recorder.facts
    kernels.seen(sorted(seen))
    assert recorder.facts["kernel"] == "flash" and not recorder.events


@pytest.mark.parametrize("asked", ["", "efficient"])
def test_keys_are_repeated_where_a_fused_kernel_takes_no_shared_ones(
    monkeypatch: pytest.MonkeyPatch, asked: str
) -> None:
    def choice(q: Tensor, k: Tensor, v: Tensor, scoring: Scoring) -> str:
        return "flash" if q.shape[1] == k.shape[1] else "math"

    monkeypatch.setattr(dispatch, "dispatched", choice)
    monkeypatch.setattr(dispatch, "refusal", lambda name, *given: "" if choice(*given) == "flash" else "shared")
    monkeypatch.setitem(dispatch.BACKENDS, "efficient", dispatch.BACKENDS["flash"])
    kernel, scoring = TorchKernel(asked), Scoring(0.5, is_causal=True)
    y_BHTV, used = kernel.attend(*inputs(2), scoring)
    assert used == (asked or "flash") and not kernel.reason
    torch.testing.assert_close(y_BHTV, eager_attention(*inputs(2), scoring))


def test_a_kernel_that_was_not_used_is_an_event_and_one_that_differs_too() -> None:
    model, _ = trained(tiny_config({"kernel": "cudnn"}))
    recorder = ListRecorder()
    kernels = Kernels(model, recorder)
    kernels.told()
    ((code, args),) = recorder.events
    assert code == "another-kernel" and (args["asked"], args["used"]) == ("cudnn", "flash")
    assert args["layers"] == "block 1, block 2" and args["reason"]
    assert recorder.facts == {"kernel": "flash", "kernel_by_layer": ["flash", "flash"]}
    kernels.seen(["math"])
    assert recorder.events[-1] == ("kernels-differ", {"told": "flash", "seen": "math"})
    assert recorder.facts["kernel"] == "math", "what was seen is what is shown"


@pytest.mark.parametrize("reach", [Reach(True, None, True), Reach(True, 3, True), Reach(False, 2, True)])
@pytest.mark.parametrize("before", [0, 2])
def test_the_mask_that_flex_gets_is_the_one_that_is_written_out(reach: Reach, before: int) -> None:
    i, j = torch.arange(6)[:, None], torch.arange(6 + before)[None, :]
    allowed = torch.tensor([
        [s < 0 or ((not reach.is_causal or s <= t) and (reach.window is None or abs(t - s) < reach.window))
         for s in range(-before, 6)] for t in range(6)
    ])  # fmt: skip
    assert torch.equal(mask_rule(reach, before)(None, None, i, j).expand(6, -1), allowed)


@pytest.mark.filterwarnings("ignore:flex_attention called without torch.compile")
@pytest.mark.parametrize("key_heads", [4, 2])
@pytest.mark.parametrize("softcap", [None, torch.tanh])
def test_flex_computes_the_same(monkeypatch: pytest.MonkeyPatch, key_heads: int, softcap: Any) -> None:
    """Not compiled and without gradients: that much of it works on a CPU."""
    from torch.nn.attention.flex_attention import flex_attention

    monkeypatch.setattr(flexible, "_compiled", lambda: flex_attention)
    generator, flex, (q, k, v) = torch.Generator().manual_seed(1), FlexAttention(), inputs(key_heads)
    near = torch.ones(5, 5).tril().bool() & ~torch.ones(5, 5).tril(-2).bool()
    written = torch.zeros(5, 5).masked_fill(~near, -torch.inf)
    for scoring in (
        Scoring(0.5, is_causal=True, softcap=softcap), Scoring(0.5, softcap=softcap),
        Scoring(0.5, bias=written, softcap=softcap, reach=Reach(True, 2, True)),
        Scoring(0.5, bias=torch.randn(4, 5, 5, generator=generator) + written, reach=Reach(True, 2, False)),
        Scoring(0.5, bias=torch.randn(5, 5, generator=generator), softcap=softcap),
    ):  # fmt: skip
        torch.testing.assert_close(flex(q, k, v, scoring), eager_attention(q, k, v, scoring), rtol=1e-4, atol=1e-5)
