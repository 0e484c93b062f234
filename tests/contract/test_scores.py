"""Everything that acts on the scores, in every combination: nothing leaks, windows hide, maps are what was used.

T tokens, H heads.
"""

from __future__ import annotations

import functools
import itertools
from typing import Any

import pytest
import torch
from torch import Tensor

from tests.contract.comparing import randomised
from tests.helpers.tiny import tiny_config
from tfx_engine.model.assemble import assemble
from tfx_engine.model.transformer import Transformer
from tfx_engine.model.validate import validate
from tfx_engine.protocol.config import parse_config
from tfx_engine.techniques.kernel import Scoring
from tfx_engine.techniques.probe import record_attention

SIZES = {"heads": 4, "layers": 1, "context": 7, "width": 6, "head_width": 4}
ATTENTIONS: dict[str, dict[str, Any]] = {
    name: {"use": name, **options}
    for name, options in {"multi_head": {}, "grouped_query": {"kv_heads": 2}, "latent": {}, "differential": {}}.items()
}
MODIFIERS: dict[str, tuple[Any, ...]] = {
    "window": ("none", {"use": "sliding", "size": 3}), "sink": ("none", "off_by_one", "learned"),
    "gate": ("none", "per_head", "per_element"), "qk_norm": ("none", "per_head", "full", "l2"),
    "softcap": ("none", {"use": "tanh", "cap": 2.0}),
}  # fmt: skip
every_attention = pytest.mark.parametrize("attention", ATTENTIONS)


@functools.cache
def every_model(attention: str) -> list[tuple[dict[str, Any], Transformer]]:
    """(techniques, model) of every legal combination with this attention."""
    found = []
    for values in itertools.product(*MODIFIERS.values()):
        techniques = dict(zip(MODIFIERS, values, strict=True))
        if attention != "latent" or techniques["qk_norm"] == "none":
            techniques = {"attention": ATTENTIONS[attention], **techniques}
            found.append((techniques, model_of(techniques)))
    return found


def model_of(techniques: dict[str, Any], **sizes: Any) -> Transformer:
    return randomised(assemble(tiny_config(techniques, model={**SIZES, **sizes}), "cpu", torch.float64))


def tokens_of(seed: int = 0) -> Tensor:
    return torch.randint(11, (2, SIZES["context"]), generator=torch.Generator().manual_seed(seed))


@every_attention
@torch.no_grad()
def test_what_follows_a_token_never_reaches_it(attention: str) -> None:
    tokens_BT = tokens_of()
    changed_BT = torch.cat([tokens_BT[:, :4], (tokens_BT[:, 4:] + 1) % 11], dim=1)
    for techniques, model in every_model(attention):
        one, other = model(tokens_BT), model(changed_BT)
        assert torch.equal(one[:, :4], other[:, :4]), techniques
        assert not torch.equal(one[:, 4:], other[:, 4:]), techniques


@every_attention
@torch.no_grad()
def test_the_recorded_map_is_what_the_kernel_worked_with(attention: str) -> None:
    for techniques, model in every_model(attention):
        calls: list[Any] = []
        kernel = model.blocks[0].attention.scores.kernel
        attend = kernel.attend
        kernel.attend = lambda *given, attend=attend, calls=calls: calls.append(given) or attend(*given)
        with record_attention(sample=1) as records:
            model(tokens_of())
        del kernel.attend  # the model is used again
        (record,) = records
        wanted_HTT = eager_weights(*calls[0])[1, :, :, -SIZES["context"] :]
        weights_HTT = record.weights()
        torch.testing.assert_close(weights_HTT, wanted_HTT.float(), rtol=1e-4, atol=1e-5, msg=str(techniques))
        total = weights_HTT.sum(dim=-1)
        assert (total < 1 + 1e-5).all() and (weights_HTT >= 0).all(), techniques
        assert (total < 0.999).any() == (techniques["sink"] != "none"), techniques
        assert (weights_HTT.triu(1) == 0).all()
        if techniques["window"] != "none":
            assert (weights_HTT.tril(-3) == 0).all()


