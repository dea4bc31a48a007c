"""Between latents and pictures: the VAE's decoder and encoder, in strips when large, and cheap previews without it.

A latent is 4 x H/8 x W/8; the network works on latents multiplied by the VAE's ``scaling_factor``, so that their standard
deviation is about 1.
"""

from __future__ import annotations

import io
from collections.abc import Callable

import numpy as np
import torch
from diffusers import AutoencoderKL
from PIL import Image
from torch import Tensor

from webui.domain.request import LATENT_PIXELS
from webui.engine.striped_vae import Strips

PREVIEW_SIDE = 512

# A1111's "Approx cheap" table for SD 1.x: latent channels by R, G, B, giving -1 ... 1
SD1_PREVIEW = (
    (0.298, 0.207, 0.208),
    (0.187, 0.286, 0.173),
    (-0.158, 0.189, 0.264),
    (-0.184, -0.271, -0.473),
)


def decode(
    vae: AutoencoderKL,
    latents: Tensor,
    *,
    tiled: bool,
    keep_on: torch.device | None = None,
    wrap: tuple[bool, bool] = (False, False),
) -> Tensor:
    """Latents (n, 4, h, w) to pixels (n, 3, 8h, 8w) in -1 ... 1, float32.

    One picture at a time, as A1111 does: memory stays that of one, and the rounding cannot depend on the batch. ``tiled``
    decodes in strips, which give the same picture in less memory; ``keep_on`` and ``wrap`` are :class:`Strips`'.
    """
    strips = Strips(keep_on=keep_on, wrap=wrap)
    scaled = latents.to(vae.dtype) / vae.config.scaling_factor
    with torch.inference_mode():
        if tiled:
            return torch.cat([strips.decode(vae, one[None]).float() for one in scaled])
        return torch.cat([vae.decode(one[None], return_dict=False)[0].float() for one in scaled])


def encode(
    vae: AutoencoderKL, pixels: Tensor, *, tiled: bool = False, wrap: tuple[bool, bool] = (False, False)
) -> Tensor:
    """Pixels (n, 3, h, w) in -1 ... 1 to latents (n, 4, h/8, w/8), float32; the inverse of :func:`decode`.

    The encoder tells a mean and a variance for each number. We take the mean. A1111 draws from the two, by a stream that no
    seed sets, so that its img2img never comes out quite the same twice; how little that is see docs/design-opinions.md.
    """
    given = pixels.to(device=vae.device, dtype=vae.dtype)
    with torch.inference_mode():
        moments = [Strips(wrap=wrap).encode(vae, one[None]) if tiled else _moments(vae, one[None]) for one in given]
        means = torch.cat([each.chunk(2, dim=1)[0].float() for each in moments])
    latents: Tensor = means.to(vae.device) * vae.config.scaling_factor
    return latents


def _moments(vae: AutoencoderKL, pixels: Tensor) -> Tensor:
    posterior = vae.encode(pixels).latent_dist
    moments: Tensor = posterior.parameters
    return moments


def to_pixels(pictures: Image.Image) -> Tensor:
    """An RGB picture as (1, 3, h, w) in -1 ... 1, float32."""
    values = torch.from_numpy(np.asarray(pictures, np.float32) / 255)
    return values.permute(2, 0, 1)[None] * 2 - 1


def to_images(pixels: Tensor) -> list[Image.Image]:
    """Pixels (n, 3, h, w) in -1 ... 1 to pictures. Truncated to 8 bits, not rounded, as A1111 does."""
    eight_bits = ((pixels + 1) / 2).clamp(0, 1).mul(255).to(torch.uint8)
    return [Image.fromarray(one.permute(1, 2, 0).contiguous().cpu().numpy()) for one in eight_bits]


def linear_preview(latents: Tensor, factors: Tensor) -> Tensor:
    """Each latent pixel as the colour that ``factors`` (5, 3: one row a channel and a constant) give it: (n, 3, h, w)."""
    factors = factors.to(latents)
    return torch.einsum("nchw,cr->nrhw", latents, factors[:-1]) + factors[-1][None, :, None, None]


def tiny_preview(decoder: torch.nn.Module, latents: Tensor) -> Tensor:
    """Pixels (n, 3, 8h, 8w) in -1 ... 1 by TAESD, a distilled decoder of 1.2 M parameters."""
    with torch.inference_mode():
        return decoder(latents.to(next(decoder.parameters()).dtype)).float()  # type: ignore[no-any-return]


def preview_jpeg(
    pixels: Tensor, width: int, height: int, placed: Callable[[Image.Image], Image.Image] | None = None
) -> bytes:
    """The pictures of a batch side by side as one JPEG, each enlarged to at most width x height pixels, 512 a side.

    ``placed`` puts each into the picture that it is a part of, which is then of that size.
    """
    shrink = min(1.0, PREVIEW_SIDE / max(width, height))
    width, height = round(width * shrink), round(height * shrink)
    images = [placed(image) if placed else image for image in to_images(pixels)]
    images = [image.resize((width, height), Image.Resampling.BICUBIC) for image in images]
    columns = max(1, round(len(images) ** 0.5))
    rows = -(-len(images) // columns)
    sheet = Image.new("RGB", (columns * width, rows * height))
    for index, image in enumerate(images):
        sheet.paste(image, (index % columns * width, index // columns * height))
    buffer = io.BytesIO()
    sheet.save(buffer, "JPEG", quality=85)
    return buffer.getvalue()


def fit_preview(vae: AutoencoderKL) -> Tensor:
    """Preview factors (5, 3) for a VAE of which no table is known, by least squares over pictures of one colour each.

    The encoder turns them into latents; the factors are those that best give the colours back.
    """
    generator = torch.Generator().manual_seed(0)
    colours = (torch.rand(64, 3, 1, 1, generator=generator) * 2 - 1).expand(-1, -1, 8, 8)
    pictures = colours.repeat_interleave(LATENT_PIXELS, 2).repeat_interleave(LATENT_PIXELS, 3)
    with torch.inference_mode():
        posterior = vae.encode(pictures.to(device=vae.device, dtype=vae.dtype)).latent_dist
        latents = (posterior.mean * vae.config.scaling_factor).float().cpu()
    rows = latents.permute(0, 2, 3, 1).reshape(-1, latents.shape[1])
    rows = torch.cat([rows, torch.ones(len(rows), 1)], dim=1)
    targets = colours.permute(0, 2, 3, 1).reshape(-1, 3)
    solution: Tensor = torch.linalg.lstsq(rows, targets).solution
    return solution


def sd1_preview() -> Tensor:
    """A1111's factors for SD 1.x as (5, 3), with no constant."""
    return torch.tensor([*SD1_PREVIEW, (0.0, 0.0, 0.0)])
