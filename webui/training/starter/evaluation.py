"""What a checkpoint can do, in numbers: ``python -m webui.training.starter evaluate FILE``.

A fixed list of prompts: every thing in every style once, every shape in every colour once, each in a composition that no
training picture showed. The pictures are drawn as a user would have them drawn, by the engine itself, and looked at:

- ground: the median colour of the picture's edge is nearest to the ground that was asked for;
- colour: what stands out from the ground has the mean colour of the icon dyed so, rather than of it dyed another way;
  for a shape, its median colour is nearest to the one asked for;
- place: the centre of what stands out lies where it should, in both directions;
- shape: what stands out covers the shape asked for better than any other;
- thing: a small classifier that was trained on the renders (recognition.py) names it.

Each measure is taken of the true renders of the same compositions too: what the measure itself gets wrong.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from webui.domain.request import GenerationRequest
from webui.engine.device import Hardware, choose_compute
from webui.engine.drawn import Drawn
from webui.engine.generate import Options, generate_batch
from webui.engine.model_manager import ModelManager, Selection
from webui.library.index import Library
from webui.training.starter.compose import Motif, caption, draw, draw_shape
from webui.training.starter.icons import Sprites
from webui.training.starter.recognition import NAMES, Recognizer, renders
from webui.training.starter.scenery import dye
from webui.training.starter.vocabulary import COLOURS, PLACES, SHAPES, STYLES, THINGS, TINTS, Colour

STANDS_OUT = 48  # how far from the ground a pixel's colour must be, of 255
OFF_CENTRE = 12  # pixels


@dataclass(frozen=True)
class Question:
    motif: Motif
    prompt: str


def questions() -> tuple[Question, ...]:
    """The fixed list: compositions held out from training, on plain grounds, one for each thing in each style."""
    rng = np.random.default_rng(2026)
    wanted = [Motif(thing.name, style=style) for thing in THINGS for style in STYLES]
    wanted += [Motif(shape, colour) for shape in SHAPES for colour in COLOURS]
    return tuple(Question(motif, _prompt(motif)) for motif in (_held_out(plain, rng) for plain in wanted))


def _held_out(plain: Motif, rng: np.random.Generator) -> Motif:
    colours, places = list(COLOURS), ["", *PLACES]
    while True:
        colour = plain.colour or (TINTS[rng.integers(len(TINTS))] if rng.random() < 0.35 else "")
        ground = colours[rng.integers(len(colours))]
        place = places[rng.integers(len(places))] if rng.random() < 0.6 else ""
        motif = Motif(plain.subject, colour, ground, place, style=plain.style)
        if ground != colour and motif.is_held_out:
            return motif


def _prompt(motif: Motif) -> str:
    """The plainest caption of the motif; the style is always said."""
    unsure = np.random.default_rng(0)
    while True:
        text = caption(motif, unsure)
        if text.startswith(("a ", "an ")) and " of " not in text and (not motif.style or STYLES[motif.style] in text):
            return text


def evaluate(
    pictures: Sequence[Image.Image], asked: Sequence[Question], sprites: Sprites, recognizer: Recognizer
) -> dict[str, tuple[int, int]]:
    """(right, asked) for every measure."""
    marks: dict[str, list[bool]] = {}
    scores = recognizer.log_probabilities(list(pictures))
    for picture, question, row in zip(pictures, asked, scores, strict=True):
        for name, right in look_at(picture, question.motif, sprites).items():
            marks.setdefault(name, []).append(right)
        if not question.motif.is_shape:
            order = [NAMES[i] for i in row.topk(5).indices.tolist()]
            name = question.motif.thing.name
            marks.setdefault("thing", []).append(order[0] == name)
            marks.setdefault(f"thing, {STYLES[question.motif.style]}", []).append(order[0] == name)
            marks.setdefault("thing among the first five", []).append(name in order)
    return {name: (sum(values), len(values)) for name, values in marks.items()}


def agreement(
    pictures: Sequence[Image.Image], asked: Sequence[Question], recognizer: Recognizer
) -> tuple[float, float]:
    """Mean log probability of the thing asked for: in its own picture, and in the next prompt's (the control)."""
    scores = recognizer.log_probabilities(list(pictures))
    names = [q.motif.subject if q.motif.is_shape else q.motif.thing.name for q in asked]
    columns = torch.tensor([NAMES.index(name) for name in names])
    own = scores[torch.arange(len(names)), columns]
    control = scores.roll(1, 0)[torch.arange(len(names)), columns]
    return float(own.mean()), float(control.mean())


def look_at(picture: Image.Image, motif: Motif, sprites: Sprites) -> dict[str, bool]:
    """What a picture shows of its motif, measure by measure."""
    pixels = np.asarray(picture.convert("RGB"), np.float32)
    edge = np.concatenate(
        [
            pixels[:3].reshape(-1, 3),
            pixels[-3:].reshape(-1, 3),
            pixels[:, :3].reshape(-1, 3),
            pixels[:, -3:].reshape(-1, 3),
        ]
    )
    ground = np.median(edge, axis=0)
    found = {"ground": _nearest(ground, COLOURS) == motif.ground}
    stands_out = np.abs(pixels - ground).max(-1) > STANDS_OUT
    if not stands_out.any():
        return found | {name: False for name in ("colour", "place") if getattr(motif, name)}
    if motif.colour:
        found["colour"] = _colour(pixels[stands_out], motif, sprites) == motif.colour
    if motif.place:
        found["place"] = _place(stands_out) == PLACES[motif.place]
    if motif.is_shape:
        found["shape"] = _shape(stands_out) == motif.subject
    return found


