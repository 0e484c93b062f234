"""Interleaved comparisons in the service: whose turn it is, what is left where one of them ends. Stand-in workers."""

from __future__ import annotations

import itertools
import os
import signal
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec
import psutil
import pytest

from tests.helpers import standin_worker
from tests.helpers.services import Listening, family, gone, info, until
from tfx_engine.client import control
from tfx_engine.protocol.interleaving import Interleave, Part, part_of
from tfx_engine.protocol.problems import ConfigError
from tfx_engine.runfile.lock import is_locked
from tfx_engine.runfile.reader import RunReader
from tfx_engine.service.rounds import Order

Start = Callable[..., Listening]
SHORT = Interleave(rounds=2, blocks=2, turn_steps=2, turn_ms=0, control=False)


@pytest.fixture
def start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Start]:
    """Start a client with its service, whose workers are stand-ins."""
    monkeypatch.setenv("TFX_WORKER_MODULE", "tests.helpers.standin_worker")
    monkeypatch.setenv("TFX_STANDIN_MARK", str(tmp_path / "mark"))
    clients: list[Listening] = []

    def begin(standin: str = "", **arguments: Any) -> Listening:
        monkeypatch.setenv("TFX_STANDIN", standin)
        client = Listening(tmp_path / "store", **{"warm": False, **arguments})
        client.start()
        clients.append(client)
        return client

    yield begin
    for client in clients:
        client.close(0)
        assert client.pid is not None
        if psutil.pid_exists(client.pid):
            os.kill(client.pid, signal.SIGTERM)
        assert client.wait(15)


def named(*names: str, steps: int = 5) -> list[dict[str, Any]]:
    model = {"width": 16, "layers": 1, "heads": 2, "context": 16}
    return [{"name": name, "model": model, "run": {"measure_steps": steps}} for name in names]


def turns(run: Path) -> dict[str, Any]:
    with closing(RunReader(run)) as reader:
        return reader.turns()


def turns_in_time(run: Path) -> list[tuple[float, float]]:
    """First and last step of each turn of round 1; the stand-in puts the time where the rate belongs."""
    with closing(RunReader(run)) as reader:
        at_s, blocks = reader.steps(columns=("learning_rate",))["learning_rate"], reader.turns()["block"]
    return [(at_s[blocks[: len(at_s)] == b].min(), at_s[blocks[: len(at_s)] == b].max()) for b in (1, 2)]


def part_in(run: Path) -> Part:
    with closing(RunReader(run)) as reader:
        part = part_of(reader.facts())
    assert part is not None
    return part


def ended(client: Listening, *runs: Path) -> dict[str, str]:
    """Wait for the end of all; status by the name of the run."""
    until(lambda: {n.run for n in client.notices if n.kind == "ended"} >= set(map(str, runs)))
    return {info(run).name: info(run).status for run in runs}


def begin(client: Listening, *names: str, asked: Interleave = SHORT) -> list[Path]:
    """The run files: of the baseline, the second one where there is one, the others."""
    runs, second = client.compare(named(*names), [], "fair", asked)
    return [runs[0], *([second] if second else []), *runs[1:]]


def many(rounds: int = 50) -> Interleave:
    """More rounds than a test waits for."""
    return msgspec.structs.replace(SHORT, rounds=rounds)


def test_runs_take_turns_in_rounds_of_new_processes(start: Start) -> None:
    client = start()
    runs = begin(client, "base", "slow", asked=Interleave(rounds=3, blocks=4, turn_steps=2, turn_ms=0))
    assert ended(client, *runs) == {"base": "finished", "base (control)": "finished", "slow": "finished"}
    for run in runs:
        rows = turns(run)
        places = Counter(zip(rows["process"].tolist(), rows["round"].tolist(), rows["block"].tolist(), strict=True))
        warm_up = {(n, n + 1, 0): 1 for n in range(3)}
        own = {(0, 1, block): 2 for block in (1, 2)}
        again = {(n, n + 1, block): 2 for n in (1, 2) for block in (1, 2, 3, 4)}
        assert places == warm_up | own | again
        with closing(RunReader(run)) as reader:
            assert reader.count_steps() == 5, "what later processes measure is no part of the run's own course"
            assert list(reader.steps()["step"]) == [1, 2, 3, 4, 5]
    assert len([n for n in client.notices if n.kind == "started"]) == 3
    assert "3 rounds" in info(runs[0]).reason
    spans = sorted(span for run in runs for span in turns_in_time(run))
    assert len(spans) == 6
    assert all(one[1] <= two[0] for one, two in itertools.pairwise(spans)), "one steps at a time"
    base, second, other = (part_in(run) for run in runs)
    assert (base.role, base.control, base.asked.rounds) == ("baseline", str(runs[1]), 3)
    assert (second.role, other.role) == ("control", "member")
    assert {info(run).comparison for run in runs} == {"fair"}


def test_between_rounds_a_run_is_running_and_nobody_elses(start: Start) -> None:
    client = start()
    base, *_ = runs = begin(client, "base", "slow", asked=many())
    client.wait_for("turns", round=2)
    seen = set()
    for _ in range(200):
        seen.add((info(base).status, is_locked(base)))
        if any(n.kind == "turns" and n.detail["round"] == 4 for n in client.notices):
            break
    assert seen == {("running", True)}
    client.conclude("fair", "The intervals are narrow enough.")
    assert set(ended(client, *runs).values()) == {"finished"}
    assert info(base).reason.endswith("The intervals are narrow enough.")
    assert turns(base)["round"].max() < 50
    with pytest.raises(ConfigError, match="under way"):
        client.conclude("fair")


