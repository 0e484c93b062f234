"""The parts that make a program of a run: which names are whose, what is left out, which branches are decided."""

from __future__ import annotations

import ast
import textwrap

import pytest

from tests.helpers.hostile import hostile
from tests.helpers.tiny import tiny_config
from tfx_engine.script import source as source_module
from tfx_engine.script.edits import Edits
from tfx_engine.script.fold import Known
from tfx_engine.script.make import Recorded, _docstring
from tfx_engine.script.prune import Rules, literal, prune
from tfx_engine.script.scopes import Uses
from tfx_engine.script.source import External, Ref, Source, import_lines

MADE_UP = "tfx_engine.made_up"
HEAD = """
from __future__ import annotations

import math
from typing import Any

from torch import nn

from tfx_engine.protocol.config import Config
from tfx_engine.protocol.marker import tr_mark
from tfx_engine.protocol.problems import ConfigError
from tfx_engine.techniques import probe
from tfx_engine.techniques.aside import aside
from tfx_engine.techniques.position.rotary import Options
from tfx_engine.techniques.ranges import doing

SIZE, WIDTH = 1, 2


"""


@pytest.fixture
def module(monkeypatch: pytest.MonkeyPatch):
    """Code as a module of ours, which is never imported."""

    real = source_module._text_of

    def make(code: str) -> Source:
        text = HEAD.lstrip() + textwrap.dedent(code).strip() + "\n"
        monkeypatch.setattr(source_module, "_text_of", lambda name: text if name == MADE_UP else real(name))
        return Source(MADE_UP)

    return make


def names(source: Source, of: str) -> tuple[set[str], set[str]]:
    """(names that count, names in annotations only)."""
    uses = Uses(source, set())
    uses.visit(source.definitions[of].node)
    strong = {ast.unparse(use.node) for use in uses.found if not use.weak}
    return strong, {ast.unparse(use.node) for use in uses.found if use.weak} - strong


@pytest.mark.parametrize(("code", "strong", "weak"), [
    ("def f(a: Config) -> Any:\n    return a + SIZE", {"SIZE"}, {"Config", "Any"}),
    ("def f(SIZE):\n    return SIZE", set(), set()),
    ("def f():\n    SIZE = 3\n    return lambda x: SIZE + x + WIDTH", {"WIDTH"}, set()),
    ("def f(x=SIZE):\n    return [WIDTH for WIDTH in x]", {"SIZE"}, set()),
    ("def f(x):\n    if (SIZE := x):\n        return SIZE, math.pi", {"math"}, set()),
    ("def f(x):\n    match x:\n        case [SIZE, *WIDTH]:\n            return SIZE, WIDTH", set(), set()),
    ("def f(x):\n    def SIZE():\n        return WIDTH\n    return SIZE", {"WIDTH"}, set()),
    ("def f(x):\n    from torch import nn\n    return nn", set(), set()),
    ("def f(x):\n    return probe.recorder", {"probe.recorder"}, set()),
    ("class f(nn.Module):\n    x: Any = SIZE\n    def g(self, SIZE):\n        return SIZE", {"nn", "SIZE"}, {"Any"}),
])  # fmt: skip
def test_local_names_hide_those_of_the_module_and_annotations_are_weak(module, code, strong, weak):
    assert names(module(code), "f") == (strong, weak)


def pruned(source: Source, of: str = "f", **rules: object) -> str:
    found = source.definitions[of]
    return prune(source, found.node, Rules(**rules)).edits.apply(found)  # type: ignore[arg-type]


