"""``python app.py doctor``: what is wrong with this installation, and what to do about it.

Each check looks at one thing and yields findings; none stops the others, and none changes anything. torch is asked in a
process of its own, so that a build that crashes on import is a finding too.
"""

from __future__ import annotations

import dataclasses
import json
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import psutil
from packaging.requirements import Requirement

from webui import server
from webui.errors import WebUIError
from webui.setting_kinds import MODEL_KINDS
from webui.settings import Settings

if TYPE_CHECKING:
    from webui.runtime import Runtime

Verdict = Literal["OK", "WARN", "FAIL"]

_GB = 2**30
_PROBE_SECONDS = 120  # a first import of torch from a slow disk
_PACKAGE = "lucid-webui"

# Prints one JSON line. Runs in a process of its own; see the module.
_TORCH_PROBE = """
import json, warnings
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    import torch
    cuda = torch.cuda.is_available()
    xpu = hasattr(torch, "xpu") and torch.xpu.is_available()
    found = {"version": torch.__version__, "cuda": torch.version.cuda or "", "hip": torch.version.hip or "", "gpus": [],
             "mps": torch.backends.mps.is_available(), "xpu": xpu, "warning": ""}
    for number in range(torch.cuda.device_count() if cuda else 0):
        free, total = torch.cuda.mem_get_info(number)
        found["gpus"].append([torch.cuda.get_device_name(number), free, total])
if caught:
    found["warning"] = str(caught[0].message).strip().splitlines()[0]
print(json.dumps(found))
"""


@dataclass(frozen=True)
class Finding:
    verdict: Verdict
    subject: str
    text: str
    fix: str = ""


def report(read_settings: Callable[[], Settings]) -> int:
    """Print all findings; 1 if one of them is a FAIL, else 0."""
    worst: set[Verdict] = set()
    for finding in findings(read_settings):
        worst.add(finding.verdict)
        print(f"{finding.verdict:<5} {finding.subject:<12} {finding.text}", flush=True)
        if finding.fix:
            print(f"{'':<18} -> {finding.fix}", flush=True)
    print("Something must be mended." if "FAIL" in worst else "Ready to draw.")
    return 1 if "FAIL" in worst else 0


def findings(read_settings: Callable[[], Settings]) -> Iterator[Finding]:
    """Look at everything, the quick things first."""
    yield from check_python(sys.version_info[:3])
    yield from check_packages()
    try:
        settings = read_settings()
    except WebUIError as error:
        yield Finding("FAIL", "settings", str(error), "Correct it and run doctor again; the rest needs the settings.")
        return
    yield Finding("OK", "settings", f"data folder {settings.data_dir}")
    yield from check_folders(settings)
    yield from check_port(settings)
    yield from check_memory(psutil.virtual_memory().total, psutil.virtual_memory().available)
    yield from check_torch(settings, probe_torch(), has_nvidia_driver())
    yield from check_models(settings)


def check_python(version: tuple[int, ...]) -> Iterator[Finding]:
    text = ".".join(map(str, version)) + f" on {platform.system()} {platform.machine()}, {sys.executable}"
    if (3, 10) <= version[:2] <= (3, 13):
        yield Finding("OK", "python", text)
    else:
        yield Finding("FAIL", "python", text, "Make the virtual environment with Python 3.10, 3.11, 3.12 or 3.13.")


def check_packages() -> Iterator[Finding]:
    """What is installed against the ranges that this version was made for."""
    try:
        declared = metadata.requires(_PACKAGE) or []
    except metadata.PackageNotFoundError:
        yield Finding("WARN", "packages", "Lucid itself is not installed here.", f"{_pip()} install -e .")
        return
    wrong = 0
    for requirement in map(Requirement, declared):
        if requirement.marker is not None and not requirement.marker.evaluate({"extra": ""}):
            continue
        fix = f'{_pip()} install "{requirement}"'
        try:
            version = metadata.version(requirement.name)
        except metadata.PackageNotFoundError:
            wrong += 1
            yield Finding("FAIL", "packages", f"{requirement.name} is not installed.", fix)
            continue
        if not requirement.specifier.contains(version, prereleases=True):
            wrong += 1
            text = f"{requirement.name} {version} is outside of {requirement.specifier}, with which Lucid is tested."
            yield Finding("WARN", "packages", text, fix)
    if not wrong:
        yield Finding("OK", "packages", "all within the ranges that Lucid is tested with")


def check_folders(settings: Settings) -> Iterator[Finding]:
    """Whether pictures and the queue can be written, and for how long."""
    for subject, folder in (("outputs", settings.outputs_dir), ("state", settings.var_dir)):
        existing = next(path for path in (folder, *folder.parents) if path.exists())
        try:
            with tempfile.TemporaryFile(dir=existing) as file:
                file.write(b"x")
        except OSError as error:
            fix = "Allow writing to it, make room, or choose another with --outputs-dir or --data-dir."
            yield Finding("FAIL", subject, f"{existing} cannot be written: {error.strerror}.", fix)
            continue
        free = shutil.disk_usage(existing).free / _GB
        verdict: Verdict = "OK" if free > 5 else "WARN" if free > 0.5 else "FAIL"
        fix = "" if verdict == "OK" else "Make room on that disk, or choose another folder with --outputs-dir."
        yield Finding(verdict, subject, f"{folder}, {free:.1f} GB free", fix)


