"""What a device can do: kept once, used only under the same circumstances, better when measured again."""

from __future__ import annotations

import datetime
import threading

import msgspec
import pytest
import torch

from tests.helpers.ceilings import made_up, this_cpu
from tfx_engine.measure import ceilings as measuring
from tfx_engine.measure import operator_rates, product_rates
from tfx_engine.measure.ceilings import circumstances, measure_ceilings
from tfx_engine.measure.rounds import Timed, time_in_turn
from tfx_engine.protocol import ceilings as kept
from tfx_engine.protocol.ceilings import Ceiling, all_ceilings, best_of, load_ceilings, save_ceilings
from tfx_engine.protocol.vendor import vendor_peak
from tfx_engine.worker import speed
from tfx_engine.worker.facts import device_name

CPU = torch.device("cpu")
HERE = this_cpu(3)


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("TFX_HOME", str(tmp_path))
    return tmp_path


def test_the_suite_pretends_what_the_worker_looks_for():
    assert load_ceilings(circumstances(CPU, device_name(CPU))) is not None


@pytest.mark.parametrize("change", [
    {"driver": "600.1"}, {"torch": "9.9"}, {"threads": 5}, {"clock_limit_mhz": 1.0}, {"schema": 0}, {"name": "other"},
])
def test_other_circumstances_are_measured_anew(home, change):
    save_ceilings(made_up(HERE))
    assert load_ceilings(HERE) == made_up(HERE)
    assert load_ceilings(msgspec.structs.replace(HERE, **change)) is None


def test_what_cannot_be_read_counts_as_nothing(home):
    save_ceilings(made_up(HERE))
    kept.file_of(HERE).write_bytes(b'{"circumstances": ')
    assert load_ceilings(HERE) is None
    assert all_ceilings() == []


def test_nothing_but_whole_files_is_ever_seen_while_many_write(home):
    save_ceilings(made_up(HERE))
    writers = [threading.Thread(target=lambda: [save_ceilings(made_up(HERE)) for _ in range(20)]) for _ in range(1)]
    for writer in writers:
        writer.start()
    seen = [load_ceilings(HERE) for _ in range(100)]
    for writer in writers:
        writer.join()
    assert None not in seen
    assert [path.suffix for path in kept.folder().iterdir()] == [".json"]


def test_the_best_of_two_measurements_counts():
    low, high = (msgspec.structs.replace(made_up(HERE, peak), launch_us=us, others_percent=busy)
                 for peak, us, busy in ((1e11, 3.0, 50.0), (2e11, 4.0, 1.0)))
    both = best_of(low, high)
    assert both.flops["float32"].per_s == 2e11
    assert best_of(high, low).flops["float32"].per_s == 2e11
    assert (both.launch_us, both.others_percent, both.times) == (3.0, 1.0, 2)
    assert [p.flops_per_s for p in both.products] == [2e11]
    other = made_up(this_cpu(2), 5e11)
    assert best_of(high, other) is other


def test_a_busy_machine_is_measured_again_but_not_at_once_and_not_forever():
    calm = made_up(HERE)
    measured = datetime.datetime.fromisoformat(calm.measured_at)
    soon, later = measured + datetime.timedelta(minutes=5), measured + datetime.timedelta(hours=2)
    spread = {"float32": Ceiling(per_s=1e11, spread_percent=90.0)}
    for busy in (msgspec.structs.replace(calm, flops=spread), msgspec.structs.replace(calm, others_percent=40.0)):
        assert busy.is_worth_another(later)
        assert not busy.is_worth_another(soon)
        assert not msgspec.structs.replace(busy, times=5).is_worth_another(later)
    assert not calm.is_worth_another(later)


def test_a_device_is_measured_once_and_asked_for_again(home, monkeypatch):
    calls = []

    def measure(device, name, **_):
        calls.append(name)
        return made_up(circumstances(device, name), 1e11 * len(calls))

    monkeypatch.setattr(speed, "measure_ceilings", measure)
    assert speed.find_ceilings(CPU, "x", may_measure=False) is None
    first = speed.find_ceilings(CPU, "x")
    assert speed.find_ceilings(CPU, "x") == first
    assert len(calls) == 1
    again = speed.find_ceilings(CPU, "x", again=True)
    assert len(calls) == 2
    assert again.flops["float32"].per_s == 2e11
    assert again.times == 2