def eager_weights(q: Tensor, k: Tensor, v: Tensor, scoring: Scoring) -> Tensor:
    """[B, H, T, S], written out once more."""
    k = k.repeat_interleave(q.shape[1] // k.shape[1], dim=1)
    scores = torch.einsum("bhtk,bhsk->bhts", q, k) * scoring.scale
    scores = scores if scoring.softcap is None else scoring.softcap(scores)
    scores = scores if scoring.bias is None else scores + scoring.bias
    if scoring.is_causal:
        scores = scores.masked_fill(~torch.ones_like(scores, dtype=torch.bool).tril(), -torch.inf)
    return scores.softmax(dim=-1)


@every_attention
@pytest.mark.parametrize("mask", ["causal", "bidirectional"])
@pytest.mark.parametrize("size", [3, SIZES["context"] - 1])  # the largest that hides anything
@torch.no_grad()
def test_a_window_hides_what_is_farther_and_nothing_else(attention: str, mask: str, size: int) -> None:
    techniques = {"attention": ATTENTIONS[attention], "window": {"use": "sliding", "size": size}, "mask": mask,
                  "position": "rotary"}  # fmt: skip
    config = tiny_config(techniques, model=SIZES, data={"task": "recall"})
    model = randomised(assemble(config, "cpu", torch.float64))
    tokens_BT = tokens_of()
    for changed in range(SIZES["context"]):
        other_BT = tokens_BT.clone()
        other_BT[:, changed] = (other_BT[:, changed] + 1) % 11
        moved_T = (model(tokens_BT) != model(other_BT)).any(dim=2).all(dim=0)
        first = changed if mask == "causal" else max(0, changed - size + 1)
        assert torch.nonzero(moved_T).flatten().tolist() == list(range(first, min(changed + size, SIZES["context"])))


@pytest.mark.parametrize("techniques", [
    {}, {"window": {"use": "sliding", "size": 2, "full_every": 2}, "sink": "learned", "gate": "per_head"},
    {"qk_norm": "full", "softcap": {"use": "tanh", "cap": 3.0}},
], ids=lambda t: "-".join(t) or "plain")  # fmt: skip
def test_as_many_key_heads_as_heads_are_multi_head_attention(techniques: dict[str, Any]) -> None:
    one = model_of({**techniques, "attention": "multi_head"}, layers=2)
    other = model_of({**techniques, "attention": {"use": "grouped_query", "kv_heads": 4}}, layers=2)
    assert one.state_dict().keys() == other.state_dict().keys()
    for model in (one, other):
        model(tokens_of()).square().sum().backward()
    assert torch.equal(one(tokens_of()), other(tokens_of()))
    for (name, ours), theirs in zip(one.named_parameters(), other.parameters(), strict=True):
        assert torch.equal(ours.grad, theirs.grad), name


def test_every_second_and_every_sixth_layer_sees_everything() -> None:
    for every, full in ((2, [1, 3, 5]), (6, [5]), (None, [])):
        window = {"use": "sliding", "size": 3, "full_every": every}
        blocks = assemble(tiny_config({"window": window}, model={"layers": 6}), "meta").blocks
        assert [i for i, block in enumerate(blocks) if block.attention.scores.window is None] == full


def test_a_sink_at_minus_infinity_is_no_sink_and_one_at_zero_is_off_by_one() -> None:
    learned, none, zero = (model_of({"sink": name}) for name in ("learned", "none", "off_by_one"))
    for model in (none, zero):
        model.load_state_dict(learned.state_dict(), strict=False)
    with torch.no_grad():
        for logit, other in ((-torch.inf, none), (0.0, zero)):
            learned.blocks[0].attention.scores.sink.logit_H.fill_(logit)
            torch.testing.assert_close(learned(tokens_of()), other(tokens_of()), rtol=1e-12, atol=1e-12)


def test_what_makes_no_sense_together_is_said_and_not_refused() -> None:
    for techniques, code in (
        ({"softcap": "tanh", "qk_norm": "per_head"}, "bounded-twice"),
        ({"window": {"use": "sliding", "size": 9}}, "hides-nothing"),
    ):
        (problem,) = validate(tiny_config(techniques))
        assert (problem.code, problem.level) == (code, "warning")


@pytest.mark.parametrize(("techniques", "sizes", "code", "words"), [
    ({"attention": {"use": "grouped_query", "kv_heads": 3}}, {"heads": 8}, "key-heads-do-not-divide", "value is 2"),
    ({"attention": {"use": "grouped_query", "kv_heads": 9}}, {"heads": 8}, "key-heads-do-not-divide", "value is 8"),
    ({"attention": "differential"}, {"heads": 5}, "odd-heads", "value is 6"),
    ({"attention": {"use": "latent", "rope_width": 3}}, {}, "odd-width", "value is 4"),
])  # fmt: skip
def test_what_cannot_be_is_refused_with_what_can(
    techniques: dict[str, Any], sizes: dict[str, Any], code: str, words: str
) -> None:
    (problem,) = validate(tiny_config(techniques, model=sizes))
    assert (problem.code, problem.level) == (code, "error") and words in problem.hint


@pytest.mark.parametrize("techniques", [
    {"attention": "latent", "qk_norm": "l2"}, {"softcap": "tanh", "kernel": "flash"},
])  # fmt: skip
def test_rules_keep_apart_what_does_not_go_together(techniques: dict[str, Any]) -> None:
    (problem,) = parse_config({"techniques": techniques})[1]
    assert problem.code == "does-not-fit"
