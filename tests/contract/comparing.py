"""What the harnesses compare with: modules with poisoned and odd contents, and how two functions are held together.

Shapes as in `tfx_engine/techniques/slots.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn

from tests.helpers.tiny import tiny_config
from tfx_engine.model.assemble import assemble
from tfx_engine.protocol.config import Choice, Config
from tfx_engine.techniques.catalogue import technique_for
from tfx_engine.techniques.context import AttentionContext
from tfx_engine.techniques.position import Position
from tfx_engine.techniques.scores import HeadShape, Scores

Run = Callable[..., Any]
MASKS = ("causal", "bidirectional")


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def normal(seed: int, *shape: int) -> Tensor:
    return torch.randn(shape, generator=seeded(seed), dtype=torch.float64)


def randomised(module: nn.Module) -> nn.Module:
    """The module in float64 and evaluation mode, every parameter away from zero and one."""
    module = module.double().eval()
    generator = seeded(1)
    with torch.no_grad():
        for parameter in module.parameters():
            if parameter.is_floating_point():  # what is packed in 4 bits has been drawn already
                parameter.normal_(0.3, 0.7, generator=generator)
    return module


def built(slot: str, config: Config, name: str | None = None, *more: Any) -> Any:
    """What fills a slot, by default as the configuration says."""
    choice = config.techniques[slot] if name is None else Choice(name)
    technique, options = technique_for(slot, choice)
    return technique.build(options, config, *more)


def make_scores(shape: HeadShape, layer: int = 0, **parts: Any) -> Scores:
    """Scores without any technique that acts on them, but for those given."""
    plain = {"window": None, "softcap": None, "qk_norm": None, "sink": None, "gate": None}
    kernel = built("kernel", tiny_config(), "auto")
    return Scores(layer=layer, **{"scale": shape.scale or shape.width**-0.5, "kernel": kernel, **plain, **parts})


def context_of(config: Config, mask: str = "causal") -> AttentionContext:
    return AttentionContext(built("mask", config, mask), Position())


def stream(config: Config) -> Tensor:
    return normal(2, config.run.batch, config.model.context, config.model.width)


def block_of(config: Config, placement: Any = None) -> nn.Module:
    """A block as the configuration has it, or as another placement puts it together."""
    model = assemble(config, "cpu", torch.float64)
    if placement is None:
        return randomised(model.blocks[0])
    from tfx_engine.model import assemble as assembling

    residual = built("residual", config)
    return randomised(assembling._block(config, placement, residual, 0)).double()


def outcome(fn: Run, module: nn.Module, inputs: Iterable[Tensor]) -> dict[str, Tensor]:
    """Outputs of a function, and the gradients of a sum over them in the inputs and the module's parameters."""
    leaves = [x.clone().requires_grad_(x.is_floating_point()) for x in inputs]
    module.zero_grad()
    result = fn(*leaves)
    outputs = [y for y in (result if isinstance(result, tuple) else (result,)) if y is not None]
    total = sum((y * torch.linspace(-1, 1, y.numel(), dtype=y.dtype).view_as(y)).sum() for y in outputs)
    if total.requires_grad:
        total.backward()
    found = {f"output {i}": y.detach() for i, y in enumerate(outputs)}
    found |= {f"gradient of input {i}": x.grad for i, x in enumerate(leaves) if x.grad is not None}
    return found | {f"gradient of {n}": p.grad.clone() for n, p in module.named_parameters() if p.grad is not None}


def check(actual: Run, reference: Run, module: nn.Module | None, *inputs: Tensor, tolerance: float = 1e-9) -> None:
    """Equal outputs, equal gradients of inputs and parameters, and the same bits a second time."""
    module = nn.Module() if module is None else module
    first, second, wanted = (outcome(fn, module, inputs) for fn in (actual, actual, reference))
    assert wanted and first.keys() == wanted.keys()
    for name, value in wanted.items():
        assert torch.equal(first[name], second[name]), f"{name} is not the same twice"
        assert torch.allclose(first[name], value, rtol=tolerance, atol=tolerance, equal_nan=False), (
            f"{name} is {first[name]}, wanted {value}"
        )
