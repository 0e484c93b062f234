"""Modules of the user's own in place of attention or feed-forward: tried before a run, refused in words."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from tests.helpers.own import settings_of_its_own, trust
from tests.helpers.tiny import counted_parameters, tiny_config
from tfx_engine.estimate import count_parameters
from tfx_engine.model.assemble import assemble
from tfx_engine.model.validate import validate
from tfx_engine.protocol.config import parse_config
from tfx_engine.techniques.own import look_again


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    with settings_of_its_own(tmp_path, monkeypatch) as place:
        yield place


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    place = tmp_path / "my_modules"
    place.mkdir()
    return place


MODULE = '''
import random

import torch
from torch import nn

class Halves(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.linear = nn.Linear(width, width)
        self.heads = heads

    def forward(self, x):
        return self.linear(x) / 2

class Nested(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(width, 2 * width), nn.Tanh(), nn.Linear(2 * width, width))

    def forward(self, x):
        return self.net(x)

class Ahead(nn.Module):
    def __init__(self):
        super().__init__()

    def forward(self, x):
        return x.flip(1)

class Narrow(nn.Module):
    def forward(self, x):
        return x[..., :1]

class Demanding(nn.Module):
    def __init__(self):
        1 / 0  # Demanding

class Fails(nn.Module):
    def forward(self, x):
        return x * (1 / 0)  # Fails

class Lazy(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.linear = nn.LazyLinear(width)

class Two(nn.Module):
    def forward(self, x):
        return x, x

class InPlace(nn.Module):
    def forward(self, x):
        return x.relu_()

class WrittenOver(nn.Module):
    def forward(self, x):
        y = x.exp()
        z = y * y
        y += 1
        return z

class Double(nn.Module):
    def forward(self, x):
        return x * torch.ones(1, dtype=torch.float64)

class Single(nn.Module):
    def forward(self, x):
        return x * torch.ones(1, 1, x.shape[2])

class Logarithm(nn.Module):
    def forward(self, x):
        return x.log()

class Lottery(nn.Module):
    def forward(self, x):
        return x * random.random()

class Dropped(nn.Module):
    def __init__(self):
        super().__init__()
        self.calls = 0

    def forward(self, x):
        self.calls += 1
        return self.calls * nn.functional.dropout(x, 0.5, self.training)

class PlainMask(nn.Module):
    def __init__(self, context):
        super().__init__()
        self.mask = torch.ones(context)

class Batch(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.norm = nn.BatchNorm1d(width)

class OverSamples(nn.Module):
    def forward(self, x):
        return x - x.mean(0)

class AheadBehindNorm(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.norm = nn.LayerNorm(width)

    def forward(self, x):
        return self.norm(x).flip(1)

class AheadBehindZero(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.gate = nn.Parameter(torch.zeros(width))

    def initialise_parameter(self, name, parameter, generator):
        parameter.zero_()
        return True

    def forward(self, x):
        return self.gate * x.flip(1)

class InPairs(nn.Module):
    def forward(self, x):
        return x.unflatten(1, (-1, 2)).flip(2).flatten(1, 2) if x.shape[1] % 2 == 0 else x

class WholeContext(nn.Module):
    def __init__(self, context):
        super().__init__()
        self.mix = nn.Linear(context, context, bias=False)
        self.register_buffer("past", torch.ones(context, context).tril())
        self.register_buffer("noise", torch.rand(2))
        self.register_buffer("numbers", torch.tensor(torch.arange(context).tolist()), persistent=False)

    def forward(self, x):
        return (self.mix.weight * self.past) @ x

def function(x):
    return x
'''


def problem_of(slot: str, module: str, **others: str) -> str:
    config, problems = parse_config({"techniques": {slot: {"use": "own_module", "module": module}, **others}})
    assert not problems
    return " ".join(p.message for p in validate(config))


@pytest.mark.parametrize("slot", ["attention", "feedforward"])
def test_an_own_module_stands_in_place_of_a_technique(folder: Path, slot: str) -> None:
    (folder / "halves_of.py").write_text(MODULE, encoding="utf-8")
    assert "not trusted" in problem_of(slot, "halves_of:Halves")
    trust(folder)
    assert problem_of(slot, "halves_of:Halves") == ""
    config = tiny_config({slot: {"use": "own_module", "module": "halves_of:Halves"}})
    model = assemble(config, "cpu")
    assert count_parameters(config).total == sum(p.numel() for p in model.parameters())
    assert model(torch.zeros(1, 9, dtype=torch.int64)).shape == (1, 9, 11)


@pytest.mark.parametrize(
    ("slot", "module", "words"),
    [
        ("feedforward", "no name", "package.module:Class"),
        ("feedforward", "os:system", "not trusted"),
        ("feedforward", "faulty_of:function", "no class of torch modules"),
        ("feedforward", "faulty_of:Narrow", "both must be [batch, tokens, width]"),
        ("feedforward", "faulty_of:Nothing", "has no attribute 'Nothing'"),
        ("feedforward", "__main__:Nothing", "not trusted"),
        ("feedforward", "nowhere_of:Nothing", "There is no module 'nowhere_of' in the trusted folders"),
        ("feedforward", "leaves_of:Nothing", "fails when it is imported: SystemExit: 3 (line 1)"),
        ("feedforward", "faulty_of:Demanding", "cannot be made: ZeroDivisionError: division by zero (line {Demanding}"),
        ("feedforward", "faulty_of:Fails", "Its forward() fails: ZeroDivisionError: division by zero (line {Fails})"),
        ("feedforward", "faulty_of:Lazy", "lazy layer"),
        ("feedforward", "faulty_of:Two", "gives no tensor, but tuple"),
        ("feedforward", "faulty_of:InPlace", "writes into its input"),
        ("feedforward", "faulty_of:WrittenOver", "modified by an inplace operation"),
        ("feedforward", "faulty_of:Double", "It gives float64 for float32"),
        ("feedforward", "faulty_of:Logarithm", "It gives NaN or infinity"),
        ("feedforward", "faulty_of:Lottery", "another answer when it is asked again"),
        ("feedforward", "faulty_of:PlainMask", "self.register_buffer('mask', ...)"),
        ("feedforward", "faulty_of:Batch", "Its part 'norm' is a BatchNorm1d"),
        ("feedforward", "faulty_of:OverSamples", "depends on the others in its batch"),
        ("feedforward", "faulty_of:Ahead", "depends on the tokens after it"),
        ("attention", "faulty_of:Ahead", "depends on the tokens after it"),
        ("attention", "faulty_of:AheadBehindNorm", "depends on the tokens after it"),
        ("attention", "faulty_of:AheadBehindZero", "depends on the tokens after it"),
        ("attention", "faulty_of:InPairs", "depends on the tokens after it"),
    ],
)
def test_an_own_module_that_does_not_fit_is_refused_in_words(folder: Path, slot: str, module: str, words: str) -> None:
    (folder / "faulty_of.py").write_text(MODULE, encoding="utf-8")
    (folder / "leaves_of.py").write_text("raise SystemExit(3)", encoding="utf-8")
    trust(folder)
    line = {name: number for number, text in enumerate(MODULE.splitlines(), 1) for name in text.split("# ")[1:]}
    assert words.format_map(line) in problem_of(slot, module)


def test_an_adapter_reaches_linear_layers_within_parts_of_an_own_module(folder: Path) -> None:
    (folder / "nested_of.py").write_text(MODULE, encoding="utf-8")
    trust(folder)
    own = {"use": "own_module", "module": "nested_of:Nested"}
    config = tiny_config({"feedforward": own, "adapter": {"use": "lora", "targets": ["feedforward"]}})
    assert count_parameters(config) == counted_parameters(config)


def test_an_own_module_too_large_for_any_memory_is_judged_by_its_shapes() -> None:
    wanted = {"model": {"width": 1_000_000}, "techniques": {"feedforward": "own_module"}}
    config, problems = parse_config(wanted)
    assert not problems and validate(config) == []
    assert count_parameters(config).total > 6 * 2 * 4 * 10**12


def test_the_stream_keeps_the_precision_of_the_configuration(folder: Path) -> None:
    (folder / "single_of.py").write_text(MODULE, encoding="utf-8")
    trust(folder)
    assert problem_of("feedforward", "single_of:Single") == ""
    assert "It gives float32 for bfloat16" in problem_of("feedforward", "single_of:Single", precision="bfloat16")


def test_dropout_and_what_is_counted_from_call_to_call_are_no_fault(folder: Path) -> None:
    (folder / "dropped_of.py").write_text(MODULE, encoding="utf-8")
    trust(folder)
    assert problem_of("feedforward", "dropped_of:Dropped") == ""


def test_buffers_have_the_numbers_that_the_module_gave_them(folder: Path) -> None:
    (folder / "whole_of.py").write_text(MODULE, encoding="utf-8")
    trust(folder)
    assert problem_of("attention", "whole_of:WholeContext") == "", "also where it takes whole contexts alone"
    config = tiny_config({"attention": {"use": "own_module", "module": "whole_of:WholeContext"}})
    torch.manual_seed(0)
    before = torch.random.get_rng_state()
    module = assemble(config, "cpu").blocks[0].attention.module
    assert torch.equal(torch.random.get_rng_state(), before)
    size = config.model.context
    assert torch.equal(module.past, torch.ones(size, size).tril()) and module.numbers.tolist() == list(range(size))
    assert {t.device.type for t in assemble(config, "meta").state_dict().values()} == {"meta"}


def test_a_module_is_read_anew_where_its_file_has_changed(folder: Path) -> None:
    (folder / "changing_of.py").write_text(MODULE.replace("class Halves", "class Other"), encoding="utf-8")
    trust(folder)
    assert "has no attribute 'Halves'" in problem_of("feedforward", "changing_of:Halves")
    (folder / "changing_of.py").write_text(MODULE, encoding="utf-8")
    look_again()
    assert problem_of("feedforward", "changing_of:Halves") == ""
