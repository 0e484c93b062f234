"""What positions promise: scores that see distances only, a past that does not see the future, tables made once."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from tests.contract.variants import variants
from tests.helpers.tiny import gradients, loss_of, tiny_config
from tfx_engine.data import make_task
from tfx_engine.model.assemble import assemble
from tfx_engine.model.validate import validate
from tfx_engine.protocol.config import Config
from tfx_engine.techniques.catalogue import discover
from tfx_engine.techniques.dispatch import TorchKernel
from tfx_engine.techniques.position import rotary, t5_bias

ALL = [{"use": name, **given} for slot, name in discover() if slot == "position" for given in variants(slot, name)]
ROTARY = [p for p in ALL if p["use"] == "rotary"]


def moved(config: Config) -> torch.nn.Module:
    """The model with every weight away from what it begins with, so that nothing is zero by chance."""
    model = assemble(config, "cpu")
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(0.2, 0.5, generator=torch.Generator().manual_seed(parameter.numel()))
    return model


@pytest.mark.parametrize("position", ALL, ids=str)
def test_the_past_is_the_same_to_the_bit_whatever_the_future_is(position: dict[str, Any]) -> None:
    config = tiny_config({"position": position})
    model, tokens = moved(config), torch.arange(9)[None].repeat(2, 1)
    changed = tokens.clone()
    changed[:, 5:] += 2
    with torch.no_grad():
        before, after = model(tokens), model(changed)
    assert torch.equal(before[:, :5], after[:, :5])
    assert not torch.equal(before[:, 5:], after[:, 5:])


@pytest.mark.parametrize("given", [p for p in ROTARY if "without_every" not in p], ids=str)
def test_rotary_scores_depend_on_the_distance_alone(given: dict[str, Any]) -> None:
    position = assemble(tiny_config({"position": given}), "cpu", torch.float64).position
    one = torch.randn(2, 5, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    q, k = (row.expand(1, 1, 9, 5) for row in one)  # the same query and key in every place
    q, k = position.rotate(q, k, 0)
    scores = (q @ k.transpose(2, 3))[0, 0]
    for distance in range(-8, 9):
        same = scores.diagonal(distance)
        assert torch.allclose(same, same[0].expand_as(same), rtol=1e-12, atol=1e-12)
    assert scores[0].std() > 1e-3, "and it does depend on it"


def test_rotary_turns_whatever_width_it_is_given() -> None:
    position = assemble(tiny_config({"position": {"use": "rotary", "fraction": 0.5}}), "cpu").position
    for width, turned in ((1, 0), (4, 2), (12, 6), (13, 6)):
        x = torch.ones(1, 1, 9, width)
        q, _ = position.rotate(x, x, 0)
        assert [bool((q[..., i] != 1).any()) for i in range(width)] == [i < turned for i in range(width)]


def test_rotary_leaves_every_nth_layer_alone() -> None:
    position = assemble(tiny_config({"position": {"use": "rotary", "without_every": 4}}), "cpu").position
    x = torch.ones(1, 1, 9, 4)
    assert [position.rotate(x, x, layer)[0] is x for layer in range(8)] == [False, False, False, True] * 2


def test_rotary_is_exact_for_queries_in_16_bits_and_makes_its_table_once(monkeypatch: pytest.MonkeyPatch) -> None:
    made = []
    plain = rotary.frequencies
    monkeypatch.setattr(rotary, "frequencies", lambda *args: made.append(args) or plain(*args))
    config = tiny_config({"position": "rotary"}, model={"context": 4000, "head_width": 8})
    position = assemble(config, "cpu").position
    x = torch.randn(1, 2, 4000, 8, generator=torch.Generator().manual_seed(1)).bfloat16()
    exact = position.rotate(x.double(), x.double(), 0)[0]
    for layer in range(5):
        q, k = position.rotate(x, x[:, :1], layer)
        assert q.dtype == k.dtype == torch.bfloat16
    assert [args[1] for args in made] == [8, 8], "one table for float32 when the model is made, one for float64"
    rounding = (exact.bfloat16().double() - exact).abs()
    assert ((q.double() - exact).abs() <= rounding + 1e-5).all()


@pytest.mark.parametrize("position", ALL, ids=str)
def test_recompute_changes_no_bit_of_any_gradient_whatever_the_positions(position: dict[str, Any]) -> None:
    found = []
    for recompute in ("none", "every_block"):
        config = tiny_config({"position": position, "recompute": recompute}, model={"layers": 3})
        model = moved(config)
        loss_of(model, *make_task(config).batch(0)).backward()
        found.append(gradients(model))
    plain, again = found
    assert plain.keys() == again.keys() and all(torch.equal(plain[name], again[name]) for name in plain)


@pytest.mark.parametrize("position", ["alibi", "t5_bias"])
def test_all_layers_share_one_bias(position: str, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    attend = TorchKernel.attend
    monkeypatch.setattr(TorchKernel, "attend",
                        lambda self, q, k, v, scoring: seen.append(scoring.bias) or attend(self, q, k, v, scoring))
    config = tiny_config({"position": position}, model={"layers": 3})
    assemble(config, "cpu")(torch.zeros(2, 9, dtype=torch.int64))
    assert len(seen) == 3 and all(bias is seen[0] for bias in seen)
    assert seen[0].shape == (3, 9, 9) and bool((seen[0].isinf() == torch.ones(9, 9).triu(1).bool()).all())


def test_alibi_is_symmetric_where_nothing_is_masked() -> None:
    config = tiny_config({"position": "alibi", "mask": "bidirectional"}, data={"task": "recall"})
    bias = assemble(config, "cpu").position.bias(9, torch.device("cpu"), torch.float32)
    assert torch.equal(bias, bias.transpose(1, 2)) and (bias.diagonal(dim1=1, dim2=2) == 0).all()


@pytest.mark.parametrize("both_ways", [True, False])
@pytest.mark.parametrize("options", [t5_bias.Options(), t5_bias.Options(10, 40)], ids=str)
def test_t5s_buckets_begin_with_one_distance_each_and_end_with_all_the_rest(
    options: t5_bias.Options, both_ways: bool
) -> None:
    back = t5_bias.bucket(-torch.arange(2000), options, both_ways)
    own, each = options.buckets // (4 if both_ways else 2), options.buckets // (2 if both_ways else 1)
    assert back[:own].tolist() == list(range(own)) and back[own] == own
    assert (back.diff() >= 0).all() and (back[options.max_distance :] == each - 1).all()
    assert set(back.tolist()) == set(range(each)), "and none between them is left out"
    ahead = t5_bias.bucket(torch.arange(1, 2000), options, both_ways)
    assert torch.equal(ahead, back[1:] + each if both_ways else torch.zeros_like(ahead))


def test_lengths_without_a_table_row_are_refused_and_all_others_work() -> None:
    too_long = torch.zeros(1, 12, dtype=torch.int64)
    for position in ALL:
        model = assemble(tiny_config({"position": position}), "cpu")
        if position["use"] == "learned":
            with pytest.raises(ValueError, match="end at 9 tokens, but the input has 12"):
                model(too_long)
        else:
            assert model(too_long).isfinite().all()


@pytest.mark.parametrize("position", ["sinusoidal", "rotary", "alibi", "t5_bias"])
def test_a_compiled_model_is_one_graph(position: str) -> None:
    torch.compiler.reset()
    model = assemble(tiny_config({"position": position}), "cpu")
    tokens = torch.zeros(1, 9, dtype=torch.int64)
    compiled = torch.compile(model.hidden, backend="eager", fullgraph=True)
    assert torch.equal(compiled(tokens), model.hidden(tokens))


def test_a_rotated_part_of_an_attentions_own_is_what_is_rotated() -> None:
    latent = {"attention": {"use": "latent", "rope_width": 4}, "position": {"use": "rotary", "fraction": 0.25}}
    (problem,) = validate(tiny_config(latent, model={"head_width": 16}))
    assert problem.code == "nothing-to-rotate" and "0.5" in problem.hint and "4 numbers" in problem.message
    latent["position"]["fraction"] = 0.5
    assert not validate(tiny_config(latent, model={"head_width": 16}))


@pytest.mark.parametrize(
    ("given", "code"),
    [
        ({"use": "rotary", "scaling": "yarn", "beta_fast": 1.0, "beta_slow": 1.0}, "wrong-order"),
        ({"use": "rotary", "scaling": "yarn", "original_context": 6}, "context-too-short"),
        ({"use": "rotary", "scaling": "llama3", "high_frequency_factor": 0.5}, "wrong-order"),
        ({"use": "t5_bias", "max_distance": 16}, "out-of-range"),
    ],
    ids=str,
)
def test_what_makes_no_sense_is_refused(given: dict[str, Any], code: str) -> None:
    assert [p.code for p in validate(tiny_config({"position": given}))] == [code]


def test_two_directions_need_an_even_number_of_buckets() -> None:
    for mask, codes in (("causal", []), ("bidirectional", ["odd-buckets"])):
        techniques = {"position": {"use": "t5_bias", "buckets": 7}, "mask": mask}
        assert [p.code for p in validate(tiny_config(techniques, data={"task": "recall"}))] == codes


def test_a_base_for_windows_is_that_of_the_layers_with_a_window_and_is_not_scaled() -> None:
    given = {"use": "rotary", "window_base": 10_000.0, "scaling": "linear", "factor": 4.0, "base": 10_000.0}
    window = {"use": "sliding", "size": 3, "full_every": 2}
    position = assemble(tiny_config({"position": given, "window": window}), "cpu").position
    plain = assemble(tiny_config({"position": "rotary"}), "cpu").position
    x = torch.randn(1, 1, 9, 5, generator=torch.Generator().manual_seed(1))
    same = [torch.equal(position.rotate(x, x, layer)[0], plain.rotate(x, x, layer)[0]) for layer in range(4)]
    assert same == [position.window.size(layer) is not None for layer in range(4)] and len(set(same)) == 2
