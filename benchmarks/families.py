"""Each family once at its real size, with random weights: write the file, load it, take one step, let it go.

    python -m benchmarks.families sdxl --dtype bfloat16 --folder /path/with/room

Prints the seconds of each stage and the memory of the process; exits with 1 if the picture is not what was asked for. The
file is 2 GB (Stable Diffusion 1 and 2) to 7 GB (SDXL), and stays for the next time.
"""

from __future__ import annotations

import argparse
import gc
import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import psutil
import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

from webui.domain.request import GenerationRequest
from webui.engine.device import choose_compute, find_hardware
from webui.engine.drawn import Drawn
from webui.engine.families import FAMILIES
from webui.engine.generate import Options, generate_batch
from webui.engine.model_manager import ModelManager, Selection
from webui.library.configs import family_configs
from webui.library.identity import TEXT_ENCODERS
from webui.library.index import Library
from webui.library.open_clip_layout import open_clip_name, stored_name
from webui.library.original_layout import PREFIXES, original_names

BUILDERS = {
    "unet": UNet2DConditionModel.from_config,
    "vae": AutoencoderKL.from_config,
    "text_encoder": lambda config: CLIPTextModel(CLIPTextConfig(**config)),
    "text_encoder_2": lambda config: CLIPTextModelWithProjection(CLIPTextConfig(**config)),
}
OPEN_CLIP = {
    "sd2": ("text_encoder", "cond_stage_model.model."),
    "sdxl": ("text_encoder_2", "conditioner.embedders.1.model."),
    "sdxl-refiner": ("text_encoder_2", "conditioner.embedders.0.model."),
}
CLIP = {
    "sd1": "cond_stage_model.transformer.text_model.",
    "sdxl": "conditioner.embedders.0.transformer.text_model.",
}


def shapes(family: str) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Names and shapes of a published file, counted from the networks."""
    configs = family_configs(family)
    for component in ("unet", "vae", *TEXT_ENCODERS[family].values()):
        with torch.device("meta"):
            state = BUILDERS[component](configs[component]).state_dict()
        if component == OPEN_CLIP.get(family, ("", ""))[0]:
            yield from _open_clip_shapes(state, OPEN_CLIP[family][1])
            continue
        prefix = CLIP[family] if component.startswith("text") else PREFIXES[component][0]
        for key, name in original_names(component, state).items():
            if state[key].is_floating_point():
                yield prefix + name, tuple(state[key].shape)


def _open_clip_shapes(state: dict[str, torch.Tensor], prefix: str) -> Iterator[tuple[str, tuple[int, ...]]]:
    told: set[str] = set()
    for key, tensor in state.items():
        name = open_clip_name(key.removeprefix("text_model."))
        stored, shape = stored_name(name), tuple(tensor.shape)
        if stored and stored not in told:
            told.add(stored)
            yield prefix + stored, (3 * shape[0], *shape[1:]) if name.endswith("]") else shape


def write(path: Path, family: str) -> Path:
    """A float16 file of random weights, small enough that pictures stay finite; one tensor in memory at a time."""
    if path.exists():
        return path
    header, offset, listed = {}, 0, list(shapes(family))
    for name, shape in listed:
        end = offset + 2 * int(np.prod(shape))
        header[name] = {"dtype": "F16", "shape": list(shape), "data_offsets": [offset, end]}
        offset = end
    text = json.dumps(header).encode()
    random = np.random.default_rng(0)
    part = path.with_suffix(".part")
    with part.open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for name, shape in listed:
            inputs = max(1, int(np.prod(shape[1:])))
            if name.endswith("bias"):
                values = np.zeros(shape, np.float16)
            elif len(shape) == 1:
                values = np.ones(shape, np.float16)
            else:
                values = (random.standard_normal(shape, np.float32) * inputs**-0.5).astype(np.float16)
            file.write(values.tobytes())
    part.rename(path)
    return path


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("family", choices=list(FAMILIES))
    parser.add_argument("--dtype", default="auto")
    parser.add_argument("--side", type=int, default=64, help="of the picture, in pixels")
    parser.add_argument("--folder", type=Path, required=True)
    chosen = parser.parse_args()
    process = psutil.Process()

    def told(stage: str, since: float) -> float:
        memory = process.memory_full_info().uss / 2**30
        print(f"{stage:24} {time.perf_counter() - since:7.1f} s   {memory:5.1f} GiB of its own", flush=True)
        return time.perf_counter()

    now = time.perf_counter()
    write(chosen.folder / f"{chosen.family}.safetensors", chosen.family)
    now = told("written", now)
    library = Library({"checkpoint": (chosen.folder,)}, chosen.folder / "hashes.sqlite3")
    library.rescan()
    file = library.find("checkpoint", chosen.family)
    now = told(f"recognised as {file.family}", now)
    models = ModelManager(choose_compute("auto", chosen.dtype, find_hardware()), budget=2**40)
    for _ in models.load(Selection(file)):
        pass
    now = told("loaded", now)
    request = GenerationRequest(prompt="a fox", seed=1, steps=1, sampler="Euler", width=chosen.side, height=chosen.side)
    drawn = [
        event for event in generate_batch(request, 0, models, Selection(file), Options()) if isinstance(event, Drawn)
    ]
    now = told("one step drawn", now)
    models.free_all()
    gc.collect()
    told("let go", now)
    return 0 if drawn[0].image.size == (chosen.side, chosen.side) and file.family == chosen.family else 1


if __name__ == "__main__":
    sys.exit(main())
