"""A small classifier that says which thing a picture shows: the judge of the noise predictor.

It is trained on the composed renders alone and never sees what the diffusion model draws. It looks at 64 x 64 pixels.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional as F

from webui.training.starter.autoencoder import to_tensor
from webui.training.starter.compose import draw, random_motif
from webui.training.starter.icons import Sprites
from webui.training.starter.run import cosine
from webui.training.starter.vocabulary import SHAPES, THINGS

NAMES = (*(thing.name for thing in THINGS), *SHAPES)
LOOK = 64


class Recognizer(nn.Module):
    """Pictures (n, 3, 64, 64) in -1 ... 1 to a score for each of ``NAMES``; 0.4 million weights."""

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for before, after in ((3, 24), (24, 48), (48, 96), (96, 160)):
            layers += [nn.Conv2d(before, after, 3, padding=1), nn.BatchNorm2d(after), nn.ReLU(), nn.MaxPool2d(2)]
        layers += [nn.Conv2d(160, 256, 3, padding=1), nn.BatchNorm2d(256), nn.ReLU()]
        self.features = nn.Sequential(*layers)
        self.answer = nn.Linear(256, len(NAMES))

    def forward(self, x: Tensor) -> Tensor:
        scores: Tensor = self.answer(self.features(x).amax((2, 3)))
        return scores

    @torch.inference_mode()
    def log_probabilities(self, pictures: list[Image.Image]) -> Tensor:
        """(n, names)"""
        self.eval()
        scores: Tensor = self(_look(pictures)).log_softmax(1)
        return scores


def _look(pictures: list[Image.Image]) -> Tensor:
    return to_tensor([picture.resize((LOOK, LOOK), Image.Resampling.BOX) for picture in pictures])


def trained_recognizer(sprites: Sprites, path: Path, steps: int = 2500) -> Recognizer:
    """The one at ``path``, or a new one, trained in some minutes and kept there."""
    model = Recognizer().to(memory_format=torch.channels_last)
    if path.exists():
        model.load_state_dict(load_file(path))
        return model.eval()
    torch.manual_seed(0)
    rng = np.random.default_rng(11)
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3, weight_decay=1e-2)
    model.train()
    for step in range(steps):
        for group in optimizer.param_groups:
            group["lr"] = 3e-3 * cosine(step, steps)
        pictures, names = renders(sprites, rng, 64)
        loss = F.cross_entropy(model(_look(pictures)), torch.tensor([NAMES.index(name) for name in names]))
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        if step % 100 == 99:
            print(f"recognizer {step + 1} of {steps}: {loss.item():.3f}", flush=True)
    save_file({key: value.contiguous() for key, value in model.state_dict().items()}, path)
    return model.eval()


def renders(sprites: Sprites, rng: np.random.Generator, count: int) -> tuple[list[Image.Image], list[str]]:
    """Composed pictures, softened as a decoder softens, and the names of what they show."""
    motifs = [random_motif(rng) for _ in range(count)]
    pictures = []
    for motif in motifs:
        picture, _ = draw(motif, sprites, rng)
        if rng.random() < 0.5:  # as soft as what comes out of an autoencoder
            side = int(rng.integers(40, 100))
            picture = picture.resize((side, side), Image.Resampling.BILINEAR).resize(
                picture.size, Image.Resampling.BICUBIC
            )
        pictures.append(picture)
    return pictures, [motif.subject if motif.is_shape else motif.thing.name for motif in motifs]
