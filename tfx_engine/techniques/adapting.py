"""What adapters of linear layers share: which layers they take, how the base is frozen, merged, counted and checked.

A layer is chosen by what it does (`costs.roles_of`), as its technique declares it, so an adapter reaches the
projections of every attention and the layers of every feed-forward, experts' included.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from tfx_engine.protocol.config import Config
from tfx_engine.protocol.marker import tr_mark
from tfx_engine.protocol.options import option
from tfx_engine.protocol.problems import Problem
from tfx_engine.techniques.adapter import PREFIX
from tfx_engine.techniques.costs import ROLES, Linear, Work, changed, roles_of
from tfx_engine.techniques.counts import block_parts
from tfx_engine.techniques.initial import initialise

Takes = Callable[[Linear, str], bool]  # (declared linear layer, slot) -> whether it is adapted


class HasTargets(Protocol):
    """The options of an adapter of linear layers."""

    @property
    def targets(self) -> tuple[str, ...]:
        """The roles that are adapted."""


def targets_option(default: tuple[str, ...]) -> Any:
    """The option that says which layers are adapted."""
    return option(
        default, kind="set", label="adapted layers", choices=ROLES,
        help="query, key, value, output: the projections of the attention. feedforward: all its linear layers.",
    )


class AdaptedLinear(nn.Linear):
    """A frozen linear layer and what an adapter puts beside it. Weight and bias keep their names."""

    def __init__(self, base: nn.Linear) -> None:
        nn.Module.__init__(self)  # not Linear's: the weights are the base's own, and already there
        self.in_features, self.out_features = base.in_features, base.out_features
        self.weight, self.bias = base.weight, base.bias
        self._like = {"device": base.weight.device, "dtype": base.weight.dtype}
        self._unmerged: tuple[Tensor, Tensor | None] | None = None  # while merged: weight and bias as they were

    def added(self, *shape: int) -> nn.Parameter:
        """A new parameter beside the base, not filled."""
        return nn.Parameter(torch.empty(shape, **self._like))

    @property
    def is_merged(self) -> bool:
        """Whether what was learnt is in the base weights now."""
        return self._unmerged is not None

    @torch.no_grad()
    def merge(self) -> None:
        """Put what was learnt into weight and bias; copies of them are kept, so that `unmerge` is exact."""
        if self._unmerged is None:
            self._unmerged = self.weight.detach().clone(), None if self.bias is None else self.bias.detach().clone()
            weight, bias = self.merged()
            self.weight.copy_(weight)
            if bias is not None and self.bias is not None:
                self.bias.copy_(bias)

    @torch.no_grad()
    def unmerge(self) -> None:
        """Weight and bias as they were before `merge`, to the bit."""
        if self._unmerged is not None:
            self.weight.copy_(self._unmerged[0])
            if self._unmerged[1] is not None:
                self.bias.copy_(self._unmerged[1])
            self._unmerged = None

    def merged(self) -> tuple[Tensor, Tensor | None]:
        """Weight and bias of the one linear layer that does the same."""
        raise NotImplementedError

    def initialise_parameter(self, name: str, parameter: Tensor, generator: torch.Generator) -> bool:
        """Fill what the adapter added; the base is left as it is."""
        raise NotImplementedError


@dataclasses.dataclass(frozen=True)
class LinearAdapter:
    """Replaces the declared linear layers that it `takes` by what `wrap` makes of (base, slot). The rest is frozen."""

    config: Config
    takes: Takes
    wrap: Callable[[nn.Linear, str], AdaptedLinear]
    rates: Callable[[str], float] = lambda name: 1.0
    merges = True

    def apply(self, model: nn.Module) -> None:
        """Freeze the model and adapt it; what is new is initialised unless the model is on the meta device."""
        model.requires_grad_(False)
        for name, base, slot in list(self._chosen(model)):
            adapted = self.wrap(base, slot)
            adapted.train(base.training)
            model.set_submodule(name, adapted)
            own = [n for n, p in adapted.named_parameters() if n.startswith(PREFIX)]
            if not any(p.is_meta for p in adapted.parameters()):
                initialise(adapted, self.config.seed, prefix=name, only=own)

    def _chosen(self, model: nn.Module) -> Iterator[tuple[str, nn.Linear, str]]:
        declared = {(work.slot == "feedforward", linear.name): (linear, work.slot)
                    for work in block_parts(self.config) for linear in work.linears}  # fmt: skip
        for name, module in model.named_modules():
            if not isinstance(module, nn.Linear):
                continue
            path = name.split(".")
            ends = (".".join(path[i:]) for i in range(len(path)))  # an own module's layers are declared with their path
            found = (declared.get(("feedforward" in path[:-1], end)) for end in ends)
            linear, slot = next((pair for pair in found if pair is not None), (None, ""))
            if linear is not None and self.takes(linear, slot):
                yield name, module, slot

    def merge(self, model: nn.Module) -> None:
        """Put what every layer learnt into its weight."""
        for module in model.modules():
            if isinstance(module, AdaptedLinear):
                module.merge()

    def unmerge(self, model: nn.Module) -> None:
        """Take it out of every weight again, to the bit."""
        for module in model.modules():
            if isinstance(module, AdaptedLinear):
                module.unmerge()

    def rate(self, name: str, parameter: nn.Parameter) -> float:
        """Factor on the learning rate."""
        return self.rates(name)


def is_target(options: HasTargets, linear: Linear, slot: str) -> bool:
    """Whether one of a declared linear layer's roles is among the targets."""
    return any(role in options.targets for role in roles_of(linear, slot))


def frozen(work: Work) -> Work:
    """The work with none of its weights trained."""
    return changed(work, linears=tuple(changed(x, trained=False) for x in work.linears))


def check_targets(
    options: HasTargets, config: Config, takes: Takes = lambda linear, slot: True
) -> Iterator[Problem]:
    """Say which chosen targets are not there: all of them, a problem; some of them, a warning.

    `takes`: what the adapter would take of a role, were it chosen.
    """
    there = {
        role for work in block_parts(config) for x in work.linears if takes(x, work.slot)
        for role in roles_of(x, work.slot)
    }
    lost = [target for target in options.targets if target not in there]
    if not lost:
        return
    hint = tr_mark("Choose {there}.") if there else tr_mark("Choose another adapter: none of its layers is linear.")
    args = {"lost": ", ".join(lost), "there": ", ".join(role for role in ROLES if role in there)}
    if len(lost) == len(options.targets):
        yield Problem(code="nothing-adapted", path="techniques.adapter.targets", args=args, hint_template=hint,
                      template="names nothing that this model has: {lost}.")
    else:
        yield Problem(code="not-adapted", path="techniques.adapter.targets", args=args, level="warning",
                      template="names what this model does not have: {lost}. The others are adapted.",
                      hint_template="Leave it with {there}.")
