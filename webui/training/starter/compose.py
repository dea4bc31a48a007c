"""Pictures with captions, composed at random: one motif on a ground or in a scene, and words that say so."""

from __future__ import annotations

import zlib
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw

from webui.training.starter.icons import Sprites
from webui.training.starter.scenery import draw_ground, draw_scene, dye, jitter
from webui.training.starter.vocabulary import (
    COLOURS,
    COUNTS,
    FILLERS,
    PLACES,
    SCENES,
    SHAPES,
    STYLES,
    THINGS,
    TINTS,
    Colour,
    Thing,
    article,
    plural,
)

SIDE = 128
LATENT_SIDE = SIDE // 8
_HELD_OUT_OF = 12
_BY_NAME = {name: thing for thing in THINGS for name in thing.names}


@dataclass(frozen=True)
class Motif:
    """What a caption says. Empty: not said, so the usual (medium, centred, the icon's own colours)."""

    subject: str  # a name of a Thing, or a shape
    colour: str = ""
    ground: str = "white"  # a colour, or a scene
    place: str = ""
    size: str = ""  # "small", "large"
    count: str = ""  # "two", "three"
    style: str = ""  # the name of an icon set; a shape has none

    @property
    def is_shape(self) -> bool:
        return self.subject in SHAPES

    @property
    def thing(self) -> Thing:
        return _BY_NAME[self.subject]

    @property
    def is_held_out(self) -> bool:
        """One composition in twelve is never trained on, so that a test can ask for something new.

        Only compositions that differ from the plainest in two or more ways: a plain dog on white is no composition.
        """
        said = [self.colour, self.place, self.size, self.count, self.ground if self.ground != "white" else ""]
        if sum(map(bool, said)) < 2:
            return False
        name = self.subject if self.is_shape else self.thing.name
        key = "/".join((name, self.colour, self.ground, self.place, self.count, self.style))
        return zlib.crc32(key.encode()) % _HELD_OUT_OF == 0


def random_motif(rng: np.random.Generator, things: tuple[Thing, ...] = THINGS) -> Motif:
    """One that may be trained on."""
    while True:
        motif = _any_motif(rng, things)
        if not motif.is_held_out:
            return motif


def _any_motif(rng: np.random.Generator, things: tuple[Thing, ...]) -> Motif:
    colours = list(COLOURS)
    colour = size = place = count = style = ""
    if rng.random() < 0.14:
        subject, colour = _pick(rng, SHAPES), _pick(rng, colours)
    else:
        thing = things[rng.integers(len(things))]
        subject = thing.name if len(thing.names) == 1 or rng.random() < 0.8 else _pick(rng, thing.names[1:])
        style = _pick(rng, tuple(STYLES))
        if rng.random() < 0.16:
            colour = _pick(rng, TINTS)
    draw = rng.random()
    if draw < 0.36:
        place = _pick(rng, tuple(PLACES))
        size = "small" if rng.random() < 0.35 else ""
    elif draw < 0.44:
        count = _pick(rng, tuple(COUNTS))
    elif draw < 0.52:
        size = "small"
    elif draw < 0.60:
        size = "large"
    if style and rng.random() < 0.18:
        return Motif(subject, colour, _pick(rng, SCENES), place, size, count, style)
    ground = "white" if rng.random() < 0.10 else _pick(rng, colours)
    while ground == colour:
        ground = _pick(rng, colours)
    return Motif(subject, colour, ground, place, size, count, style)


def _pick(rng: np.random.Generator, words: tuple[str, ...] | list[str]) -> str:
    return words[int(rng.integers(len(words)))]


def caption(motif: Motif, rng: np.random.Generator) -> str:
    """The motif in words, as people put them: sentences and lists, whole and abridged."""
    head = " ".join(filter(None, (motif.size, motif.colour, motif.subject)))
    if motif.count:
        head = f"{motif.count} {' '.join(filter(None, (motif.size, motif.colour, plural(motif.subject))))}"
    elif rng.random() < 0.85:
        head = article(head)
    if rng.random() < 0.06:
        head = f"{_pick(rng, FILLERS)} {head}"
    if motif.place:
        head = f"{head} {motif.place}"
    if motif.ground in SCENES:
        where = motif.ground
    elif motif.ground == "white" and not motif.place and rng.random() < 0.15:
        where = ""
    elif motif.place or rng.random() < 0.3:
        where = f"{motif.ground} background"
    else:
        where = f"on {article(motif.ground)} background"
    joint = " " if where.startswith(("in ", "on ", "at ", "under ")) and not motif.place else ", "
    text = head + joint + where if where else head
    if motif.style and rng.random() < 0.6:
        text = f"{text}, {STYLES[motif.style]}"
    return text


