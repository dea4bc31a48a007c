"""What is behind the motif, and its colour: grounds, seven drawn scenes, and dyes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw

from webui.training.starter.vocabulary import COLOURS, Colour

_LUMA = np.array((0.3, 0.59, 0.11), np.float32)

# sky from top to horizon, land from horizon to bottom, how wavy the horizon is (pixels at 128)
_LAND: dict[str, tuple[Colour, Colour, Colour, Colour, tuple[float, float]]] = {
    "in a meadow": ((96, 178, 246), (196, 230, 252), (120, 196, 70), (58, 140, 44), (2, 7)),
    "on a beach": ((120, 200, 250), (206, 238, 252), (236, 212, 150), (222, 190, 120), (1.5, 1.5)),
    "at night": ((8, 10, 40), (30, 36, 92), (18, 36, 34), (8, 18, 20), (1, 6)),
    "at sunset": ((92, 50, 130), (255, 150, 60), (70, 36, 50), (36, 18, 34), (0, 4)),
    "in the snow": ((170, 196, 220), (216, 230, 240), (250, 252, 255), (224, 234, 246), (1, 6)),
    "in the desert": ((110, 190, 240), (236, 222, 190), (228, 170, 90), (190, 120, 56), (3, 9)),
}


def jitter(colour: Colour, amount: int, rng: np.random.Generator) -> Colour:
    """Every channel moved by up to ``amount``."""
    r, g, b = (int(np.clip(channel + rng.integers(-amount, amount + 1), 0, 255)) for channel in colour)
    return r, g, b


def draw_ground(colour: Colour, side: int, rng: np.random.Generator) -> Image.Image:
    """A plain ground, almost of the colour."""
    return Image.new("RGB", (side, side), jitter(colour, 5, rng))


def draw_scene(name: str, side: int, rng: np.random.Generator) -> Image.Image:
    """One of ``vocabulary.SCENES``: sky and land, or water, with a little of what belongs there."""
    unit = side / 128
    if name == "under water":
        picture = Image.fromarray(_gradient((40, 160, 210), (10, 50, 110), side).astype(np.uint8))
        pen = ImageDraw.Draw(picture)
        for _ in range(int(rng.integers(5, 11))):
            x, y = rng.uniform(0.03, 0.97, 2) * side
            r = rng.uniform(2, 6) * unit
            pen.ellipse([x - r, y - r, x + r, y + r], outline=(170, 225, 245))
        return picture
    sky_top, sky_low, land_top, land_low, (calm, wild) = _LAND[name]
    horizon = rng.uniform(0.55, 0.72) * side
    across = np.arange(side) / side * 2 * np.pi
    line = horizon + rng.uniform(calm, wild) * unit * np.sin(across * rng.uniform(0.6, 1.4) + rng.uniform(0, 2 * np.pi))
    is_land = (np.arange(side)[:, None] > line[None])[..., None]
    pixels = np.where(is_land, _gradient(land_top, land_low, side), _gradient(sky_top, sky_low, side))
    picture = Image.fromarray(pixels.astype(np.uint8))
    pen = ImageDraw.Draw(picture)
    if name == "on a beach":
        sea = horizon - rng.uniform(12, 22) * unit
        pen.rectangle([0, sea, side, horizon], fill=jitter((30, 140, 200), 8, rng))
    elif name in ("at night", "in the snow"):
        colour, dot, lowest = ((240, 240, 200), 1, horizon - 8) if name == "at night" else ((255, 255, 255), 2, side)
        for _ in range(int(rng.integers(14, 26))):
            x, y = rng.uniform(0, side), rng.uniform(0, lowest)
            pen.rectangle([x, y, x + dot * unit, y + dot * unit], fill=colour)
    return picture


def _gradient(top: Sequence[int], bottom: Sequence[int], side: int) -> np.ndarray:
    """(side, side, 3), 0 ... 255."""
    down = np.linspace(0, 1, side)[:, None, None]
    return np.broadcast_to(np.array(top) * (1 - down) + np.array(bottom) * down, (side, side, 3))


def dye(sprite: Image.Image, word: str) -> Image.Image:
    """The sprite (RGBA) in shades of one colour: its light and dark stay, its mean becomes the colour's own brightness."""
    pixels = np.asarray(sprite, np.float32) / 255
    light = (pixels[..., :3] * _LUMA).sum(-1, keepdims=True)
    if word == "gray":
        dyed = np.repeat(light, 3, axis=-1)
    else:
        colour = np.array(COLOURS[word], np.float32) / 255
        own = float((colour * _LUMA).sum())
        mean = float(np.average(light, weights=pixels[..., 3:]))
        wanted = np.clip(own + (light - mean) * 0.8, 0, 1)
        shade = colour * np.clip(wanted / own, 0, 1)  # darker than the colour: towards black
        white = np.clip((wanted - own) / (1 - own), 0, 1)  # lighter: towards white
        dyed = shade + (1 - shade) * white * 0.85
    return Image.fromarray((np.concatenate([np.clip(dyed, 0, 1), pixels[..., 3:]], -1) * 255).astype(np.uint8), "RGBA")
