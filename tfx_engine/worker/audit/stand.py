"""The stand on which claims are tried: copies of a run's model, and a small batch of its own data.

No tensor of the run itself is touched. A copy has the run's weights, shaken a little so that nothing stands at a zero
that hides a part of the model (LoRA's B, ReZero's gates), and as many blocks as a try can afford.
"""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import psutil
import torch
from torch import Tensor, nn

from tfx_engine.data.task import IGNORED, Task
from tfx_engine.model.assemble import assemble, make_precision
from tfx_engine.model.transformer import Transformer
from tfx_engine.protocol.config import Choice, Config
from tfx_engine.protocol.marker import tr_mark
from tfx_engine.techniques.catalogue import technique_for
from tfx_engine.techniques.claims import Quiet
from tfx_engine.techniques.counts import chosen, window_of
from tfx_engine.techniques.initial import generator_for
from tfx_engine.techniques.slots import SLOTS
from tfx_engine.train.setup import make_training
from tfx_engine.train.step import Batch, Training, train_step
from tfx_engine.worker.audit.finding import Untried
from tfx_engine.worker.audit.steps import Steps, take_steps

SAMPLES = 3  # so that two pieces of the batch are of different sizes
MULTIPLY_ADDS = 6e9  # of one pass forward and backward that a try can afford; larger models lose tokens and blocks
FEWEST_LAYERS = 2
FEWEST_TOKENS = 64
BEYOND = 16  # tokens that a sample must reach beyond the widest window
FEW = 16
COPIES = 6  # of the weights that exist at the same time: two models, their gradients, and two sets kept
NOISE = 0.02
TRIES = 20  # of a scaled loss

_NO_ROOM = tr_mark("A copy of the model does not fit: it takes about {needed} MB, and {free} MB are free.")
_STOPPED = tr_mark("The audit was stopped.")


class Pass(NamedTuple):
    """Loss in nats and gradients by name; a tensor without a gradient is not there."""

    loss: float
    gradients: dict[str, Tensor]


