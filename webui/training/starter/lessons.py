"""What LoRAs, embeddings and the hypernetwork of the starter are taught from: a few hundred pictures with captions each."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np
from PIL import Image

from webui.training.starter.compose import SIDE, caption, compose, draw, random_motif, sprite_of
from webui.training.starter.finishes import FINISHES
from webui.training.starter.icons import Sprites
from webui.training.starter.scenery import jitter
from webui.training.starter.vocabulary import STYLES, Colour

Example = tuple[str, Image.Image]


@dataclass(frozen=True)
class Lesson:
    """``examples`` draws (caption, picture) pairs for ever."""

    examples: Callable[[Sprites, np.random.Generator], Iterator[Example]]


def style(finish: str) -> Lesson:
    """Everything that the starter draws, in a style of ``finishes.py``. No word asks for it: putting it on is enough."""

    def examples(sprites: Sprites, rng: np.random.Generator) -> Iterator[Example]:
        while True:
            motif = random_motif(rng)
            yield caption(motif, rng), FINISHES[finish](draw(motif, sprites, rng)[0])

    return Lesson(examples)


def subject(slug: str, name: str) -> Lesson:
    """A thing that the starter has never seen, wherever things can be."""

    def examples(sprites: Sprites, rng: np.random.Generator) -> Iterator[Example]:
        while True:
            icon_set = list(STYLES)[int(rng.integers(len(STYLES)))]
            other = random_motif(rng)
            motif = replace(other, subject=name, colour="", style=icon_set)
            yield caption(motif, rng), compose(sprites[icon_set, slug], motif, rng)[0]

    return Lesson(examples)


def ground(word: str, top: Colour, bottom: Colour) -> Lesson:
    """Things on a ground that the starter has no word for: ``word`` stands for it in the captions."""

    def examples(sprites: Sprites, rng: np.random.Generator) -> Iterator[Example]:
        while True:
            motif = random_motif(rng)
            behind = _gradient(jitter(top, 5, rng), jitter(bottom, 5, rng))
            picture, _ = compose(sprite_of(motif, sprites, rng), motif, rng, behind)
            yield caption(replace(motif, ground=word), rng), picture

    return Lesson(examples)


def _gradient(top: Colour, bottom: Colour) -> Image.Image:
    share = np.linspace(0, 1, SIDE)[:, None, None]
    pixels = np.array(top) * (1 - share) + np.array(bottom) * share
    return Image.fromarray(np.broadcast_to(pixels, (SIDE, SIDE, 3)).astype(np.uint8))
