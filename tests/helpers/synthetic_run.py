"""Run files without training: real files by the real writer, with made-up numbers. No torch.

    python -m tests.helpers.synthetic_run run.tfx --steps 300
    python -m tests.helpers.synthetic_run --live --rate 250 --steps 100000 run.tfx
    python -m tests.helpers.synthetic_run --five FOLDER

In tests: `write_run` for a file in any state, `running` for one that is live in this process.
"""

from __future__ import annotations

import argparse
import datetime
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.helpers.synthetic_numbers import Numbers
from tfx_engine.protocol.config import Config, parse_config
from tfx_engine.protocol.toml import dumps
from tfx_engine.runfile.create import create
from tfx_engine.runfile.mailbox import Mailbox
from tfx_engine.runfile.seal import seal
from tfx_engine.runfile.store import make_store, new_run_path
from tfx_engine.runfile.writer import RunWriter

FIVE: dict[str, dict[str, Any]] = {
    "baseline": {},
    "recompute": {"recompute": {"use": "every_block"}},
    "LoRA": {"adapter": {"use": "lora", "rank": 8}},
    "post-norm": {"placement": {"use": "post_norm"}},
    "bfloat16": {"precision": {"use": "bfloat16_autocast"}},
}
REASONS = {
    "failed": "Out of memory on the device: 512 MiB for block 3's feed-forward were not to be had.",
    "stopped": "Stopped on request.",
}
SAMPLE_EVERY_MS = 500.0
LEAKS = "a mask that leaks"  # the name of a run whose audit finds something broken


def make_config(
    name: str = "synthetic", *, steps: int = 120, warmup_steps: int = 3, layers: int = 4, heads: int = 4,
    context: int = 64, width: int = 128, batch: int = 8, seed: int = 0,
    techniques: Mapping[str, Any] | None = None, **sections: Any,
) -> Config:
    """A complete configuration of that size; `steps` are the measured ones."""
    data = {
        "name": name, "seed": seed, "techniques": dict(techniques or {}),
        "model": {"width": width, "layers": layers, "heads": heads, "context": context, **sections.get("model", {})},
        "run": {"batch": batch, "warmup_steps": warmup_steps, "measure_steps": steps, **sections.get("run", {})},
        "data": sections.get("data", {}),
    }
    config, problems = parse_config(data)
    assert not problems, [p.sentence() for p in problems]
    return config


