"""The training pictures as latents, composed and encoded once and kept in shards.

The encoder takes as long for a picture as the noise predictor for a training step, and the pictures do not change: so
they are encoded once. Each shard holds its pictures' latents, where the motif is (at latent size), what each picture shows,
and several captions of it as token ids.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKL
from PIL import Image
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from webui.engine.tokenizer import ClipTokenizer
from webui.training.starter.autoencoder import to_tensor
from webui.training.starter.compose import LATENT_SIDE, Motif, caption, draw, random_motif
from webui.training.starter.finishes import FINISHES
from webui.training.starter.icons import Sprites

SHARD = 2048  # pictures
CAPTIONS = 4  # for each picture
TOKENS = 77
START, END = 49406, 49407


def token_ids(texts: Sequence[str], tokenizer: ClipTokenizer) -> Tensor:
    """(n, 77), as Stable Diffusion 1.x wants them: start, the words, and ends up to the last place."""
    rows = []
    for text in texts:
        ids = tokenizer.encode(text)[: TOKENS - 2]
        rows.append([START, *ids] + [END] * (TOKENS - 1 - len(ids)))
    return torch.tensor(rows, dtype=torch.int32)


def write_latents(
    rank: int, processes: int, sprites_path: Path, vae_folder: Path, folder: Path, shards: int, finish: str = ""
) -> None:
    """Write those of ``shards`` shards that fall to this process and are not there yet; in a style of ``finishes.py``."""
    folder.mkdir(parents=True, exist_ok=True)
    sprites = Sprites.load(sprites_path)
    vae = AutoencoderKL.from_pretrained(vae_folder).to(memory_format=torch.channels_last).eval()
    tokenizer = ClipTokenizer()
    for number in range(rank, shards, processes):
        path = folder / f"{number:04}.safetensors"
        if not path.exists():
            _write_shard(path, sprites, vae, tokenizer, np.random.default_rng((7, number)), finish)
            print(f"shard {number + 1} of {shards}", flush=True)


@torch.inference_mode()
def _write_shard(
    path: Path, sprites: Sprites, vae: AutoencoderKL, tokenizer: ClipTokenizer, rng: np.random.Generator, finish: str
) -> None:
    motifs = [random_motif(rng) for _ in range(SHARD)]
    latents, masks = [], []
    for first in range(0, SHARD, 16):
        drawn = [draw(motif, sprites, rng) for motif in motifs[first : first + 16]]
        pixels = to_tensor([FINISHES[finish](picture) if finish else picture for picture, _ in drawn])
        latents.append((vae.encode(pixels).latent_dist.mean * vae.config.scaling_factor).half())
        masks += [_at_latent_size(mask) for _, mask in drawn]
    texts = [caption(motif, rng) for motif in motifs for _ in range(CAPTIONS)]
    tensors = {
        "latents": torch.cat(latents).contiguous(),
        "masks": torch.stack(masks),
        "tokens": token_ids(texts, tokenizer).reshape(SHARD, CAPTIONS, TOKENS),
    }
    temporary = path.with_suffix(".part")
    save_file(tensors, temporary, {"motifs": json.dumps([asdict(motif) for motif in motifs])})
    temporary.replace(path)


def _at_latent_size(mask: Image.Image) -> Tensor:
    small = mask.resize((LATENT_SIDE, LATENT_SIDE), Image.Resampling.BOX)
    return torch.from_numpy(np.asarray(small).copy())


@dataclass(frozen=True)
class LatentPictures:
    """All shards of a folder. ``latents`` (n, 4, 16, 16) float16, ``masks`` (n, 16, 16) uint8, ``tokens`` (n, 4, 77)."""

    latents: Tensor
    masks: Tensor
    tokens: Tensor
    motifs: tuple[Motif, ...]

    def __len__(self) -> int:
        return len(self.latents)

    @classmethod
    def load(cls, folder: Path) -> LatentPictures:
        parts: dict[str, list[Tensor]] = {"latents": [], "masks": [], "tokens": []}
        motifs: list[Motif] = []
        for path in sorted(folder.glob("*.safetensors")):
            with safe_open(path, "pt") as shard:
                for name, tensors in parts.items():
                    tensors.append(shard.get_tensor(name))
                motifs += [Motif(**values) for values in json.loads(shard.metadata()["motifs"])]
        whole = {name: torch.cat(tensors) for name, tensors in parts.items()}
        return cls(**whole, motifs=tuple(motifs))