def test_two_workers_measure_one_after_the_other_and_the_second_takes_what_the_first_found(home, monkeypatch):
    begun, calls = threading.Event(), []

    def measure(device, name, **_):
        calls.append(name)
        begun.set()
        threading.Event().wait(0.3)
        return made_up(circumstances(device, name))

    monkeypatch.setattr(speed, "measure_ceilings", measure)
    first = threading.Thread(target=speed.find_ceilings, args=(CPU, "x"))
    first.start()
    begun.wait()
    assert speed.find_ceilings(CPU, "x") is not None
    first.join()
    assert calls == ["x"]


def test_this_cpu_can_be_measured(monkeypatch):
    monkeypatch.setattr(product_rates, "SIZES", {"cpu": (32, 64)})
    monkeypatch.setattr(product_rates, "OBLONG", {"cpu": ((64, 8, 16),)})
    monkeypatch.setattr(operator_rates, "_SIDE", {"cpu": (256, 64)})
    monkeypatch.setattr(operator_rates, "_TOKENS", {"cpu": 128})
    monkeypatch.setattr(measuring, "COPY_BYTES", {"cpu": 2**20})
    monkeypatch.setattr(measuring, "SMALL_COPIES", (2**16,))
    before = torch.get_float32_matmul_precision()
    found = measure_ceilings(CPU, "x", patience_s=0.0)
    assert torch.get_float32_matmul_precision() == before
    assert set(found.flops) >= {"float32", "bfloat16"}
    assert set(found.missing) == {"tf32", "float8"}
    assert found.flops["float32"].per_s == max(p.flops_per_s for p in found.products if p.format == "float32") > 1e6
    assert [c.bytes for c in found.copies] == [2**16, 2**20]
    assert found.bandwidth.per_s > 1e6
    assert 0.1 < found.launch_us < 1e5
    assert 0.1 < found.dispatch_us < 1e5
    assert found.operators["gelu"] > 1e6
    assert {(a.context, a.head_width, a.backward) for a in found.attention} == {
        (context, width, backward) for context in operator_rates.CONTEXTS["cpu"] for width in (32, 64)
        for backward in (False, True)}
    assert (64, 8, 16) in [(p.rows, p.inner, p.columns) for p in found.products]
    assert found.is_current(circumstances(CPU, "x"))


def test_without_memory_a_format_has_no_peak_and_the_reason(monkeypatch):
    monkeypatch.setattr(product_rates, "free_bytes", lambda device: 0)
    missing = {}
    assert list(product_rates.products_to_time("float32", CPU, missing)) == []
    assert "no memory" in missing["float32"]


def test_measuring_ends_when_the_run_is_to_end():
    assert measure_ceilings(CPU, "x", is_over=lambda: True) is None


def test_a_call_is_settled_when_two_rounds_agree():
    assert not Timed(print, rounds=[1.0]).is_settled
    assert not Timed(print, rounds=[1.0, 2.0]).is_settled
    assert Timed(print, rounds=[2.0, 1.0, 1.01]).is_settled
    assert Timed(print, rounds=[2.0, 1.0, 1.01]).spread_percent == pytest.approx(1.0)
    restless = Timed(lambda: None)
    time_in_turn([restless], CPU, 0.0)
    assert len(restless.rounds) >= 2


@pytest.mark.parametrize(("name", "title"), [
    ("NVIDIA H100 80GB HBM3", "H100 SXM"), ("NVIDIA H100 PCIe", "H100 PCIe"), ("NVIDIA H200", "H200 SXM"),
    ("NVIDIA A100-SXM4-80GB", "A100 80 GB SXM"), ("NVIDIA A100-PCIE-40GB", "A100 40 GB"), ("Tesla T4", "T4"),
    ("NVIDIA L4", "L4"), ("NVIDIA GeForce RTX 4090", "RTX 4090"), ("NVIDIA GeForce RTX 3090", "RTX 3090"),
    ("NVIDIA GeForce RTX 3090 Ti", None), ("NVIDIA GeForce RTX 4090 Laptop GPU", None),
    ("NVIDIA A100-SXM4-40GB MIG 1g.5gb", None), ("Intel(R) Xeon(R) Processor", None), ("", None),
])
def test_published_figures_are_found_by_the_whole_name(name, title):
    found = vendor_peak(name)
    assert (found.title if found else None) == title
    if found is not None:
        assert 1e12 < found.flops_per_s["float32"] < max(found.flops_per_s.values()) < 1e16
        assert 1e11 < found.bytes_per_s < 1e13
