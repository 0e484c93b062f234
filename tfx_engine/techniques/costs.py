"""What the linear layers of a block cost: the sizes from which parameters, FLOPs and adapters are counted.

A technique that fills `mixer`, `attention` or `feedforward` declares its linear layers, in the order in which they run,
and the products between activations (scores and values); one that fills `residual` those of one connection. From these
the closed forms are made, for every technique alike.
"""

from __future__ import annotations

import dataclasses
from fractions import Fraction
from typing import Any, NamedTuple, TypeVar

from tfx_engine.protocol.config import Config

STREAM = "stream"  # the source of a linear layer that reads the residual stream
INPUT = "input"  # the source of one that reads the batch, which needs no gradient
PRODUCTS = "products"  # the source of one that reads what attention read
ATTENTION = "attention"  # the operator of queries times keys, and of weights times values
OUTSIDE = -1  # the number of the layer of what is in no block
ROLES = ("query", "key", "value", "output", "feedforward")  # of linear layers: what adapters choose by


@dataclasses.dataclass(frozen=True)
class Linear:
    """One linear layer of a block. `source`: the layer (or STREAM, PRODUCTS) whose output is its input.

    `copies` of it have weights of their own (experts); a token passes through `active` of them, or so many times
    through the only one. `shared`: its weights belong to another layer, and count there. `beside`: an adapter's, whose
    output is added to that layer's. `adaptable`: whether it is an nn.Linear, which adapters may change; its module is
    called `name`. `roles`: what it does, where its name does not say it, see `roles_of`. `trained`: its weights are.
    `tuned`: something else is, on which its output depends, such as its bias; the output then needs a gradient.
    `share`: of a sample's tokens, how many pass through it; outside blocks. `scaled`: what it gives is multiplied by
    something that an adapter trains. `once`: multiply-adds of one more product in every forward pass, whatever its
    tokens, which has no gradient. Selective recompute asks for torch's name of its product: addmm with a bias, mm
    without, if `operator` says no other, or, where it is not trained, `frozen_operator`; it keeps none of a layer that
    is `fused` into a larger one of torch's.
    """

    name: str
    inputs: int
    outputs: int
    bias: bool = False
    source: str = STREAM
    copies: int = 1
    active: int = 1
    shared: bool = False
    beside: str = ""
    adaptable: bool = True
    roles: tuple[str, ...] = ()
    trained: bool = True
    tuned: bool = False
    share: int | Fraction = 1
    scaled: bool = False
    once: int = 0
    operator: str = ""
    frozen_operator: str = ""
    fused: bool = False

    @property
    def runs_as(self) -> str:
        """The operator of torch that its product is."""
        if self.fused:
            return ""
        own = self.operator if self.trained else self.frozen_operator or self.operator
        return own or ("addmm" if self.bias else "mm")

    @property
    def weights(self) -> int:
        """Numbers in all its matrices."""
        return self.copies * self.inputs * self.outputs

    @property
    def parameters(self) -> int:
        """Matrices and biases."""
        return 0 if self.shared else self.weights + (self.copies * self.outputs if self.bias else 0)

    @property
    def products(self) -> int:
        """Multiply-adds for a token that passes through it."""
        return self.active * self.inputs * self.outputs


@dataclasses.dataclass(frozen=True)
class Product:
    """A product of two activations, such as queries times keys. `left`, `right`: the layers on which they depend.

    `operator`: torch's name of it, or `ATTENTION`, which has a name for each kernel.
    """

    multiply_adds: int  # per token
    left: tuple[str, ...]
    right: tuple[str, ...]
    operator: str = ATTENTION


class Step(NamedTuple):
    """One product of a block: multiply-adds per token, and the `operator` of torch that it is."""

    multiply_adds: int | Fraction
    operator: str


class Run(NamedTuple):
    """Layers that are alike, and what of each runs until the last tensor is there that its backward pass needs."""

    layers: range
    steps: tuple[Step, ...]


@dataclasses.dataclass(frozen=True)
class Work:
    """The matrix work of one technique within one block.

    `keeps_after`: whether something after the last linear layer keeps a tensor for the backward pass, such as a norm on
    a branch's output: recompute then runs that layer again too. `reads_raw`, of a placement: whether branches read the
    stream without a norm. `gives_slice`, of a residual: whether that is then a part of a larger tensor, whose products
    take another operator where there is a bias. `slot`: whose work it is. `tuned`: an adapter trains
    something of the slot that is no linear layer, so that what it gives needs a gradient.
    """

    linears: tuple[Linear, ...] = ()
    products: tuple[Product, ...] = ()
    keeps_after: bool = False
    reads_raw: bool = False
    gives_slice: bool = False
    slot: str = ""
    tuned: bool = False

    @property
    def multiply_adds(self) -> int:
        """Per token, forward."""
        return sum(x.products for x in self.linears) + sum(x.multiply_adds for x in self.products)

    @property
    def parameters(self) -> int:
        """Of all linear layers."""
        return sum(linear.parameters for linear in self.linears)


T = TypeVar("T", Linear, Work)


def changed(made: T, **fields: Any) -> T:
    """The same with other values in some fields: as `dataclasses.replace`, in a tenth of its time.

    An adapter does so with every layer whenever somebody toggles something.
    """
    other = object.__new__(type(made))
    other.__dict__.update(made.__dict__, **fields)
    return other


def roles_of(linear: Linear, slot: str) -> tuple[str, ...]:
    """What a linear layer does: in a feed-forward always that, else the words of its name ("query_down": query)."""
    if not linear.adaptable:
        return ()
    if linear.roles or slot == "feedforward":
        return linear.roles or ("feedforward",)
    return tuple(role for role in ROLES[:-1] if role in linear.name.split("_"))


def attention_products(context: int, heads: int, width: int, value_width: int | None = None,
                       query: str = "query", key: str = "key", value: str = "value") -> tuple[Product, ...]:
    """Queries times keys, and weights times values, over the full T × T square."""
    value_width = width if value_width is None else value_width
    return (
        Product(context * heads * width, (query,), (key,)),
        Product(context * heads * value_width, (query, key), (value,)),
    )


def bias_of(own: bool | None, config: Config) -> bool:
    """Whether a technique's linear layers have biases: its own option, or the model's where that is None."""
    return config.model.bias if own is None else own
