"""Plausible numbers for runs that never happened: sizes by the usual formulas, noise as machines make it. No torch."""

from __future__ import annotations

import math
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from tests.helpers.ceilings import made_up
from tfx_engine.protocol.ceilings import Circumstances
from tfx_engine.protocol.config import Config
from tfx_engine.protocol.metrics import CATEGORIES
from tfx_engine.runfile.writer import RunWriter

_MEGABYTE = 2**20
_TOKENS_PER_S = 2.4e10  # of a model of one parameter, on the machine we pretend to have
_TEXT = b"The transformer reads every token of the sequence at once; attention decides which of them matter. "
_PATTERNS = ("previous", "local", "first", "same", "uniform", "diagonal")


# Of what a component does: matrix FLOPs and bytes, as shares of 1e11 and 1e10 a second.
_INTENSITY = {"attention": (1.2, 0.6), "kernel": (0.7, 0.3), "feedforward": (1.5, 0.5), "head": (1.1, 0.9)}


class Numbers:
    """What a run of `config` would measure; the same seed gives the same numbers."""

    def __init__(self, config: Config, seed: int = 0) -> None:
        self.config = config
        self.rng = np.random.default_rng(seed)
        model, batch = config.model, config.run.batch
        self.tokens = batch * model.context
        self.is_adapted = config.use("adapter") != "none"
        self.is_recomputed = config.use("recompute") != "none"
        self.is_post_norm = config.use("placement") == "post_norm"
        self.is_half = config.use("precision") != "float32"
        self.params = 12 * model.layers * model.width**2 + (config.vocab + model.context) * model.width
        self.trainable = self.params // 60 if self.is_adapted else self.params
        self.layer_names = ["embedding", *(f"block {i + 1}" for i in range(model.layers)), "head/final norm"]
        self.step_ms = self._typical_step_ms()
        self.bytes = self._bytes()
        self.peak_bytes = int(self._timeline()[1].sum(axis=1).max())

    def _typical_step_ms(self) -> float:
        cost = (1.28 if self.is_recomputed else 1) * (0.78 if self.is_adapted else 1) * (0.7 if self.is_half else 1)
        return max(0.5, 1000 * self.tokens * cost / (_TOKENS_PER_S / self.params))

    def _bytes(self) -> dict[str, int]:
        model, batch, size = self.config.model, self.config.run.batch, 2 if self.is_half else 4
        per_layer = self.tokens * model.width * 16 * size + batch * model.heads * model.context**2 * size // 8
        kept = self.tokens * model.width * size + per_layer // model.layers if self.is_recomputed else per_layer
        adapters = self.trainable * 4 if self.is_adapted else 0
        moments = {"adamw": 2, "sgd": 0}.get(self.config.use("optimizer"), 1)
        return {
            "parameters": self.params * 4, "gradients": self.trainable * 4, "optimizer": self.trainable * 4 * moments,
            "activations": kept * model.layers + self.tokens * self.config.vocab * 8, "adapters": adapters,
            "temporary": self.tokens * model.width * 8, "other": self.tokens * 16 + model.context**2,
        }

    def loss(self, step: int) -> float:
        """Falls from ln(vocabulary) as a power of the steps, with noise."""
        floor = 1.35 if not self.is_adapted else 2.1
        start = math.log(self.config.vocab)
        pace = 0.42 if self.is_post_norm else 0.5
        level = floor + (start - floor) * (1 + step / 12) ** -pace
        return float(level + self.rng.normal(0, 0.035))

    def step(self, step: int, phase: str) -> dict[str, Any]:
        """The columns of one step, but for `t_ms`."""
        slow = 3.0 if step == 1 else 1.0
        spike = self.rng.uniform(1.3, 2.2) if self.rng.random() < 0.012 else 1.0
        step_ms = self.step_ms * slow * spike * float(np.exp(self.rng.normal(0, 0.025)))
        layer_norms = self.layer_grad_norm(step)
        allocated = self._peak()
        wiggle = int(self.rng.normal(0, _MEGABYTE))
        rate = 3e-4 * min(1.0, step / 10)
        ratios = (rate * 3 * np.exp(self.rng.normal(0, 0.1, len(self.layer_names)))).astype(np.float32)
        return {
            "step": step, "phase": phase, "loss": self.loss(step), "step_ms": step_ms, "tokens": self.tokens,
            "learning_rate": rate, "grad_norm": float(np.sqrt((layer_norms.astype(np.float64) ** 2).sum())),
            "update_ratio": float(ratios.mean()), "allocated_bytes": allocated,
            "reserved_bytes": -(-allocated // (2 * _MEGABYTE)) * 2 * _MEGABYTE,
            "rss_bytes": allocated + 410 * _MEGABYTE + wiggle,
            "taint": "another process used the device" if phase == "measure" and self.rng.random() < 0.004 else None,
            "layer_grad_norm": layer_norms, "layer_update_ratio": ratios,
        }

    def layer_grad_norm(self, step: int) -> NDArray[np.float32]:
        """[layers]: after post-norm the last blocks' gradients are the largest, with pre-norm the first ones'."""
        depth = np.linspace(0, 1, len(self.layer_names))
        shape = np.exp(1.6 * (depth - 1)) if self.is_post_norm else np.exp(-0.7 * depth)
        level = (2.4 if self.is_post_norm else 1.1) * (1 + step / 25) ** -0.35
        return (level * shape * np.exp(self.rng.normal(0, 0.12, len(depth)))).astype(np.float32)

    def _peak(self) -> int:
        return self.peak_bytes

    def memory_probe(self, step: int, phase: str) -> dict[str, Any]:
        """The split of one step: activations grow forward and shrink backward, gradients the other way round."""
        times, rows, spans = self._timeline()
        totals = rows.sum(axis=1)
        at_peak = rows[int(totals.argmax())]
        return {
            "step": step, "phase": phase, "peak_bytes": int(totals.max()),
            "composition": dict(zip(CATEGORIES, at_peak.tolist(), strict=True)),
            "category_peak": dict(zip(CATEGORIES, rows.max(axis=0).tolist(), strict=True)),
            "timeline_ms": times, "timeline": rows, "phases": spans,
        }

    def write_modules(self, writer: RunWriter, split: dict[str, Any]) -> None:
        """Whose that memory is: shared out evenly among a few modules of each block, what is left over is nobody's."""
        left, step, layers = dict(split["composition"]), split["step"], self.config.model.layers
        for layer in range(layers):
            for name, slot in (("attention.query", "attention"), ("feedforward.up", "feedforward")):
                part = {c: split["composition"][c] // (4 * layers) for c in CATEGORIES}
                left = {c: left[c] - part[c] for c in CATEGORIES}
                place = {"step": step, "module": f"blocks.{layer}.{name}", "slot": slot}
                writer.row("memory_module", **place, **part)
                writer.row("memory_block", **place, category="activations", bytes=part["activations"], name="",
                           operator="aten::addmm", shape=f"[{self.tokens}, {self.config.model.width}]", dtype="float32")
        writer.row("memory_module", step=step, module="", slot="other", **left)
        halves = split["timeline"].sum(axis=1)[:, None] * [[0.25, 0.5, 0.25]]
        rows = halves.astype(np.int64)
        rows[:, 2] = split["timeline"].sum(axis=1) - rows[:, 0] - rows[:, 1]
        writer.row("memory_slot", step=step, slots='["attention", "feedforward", "other"]', timeline=rows)

    def _timeline(self) -> tuple[NDArray[np.float64], NDArray[np.int64], list[tuple[str, float, float]]]:
        layers, size = self.config.model.layers, self.bytes
        ends = np.cumsum([0.32, 0.58, 0.10]) * self.step_ms
        forward, backward, update = 8 * layers, 12 * layers, 12
        up, down = np.linspace(0, 1, forward), np.linspace(1, 0, backward)
        nothing = np.zeros(update)
        if self.is_recomputed:  # each block's activations come back for a moment
            down = down + np.tile(np.hanning(12), layers) / layers
        column = {
            "parameters": np.ones(forward + backward + update), "optimizer": np.ones(forward + backward + update),
            "adapters": np.ones(forward + backward + update), "other": np.ones(forward + backward + update),
            "activations": np.concatenate([up, down, nothing]),
            "gradients": np.concatenate([np.zeros(forward), np.linspace(0, 1, backward), np.ones(update)]),
            "temporary": np.concatenate(
                [np.resize([0.2, 1, 0.4], forward), np.resize([1, 0.3], backward), np.hanning(update)]
            ),
        }
        rows = np.stack([np.rint(column[name] * size[name]) for name in CATEGORIES], axis=1).astype(np.int64)
        starts = np.concatenate([[0.0], ends[:2]])
        counts = (forward, backward, update)
        times = np.concatenate(
            [np.linspace(a, b, n, endpoint=False) for a, b, n in zip(starts, ends, counts, strict=True)]
        )
        names = ("forward", "backward", "optimizer")
        return times, rows, [(n, float(a), float(b)) for n, a, b in zip(names, starts, ends, strict=True)]

    def attention(self, step: int) -> tuple[list[NDArray[np.float16]], int, NDArray[np.int32]]:
        """Maps by layer [heads, queries, keys] that sharpen as the run goes on, side of a pooled square, token ids."""
        context = self.config.model.context
        pool = max(1, -(-context // 128))
        side = context // pool
        sharpness = 4 * (1 - math.exp(-step / 40))
        layers = [
            np.stack([self._map(side, layer + head, sharpness) for head in range(self.config.model.heads)])
            for layer in range(self.config.model.layers)
        ]
        text = np.frombuffer((_TEXT * (context // len(_TEXT) + 1))[:context], dtype=np.uint8)
        return layers, pool, text.astype(np.int32)

    def _map(self, side: int, number: int, sharpness: float) -> NDArray[np.float16]:
        query, key = np.mgrid[0:side, 0:side]
        pattern = _PATTERNS[number % len(_PATTERNS)]
        scores = {
            "previous": -np.abs(query - 1 - key) * 1.5, "local": -((query - key) / (2 + number)) ** 2,
            "first": -key * 0.5, "same": np.where((query - key) % (7 + number % 5) == 0, 2.0, 0.0),
            "uniform": np.zeros((side, side)), "diagonal": -np.abs(query - key) * 1.0,
        }[pattern] * sharpness + self.rng.normal(0, 0.4, (side, side))
        scores[key > query] = -np.inf
        weights = np.exp(scores - scores.max(axis=1, keepdims=True))
        return (weights / weights.sum(axis=1, keepdims=True)).astype(np.float16)

    def device_sample(self, t_ms: float) -> dict[str, float]:
        """A busy machine."""
        return {
            "cpu_percent": float(np.clip(self.rng.normal(88, 5), 0, 100)), "ram_used_bytes": 6 * 2**30 + self._peak(),
            "rss_bytes": self._peak() + 410 * _MEGABYTE,
            "utilisation_percent": float(np.clip(self.rng.normal(93, 4), 0, 100)),
            "memory_used_bytes": self._peak() + 900 * _MEGABYTE, "temperature_c": 71 - 30 * math.exp(-t_ms / 20_000),
            "power_w": float(self.rng.normal(245, 12)), "sm_clock_mhz": float(self.rng.choice([1755, 1770, 1785])),
        }

    def write_profile(self, writer: RunWriter) -> None:
        """What the phase `profile` would write."""
        passes = {"forward": 0.3, "backward": 0.55, **({"recompute": 0.2} if self.is_recomputed else {})}
        slots = {"attention": 0.3, "kernel": 0.15, "feedforward": 0.4, "norm": 0.1, "residual": 0.05}
        rows = [(part, slot, share * of) for part, share in passes.items() for slot, of in slots.items()]
        rows += [("loss", "head", 0.04), ("loss", "loss", 0.02), ("optimizer", "optimizer", 0.07),
                 ("data", "data", 0.01), ("other", "other", 0.01)]
        for part, slot, share in rows:
            ms = share * self.step_ms
            flops, moved = _INTENSITY.get(slot, (0.0, 1.0))
            work = {"calls": 12.0, "flops": ms * 1e8 * flops, "elements": ms * 1e6, "bytes": ms * 1e7 * moved}
            timed = {"part": part, "component": slot, "host_ms": ms * 1.2, "device_ms": None, **work}
            writer.row("profile_part", ms=ms, declared_flops=None, **timed)
            writer.row("operator", name=f"aten::{slot}", **timed)
        ceilings = made_up(Circumstances(kind="cpu", name="Synthetic device", torch="none", threads=2), 4e11)
        writer.fact("ceilings", msgspec.to_builtins(ceilings))
        writer.fact("peak_flops_per_s", {
            "format": "float32", "measured": 4e11, "spread_percent": 1.0, "measured_at": ceilings.measured_at,
            "vendor": 6e11, "vendor_source": "made up",
        })
        writer.fact("profile", {"step_ms": self.step_ms, "profiled_ms": 1.2 * self.step_ms, "marked_steps": 5,
                                "profiled_steps": 2})

    def facts(self) -> dict[str, Any]:
        """What is true of the whole run."""
        flops = 6 * self.params + 12 * self.config.model.layers * self.config.model.width * self.config.model.context
        text = [chr(n) if 32 <= n < 127 else f"\\x{n:02x}" for n in range(min(self.config.vocab, 256))]
        return {
            "device": {"name": "Synthetic device", "kind": "cpu"}, "torch": "none: these numbers are made up",
            "python": "3.11", "platform": "synthetic", "cpu": "synthetic", "threads": 2, "seed": self.config.seed,
            "corpus": {"sha256": "0" * 64, "bytes": 465_000, "source": "synthetic"}, "layer_names": self.layer_names,
            "params": {"total": self.params + self.bytes["adapters"] // 4, "trainable": self.trainable},
            "flops_per_token": {"model": flops, "hardware": flops * (4 / 3 if self.is_recomputed else 1)},
            "kernel": "none", "token_text": text, "capacity_bytes": 8 * 2**30,
            "process_base_rss_bytes": 410 * _MEGABYTE, "overhead_percent": 0.62,
            "overhead": {
                "percent": 0.62, "low": 0.31, "high": 0.88, "comparisons": 40, "step_percent": 0.3,
                "turns_percent": 0.4, "probed_percent": 66.7, "budget_percent": 1.0,
                "captures_percent": {"attention": 0.2, "evaluation": 0.15, "memory": 0.05, "update": 0.02},
            },
        }
