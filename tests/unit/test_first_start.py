"""What is said of a machine before anything was run: a GPU that is not used and why, a full disk."""

from __future__ import annotations

import types
from typing import Any

import pynvml
import pytest
import torch

from tfx_engine.runfile.store import store_refusal
from tfx_engine.techniques.devices import automatic_kind
from tfx_engine.worker import unused_gpu as module
from tfx_engine.worker.doctor import examine
from tfx_engine.worker.unused_gpu import unused_gpu
from tfx_workbench.commands.remarks import LITTLE_SPACE, remarks


class Driver:
    """A stand-in for NVIDIA's management library: a GPU whose driver is of that version, for that CUDA."""

    def __init__(self, driver: str = "470.82.01", cuda: int = 11040, gpus: int = 1, refuses: int | None = None) -> None:
        self._driver, self._cuda, self._gpus, self._refuses = driver, cuda, gpus, refuses

    def put_in(self, monkeypatch: pytest.MonkeyPatch) -> None:
        answers: dict[str, Any] = {
            "nvmlInit": self._init, "nvmlDeviceGetCount": lambda: self._gpus,
            "nvmlDeviceGetHandleByIndex": lambda index: index, "nvmlDeviceGetName": lambda _handle: "NVIDIA RTX 4090",
            "nvmlSystemGetDriverVersion": lambda: self._driver, "nvmlSystemGetCudaDriverVersion_v2": lambda: self._cuda,
        }
        for name, answer in answers.items():
            monkeypatch.setattr(pynvml, name, answer)
        monkeypatch.setattr(module, "count_devices", lambda _kind: 0)

    def _init(self) -> None:
        if self._refuses is not None:
            raise pynvml.NVMLError(self._refuses)


def said(gpu: dict[str, Any] | None) -> str:
    found = {"unused_gpu": gpu, "torch": "2.13.0", "torch_cuda": "12.8", "store_free_bytes": LITTLE_SPACE}
    return " ".join(f"{check.detail} {check.hint}" for check in remarks(found))


def torch_of_cuda(monkeypatch: pytest.MonkeyPatch, version: str | None, error: str = "") -> None:
    def init() -> None:
        raise RuntimeError(error)

    monkeypatch.setattr(torch, "version", types.SimpleNamespace(cuda=version, hip=None))
    monkeypatch.setattr(torch.cuda, "init", init)


@pytest.mark.parametrize("refuses", [pynvml.NVML_ERROR_LIBRARY_NOT_FOUND, pynvml.NVML_ERROR_DRIVER_NOT_LOADED])
def test_without_an_nvidia_driver_nothing_is_said(monkeypatch: pytest.MonkeyPatch, refuses: int) -> None:
    Driver(refuses=refuses).put_in(monkeypatch)
    assert unused_gpu() is None and said(None) == ""


def test_a_driver_without_a_gpu_is_no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    Driver(gpus=0).put_in(monkeypatch)
    assert unused_gpu() is None


def test_a_torch_for_the_cpu_is_named_with_what_to_type(monkeypatch: pytest.MonkeyPatch) -> None:
    Driver().put_in(monkeypatch)
    torch_of_cuda(monkeypatch, None)
    words = said(unused_gpu())
    assert "NVIDIA RTX 4090 is not used" in words and "build for the CPU" in words
    assert "Runs are done on the CPU." in words and "start.py --torch cuda" in words
    monkeypatch.setattr("sys.frozen", True, raising=False)
    assert "tfx-workbench engine PYTHON" in said(unused_gpu())


@pytest.mark.parametrize(("cuda", "needs"), [("12.8", "525.60"), ("13.0", "580.65")])
def test_an_old_driver_is_named_with_the_one_that_is_needed(
    monkeypatch: pytest.MonkeyPatch, cuda: str, needs: str
) -> None:
    Driver("470.82.01", 11040).put_in(monkeypatch)
    torch_of_cuda(monkeypatch, cuda)
    words = said(unused_gpu())
    assert "470.82.01" in words and "CUDA 11.4" in words and f"driver {needs} or newer" in words


def test_a_driver_that_waits_for_a_restart_is_told_in_its_own_words(monkeypatch: pytest.MonkeyPatch) -> None:
    Driver(refuses=pynvml.NVML_ERROR_LIB_RM_VERSION_MISMATCH).put_in(monkeypatch)
    words = said(unused_gpu())
    assert "version mismatch" in words and "start the machine again" in words


@pytest.mark.parametrize(("capability", "built", "runs"), [
    ((8, 9), ["sm_80", "sm_86", "sm_90"], True), ((8, 0), ["sm_86"], False), ((12, 0), ["sm_80", "sm_90"], False),
    ((12, 0), ["sm_90", "compute_90"], True), ((5, 2), ["sm_75", "compute_75"], False), ((9, 0), ["sm_90a"], True),
    ((9, 1), ["sm_90a"], False), ((12, 1), ["sm_120"], True), ((6, 1), [], True)])
def test_a_gpu_that_torch_has_no_code_for_is_not_taken_and_that_is_said(
    monkeypatch: pytest.MonkeyPatch, capability: tuple[int, int], built: list[str], runs: bool
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(torch.cuda, "get_arch_list", lambda: built)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _index: capability)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda _index: "A GPU")
    assert automatic_kind() == ("cuda" if runs else "cpu")
    words = said(unused_gpu())
    assert words == "" if runs else f"generation {capability[0]}.{capability[1]}" in words and built[0] in words


def test_a_hidden_gpu_is_no_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    Driver("550.54", 12040).put_in(monkeypatch)
    torch_of_cuda(monkeypatch, "12.8")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    (check,) = remarks({"unused_gpu": unused_gpu(), "store_free_bytes": LITTLE_SPACE})
    assert check.ok is None and "CUDA_VISIBLE_DEVICES" in check.detail


def test_anything_else_is_told_in_the_words_of_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    Driver("550.54", 12040).put_in(monkeypatch)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    torch_of_cuda(monkeypatch, "12.8", "CUDA unknown error - this may be due to an incorrect environment.\nMore")
    assert "CUDA unknown error" in said(unused_gpu()) and "More" not in said(unused_gpu())


def test_the_doctor_of_this_machine_answers_with_it() -> None:
    assert "unused_gpu" in examine()


def test_a_store_that_refuses_and_a_disk_that_is_almost_full_are_said_with_what_to_do(tmp_path: Any) -> None:
    (tmp_path / "file").write_text("")
    refusal = store_refusal(tmp_path / "file" / "runs")
    (check,) = remarks({"store_refusal": refusal, "store_free_bytes": 5})
    assert (check.ok, check.name) == (False, "store") and "--store" in check.detail and "TFX_HOME" in check.detail
    (check,) = remarks({"store_refusal": "", "store_free_bytes": LITTLE_SPACE // 2})
    assert check.ok is False and "512 MiB" in check.detail and "--store" in check.hint
    assert store_refusal(tmp_path / "runs") == "" and (tmp_path / "runs").is_dir()
