"""The samplers that k-diffusion does not have, as the programs have them that they are known from: ComfyUI and Forge.

Their code is under the GPL and no part of this tree. A checkout of each is imported from where it lies, with empty modules
in place of what sampling does not need.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from importlib.util import module_from_spec, spec_from_file_location
from inspect import signature
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import torch
from references.mixture_run import CFG, guided, without_prompt
from references.originals import Streams, random_numbers_of
from references.sigma_tables import SD1
from torch import Tensor

COMFYUI = {  # comfy/k_diffusion/sampling.py; recorded from version 0.3.68
    "HeunPP2": "sample_heunpp2",
    "IPNDM": "sample_ipndm",
    "IPNDM_V": "sample_ipndm_v",
    "DEIS": "sample_deis",
    "DDPM": "sample_ddpm",
    "SA-Solver": "sample_sa_solver",
    "ER SDE": "sample_er_sde",
    "Res Multistep": "sample_res_multistep",
    "Res Multistep a": "sample_res_multistep_ancestral",
    "Gradient Estimation": "sample_gradient_estimation",
    "Euler CFG++": "sample_euler_cfg_pp",
    "Euler a CFG++": "sample_euler_ancestral_cfg_pp",
    "DPM++ 2M CFG++": "sample_dpmpp_2m_cfg_pp",
    # not DPM++ 2S a CFG++, of which this version has another formula than the ones since
}
FORGE = {  # modules/sd_samplers_timesteps_impl.py, which is A1111's; recorded from commit dfdcbab6
    "DDIM": "ddim",
    "DDIM CFG++": "ddim_cfgpp",
    "PLMS": "plms",
    "UniPC": "unipc",
}


@contextmanager
def _modules(**contents: dict[str, Any]) -> Iterator[None]:
    """Modules of these names ("__" for the dot) that hold no more than this, as long as the context lasts."""
    before = dict(sys.modules)
    for name, content in contents.items():
        module = ModuleType(name.replace("__", "."))
        vars(module).update(content)
        sys.modules[module.__name__] = module
        parent, _, child = module.__name__.rpartition(".")
        if parent in sys.modules:
            setattr(sys.modules[parent], child, module)
    try:
        yield
    finally:
        for name in contents:
            name = name.replace("__", ".")
            sys.modules.pop(name) if name not in before else sys.modules.update({name: before[name]})


class ComfyUI:
    """A checkout: ``run`` gives the result of a sampler along levels."""

    def __init__(self, checkout: Path) -> None:
        def set_post_cfg(options: dict[str, Any], function: Callable[..., Tensor], **ignored: bool) -> dict[str, Any]:
            return {"after": function}

        package = {"__path__": [str(checkout / "comfy")]}
        with _modules(
            comfy=package,
            comfy__model_patcher={"set_model_options_post_cfg_function": set_post_cfg},
            comfy__model_sampling={"CONST": type("CONST", (), {})},
            torchvision={"transforms": None},
            torchvision__transforms={"functional": None},
        ):
            self.sampling = import_module("comfy.k_diffusion.sampling")

    def run(self, sampler: str, levels: Tensor, streams: Streams) -> Tensor:
        function = getattr(self.sampling, COMFYUI[sampler])
        more = {"noise_sampler": streams.draw} if "noise_sampler" in signature(function).parameters else {}
        x = streams.draw() * levels[0]
        with random_numbers_of(streams):
            return function(_comfyui_model(), x, levels, extra_args={}, disable=True, **more)  # type: ignore[no-any-return]


def _comfyui_model() -> Any:
    def denoise(x: Tensor, sigma: Tensor, model_options: dict[str, Any] | None = None, **ignored: Any) -> Tensor:
        denoised = guided(x, sigma, CFG)  # type: ignore[arg-type]
        if model_options:
            uncond = without_prompt(x, sigma)  # type: ignore[arg-type]
            return model_options["after"]({"denoised": denoised, "uncond_denoised": uncond})  # type: ignore[no-any-return]
        return denoised

    def percent_to_sigma(part: float) -> float:
        return float(SD1.sigma_at((1 - part) * SD1.last))

    model_sampling = SimpleNamespace(percent_to_sigma=percent_to_sigma)
    patcher = SimpleNamespace(get_model_object=lambda name: model_sampling)
    inner = SimpleNamespace(model_patcher=patcher, inner_model=SimpleNamespace(model_sampling=model_sampling))
    model = type("Model", (), {"__call__": lambda self, *args, **more: denoise(*args, **more), "inner_model": inner})
    return model()


class Forge:
    """A checkout: ``run`` gives the result of one of A1111's timestep samplers, from noise or from a picture."""

    def __init__(self, checkout: Path) -> None:
        options = {"uni_pc_variant": "bh1", "uni_pc_skip_type": "time_uniform", "uni_pc_order": 3}
        shared = ModuleType("modules.shared")
        vars(shared)["opts"] = SimpleNamespace(**options, uni_pc_lower_order_final=True)
        uni_pc = _load("uni_pc", checkout / "modules" / "models" / "diffusion" / "uni_pc" / "uni_pc.py")
        with _modules(
            modules={"shared": shared},
            modules__models={},
            modules__models__diffusion={},
            modules__models__diffusion__uni_pc={"uni_pc": uni_pc},
            modules__torch_utils={"float64": lambda x: torch.float64},
        ):
            self.samplers = _load("timesteps", checkout / "modules" / "sd_samplers_timesteps_impl.py")

    def run(
        self, sampler: str, steps: int, streams: Streams, *, skip: int | None = None, init: Tensor | None = None
    ) -> Tensor:
        timesteps = torch.clip(torch.arange(0, 1000, 1000 // steps) + 1, 0, 999)
        alphas_cumprod = torch.from_numpy(SD1.alphas_cumprod.astype(np.float64))
        x = streams.draw()
        more = {"is_img2img": skip is not None} if sampler == "UniPC" else {}
        if skip is not None and init is not None:
            entry = steps - 1 - skip
            alpha = alphas_cumprod[timesteps[entry]]
            x, timesteps = init * alpha.sqrt() + x * (1 - alpha).sqrt(), timesteps[:entry]
        model = _NoisePredictor(alphas_cumprod)
        function = getattr(self.samplers, FORGE[sampler])
        with random_numbers_of(streams):
            return function(model, x, timesteps, {}, lambda state: None, True, **more)  # type: ignore[no-any-return]


class _NoisePredictor:
    """What A1111's samplers ask: the noise at a timestep, and the noise without the prompt with it."""

    cond_scale_miltiplier = 1.0  # A1111's spelling; CFG++ sets it

    def __init__(self, alphas_cumprod: Tensor) -> None:
        self.alphas_cumprod = alphas_cumprod
        self.inner_model = SimpleNamespace(inner_model=self)

    def __call__(self, x: Tensor, t: Tensor) -> Tensor:
        sigma = float(SD1.sigma_at(float(t[0])))
        alpha = (1 + sigma**2) ** -0.5
        uncond = without_prompt(x / alpha, sigma)
        self.last_noise_uncond = (x / alpha - uncond) / sigma
        return (x / alpha - guided(x / alpha, sigma, CFG * self.cond_scale_miltiplier)) / sigma


def _load(name: str, path: Path) -> ModuleType:
    spec = spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise FileNotFoundError(path)
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
