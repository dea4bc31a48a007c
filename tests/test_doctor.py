"""Doctor: each fault is named with its fix, on whatever machine the tests run."""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from webui import doctor
from webui.doctor import Finding
from webui.errors import InvalidSettings
from webui.settings import Settings, create_folders

ROOT = Path(__file__).resolve().parent.parent
CPU_BUILD = {"version": "2.14.1+cpu", "cuda": "", "hip": "", "gpus": [], "mps": False, "xpu": False, "warning": ""}
CUDA_BUILD = {**CPU_BUILD, "version": "2.14.1+cu130", "cuda": "13.0"}
ONE_GPU = {**CUDA_BUILD, "gpus": [["NVIDIA RTX 4090", 20 * 2**30, 24 * 2**30]]}


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    settings = Settings(data_dir=tmp_path, port=0)
    create_folders(settings)
    return settings


def only(findings: Iterable[Finding], subject: str) -> Finding:
    found = [finding for finding in findings if finding.subject == subject]
    assert len(found) == 1, found
    return found[0]


def test_a_good_installation_is_ready_to_draw(
    tmp_path: Path, settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    code = doctor.report(lambda: replace(settings, models_dir=ROOT / "models"))
    lines = capsys.readouterr().out.splitlines()
    assert code == 0 and lines[-1] == "Ready to draw."
    assert all(re.match(r"(OK   |WARN ) \w|                   -> ", line) for line in lines[:-1]), lines
    assert "OK    checkpoint   lucid-starter" in lines
    assert {path.name for path in tmp_path.iterdir()} == {"models", "outputs", "styles", "var", "wildcards"}
    assert not any(settings.var_dir.iterdir()), "doctor leaves the queue alone"


def test_settings_that_cannot_be_read_are_a_finding(capsys: pytest.CaptureFixture[str]) -> None:
    def read() -> Settings:
        raise InvalidSettings("config.yaml: port must be a whole number.")

    assert doctor.report(read) == 1
    lines = capsys.readouterr().out.splitlines()
    assert "FAIL  settings     config.yaml: port must be a whole number." in lines
    assert lines[-1] == "Something must be mended."


@pytest.mark.parametrize(("version", "verdict"), [((3, 9, 18), "FAIL"), ((3, 10, 0), "OK"), ((3, 14, 0), "FAIL")])
def test_python(version: tuple[int, ...], verdict: str) -> None:
    assert only(doctor.check_python(version), "python").verdict == verdict


def test_packages_out_of_their_range_or_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = ["pytest>=1", "pillow<2", "no-such-package>=1", "ruff<0.0.1; extra == 'test'"]
    monkeypatch.setattr(doctor.metadata, "requires", lambda name: wanted)
    warned, missing = doctor.check_packages()
    assert warned.verdict == "WARN" and "pillow" in warned.text and 'install "pillow<2"' in warned.fix
    assert missing.verdict == "FAIL" and missing.text == "no-such-package is not installed."


def test_a_folder_that_cannot_be_written(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    assert {finding.verdict for finding in doctor.check_folders(settings)} <= {"OK", "WARN"}

    def full(**_: Any) -> Any:
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr(doctor.tempfile, "TemporaryFile", full)  # tests may run as root, whom no mode bits stop
    for finding in doctor.check_folders(settings):
        assert finding.verdict == "FAIL" and "No space left" in finding.text and "--outputs-dir" in finding.fix


def test_a_folder_that_is_not_there_yet_is_judged_by_the_one_it_will_lie_in(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path)
    assert {finding.verdict for finding in doctor.check_folders(settings)} <= {"OK", "WARN"}
    assert not any(tmp_path.iterdir())


def test_a_taken_port(settings: Settings) -> None:
    assert only(doctor.check_port(settings), "port").verdict == "OK"
    with socket.create_server(("127.0.0.1", 0)) as taken:
        finding = only(doctor.check_port(replace(settings, port=taken.getsockname()[1])), "port")
    assert finding.verdict == "FAIL" and "in use" in finding.text


def test_little_memory() -> None:
    assert only(doctor.check_memory(8 * 2**30, 6 * 2**30), "memory").verdict == "OK"
    assert only(doctor.check_memory(8 * 2**30, 2**30), "memory").verdict == "WARN"


@pytest.mark.parametrize(
    ("probe", "nvidia", "verdict", "text"),
    [
        (CPU_BUILD, False, "OK", "CPU build"),
        (CPU_BUILD, True, "WARN", "its GPU stays unused"),
        (CUDA_BUILD, False, "OK", "CUDA 13.0 build"),
        ({**CUDA_BUILD, "warning": "The NVIDIA driver is too old"}, True, "WARN", "driver is too old"),
        (ONE_GPU, True, "OK", "CUDA 13.0 build"),
        ("ImportError: libcudart.so.13: cannot open shared object file", True, "FAIL", "libcudart"),
    ],
)
def test_the_build_of_torch(
    settings: Settings, probe: dict[str, Any] | str, nvidia: bool, verdict: str, text: str
) -> None:
    finding = only(doctor.check_torch(settings, probe, nvidia), "torch")
    assert finding.verdict == verdict and text in finding.text
    assert bool(finding.fix) is (verdict != "OK")


@pytest.mark.parametrize(
    ("device", "probe", "verdict", "text"),
    [
        ("auto", CPU_BUILD, "OK", "the CPU draws"),
        ("auto", ONE_GPU, "OK", "auto: cuda draws"),
        ("auto", {**CPU_BUILD, "mps": True}, "OK", "auto: mps draws"),
        ("cuda:0", ONE_GPU, "OK", "cuda:0"),
        ("cuda:1", ONE_GPU, "FAIL", "cuda:1 is not here; there are: cpu, cuda, cuda:0."),
        ("cuda", CUDA_BUILD, "FAIL", "there are: cpu."),
    ],
)
def test_the_device_that_is_asked_for(
    settings: Settings, device: str, probe: dict[str, Any], verdict: str, text: str
) -> None:
    finding = only(doctor.check_torch(replace(settings, device=device), probe, nvidia=False), "device")
    assert finding.verdict == verdict and text in finding.text


def test_the_memory_of_each_gpu_is_shown(settings: Settings) -> None:
    assert "20.0 GB of 24.0 GB free" in only(doctor.check_torch(settings, ONE_GPU, True), "gpu").text


def test_torch_is_asked_for_real() -> None:
    found = doctor.probe_torch()
    assert isinstance(found, dict) and found["version"]


def test_a_torch_that_breaks_on_import_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "torch.py").write_text("raise ImportError('DLL load failed')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    assert doctor.probe_torch() == "ImportError: DLL load failed"


def test_a_model_that_cannot_be_used_is_named_with_its_reason(settings: Settings) -> None:
    broken = settings.models_dir / "checkpoints" / "broken.safetensors"
    broken.parent.mkdir()
    broken.write_bytes(b"not a model")
    found = list(doctor.check_models(settings))
    warned = next(finding for finding in found if finding.verdict == "WARN")
    assert warned.text.startswith(f"{broken}: ") and len(warned.text) > len(f"{broken}: ")
    assert only(found, "checkpoint").verdict == "FAIL"


def test_a_default_checkpoint_that_is_not_there_names_near_ones(settings: Settings) -> None:
    asked = replace(settings, models_dir=ROOT / "models", default_checkpoint="lucid-startr")
    finding = only(doctor.check_models(asked), "checkpoint")
    assert finding.verdict == "FAIL" and '"lucid-starter"' in finding.text


def test_no_models_folder(settings: Settings) -> None:
    finding = only(doctor.check_models(replace(settings, models_dir=settings.data_dir / "gone")), "models")
    assert finding.verdict == "FAIL" and "gone does not exist" in finding.text
