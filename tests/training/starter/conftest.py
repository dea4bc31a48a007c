"""Sprites of our own making, so that the tests need no network: a coloured pattern for every thing in every style."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from webui.training.starter.icons import ICON_SETS, Sprites
from webui.training.starter.vocabulary import THINGS


@pytest.fixture(scope="session")
def sprites() -> Sprites:
    rng = np.random.default_rng(0)
    pictures = {}
    for icon_set in ICON_SETS:
        for thing in THINGS:
            blocks = Image.fromarray(rng.integers(40, 200, (4, 4, 3), np.uint8)).resize(
                (160, 120), Image.Resampling.NEAREST
            )
            pictures[icon_set.name, thing.slug] = blocks.convert("RGBA")
    return Sprites(pictures)