class SyntheticRun:
    """A run that goes on as far as it is told to, in real time or in that of its made-up step times."""

    def __init__(self, writer: RunWriter, config: Config, seed: int = 0, is_real_time: bool = False) -> None:
        self.writer, self.config, self.is_real_time = writer, config, is_real_time
        self.numbers = Numbers(config, seed)
        self.step = self.captures = 0
        self.t_ms = 0.0
        self._next_sample_ms = 0.0
        run = config.run
        self.total_steps = run.warmup_steps + run.measure_steps
        often = max(1, self.total_steps // 10)
        self._attention_every = run.attention_every or often
        self._memory_every = run.memory_every or often
        self._validate_every = run.validate_every or often

    def begin(self) -> None:
        """State, facts, predictions, reasons."""
        writer, numbers = self.writer, self.numbers
        writer.state("running")
        for key, value in numbers.facts().items():
            writer.fact(key, value)
        writer.missing("device_bytes", "This run is synthetic: there is no device.")
        writer.prediction("memory_bytes.peak", numbers.peak_bytes * 1.04, "instant")
        writer.prediction("step_ms", numbers.step_ms * 1.1, "instant")
        writer.event("phase", "build", "The model is being built.")
        writer.event("phase", "warmup", "Warming up for {steps} steps.", steps=self.config.run.warmup_steps)

    def advance(self, steps: int) -> None:
        """Some more steps, with the probes that fall due."""
        for _ in range(steps):
            self._one_step()

    def _one_step(self) -> None:
        self.step += 1
        warmup_steps = self.config.run.warmup_steps
        if self.step == warmup_steps + 1:
            self.writer.event("phase", "measure", "Measuring {steps} steps.", steps=self.config.run.measure_steps)
        phase = "warmup" if self.step <= warmup_steps else "measure"
        columns = self.numbers.step(self.step, phase)
        self.t_ms = self.writer.t_ms() if self.is_real_time else self.t_ms + columns["step_ms"]
        is_probe = (self.step - warmup_steps) % self._memory_every == 1 % self._memory_every and phase == "measure"
        if is_probe:
            columns["taint"] = "memory probe"
        self.writer.step(t_ms=self.t_ms, **columns)
        if is_probe:
            split = self.numbers.memory_probe(self.step, phase)
            self.writer.memory_probe(t_ms=self.t_ms, **split)
            self.numbers.write_modules(self.writer, split)
        if self.step == 1 or self.step % self._attention_every == 0:
            self.capture()
        if self.step % self._validate_every == 0:
            loss = self.numbers.loss(self.step) + 0.08
            self.writer.evaluation(step=self.step, t_ms=self.t_ms, held_out_loss=loss, tokens=4 * self.numbers.tokens)
        if self.t_ms >= self._next_sample_ms:
            self._next_sample_ms = self.t_ms + SAMPLE_EVERY_MS
            self.writer.device_sample(t_ms=self.t_ms, **self.numbers.device_sample(self.t_ms))

    def capture(self, head: int | None = None, layer: int | None = None) -> None:
        """Attention maps of all layers, or of one head alone."""
        maps, pool, tokens = self.numbers.attention(self.step)
        if head is not None and layer is not None:
            self.writer.attention(
                self.captures, self.step, self.t_ms, [maps[layer][head : head + 1]], pool, tokens, head, [layer]
            )
        else:
            self.writer.attention(self.captures, self.step, self.t_ms, maps, pool, tokens)
        self.captures += 1

    def end(self, status: str, reason: str = "") -> None:
        """The end of the run; `interrupted` is what `close` makes of a run without one."""
        if status == "finished":
            self.numbers.write_profile(self.writer)
            write_audit(self.writer, self.config)
        if status not in ("running", "interrupted"):
            self.writer.state(status, reason or REASONS.get(status, ""))


def write_audit(writer: RunWriter, config: Config) -> None:
    """What an audit finds: three claims that hold, one that could not be tried; a broken one in a run named `LEAKS`."""
    found: list[tuple[str, str, bool | None, str, dict[str, Any]]] = [
        ("mask", "hides", True, "No token reads what it should not (layers tried: {layers}).", {"layers": 2}),
        ("recompute", "same", True, "Loss and {count} gradients are equal to the last bit.", {"count": 35}),
        ("optimizer", "moves-all", True, "All {count} tensors moved.", {"count": 35}),
        ("init", "begins", None, "No tensor has numbers enough to be judged.", {}),
    ]
    if config.name == LEAKS:
        found[0] = ("mask", "hides", False, "In layer {layer} token {query} reads token {key}, which it should not "
                    "see.", {"layer": 1, "query": 6, "key": 7})  # fmt: skip
    whole = {"of_layers": config.model.layers, "of_tokens": config.model.context, "of_samples": config.run.batch}
    writer.fact("audit_stand", {**whole, "layers": 1, "tokens": 8, "samples": 2, "precision": "float32",
                                "steps_precision": "float32", "weights": "run"})  # fmt: skip
    for slot, claim, ok, template, args in found:
        writer.audit(slot=slot, technique=config.use(slot), claim=claim, ok=ok, code="synthetic", template=template,
                     args=args)


def write_run(
    path: str | Path, config: Config | None = None, *, status: str = "finished", steps: int | None = None,
    seed: int = 0, reason: str = "", comparison: str = "", **sizes: Any,
) -> Path:
    """A run file in that state, sealed (unless queued). `steps`: of a run that did not get further, warm-up included.

    Without `config`, `sizes` are those of `make_config`. Takes about 20 ms and 0.1 ms a step.
    """
    if config is None:
        config = make_config(seed=seed, **({"steps": steps} if steps else {}), **sizes)
        steps = None
    path = Path(path)
    create(path, config, dumps(config.as_dict()), comparison)
    if status == "queued":
        return path
    with RunWriter(path) as writer:
        run = SyntheticRun(writer, config, seed)
        run.begin()
        run.advance(run.total_steps if steps is None else steps)
        if status == "failed":
            writer.event("problem", "out-of-memory", "Out of memory on the device.")
        run.end(status, reason)
    return path


@contextmanager
def running(path: str | Path, config: Config | None = None, *, seed: int = 0, **sizes: Any) -> Iterator[SyntheticRun]:
    """A run that is live in this process while the block lasts: `advance` it, `writer.flush()` it, `end` it."""
    config = config or make_config(seed=seed, **sizes)
    create(path, config, dumps(config.as_dict()))
    with RunWriter(path) as writer:
        run = SyntheticRun(writer, config, seed)
        run.begin()
        writer.flush()
        yield run


def write_five(store: str | Path, *, steps: int = 120, seed: int = 0, **sizes: Any) -> list[Path]:
    """Five finished runs of one comparison in a store."""
    paths = []
    for number, (name, techniques) in enumerate(FIVE.items()):
        now = datetime.datetime(2026, 1, 2, 3, 4, number)  # the clock only names the files
        config = make_config(name, steps=steps, techniques=techniques, **sizes)
        path = new_run_path(make_store(store), name, now)
        paths.append(write_run(path, config, seed=seed + number, comparison="five"))
    return paths


def live(path: Path, config: Config, rate: float, seed: int = 0) -> int:
    """Write at `rate` steps a second in real time, obeying the mailbox, until the run ends or is stopped.

    How many steps that were.
    """
    create(path, config, dumps(config.as_dict()))
    with RunWriter(path) as writer:
        run = SyntheticRun(writer, config, seed, is_real_time=True)
        mailbox, is_paused, start, done_before = Mailbox(path), False, time.monotonic(), 0
        run.begin()
        while run.step < run.total_steps:
            for control in mailbox.poll():
                writer.event("control", control.action, "Request: {action}.", action=control.action, id=control.id)
                if control.action == "stop":
                    run.end("stopped")
                    return run.step
                if control.action == "probe":
                    run.capture(control.head, control.layer)
                is_paused = {"pause": True, "resume": False}.get(control.action, is_paused)
                start, done_before = time.monotonic(), run.step
            due = done_before + int((time.monotonic() - start) * rate) - run.step
            if not is_paused:
                run.advance(min(max(due, 0), run.total_steps - run.step))
            time.sleep(min(0.05, 1 / rate))
        run.end("finished")
        return run.step


def main() -> None:
    """See the module's docstring."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("path", type=Path, help="the run file to write; with --five the folder")
    parser.add_argument("--five", action="store_true", help="five finished runs of one comparison")
    parser.add_argument("--live", action="store_true", help="keep writing in real time")
    parser.add_argument("--rate", type=float, default=250.0, help="steps a second of --live")
    parser.add_argument("--status", default="finished")
    parser.add_argument("--name", default="synthetic")
    defaults = {"steps": 120, "layers": 4, "heads": 4, "context": 64, "width": 128, "batch": 8, "seed": 0}
    for option, default in defaults.items():
        parser.add_argument(f"--{option}", type=int, default=default)
    options = parser.parse_args()
    names = ("steps", "layers", "heads", "context", "width", "batch")
    sizes = {name: getattr(options, name) for name in names}
    if options.five:
        print(*write_five(options.path, seed=options.seed, **sizes), sep="\n")
        return
    config = make_config(options.name, seed=options.seed, **sizes)
    if options.live:
        live(options.path, config, options.rate, options.seed)
    else:
        write_run(options.path, config, status=options.status, seed=options.seed)
        if options.status == "interrupted":
            seal(options.path)


if __name__ == "__main__":
    main()
