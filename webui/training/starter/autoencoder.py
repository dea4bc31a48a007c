"""The autoencoder: 128 x 128 x 3 pixels to 16 x 16 x 4 latents and back (Rombach et al., arXiv 2112.10752, section 3.1).

Trained on any icon in any colours, mostly on crops: a crop costs a fraction of a picture and has the same edges. The loss
is the difference of the pixels and of their neighbours' differences (edges), and a light pull of the latents towards a
normal distribution. No discriminator: flat art has edges, not textures.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKL
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from webui.training.starter.compose import SIDE, random_picture
from webui.training.starter.finishes import FINISHES
from webui.training.starter.icons import Sprites
from webui.training.starter.networks import autoencoder, widened
from webui.training.starter.run import Average, Log, average_gradients, cosine, load_state, same_weights, save_state


@dataclass(frozen=True)
class AutoencoderPlan:
    """``steps`` in all; ``decoder_only`` keeps the encoder, and with it the meaning of every latent."""

    steps: int = 6000
    rate: float = 8e-4
    decoder_only: bool = False
    channels: tuple[int, ...] = (16, 32, 64, 128)
    edge_weight: float = 0.5
    kl_weight: float = 3e-4
    start_from: str = ""  # a folder with weights to begin with
    widen: bool = False  # those weights, in layers of twice the width
    finish: str = ""  # of ``finishes.py``: the style of half of the pictures
    save_every: int = 250


def train_autoencoder(rank: int, sprites_path: Path, folder: Path, plan: AutoencoderPlan) -> None:
    """Train, or go on training, until ``plan.steps``; writes a diffusers folder ``vae`` and a picture ``vae.png``."""
    folder.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(0)
    vae = autoencoder(plan.channels)
    if plan.start_from:
        vae = AutoencoderKL.from_pretrained(plan.start_from).float().to(memory_format=torch.channels_last)
    reader = (
        vae  # who reads the pictures; where the encoder stays as it is, the narrow one does it in a quarter of the time
    )
    if plan.start_from and plan.widen:
        vae = widened(vae)
        reader = reader.requires_grad_(False) if plan.decoder_only else vae
    vae.train()
    for parameter in [*vae.encoder.parameters(), *vae.quant_conv.parameters()] if plan.decoder_only else []:
        parameter.requires_grad_(False)
    parameters = [p for p in vae.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(parameters, lr=plan.rate, weight_decay=1e-3, betas=(0.9, 0.99), foreach=True)
    average = Average(parameters)
    step = 0
    state = load_state(folder / "state.pt")
    if state is not None:
        vae.load_state_dict(state["vae"])
        optimizer.load_state_dict(state["optimizer"])
        average.values, step = state["average"], state["step"]
    same_weights(vae.parameters())

    sprites = Sprites.load(sprites_path)
    rng = np.random.default_rng((1, rank, step))
    held = held_out_pictures(sprites, 16)
    log, sums = Log(folder, rank), []
    while step < plan.steps:
        for group in optimizer.param_groups:
            group["lr"] = plan.rate * cosine(step, plan.steps, 30)
        x = _batch(sprites, rng, step / plan.steps, plan.finish)
        posterior = reader.encode(x).latent_dist
        y = vae.decode(posterior.sample()).sample
        loss = reconstruction_loss(x, y, plan.edge_weight)
        sums.append(loss.item())
        if not plan.decoder_only:
            kl = 0.5 * (posterior.mean**2 + posterior.var - 1 - posterior.logvar).mean()
            loss = loss + plan.kl_weight * kl
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        average_gradients(parameters)
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        step += 1
        average.update(step)
        if rank == 0 and (step % plan.save_every == 0 or step == plan.steps):
            save_state(
                folder / "state.pt",
                {"vae": vae.state_dict(), "optimizer": optimizer.state_dict(), "average": average.values, "step": step},
            )
            average.swap()
            psnr, spread = _write(vae, held, folder)
            average.swap()
            log.write(step=step, loss=round(float(np.mean(sums)), 4), psnr=round(psnr, 2), latent_std=round(spread, 3))
            sums = []


def reconstruction_loss(x: Tensor, y: Tensor, edge_weight: float) -> Tensor:
    """Mean absolute and squared difference of the pixels, and the absolute difference of neighbours' differences."""
    edges = sum(((x - y).diff(dim=dim)).abs().mean() for dim in (-1, -2))
    return F.l1_loss(y, x) + F.mse_loss(y, x) + edge_weight * edges


def to_tensor(pictures: list[Image.Image]) -> Tensor:
    """RGB pictures of one size as (n, 3, h, w) in -1 ... 1, channels last."""
    stacked = torch.from_numpy(np.stack([np.asarray(picture) for picture in pictures])).permute(0, 3, 1, 2)
    return (stacked.float() / 127.5 - 1).contiguous(memory_format=torch.channels_last)


def _batch(sprites: Sprites, rng: np.random.Generator, progress: float, finish: str = "") -> Tensor:
    """Crops of 32, then 64, in the end whole pictures; a quarter with its colours exchanged."""
    side, pictures, crops = (32, 3, 4) if progress < 0.1 else (64, 4, 2) if progress < 0.7 else (SIDE, 2, 1)
    cut = []
    for _ in range(pictures):
        picture = random_picture(sprites, rng)
        if rng.random() < 0.25:
            bands = picture.split()
            picture = Image.merge("RGB", [bands[i] for i in rng.permutation(3)])
        if finish and rng.random() < 0.5:
            picture = FINISHES[finish](picture)
        for _ in range(crops):
            x, y = (int(corner) for corner in rng.integers(0, SIDE - side + 1, 2))
            cut.append(picture.crop((x, y, x + side, y + side)))
    return to_tensor(cut)


def held_out_pictures(sprites: Sprites, count: int) -> Tensor:
    """Compositions from a stream of their own. The icons are seen in training, so this measures fit, not generality."""
    rng = np.random.default_rng(99)
    return to_tensor([random_picture(sprites, rng) for _ in range(count)])


@torch.no_grad()
def psnr(x: Tensor, y: Tensor) -> float:
    """Peak signal-to-noise ratio in dB, the mean over pictures in -1 ... 1."""
    error = (y.clamp(-1, 1) - x).square().mean((1, 2, 3)).clamp_min(1e-8)
    return float((10 * torch.log10(4 / error)).mean())


@torch.no_grad()
def _write(vae: AutoencoderKL, held: Tensor, folder: Path) -> tuple[float, float]:
    latents = vae.encode(held).latent_dist.mean
    y = torch.cat([vae.decode(part).sample for part in latents.split(4)]).clamp(-1, 1)
    spread = float(latents.std())
    vae.register_to_config(scaling_factor=round(1 / spread, 5))
    vae.save_pretrained(folder / "vae")
    rows = torch.cat([held[:8], y[:8], held[8:16], y[8:16]]).unflatten(0, (4, 8))
    sheet = rows.permute(0, 3, 1, 4, 2).reshape(4 * SIDE, 8 * SIDE, 3)
    Image.fromarray(((sheet + 1) * 127.5).round().byte().numpy()).save(folder / "vae.png")
    return psnr(held, y), spread