def _nearest(colour: np.ndarray, among: Mapping[str, Colour | np.ndarray]) -> str:
    return min(among, key=lambda word: float(np.square(colour - np.array(among[word], np.float32)).sum()))


def _colour(pixels: np.ndarray, motif: Motif, sprites: Sprites) -> str:
    if motif.is_shape:
        return _nearest(np.median(pixels, axis=0), COLOURS)
    sprite = sprites[motif.style, motif.thing.slug]
    return _nearest(pixels.mean(0), {word: _mean_colour(dye(sprite, word)) for word in TINTS})


def _mean_colour(sprite: Image.Image) -> np.ndarray:
    pixels = np.asarray(sprite, np.float32)
    mean: np.ndarray = np.average(pixels[..., :3].reshape(-1, 3), axis=0, weights=pixels[..., 3].reshape(-1))
    return mean


def _place(stands_out: np.ndarray) -> tuple[int, int]:
    """(horizontal, vertical), -1 ... 1, of the middle of the box around what stands out."""
    rows, columns = (np.flatnonzero(stands_out.mean(axis) > 0.03) for axis in (1, 0))
    if not len(rows) or not len(columns):
        return (0, 0)
    middles = ((line[0] + line[-1]) / 2 - (len(stands_out) - 1) / 2 for line in (columns, rows))
    x, y = (0 if abs(middle) < OFF_CENTRE else int(np.sign(middle)) for middle in middles)
    return x, y


def _shape(stands_out: np.ndarray) -> str:
    """Which shape covers what stands out best (intersection over union), each as wide as it."""
    rows, columns = (np.flatnonzero(stands_out.any(axis)) for axis in (1, 0))
    middle = ((columns[0] + columns[-1]) / 2, (rows[0] + rows[-1]) / 2)
    side = max(columns[-1] - columns[0], rows[-1] - rows[0]) + 1

    def overlap(name: str) -> float:
        mask = draw_shape(name, (0, 0, 0)).getchannel("A")
        mask = mask.crop(mask.getbbox())
        scale = side / max(mask.size)
        mask = mask.resize((round(mask.width * scale) or 1, round(mask.height * scale) or 1))
        canvas = Image.new("L", stands_out.shape[::-1])
        canvas.paste(mask, (round(middle[0] - mask.width / 2), round(middle[1] - mask.height / 2)))
        covered = np.asarray(canvas) > 127
        return float((covered & stands_out).sum() / (covered | stands_out).sum())

    return max(SHAPES, key=overlap)


def true_pictures(asked: Sequence[Question], sprites: Sprites) -> list[Image.Image]:
    rng = np.random.default_rng(5)
    return [draw(question.motif, sprites, rng)[0] for question in asked]


def drawn_pictures(checkpoint: Path, asked: Sequence[Question], hash_db: Path) -> Iterator[tuple[Image.Image, float]]:
    """(picture, seconds) for each prompt, drawn by the engine with the checkpoint's own defaults."""
    library = Library({"checkpoint": (checkpoint.parent,)}, hash_db)
    library.rescan()
    file = library.find("checkpoint", checkpoint.stem)
    models = ModelManager(choose_compute("cpu", "auto", Hardware()), budget=2**33)
    for number, question in enumerate(asked):
        request = GenerationRequest(prompt=question.prompt, seed=number + 1, **file.suggested)
        start = time.perf_counter()
        for event in generate_batch(request, 0, models, Selection(file), Options(preview="off")):
            if isinstance(event, Drawn):
                yield event.image, time.perf_counter() - start


def report(checkpoint: Path, sprites: Sprites, recognizer: Recognizer, folder: Path) -> str:
    """The whole evaluation as text; also writes ``evaluation.json`` and a sheet of the pictures into ``folder``."""
    asked = questions()
    drawn, seconds = zip(*drawn_pictures(checkpoint, asked, folder / "hashes.sqlite3"), strict=True)
    marks = evaluate(drawn, asked, sprites, recognizer)
    ceiling = evaluate(true_pictures(asked, sprites), asked, sprites, recognizer)
    own, control = agreement(drawn, asked, recognizer)
    lines = [f"{len(asked)} prompts, compositions that were not trained on", ""]
    lines += ["| measure | right | true renders |", "|---|---|---|"]
    for name, (right, total) in marks.items():
        true_right, _ = ceiling[name]
        lines.append(f"| {name} | {right} of {total} ({right / total:.1%}) | {true_right / total:.1%} |")
    lines += [
        "",
        f"Agreement with the prompt (mean log probability): {own:.2f}; with another's prompt: {control:.2f}.",
        f"The classifier names {_recognized(sprites, recognizer):.1%} of 1,000 fresh renders rightly.",
        f"Seconds a picture: median {np.median(seconds[1:]):.2f}, longest {max(seconds[1:]):.2f}.",
    ]
    (folder / "evaluation.json").write_text(json.dumps(marks, indent=1))
    _sheet(drawn).save(folder / "evaluation.webp", quality=80)
    return "\n".join(lines)


def _recognized(sprites: Sprites, recognizer: Recognizer, count: int = 1000) -> float:
    """The share of fresh renders that the classifier names rightly."""
    pictures, names = renders(sprites, np.random.default_rng(12), count)
    guessed = recognizer.log_probabilities(pictures).argmax(1).tolist()
    return float(np.mean([NAMES[guess] == name for guess, name in zip(guessed, names, strict=True)]))


def _sheet(pictures: Sequence[Image.Image], columns: int = 20) -> Image.Image:
    side = pictures[0].width
    rows = -(-len(pictures) // columns)
    sheet = Image.new("RGB", (columns * side, rows * side), "white")
    for number, picture in enumerate(pictures):
        sheet.paste(picture, (number % columns * side, number // columns * side))
    return sheet