def draw(motif: Motif, sprites: Sprites, rng: np.random.Generator) -> tuple[Image.Image, Image.Image]:
    """(the picture, RGB; where the motif is, L), both ``SIDE`` x ``SIDE``. ``rng`` varies what the words leave open."""
    return compose(sprite_of(motif, sprites, rng), motif, rng)


def compose(
    sprite: Image.Image, motif: Motif, rng: np.random.Generator, ground: Image.Image | None = None
) -> tuple[Image.Image, Image.Image]:
    """The sprite as often, as large and where the motif says, on ``ground`` or the one that it names."""
    if ground is not None:
        picture = ground.copy()
    elif motif.ground in SCENES:
        picture = draw_scene(motif.ground, SIDE, rng)
    else:
        picture = draw_ground(COLOURS[motif.ground], SIDE, rng)
    mask = Image.new("L", (SIDE, SIDE))
    for x, y, side in _boxes(motif, rng):
        scale = side / max(sprite.size)
        size = (round(sprite.width * scale) or 1, round(sprite.height * scale) or 1)
        scaled = sprite.resize(size, Image.Resampling.LANCZOS)
        corner = (round(x - scaled.width / 2), round(y - scaled.height / 2))
        picture.paste(scaled, corner, scaled)
        mask.paste(255, corner, scaled)
    return picture, mask


def _boxes(motif: Motif, rng: np.random.Generator) -> list[tuple[float, float, float]]:
    """(centre x, centre y, side) of each copy of the motif, in pixels."""
    if motif.count:
        number = COUNTS[motif.count]
        side = SIDE * (0.45 if number == 2 else 0.31) * rng.uniform(0.95, 1.02)
        middle = SIDE / 2 + rng.uniform(-3, 3)
        return [(SIDE * (i + 0.5) / number, middle, side) for i in range(number)]
    share = {"": (0.70, 0.80), "small": (0.36, 0.44), "large": (0.90, 0.97)}[motif.size]
    if motif.place:
        share = (0.36, 0.42) if motif.size == "small" else (0.46, 0.54)
    side = SIDE * rng.uniform(*share)
    free = (SIDE - side) / 2 - 3
    dx, dy = PLACES.get(motif.place, (0, 0))
    wobble = min(2.0, max(free, 0.0))
    x, y = (SIDE / 2 + free * d + rng.uniform(-wobble, wobble) for d in (dx, dy))
    return [(x, y, side)]


def sprite_of(motif: Motif, sprites: Sprites, rng: np.random.Generator) -> Image.Image:
    """The icon or the shape, RGBA, in the colour that the motif says."""
    if motif.is_shape:
        return draw_shape(motif.subject, jitter(COLOURS[motif.colour], 6, rng))
    sprite = sprites[motif.style, motif.thing.slug]
    return dye(sprite, motif.colour) if motif.colour else sprite


def draw_shape(name: str, colour: Colour, side: int = 320) -> Image.Image:
    """A plain shape as RGBA; drawn large, so that scaling it down smooths its edge."""
    shape = Image.new("RGBA", (side, side), (*colour, 0))
    pen, fill, end = ImageDraw.Draw(shape), (*colour, 255), side - 1
    if name == "circle":
        pen.ellipse([0, 0, end, end], fill=fill)
    elif name == "square":
        pen.rectangle([0.04 * side, 0.04 * side, 0.96 * side, 0.96 * side], fill=fill)
    elif name == "triangle":
        pen.polygon([(side / 2, 0.02 * side), (0.98 * side, 0.92 * side), (0.02 * side, 0.92 * side)], fill=fill)
    elif name == "ring":
        pen.ellipse([0, 0, end, end], outline=fill, width=side * 7 // 32)
    elif name == "cross":
        pen.rectangle([side / 3, 0, side * 2 / 3, end], fill=fill)
        pen.rectangle([0, side / 3, end, side * 2 / 3], fill=fill)
    elif name == "stripe":
        pen.rectangle([0, 0.36 * side, end, 0.64 * side], fill=fill)
    else:
        raise ValueError(f"There is no shape {name!r}.")
    return shape


def random_picture(sprites: Sprites, rng: np.random.Generator) -> Image.Image:
    """For the autoencoder: any icon of any set (also those without a name) or a shape, half of them mirrored."""
    motif = _any_motif(rng, THINGS)
    if motif.is_shape:
        sprite = sprite_of(motif, sprites, rng)
    else:
        sprite = list(sprites.pictures.values())[int(rng.integers(len(sprites.pictures)))]
        if motif.colour:
            sprite = dye(sprite, motif.colour)
    picture, _ = compose(sprite, motif, rng)
    return picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if rng.random() < 0.5 else picture
