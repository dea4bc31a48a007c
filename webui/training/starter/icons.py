"""The icon sets: fetched by name from the npm registry, their licences checked, rendered to sprites."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import tarfile
import urllib.request
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

REGISTRY = "https://registry.npmjs.org"
SPRITE_SIDE = 160  # the longest side, in pixels: more than any picture shows of it


@dataclass(frozen=True)
class IconSet:
    """An npm package of the Iconify project, with the licence that it must declare (SPDX)."""

    name: str
    version: str
    licence: str

    @property
    def package(self) -> str:
        return f"@iconify-json/{self.name}"


ICON_SETS = (
    IconSet("fluent-emoji-flat", "1.2.6", "MIT"),
    IconSet("noto", "1.2.9", "Apache-2.0"),
    IconSet("twemoji", "1.2.5", "CC-BY-4.0"),
)


def fetch(icon_set: IconSet, folder: Path) -> dict[str, Any]:
    """The set's icons.json, downloaded once into ``folder``.

    Raises ``ValueError`` if the package is not the one that the registry vouches for (its sha512), or if its licence is
    not the one that was agreed to.
    """
    archive = folder / f"{icon_set.name}-{icon_set.version}.tgz"
    if not archive.exists():
        archive.parent.mkdir(parents=True, exist_ok=True)
        about = json.loads(_get(f"{REGISTRY}/{icon_set.package.replace('/', '%2F')}/{icon_set.version}"))
        data = _get(about["dist"]["tarball"])
        algorithm, _, expected = about["dist"]["integrity"].partition("-")
        if base64.b64encode(hashlib.new(algorithm, data).digest()).decode() != expected:
            raise ValueError(f"{icon_set.package} {icon_set.version} arrived damaged: its {algorithm} is another.")
        archive.write_bytes(data)
    with tarfile.open(archive) as files:
        info, icons = (_json(files, f"package/{name}.json") for name in ("info", "icons"))
    declared = info["license"]["spdx"]
    if declared != icon_set.licence:
        raise ValueError(f"{icon_set.package} is under {declared}, not under {icon_set.licence} as was checked.")
    return icons


def _get(url: str) -> bytes:
    with urllib.request.urlopen(url, timeout=60) as answer:
        content: bytes = answer.read()
    return content


def _json(files: tarfile.TarFile, name: str) -> dict[str, Any]:
    member = files.extractfile(name)
    if member is None:
        raise ValueError(f"There is no {name} in the package.")
    content: dict[str, Any] = json.load(member)
    return content


def render(icons: Mapping[str, Any], slug: str) -> Image.Image | None:
    """One icon as RGBA, cut to what is drawn, its longest side ``SPRITE_SIDE``. None if the set has no such icon."""
    import resvg_py  # only whoever trains needs it

    aliases = icons.get("aliases", {})
    icon = icons["icons"].get(slug) or icons["icons"].get(aliases.get(slug, {}).get("parent"))
    if icon is None:
        return None
    width, height = (icon.get(side, icons.get(side, 16)) for side in ("width", "height"))
    svg = (
        '<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" '
        f'viewBox="{icon.get("left", 0)} {icon.get("top", 0)} {width} {height}">{icon["body"]}</svg>'
    )
    png = resvg_py.svg_to_bytes(svg_string=svg, width=192, height=192)
    drawn = Image.open(io.BytesIO(bytes(png))).convert("RGBA")
    box = drawn.getchannel("A").point(lambda alpha: 255 if alpha > 8 else 0).getbbox()
    if box is None:
        return None
    drawn = drawn.crop(box)
    scale = SPRITE_SIDE / max(drawn.size)
    return drawn.resize((round(drawn.width * scale) or 1, round(drawn.height * scale) or 1), Image.Resampling.LANCZOS)


class Sprites:
    """Rendered icons by (set, slug), kept in one .npz file."""

    def __init__(self, pictures: Mapping[tuple[str, str], Image.Image]) -> None:
        self.pictures = dict(pictures)

    def __getitem__(self, key: tuple[str, str]) -> Image.Image:
        return self.pictures[key]

    def of(self, set_name: str) -> tuple[str, ...]:
        """The slugs of a set."""
        return tuple(slug for owner, slug in self.pictures if owner == set_name)

    def save(self, path: Path) -> None:
        arrays: dict[str, Any] = {f"{owner}/{slug}": np.asarray(p) for (owner, slug), p in self.pictures.items()}
        np.savez_compressed(path, **arrays)

    @classmethod
    def load(cls, path: Path) -> Sprites:
        with np.load(path, allow_pickle=False) as arrays:
            named = {key: Image.fromarray(arrays[key]) for key in arrays.files}
        return cls({(key.partition("/")[0], key.partition("/")[2]): picture for key, picture in named.items()})


def render_all(folder: Path, slugs: Iterable[str]) -> Sprites:
    """Every icon of ``slugs`` in every set that has it; also the sets' other pictures, which only the autoencoder sees."""
    wanted = tuple(slugs)
    pictures: dict[tuple[str, str], Image.Image] = {}
    for icon_set in ICON_SETS:
        icons = fetch(icon_set, folder)
        for slug in wanted:
            picture = render(icons, slug)
            if picture is not None:
                pictures[icon_set.name, slug] = picture
    return Sprites(pictures)


def common_slugs(folder: Path, per_set: int) -> tuple[str, ...]:
    """Up to ``per_set`` slugs, evenly taken from those that all sets share, for variety in the autoencoder's training.

    People, hands, flags, clocks and buttons are left out: hundreds of near copies.
    """
    repetitive = (
        "skin-tone",
        "flag",
        "clock",
        "button",
        "keycap",
        "thirty",
        "person",
        "man-",
        "hand",
        "kiss",
        "couple",
        "famil",
    )
    shared = set.intersection(*(set(fetch(icon_set, folder)["icons"]) for icon_set in ICON_SETS))
    slugs = sorted(slug for slug in shared if not any(word in slug for word in repetitive))
    stride = max(1, len(slugs) // per_set)
    return tuple(slugs[::stride])
