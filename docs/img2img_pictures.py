# ruff: noqa: E402  (a script: it must first say where the tree lies)
"""Draw the pictures of docs/img2img.md with the starter checkpoint: python docs/img2img_pictures.py"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from PIL import Image, ImageDraw

ROOT = Path(__file__).resolve().parent.parent
if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))

from webui.domain.request import GenerationRequest
from webui.engine.device import choose_compute, find_hardware
from webui.engine.drawn import Drawn
from webui.engine.generate import Options, Sources, generate_batch
from webui.engine.model_manager import ModelManager, Selection
from webui.library.index import Library

SIDE = 128
BASE = GenerationRequest(width=SIDE, height=SIDE, cfg_scale=3.0, steps=30, sampler="Euler a", seed=12)
STRENGTHS = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)


class Painter:
    """Draws requests, one after another."""

    def __init__(self, folder: Path) -> None:
        library = Library({"checkpoint": (ROOT / "models" / "checkpoints",)}, folder / "hashes.sqlite3")
        library.rescan()
        self._selection = Selection(library.find("checkpoint", "lucid-starter"))
        self._models = ModelManager(choose_compute("auto", "auto", find_hardware()), budget=2**33)

    def draw(self, request: GenerationRequest, sources: Sources = Sources()) -> Image.Image:  # noqa: B008
        events = generate_batch(request, 0, self._models, self._selection, Options(preview="off"), sources)
        return next(event.image for event in events if isinstance(event, Drawn))


def row(pictures: Sequence[tuple[str, Image.Image]], path: Path) -> None:
    """Pictures side by side, each with a word below."""
    sheet = Image.new("RGB", (sum(picture.width + 8 for _, picture in pictures) - 8, SIDE + 22), "white")
    brush, left = ImageDraw.Draw(sheet), 0
    for word, picture in pictures:
        sheet.paste(picture, (left, 0))
        brush.text((left + picture.width // 2, SIDE + 11), word, "black", anchor="mm")
        left += picture.width + 8
    sheet.save(path, "WEBP", quality=90)


def main() -> None:
    images = ROOT / "docs" / "images"
    with tempfile.TemporaryDirectory() as folder:
        painter = Painter(Path(folder))
        source = painter.draw(replace(BASE, prompt="a dog on a green background"))
        over = replace(BASE, prompt="a panda on a pink background", init_image="source")
        row(
            [
                (f"{strength:g}", painter.draw(replace(over, denoising_strength=strength), Sources(source)))
                for strength in STRENGTHS
            ],
            images / "img2img.webp",
        )
        mask = Image.new("L", (SIDE, SIDE))
        ImageDraw.Draw(mask).rounded_rectangle((14, 14, 114, 114), 20, fill=255)
        anew = replace(
            BASE, prompt="a panda on a green background", init_image="source", mask="mask", denoising_strength=0.95
        )
        row(
            [
                ("source", source),
                ("mask", mask.convert("RGB")),
                ("inpainted", painter.draw(anew, Sources(source, mask))),
            ],
            images / "inpainting.webp",
        )


if __name__ == "__main__":
    main()
