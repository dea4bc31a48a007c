"""What networks see beside the noisy latents that were made for inpainting, for instructions, or for depth.

Such a U-Net has more input channels than there are latents. Inpainting checkpoints (5 more): the mask, and the latents of the
picture without what is masked. instruct-pix2pix (4 more): the latents of the picture that is to be changed.
Depth checkpoints (1 more): how near each place is.
"""

from __future__ import annotations

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional

from webui.domain.request import GenerationRequest
from webui.engine.latents import encode, to_pixels
from webui.engine.model_manager import Model
from webui.errors import IncompatibleModel

INPAINTING, INSTRUCTIONS, DEPTH = 5, 4, 1  # input channels beside those of 4-channel latents


def extra_channels(model: Model) -> int:
    """How many channels the network sees beside the latents."""
    return int(model.checkpoint.unet.config.in_channels) - int(model.vae.config.latent_channels)


def seen_beside(
    request: GenerationRequest,
    model: Model,
    picture: Image.Image | None,
    mask: Image.Image | None,
    depth: Image.Image | None = None,
    *,
    tiled: bool = False,
) -> Tensor | None:
    """(1, channels, h/8, w/8), or None for a network that sees nothing beside the latents.

    ``picture`` (RGB) and ``mask`` (L) are of the size that is drawn; without a picture it is as if all of a grey one were masked.
    """
    extra = extra_channels(model)
    if not extra:
        return None
    if extra == INPAINTING:
        return _for_inpainting(request, model, picture, mask, tiled)
    if extra == INSTRUCTIONS:
        shape = (1, extra, request.height // 8, request.width // 8)
        if picture is None:
            return torch.zeros(shape, device=model.compute.device)
        unscaled: Tensor = (
            encode(model.ready(model.vae), to_pixels(picture), tiled=tiled) / model.vae.config.scaling_factor
        )
        return unscaled  # as it was trained
    name = model.checkpoint.file.name
    if extra == DEPTH and depth is None:
        raise IncompatibleModel(
            f'"{name}" draws over a picture by a depth map, and there is none. Give one in img2img, or choose another checkpoint.'
        )
    if extra == DEPTH and depth is not None:
        return _nearness(depth, request.height // 8, request.width // 8).to(model.compute.device)
    raise IncompatibleModel(f'"{name}" wants {extra} channels beside the latents, and it is not known what for.')


def _for_inpainting(
    request: GenerationRequest, model: Model, picture: Image.Image | None, mask: Image.Image | None, tiled: bool
) -> Tensor:
    """Runway's layout: the mask, then the latents of the picture, grey where it is masked (by ``conditioning_mask_strength``)."""
    pixels = torch.zeros(1, 3, request.height, request.width) if picture is None else to_pixels(picture)
    masked = torch.ones(1, 1, *pixels.shape[-2:])
    if picture is not None and mask is not None:
        grey = np.asarray(mask, np.float32) / 255
        masked = torch.from_numpy(grey if request.soft_inpainting else np.around(grey))[None, None]
    strength = 1.0 if picture is None else request.conditioning_mask_strength
    seen = encode(model.ready(model.vae), pixels * (1 - masked * strength), tiled=tiled)
    small = functional.interpolate(masked, size=seen.shape[-2:])
    return torch.cat([small.to(seen.device), seen], dim=1)


def _nearness(depth: Image.Image, height: int, width: int) -> Tensor:
    """(1, 1, height, width): -1 where the map is furthest, 1 where it is nearest, whatever greys it uses, as in training."""
    grey = torch.from_numpy(np.array(depth.convert("L"), np.float32))[None, None]
    small = functional.interpolate(grey, size=(height, width), mode="bicubic", align_corners=False)
    low, high = small.aminmax()
    return torch.zeros_like(small) if low == high else 2 * (small - low) / (high - low) - 1