@pytest.mark.parametrize(("how", "status", "words"), [
    ("dies in 2", "interrupted", "killed"), ("fails in 2", "failed", "no memory left"),
])
def test_where_one_ends_in_a_round_the_others_go_on(start: Start, how: str, status: str, words: str) -> None:
    client = start()
    runs = begin(client, "base", how, "third")
    assert ended(client, *runs) == {"base": "finished", how: status, "third": "finished"}
    assert set(turns(runs[1])["round"].tolist()) == {1}
    assert set(turns(runs[2])["round"].tolist()) == {1, 2}
    assert words in info(runs[1]).reason


def test_without_its_baseline_a_comparison_ends_and_the_runs_do_not_fail(start: Start) -> None:
    client = start()
    runs = begin(client, "base, which fails in 2", "other", asked=many())
    statuses = ended(client, *runs)
    assert statuses["other"] == "finished"
    assert "baseline has ended" in info(runs[1]).reason


def test_where_memory_does_not_allow_all_of_them_workers_come_one_after_the_other(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(standin_worker.PEAK, str(standin_worker.CAPACITY // 2))
    client = start()
    runs = begin(client, "base", "slow")
    most = 0
    while not {n.run for n in client.notices if n.kind == "ended"} >= set(map(str, runs)):
        assert client.pid is not None
        most = max(most, len(family(client.pid)) - 1)
    assert most == 1
    for run in runs:
        assert set(turns(run)["round"].tolist()) == {1, 2}


def test_a_worker_that_does_not_load_costs_its_run_alone(start: Start) -> None:
    client = start("one-loads")
    runs = begin(client, "base", "other")
    statuses = ended(client, *runs)
    assert sorted(statuses.values()) == ["failed", "finished"]
    failed = [run for run in runs if info(run).status == "failed"]
    assert all("No worker could be started" in info(run).reason for run in failed)


def test_a_stop_of_all_keeps_what_was_measured(start: Start) -> None:
    client = start(on_disconnect="stop")
    runs = begin(client, "base", "slow", asked=many())
    client.wait_for("turns", round=2)
    assert client.pid is not None
    everyone = family(client.pid)
    client.shutdown(stop=True)
    assert gone(everyone)
    for run in runs:
        assert info(run).status == "finished" and "stopped in round" in info(run).reason
        assert not is_locked(run)
        assert set(turns(run)["round"].tolist()) >= {1, 2}


def test_a_stop_of_one_run_ends_that_one(start: Start) -> None:
    client = start()
    runs = begin(client, "base", "third", "slow", asked=many())
    client.wait_for("turns", round=2)
    control(runs[2], "stop")
    assert client.wait_for("ended", runs[2]).detail["status"] == "stopped"
    client.wait_for("turns")
    client.conclude("fair")
    assert set(ended(client, *runs[:2]).values()) == {"finished"}


def test_where_the_service_is_killed_nothing_of_what_was_measured_is_lost(start: Start) -> None:
    client = start()
    runs = begin(client, "base", "slow", asked=many())
    client.wait_for("turns", round=2, block=2)
    assert client.pid is not None
    everyone = family(client.pid)
    os.kill(client.pid, signal.SIGKILL)
    assert gone(everyone)
    for run in runs:
        assert info(run).status == "interrupted"
        assert not is_locked(run)
        assert set(turns(run)["round"].tolist()) >= {1, 2}


def test_where_the_client_is_gone_what_was_to_stop_is_interrupted(start: Start) -> None:
    client = start(on_disconnect="stop")
    runs = begin(client, "base", "slow", asked=many())
    client.wait_for("turns", round=2)
    client.close()
    for run in runs:
        assert info(run).status == "interrupted"


def test_time_that_is_used_up_ends_it(start: Start) -> None:
    client = start()
    runs = begin(client, "base", "slow", asked=msgspec.structs.replace(many(), minutes=0.03))
    assert set(ended(client, *runs).values()) == {"finished"}
    assert "time for the comparison was used up" in info(runs[0]).reason


def test_runs_queued_behind_a_comparison_come_after_it(start: Start) -> None:
    client = start()
    runs = begin(client, "base", "slow", asked=many())  # it goes on until it is told that it is enough
    (after,) = client.submit(named("quick"))
    assert client.queue()["queue"] == [str(after)]
    with pytest.raises(ConfigError, match="running"):
        client.queue("remove", until(lambda: client.queue()["running"]))
    client.conclude("fair")
    assert ended(client, *runs, after)["quick"] == "finished"
    last = [n.run for n in client.notices if n.kind == "ended"][-1]
    assert last == str(after)


def test_queued_comparisons_are_found_again_by_the_next_service(start: Start, tmp_path: Path) -> None:
    first = start(warm=False)
    (busy,) = first.submit(named("endless"))
    runs = begin(first, "base", "other")
    first.wait_for("started", busy)
    assert first.pid is not None
    everyone = family(first.pid)
    os.kill(first.pid, signal.SIGKILL)
    assert gone(everyone)
    second = start()
    assert set(ended(second, *runs).values()) == {"finished"}
    assert set(turns(runs[0])["round"].tolist()) == {1, 2}


def test_an_order_is_followed_by_its_reverse() -> None:
    order, members = Order("1"), [object() for _ in range(4)]
    for _ in range(5):
        there, back = order.of(members), order.of(members)
        assert set(map(id, there)) == set(map(id, members))
        assert back == there[::-1]
    assert Order("1").of(members) == Order("1").of(members)
    left = order.of(members[:2])
    assert len(left) == 2
