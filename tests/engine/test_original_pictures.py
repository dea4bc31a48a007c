"""Finished pictures of the starter against the same drawn by k-diffusion's samplers as A1111 runs them."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image
from references.pictures import CHECKPOINT, DRAWN_WITH, RENEW, SAMPLERS, path_of, request, sha256

from webui.engine.drawn import Drawn
from webui.engine.generate import Options, generate_batch


def test_the_recorded_pictures_are_of_the_starter_that_ships():
    assert DRAWN_WITH.read_text().strip() == sha256(CHECKPOINT), (
        f"The starter checkpoint is another than the one that the recorded pictures were drawn with. Run: {RENEW}"
    )


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_a_finished_picture_differs_from_the_originals_by_2_of_255_at_most(starter_models, sampler):
    models, selection = starter_models
    *_, drawn = generate_batch(request(sampler), 0, models, selection, Options(preview="off"))
    assert isinstance(drawn, Drawn)
    ours, theirs = (np.asarray(image, int) for image in (drawn.image, Image.open(path_of(sampler))))
    assert abs(ours - theirs).max() <= 2, f"or, if {DRAWN_WITH.name} names another checkpoint, run: {RENEW}"