def check_port(settings: Settings) -> Iterator[Finding]:
    try:
        server.open_port(settings.host, settings.port).close()
    except WebUIError as error:
        yield Finding("FAIL", "port", str(error))
    else:
        yield Finding("OK", "port", f"{settings.port} of {settings.host} is free")


def check_memory(total: int, available: int) -> Iterator[Finding]:
    text = f"{available / _GB:.1f} GB of {total / _GB:.1f} GB RAM are free"
    if available >= 4 * _GB:
        yield Finding("OK", "memory", text)
    else:
        fix = "Close other programs; Stable Diffusion 1.5 on a CPU wants 4 GB (the starter checkpoint 1 GB)."
        yield Finding("WARN", "memory", text, fix)


def probe_torch() -> dict[str, Any] | str:
    """What torch says of itself and of the GPUs; a sentence when it cannot be imported."""
    try:
        done = subprocess.run(
            [sys.executable, "-c", _TORCH_PROBE], capture_output=True, text=True, timeout=_PROBE_SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        return f"it was not imported within {_PROBE_SECONDS} s"
    if done.returncode:
        lines = done.stderr.strip().splitlines()
        return lines[-1] if lines else f"the import ended the process with code {done.returncode}"
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def has_nvidia_driver() -> bool:
    return Path("/proc/driver/nvidia/version").exists() or shutil.which("nvidia-smi") is not None


def check_torch(settings: Settings, probe: dict[str, Any] | str, nvidia: bool) -> Iterator[Finding]:
    """The build of torch against the hardware, then each device that the settings name."""
    reinstall = f"{_pip()} install --force-reinstall torch (README.md names the build for each kind of GPU)"
    if isinstance(probe, str):
        yield Finding("FAIL", "torch", f"cannot be imported: {probe}", reinstall)
        return
    build = f"CUDA {probe['cuda']}" if probe["cuda"] else f"ROCm {probe['hip']}" if probe["hip"] else "CPU"
    text = f"{probe['version']}, {build} build"
    if nvidia and not probe["cuda"]:
        yield Finding(
            "WARN", "torch", f"{text}, but this computer has an NVIDIA driver: its GPU stays unused.", reinstall
        )
    elif nvidia and not probe["gpus"]:
        reason = probe["warning"] or "torch sees no GPU"
        fix = "Update the NVIDIA driver, or install the torch build for the CUDA version that nvidia-smi shows."
        yield Finding("WARN", "torch", f"{text}, with an NVIDIA driver, but {reason}.", fix)
    else:
        yield Finding("OK", "torch", text)
    available = ["cpu", *(["mps"] if probe["mps"] else []), *(["xpu", "xpu:0"] if probe["xpu"] else [])]
    available += ["cuda", *(f"cuda:{number}" for number in range(len(probe["gpus"])))] if probe["gpus"] else []
    for number, (name, free, total) in enumerate(probe["gpus"]):
        yield Finding("OK", "gpu", f"cuda:{number} {name}, {free / _GB:.1f} GB of {total / _GB:.1f} GB free")
    for device in settings.devices:
        if device == "auto":
            best = next(name for name in ("cuda", "xpu", "mps", "cpu") if name in available)
            slow = "the CPU draws (minutes for a picture of Stable Diffusion 1.5)" if best == "cpu" else f"{best} draws"
            yield Finding("OK", "device", f"auto: {slow}")
        elif device in available:
            yield Finding("OK", "device", device)
        else:
            yield Finding(
                "FAIL", "device", f"{device} is not here; there are: {', '.join(available)}.", "Set device: auto."
            )


def check_models(settings: Settings) -> Iterator[Finding]:
    """Each folder, each file that cannot be used with its reason, and whether there is something to draw with."""
    if not settings.models_dir.is_dir():
        yield Finding("FAIL", "models", f"The folder {settings.models_dir} does not exist.", "Correct models_dir.")
        return
    try:
        from webui.runtime import Runtime  # here, since a package that it needs may be missing or broken
    except ImportError as error:
        yield Finding("FAIL", "models", f"cannot be looked at: {error}", f"{_pip()} install -e .")
        return
    with tempfile.TemporaryDirectory() as scratch:  # the queue of a running server is none of our business
        runtime = Runtime(dataclasses.replace(settings, data_dir=Path(scratch)), adopt=False)
        try:
            yield from _model_findings(settings, runtime)
        finally:
            runtime.close()


def _model_findings(settings: Settings, runtime: Runtime) -> Iterator[Finding]:
    runtime.library.settle()
    counts = []
    for kind in MODEL_KINDS:
        files = runtime.library.files(kind)
        counts.append(f"{sum(not file.problem for file in files)} {kind}")
        for file in files:
            if file.problem:
                yield Finding(
                    "WARN", "models", f"{file.path}: {file.problem}", "Replace it or take it out of the folder."
                )
    yield Finding("OK", "models", f"{settings.models_dir}: usable are {', '.join(counts)}")
    try:
        yield Finding("OK", "checkpoint", runtime.checkpoint().name)
    except WebUIError as error:
        yield Finding("FAIL", "checkpoint", str(error), "Correct default_checkpoint, or name a folder with --ckpt-dir.")


def _pip() -> str:
    return f"{sys.executable} -m pip"
