"""Measures what experiments need: ordinary runs through the service, or an instrument of the engine in its process."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import threading
import time
from pathlib import Path
from types import TracebackType
from typing import Any

from tfx_engine.client import Client, ServiceGone
from tfx_engine.protocol.codec import problem_from_data
from tfx_engine.protocol.experiments import INSTRUMENTS, Experiment
from tfx_engine.protocol.launch import child_environment, module_argv, own_session
from tfx_engine.protocol.marker import tr_mark
from tfx_engine.protocol.problems import ConfigError, Problem
from tfx_engine.protocol.toml import dumps
from tfx_engine.runfile.store import beside
from tfx_workbench.commands.engine import engine_gone
from tfx_workbench.commands.follow import Follower
from tfx_workbench.commands.output import ENGINE_GONE
from tfx_workbench.commands.progressbar import StatusLine
from tfx_workbench.commands.run import STOP_S
from tfx_workbench.commands.words import title
from tfx_workbench.runs.experiments import Measured, Results, ResultStore
from tfx_workbench.runs.noise import device_of
from tfx_workbench.runs.run_metrics import finite, read_metric
from tfx_workbench.runs.rundata import RunData

WEIGHTS = ".safetensors"


class NotMeasured(Exception):
    """A run failed, or an instrument refused: in words."""


class Measuring:
    """What measures the jobs of experiments, one after the other; to be used in a `with`.

    Leaving it ends the service and the instruments' process; what they were at is stopped.
    """

    def __init__(self, results: ResultStore) -> None:
        self._results = results
        self._gone = threading.Event()
        self._client: Client | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._line = StatusLine()
        self.cpu_s = 0.0  # of all processes that have ended

    def __enter__(self) -> Measuring:
        self._before_s = _children_s()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._line.clear()
        if self._client is not None:
            if kind is not None and not self._gone.is_set():
                self._stop(self._client)
            self._client.close(timeout_s=STOP_S)
        if self._process is not None:
            _end(self._process)
        self.cpu_s = _children_s() - self._before_s

    def measure(self, experiment: Experiment, results: Results, variant: str, seed: int, before: int) -> Measured:
        """Measure one variant with one seed. Raises `NotMeasured`, `ConfigError`; `before`: how many were, earlier."""
        config, begun_s = experiment.config_of(variant, seed), time.monotonic()
        config["name"] += f" ({seed})" if len(experiment.seeds_of(variant)) > 1 else ""
        weights = self._weights(experiment, results, variant, seed)
        used = experiment.instrument_of(variant)
        if used != "run":
            self._line.draw(lambda: f"{before + 1}/{len(experiment.jobs)}  {title(config['name'])}")
        if used in INSTRUMENTS and INSTRUMENTS[used].is_asked:
            return Measured(self._foretold(config), "", time.monotonic() - begun_s)
        if used != "run":
            options = experiment.variants[variant].options
            answer = self._ask({"instrument": used, "config": config, "options": options, "weights": weights})
            return Measured({name: finite(value) for name, value in answer.items()}, "", time.monotonic() - begun_s)
        if weights:
            config["run"] = {**config.get("run", {}), "start_from": weights}
        names = experiment.metrics_of(variant)
        path, metrics, device = self._run(config, names, results.comparison, before, len(experiment.jobs))
        return Measured(metrics, path.name, time.monotonic() - begun_s, device)

    def _weights(self, experiment: Experiment, results: Results, variant: str, seed: int) -> str:
        """Where the weights lie that a variant begins with; "" where it begins with random ones."""
        before = experiment.variants[variant].after
        if not before:
            return ""
        seeds = experiment.seeds_of(before)
        run = results.values[before][str(seed if seed in seeds else seeds[0])].run
        return str((self._results.store / run).absolute()) + WEIGHTS

    # ------------------------------------------------------------------ runs

    def _run(
        self, config: dict[str, Any], names: tuple[str, ...], comparison: str, before: int, of: int
    ) -> tuple[Path, dict[str, float | None], str]:
        metrics: dict[str, float | None] = {}
        devices: list[str] = []
        trouble: list[str] = []

        def read(run: RunData) -> None:
            if run.info.status != "finished":
                trouble.append(f"{run.info.name}: {run.info.status}. {run.info.reason}".strip())
            metrics.update({name: read_metric(run, name) for name in names})
            devices.append(device_of(run.facts))

        self._line.clear()
        try:
            (path,) = self._service().submit([config], [dumps(config)], comparison)
        except ServiceGone as error:
            raise engine_gone(error) from error
        Follower([path], read, self._gone, before, of).follow()
        if trouble or self._gone.is_set():
            raise NotMeasured(trouble[0] if trouble else tr_mark("The engine ended before the run did."))
        if config.get("run", {}).get("save_weights") and not beside(path, WEIGHTS).exists():
            raise NotMeasured(tr_mark("{name} left no weights.").format(name=config["name"]))
        return path, metrics, next(iter(devices), "")

    def _foretold(self, config: dict[str, Any]) -> dict[str, float | None]:
        """The instrument `estimate`: what the service says of a configuration."""
        try:
            figures = self._service().estimate(config, "traced")
        except ServiceGone as error:
            raise engine_gone(error) from error
        return {"foretold.peak_bytes": finite(figures["memory_bytes"]["peak"]),
                "foretold.step_ms": finite(figures["step_ms"])}  # fmt: skip

    def _service(self) -> Client:
        if self._client is None:
            def hear(notice: Any) -> None:
                if notice.kind == "gone":
                    self._gone.set()

            self._client = Client(self._results.store, on_disconnect="stop", on_notice=hear)
            self._client.start()
        return self._client

    def _stop(self, client: Client) -> None:
        """Politely, so that a run that is going says that it was stopped."""
        with contextlib.suppress(ServiceGone, TimeoutError, KeyboardInterrupt):
            client.shutdown(stop=True)
            client.wait(STOP_S)

    # ------------------------------------------------------------------ instruments

    def _ask(self, job: dict[str, Any]) -> dict[str, float]:
        process = self._instruments()
        assert process.stdin is not None and process.stdout is not None
        try:
            process.stdin.write(json.dumps(job).encode() + b"\n")
            process.stdin.flush()
            answer = json.loads(process.stdout.readline())
        except (OSError, ValueError):
            self._process = None
            code = _end(process)
            raise NotMeasured(tr_mark("The instruments' process ended (exit code {code}).").format(code=code)) from None
        if "problems" in answer:
            raise ConfigError(problem_from_data(problem) for problem in answer["problems"])
        return dict(answer["metrics"])

    def _instruments(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            pipe = subprocess.PIPE
            command = module_argv("tfx_engine", "measure")
            try:
                self._process = subprocess.Popen(
                    command, stdin=pipe, stdout=pipe, stderr=None, env=child_environment(), **own_session())
            except OSError as error:
                raise ConfigError([Problem(code=ENGINE_GONE, path="", template="{error}",
                                           args={"error": str(error)})]) from None
        return self._process


def _end(process: subprocess.Popen[bytes]) -> int:
    """End-of-file ends it; what does not heed that is killed."""
    for stream in (process.stdin, process.stdout):
        if stream is not None:
            with contextlib.suppress(OSError):
                stream.close()
    try:
        return process.wait(timeout=5)
    except subprocess.TimeoutExpired:
        process.kill()
        return process.wait()


def _children_s() -> float:
    """CPU seconds of the children that have ended, theirs included; 0 on Windows, which does not say."""
    times = os.times()
    return times.children_user + times.children_system


def lacks_weights(experiment: Experiment, results: Results, store: Path, variant: str, seed: int) -> bool:
    """Whether another variant still has to start from this one, whose weights are gone from the store."""
    needed = any(v.after == variant and not all(results.has(name, s) for s in experiment.seeds_of(name))
                 for name, v in experiment.variants.items())  # fmt: skip
    return needed and not beside(store / results.values[variant][str(seed)].run, WEIGHTS).exists()


def undone(experiment: Experiment, results: Results, store: Path) -> list[tuple[str, int]]:
    """The measurements that are still to be made, in order."""
    return [(variant, seed) for variant, seed in experiment.jobs
            if not results.has(variant, seed) or lacks_weights(experiment, results, store, variant, seed)]