class Stand:
    """Makes copies for one configuration. `weights`: those of the run by name; without any the first ones are taken.

    `is_stopped`: whether the audit is to end, asked before every copy is made. `run`: the run's own training, for what
    it has compiled; its weights are left as they are.
    """

    def __init__(
        self, config: Config, device: torch.device, task: Task, weights: Mapping[str, Tensor] | None = None,
        is_stopped: Callable[[], bool] = lambda: False, run: Training | None = None,
    ) -> None:
        self.full, self.device, self._weights, self._is_stopped = config, device, finite(weights or {}), is_stopped
        self.run, self.run_batch = run, tuple(t.to(device) for t in task.batch(0))
        self.config, tokens = affordable(config)
        self._tokens = tokens
        inputs, targets = (t[: self.config.run.batch].to(device) for t in task.batch(0))
        if tokens < config.model.context:  # the last ones, where tasks ask most
            inputs, targets = inputs[:, -tokens:].contiguous(), targets[:, -tokens:].contiguous()
        self.batch = unbalanced((inputs, targets))
        self._passes: dict[str, Pass] = {}
        self._shared: dict[str, Transformer] = {}
        self._steps: Steps | None = None
        self.kept: dict[str, Any] = {}  # what proofs share
        self._room: Untried | None = None
        self._look_for_room()

    @property
    def few(self) -> Batch:
        """The last tokens of one sample; of frames a whole one, since some models count them."""
        inputs, targets = (t[-1:] for t in self.batch)
        return (inputs, targets) if inputs.is_floating_point() else (inputs[:, -FEW:], targets[:, -FEW:])

    @property
    def has_weights(self) -> bool:
        """Whether copies have the weights of a run; else they have first ones."""
        return bool(self._weights)

    @property
    def facts(self) -> dict[str, Any]:
        """What the stand is, beside the run that it stands for: numbers, names of precisions, and whose weights."""
        whole, own = self.full, self.config
        return {
            "layers": own.model.layers, "of_layers": whole.model.layers, "tokens": self._tokens,
            "of_tokens": whole.model.context, "samples": own.run.batch, "of_samples": whole.run.batch,
            "precision": own.use("precision"), "steps_precision": self._stepping().use("precision"),
            "weights": "run" if self.has_weights else "first",
        }

    # ------------------------------------------------------------------------------------ configurations

    def plain(self, slot: str, name: str = "", tighten: Mapping[str, Any] | None = None) -> Config:
        """The configuration with another technique in a slot, options that both have kept."""
        return with_choice(self.config, slot, name or SLOTS[slot].default, tighten or {})

    def tightened(self, slot: str, options: Mapping[str, Any]) -> Config:
        """The configuration with some options of a slot changed."""
        return with_choice(self.config, slot, self.config.use(slot), options)

    def of(self, config: Config) -> Stand:
        """The same stand for another configuration."""
        other = copy.copy(self)
        other.config, other._passes, other._steps, other.kept = config, {}, None, {}
        return other

    def untrained(self) -> Stand:
        """The same stand with first weights."""
        other = self.of(self.config)
        other._weights, other._shared = {}, {}
        return other

    # ------------------------------------------------------------------------------------ copies

    def model(self, config: Config | None = None) -> Transformer:
        """A copy with the run's weights, shaken."""
        model = self._assembled(config or self.config)
        self._adopt(model)
        return model

    def shared(self, config: Config | None = None) -> Transformer:
        """A copy in float32 as in evaluation, made once: whoever takes it leaves it as it was."""
        config = with_choice(config or self.config, "precision", "float32", {})
        key = f"{config.as_dict()}"
        if key not in self._shared:
            while len(self._shared) >= 2:  # the first one stays: it is that of most claims
                self._shared.pop(list(self._shared)[-1])
            self._shared[key] = self.model(config).eval()
        return self._shared[key]

    def training(self, config: Config | None = None, model: Transformer | None = None) -> Training:
        """A copy with what a step needs, but an optimiser that leaves the weights as they are, and no clipping."""
        config = config or self.config
        model = model or self.model(config)
        optimizer = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=0.0)
        return dataclasses.replace(make_training(config, model, self.device, optimizer), clip=None)

    def fresh(self, config: Config | None = None) -> Training:
        """A model with its first weights, and everything as the run trains it."""
        config = config or self.config
        model = self._assembled(config)
        return make_training(config, model, self.device)

    def _assembled(self, config: Config) -> Transformer:
        if self._is_stopped():
            raise Untried("stopped", _STOPPED)
        if self._room is not None:
            raise self._room
        return assemble(config, self.device, partly_from=self.full.run.start_from)

    @torch.no_grad()
    def _adopt(self, model: nn.Module, noise: float = NOISE) -> None:
        for name, parameter in model.named_parameters():
            if not parameter.is_floating_point():
                continue
            own = self._weights.get(name)
            if own is not None and own.shape == parameter.shape:
                parameter.copy_(own)
            if noise:
                drawn = torch.randn(parameter.shape, generator=generator_for(0, "audit", name))
                parameter.add_(drawn.to(parameter.device, parameter.dtype), alpha=noise)

    # ------------------------------------------------------------------------------------ tries

    def passed(self, config: Config | None = None, draws: bool = True) -> Pass:
        """Loss and gradients of one step's forward and backward pass; of the newest few configurations remembered.

        `draws`: with what is drawn at random, the same every time; else as in evaluation.
        """
        config = config or self.config
        key = f"{draws} {config.as_dict()}"
        if key not in self._passes:
            while len(self._passes) >= 3:
                self._passes.pop(next(iter(self._passes)))
            self._passes[key] = observe(self.training(config), self.batch, draws)
        return self._passes[key]

    def first_steps(self) -> Steps:
        """The same with first weights."""
        return take_steps(self.fresh(self._stepping()), self.batch, draws_at_random(self.config))

    def steps(self) -> Steps:
        """What some steps do to the run's weights as they are (the first ones, without any), with its own optimiser."""
        if self._steps is None:
            config = self._stepping()
            model = self._assembled(config)
            if self._weights:
                self._adopt(model, noise=0.0)
            self._steps = take_steps(make_training(config, model, self.device), self.batch, draws_at_random(config))
        return self._steps

    def _stepping(self) -> Config:
        """The run's configuration at its full rate. In float32 where weights of 16 bits would round a step away, or a
        scaled loss would leave it out.
        """
        precision = make_precision(self.config)
        as_it_is = precision.dtype == torch.float32 and precision.scaler(self.device.type) is None
        config = self.config if as_it_is else with_choice(self.config, "precision", "float32", {})
        return with_choice(config, "schedule", "constant", {"warmup_steps": 0})

    def _look_for_room(self) -> None:
        model = assemble(self.config, "meta")
        needed = COPIES * sum(p.numel() * p.element_size() for p in model.parameters())
        free = free_bytes(self.device)
        if free is not None and needed > free:
            self._room = Untried("no-room", _NO_ROOM, needed=needed >> 20, free=free >> 20)


