"""What ten thousand LoRAs cost: until their cards can be shown, searched and put in order, and to look at the folders again."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from pathlib import Path

FILES = 10_000
LAYERS = 240  # of a LoRA on the text encoder and the attention of SD 1: three tensors each
FULL_PAGE = 60  # cards that the page asks for at once


def many_cards(
    cache: Path, seconds: Callable[[Callable[[], object]], float], tell: Callable[[str, float, str], None]
) -> None:
    """Against a bare walk through the folder that lists names, sizes and dates."""
    from webui.library.cards import CardQuery, Cards
    from webui.library.index import Library

    folder = write_files(cache / "many-loras")
    database = cache / f"many-loras-{os.getpid()}.sqlite3"

    def listing() -> None:
        sorted((path.name, path.stat().st_size, path.stat().st_mtime_ns) for path in folder.rglob("*.safetensors"))

    def opened() -> tuple[Library, Cards]:
        library = Library({"lora": (folder,)}, database)
        library.begin_scan()
        return library, Cards(library, cache / "previews", may_write=False)

    def first_cards() -> None:
        library, cards = opened()
        while not cards.page(CardQuery("lora")).cards:
            time.sleep(0.001)
        library.close()

    def all_cards() -> None:
        library, cards = opened()
        while cards.page(CardQuery("lora")).total < FILES:
            time.sleep(0.001)
        library.close()

    listing()

    def say(what: str, run: Callable[[], object]) -> None:
        """Over listings before and after, because a machine that others use slows down and speeds up."""
        before, taken, after = seconds(listing), seconds(run), seconds(listing)
        bare = (before + after) / 2
        detail = f"{taken * 1e3:.0f} ms over {bare * 1e3:.0f} ms"
        tell(f"{FILES:,} LoRAs, over a bare listing: {what}", taken / bare, detail)

    say("until the first cards, no file read before", first_cards)
    say("until all are read for the first time, in the background", all_cards)
    say("until the first cards after a restart", first_cards)
    say("until all cards after a restart", all_cards)
    library, cards = opened()
    library.settle()
    cards.page(CardQuery("lora"))
    say("a look at the folders again", library.rescan)
    say("the first page after it", lambda: cards.page(CardQuery("lora", count=FULL_PAGE)))
    say("another order", lambda: cards.page(CardQuery("lora", sort="newest", count=FULL_PAGE)))
    search = CardQuery("lora", text="folder 7 number 12", count=FULL_PAGE)
    say("a search for two words", lambda: cards.page(search))
    library.close()
    database.unlink()


def write_files(folder: Path) -> Path:
    """Ten thousand names of one file with the header of a whole LoRA: what is read and parsed is what real ones have."""
    if (folder / "complete").exists():
        return folder
    folder.mkdir(parents=True, exist_ok=True)
    tensors: dict[str, object] = {}
    offset = 0
    for number in range(LAYERS):
        layer = f"lora_unet_down_blocks_{number % 3}_attentions_{number // 3}_transformer_blocks_0_attn2_to_k"
        for part, shape in (("alpha", []), ("lora_down.weight", [32, 768]), ("lora_up.weight", [640, 32])):
            end = offset + 2 * (shape[0] * shape[1] if shape else 1)
            tensors[f"{layer}.{part}"] = {"dtype": "F16", "shape": shape, "data_offsets": [offset, end]}
            offset = end
    tags = {f"tag number {number}": number + 1 for number in range(300)}
    tensors["__metadata__"] = {"ss_tag_frequency": json.dumps({"10_x": tags}), "ss_output_name": "many"}
    header = json.dumps(tensors).encode()
    template = folder / "template"
    with template.open("wb") as file:
        file.write(len(header).to_bytes(8, "little") + header)
        file.truncate(8 + len(header) + offset)
    for number in range(FILES):
        below = folder / f"folder {number % 100:02}"
        below.mkdir(exist_ok=True)
        (below / f"number {number:05}.safetensors").hardlink_to(template)
    (folder / "complete").touch()
    return folder
