"""Whole pictures of the starter checkpoint, drawn by k-diffusion's samplers around our U-Net, conditioning and VAE."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from pathlib import Path
from tempfile import TemporaryDirectory
from types import ModuleType
from typing import Any

import torch
from PIL import Image
from references.originals import ORIGINALS, Streams, run
from torch import Tensor

from webui.domain.request import LATENT_PIXELS, GenerationRequest
from webui.engine.chunks import chunk_prompt
from webui.engine.device import Hardware, choose_compute
from webui.engine.latents import decode, to_images
from webui.engine.model_manager import Model, ModelManager, Selection
from webui.library.index import Library

FOLDER = Path(__file__).resolve().parent / "pictures"
CHECKPOINT = Path(__file__).resolve().parents[2] / "models" / "checkpoints" / "lucid-starter.safetensors"
DRAWN_WITH = FOLDER / "checkpoint.sha256"
RENEW = "python tests/references/record.py pictures"

SAMPLERS = tuple(name for name, original in ORIGINALS.items() if original.function.startswith("sample_"))


def request(sampler: str) -> GenerationRequest:
    """What is drawn: a picture that fills the frame, so that an error shows wherever it is."""
    return GenerationRequest(
        prompt="a red circle on a blue background",
        negative_prompt="a dog",
        width=128,
        height=128,
        cfg_scale=3.0,
        steps=7,
        seed=2**33 + 5,
        sampler=sampler,
    )


def path_of(sampler: str) -> Path:
    return FOLDER / (re.sub("[^a-z0-9]+", "_", sampler.lower().replace("+", "p")) + ".png")


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def starter() -> tuple[ModelManager, Selection]:
    with TemporaryDirectory() as folder:
        library = Library({"checkpoint": (CHECKPOINT.parent,)}, Path(folder) / "hashes.sqlite3")
        library.rescan()
        models = ModelManager(choose_compute("cpu", "auto", Hardware()), budget=2**33)
        return models, Selection(library.find("checkpoint", CHECKPOINT.stem))


def record_pictures(sampling: ModuleType, external: ModuleType, samplers: Iterable[str] = SAMPLERS) -> None:
    FOLDER.mkdir(exist_ok=True)
    models, selection = starter()
    list(models.load(selection))
    with models.use(selection) as model, torch.inference_mode():
        for sampler in samplers:
            draw(sampling, external, model, sampler).save(path_of(sampler), optimize=True)
    DRAWN_WITH.write_text(sha256(CHECKPOINT) + "\n")


def draw(sampling: ModuleType, external: ModuleType, model: Model, sampler: str) -> Image.Image:
    """As A1111 does: levels and state in float32, the network told fractional timesteps, the clean latents guided."""
    wanted = request(sampler)
    cond, uncond = (
        model.condition((chunk_prompt(text, model.tokenizer),), wanted, is_negative=is_negative).text
        for text, is_negative in ((wanted.prompt, False), (wanted.negative_prompt, True))
    )
    unet = model.checkpoint.unet

    class LatentDiffusion(torch.nn.Module):
        """What k-diffusion's ``CompVisDenoiser`` and ``CompVisVDenoiser`` wrap."""

        alphas_cumprod = _alphas_cumprod()

        def apply_model(self, x: Tensor, t: Tensor, cond: Tensor) -> Tensor:
            return unet(x, t, encoder_hidden_states=cond, return_dict=False)[0]  # type: ignore[no-any-return]

    is_v = model.checkpoint.scheduler_config["prediction_type"] == "v_prediction"
    wrapped = (external.CompVisVDenoiser if is_v else external.CompVisDenoiser)(LatentDiffusion())

    def guided(x: Tensor, sigma: Tensor) -> Tensor:
        with_prompt, without = wrapped(
            torch.cat([x, x]), torch.cat([sigma, sigma]), cond=torch.cat([cond, uncond])
        ).chunk(2)
        return without + (with_prompt - without) * wanted.cfg_scale  # type: ignore[no-any-return]

    shape = (4, wanted.height // LATENT_PIXELS, wanted.width // LATENT_PIXELS)
    streams = Streams([wanted.seed], shape, torch.float32)
    latents = run(sampling, sampler, guided, _levels(sampling, wrapped, sampler, wanted.steps), streams)
    return to_images(decode(model.vae, latents, tiled=False))[0]


def _alphas_cumprod() -> Tensor:
    betas = torch.linspace(0.00085**0.5, 0.012**0.5, 1000, dtype=torch.float64) ** 2
    return torch.cumprod(1 - betas, 0).float()


def _levels(sampling: ModuleType, wrapped: Any, sampler: str, steps: int) -> Tensor:
    original = ORIGINALS[sampler]
    n = steps + original.discards_penultimate
    ends = wrapped.sigma_min.item(), wrapped.sigma_max.item()
    if original.schedule == "Uniform":
        sigmas = wrapped.get_sigmas(n)
    elif original.schedule == "Karras":
        sigmas = sampling.get_sigmas_karras(n, *ends)
    else:
        sigmas = sampling.get_sigmas_exponential(n, *ends)
    return torch.cat([sigmas[:-2], sigmas[-1:]]) if original.discards_penultimate else sigmas