@pytest.mark.parametrize(("before", "after"), [
    ("with doing('x'):\n    # why\n    y = 1\nreturn y", "# why\ny = 1\nreturn y"),
    ("with a, doing('x'):\n    y = 1", "with a:\n    y = 1"),
    ("if probe.recorder is not None:\n    probe.recorder(a)\nreturn a", "return a"),
    ("if a:\n    if probe.recorder is not None:\n        probe.recorder(a)\nreturn a", "if a:\n    pass\nreturn a"),
    ("problems = list(a)\nif problems:\n    raise ConfigError(problems)\nreturn a", "return a"),
    ("from tfx_engine.techniques.mask import Mask\nreturn Mask", "return Mask"),
    ("return tr_mark('It is {a}.')", "return 'It is {a}.'"),
    ("x = aside(lambda: a + 1)", "x = a + 1"),
    ("if config.model.layers == 2:\n    b = 1\nelse:\n    b = 2\nreturn b", "b = 1\nreturn b"),
    ("if config.model.layers == 3:\n    b = 1\nelse:\n    b = 2\nreturn b", "b = 2\nreturn b"),
    ("if config.use('norm') == 'layer_norm':\n    return 1\nreturn 2", "return 1"),
    ("if a or config.model.layers > 1:\n    return 1\nreturn 2", "return 1"),
    ("if a and config.model.layers > 1:\n    return 1", "if a and config.model.layers > 1:\n    return 1"),
    ("if config.run.device == 'cpu':\n    return 1", "if config.run.device == 'cpu':\n    return 1"),
    ("return 1 if options.scaling == 'none' else a", "return 1"),
    ("match options.scaling:\n    case 'yarn':\n        return 1\n    case _:\n        return 2", "return 2"),
    ("if options.unheard_of:\n    return 1", "if options.unheard_of:\n    return 1"),
    ("é = 'ü'  # ö\nreturn tr_mark('ä'), é", "é = 'ü'  # ö\nreturn 'ä', é"),
])  # fmt: skip
def test_what_no_training_needs_is_left_out_and_what_is_decided_is_decided(module, before, after):
    source = module(f"def f(a, config: Config, options: Options):\n{textwrap.indent(before, '    ')}")
    known = Known(tiny_config(), {Ref("tfx_engine.techniques.position.rotary", "Options"): {"scaling": "none"}})
    found = pruned(source, direct=frozenset({Ref("tfx_engine.techniques.aside", "aside")}), known=known)
    assert textwrap.dedent(found.split("\n", 1)[1]).strip() == after


def test_options_of_a_class_are_those_of_its_constructor(module):
    source = module("""
        class f:
            def __init__(self, options: Options):
                self.options = options

            def g(self):
                return 1 if self.options.scaling == "none" else 2
    """)
    known = Known(None, {Ref("tfx_engine.techniques.position.rotary", "Options"): {"scaling": "none"}})
    assert "return 1\n" in pruned(source, known=known) + "\n" and "else 2" not in pruned(source, known=known)
    assert "else 2" in pruned(source)


def test_a_comment_above_a_definition_belongs_to_it_and_columns_count_bytes(module):
    source = module("# größer als nichts\ndef f(ü):\n    return ü + SIZE  # ß")
    definition = source.definitions["f"]
    edits = Edits(source)
    uses = Uses(source, set())
    uses.visit(definition.node)
    edits.replace(uses.found[0].node, "SIZE_OF_ONE")
    assert edits.apply(definition) == "# größer als nichts\ndef f(ü):\n    return ü + SIZE_OF_ONE  # ß"


def test_imports_are_written_once_and_in_order():
    externals = [External("torch", "nn", "nn"), External("torch", "Tensor", "Tensor"), External("numpy", "", "np"),
                 External("math", "", "math"), External("torch.nn", "functional", "F")]
    assert import_lines(externals) == [
        "import math", "import numpy as np", "from torch import Tensor, nn", "from torch.nn import functional as F"]


@pytest.mark.parametrize("value", [1, -0.0, 1e300, None, True, "a'\"\n", (), ("a",), ("a", "b")])
def test_values_are_written_so_that_they_are_read_the_same(value):
    assert repr(eval(literal(value))) == repr(value)


def test_what_is_no_number_is_written_too():
    assert str(eval(literal(float("nan")))) == "nan" and eval(literal(float("-inf"))) == float("-inf")


def test_what_a_run_file_says_of_itself_is_never_code_of_the_program():
    for said in [*hostile(200), '"""\nimport os\nos.abort()\n"""', "\\", '"', "'" * 3]:
        made = {"torch": said, "cpu": said, "threads": said}
        text = _docstring(tiny_config(), Recorded(said, 1, 1, 1, [1.0], "", made, version=said))
        (only,) = ast.parse(f'"""{text}"""').body
        assert isinstance(only, ast.Expr) and isinstance(only.value, ast.Constant), said