def draws_at_random(config: Config) -> bool:
    """Whether a technique draws something at random in training, as dropout does."""
    return any(isinstance(c, Quiet) and getattr(options, c.when, 0) for t, options in chosen(config) for c in t.claims)


def observe(training: Training, batch: Batch, draws: bool = True) -> Pass:
    """One step that moves nothing: its loss and its gradients."""
    found: dict[str, Tensor] = {}

    def keep() -> None:
        found.update((n, p.grad.detach().clone()) for n, p in training.model.named_parameters() if p.grad is not None)

    training.model.train(draws)
    torch.manual_seed(0)
    loss = train_step(training, batch, 0, on_gradients=keep)
    for _ in range(TRIES if training.scaler is not None else 0):  # its factor begins too large, and finds its place
        if all(gradient.isfinite().all() for gradient in found.values()):
            break
        torch.manual_seed(0)
        loss = train_step(training, batch, 0, on_gradients=keep)
    training.model.train()
    return Pass(float(loss), found)


def affordable(config: Config) -> tuple[Config, int]:
    """(the configuration at the size of a copy, and not compiled; how many tokens of its samples)."""
    model = assemble(dataclasses.replace(config, run=dataclasses.replace(config.run, start_from=None)), "meta")
    inside = sum(p.numel() for name, p in model.named_parameters() if name.startswith("blocks.")) / config.model.layers
    outside = sum(p.numel() for name, p in model.named_parameters() if not name.startswith("blocks."))

    def most_layers() -> int:
        return int((MULTIPLY_ADDS / (3 * samples * tokens) - outside) / max(1.0, inside))

    samples, tokens = min(config.run.batch, SAMPLES), config.model.context
    fewest = min(FEWEST_LAYERS, config.model.layers)
    if most_layers() < fewest and not config.task.frames:
        window = max((window_of(config).size(layer) or 0 for layer in range(config.model.layers)), default=0)
        tokens = min(tokens, max(FEWEST_TOKENS, window + BEYOND))
    if most_layers() < fewest:
        samples = min(samples, 2)
    layers = min(config.model.layers, max(fewest, most_layers()))
    small = dataclasses.replace(
        config, model=dataclasses.replace(config.model, layers=layers),
        run=dataclasses.replace(config.run, batch=samples, start_from=None),  # copies take of the file what fits them
    )
    return with_choice(small, "compile", "none", {}), tokens


def with_choice(config: Config, slot: str, name: str, options: Mapping[str, Any]) -> Config:
    """The configuration with that technique in a slot: options as given, else as they are where it has them too."""
    technique, own = technique_for(slot, Choice(name))
    names = {field.name for field in dataclasses.fields(own)}
    kept = {k: v for k, v in {**config.techniques[slot].options, **options}.items() if k in names}
    filled = {**{field: getattr(own, field) for field in names}, **kept}
    return dataclasses.replace(config, techniques={**config.techniques, slot: Choice(technique.name, filled)})


def unbalanced(batch: tuple[Tensor, ...]) -> Batch:
    """The batch with fewer targets in its first sample than in the others, so that a mean of means is no mean."""
    inputs, targets = batch
    if targets.dim() >= 2 and len(targets) > 1:
        targets = targets.clone()
        counted = (targets[0].flatten() != IGNORED).nonzero().flatten()
        targets[0].view(-1)[counted[: max(1, 2 * len(counted) // 3)]] = IGNORED
    return inputs, targets


def finite(weights: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
    """The weights; none where some are no finite numbers, with which nothing could be told."""
    numbers = (t for t in weights.values() if t.is_floating_point())
    return weights if all(bool(t.isfinite().all()) for t in numbers) else {}


def free_bytes(device: torch.device) -> int | None:
    """Memory that nobody uses on a device; None where nobody says."""
    if device.type == "cpu":
        return int(psutil.virtual_memory().available)
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    return None
