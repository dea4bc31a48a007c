# ruff: noqa: E402  (a script: it must first say where the tree lies)
"""Write down what the original implementations of the samplers give, for the tests to compare with:

    python tests/references/record.py latents    # after a change here: latents.safetensors
    python tests/references/record.py pictures   # after a change of the starter checkpoint: pictures/
    python tests/references/record.py programs --comfyui CHECKOUT --forge CHECKOUT    # programs.safetensors

k-diffusion and torchsde are installed from PyPI into ``--originals`` (a temporary folder unless named) when they are not
there. Calculated in float64, except the pictures, which are drawn in float32 as A1111's web UI draws them.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import warnings
from pathlib import Path
from types import ModuleType
from typing import Any

import torch

HERE = Path(__file__).resolve().parent
if __name__ == "__main__":
    sys.path[:0] = [str(HERE.parent), str(HERE.parent.parent)]

from references import sigma_tables
from references.cases import (
    FEW,
    INIT,
    OPTIONS,
    PROGRAM_SCHEDULES,
    PROGRAM_STEPS,
    SCHEDULES,
    SEEDS,
    SHAPE,
    STEPS,
    STRENGTHS,
    TIMESTEP_STEPS,
    relative_error,
    skip_of,
)
from references.mixture import posterior_mean
from references.originals import ORIGINALS, Streams, load, run, visited
from references.paths import LATENTS, PROGRAMS
from safetensors.torch import save
from torch import Tensor


def record_latents(sampling: ModuleType, path: Path) -> None:
    """Final latents of every sampler x schedule x steps, of every entry in the middle, and with every set of options.

    And what k-diffusion in float32 loses to rounding: more than other schedules where its formula is ill-conditioned.
    """
    results: dict[str, Tensor] = {}

    def final(
        sampler: str, schedule: str, steps: int, dtype: torch.dtype = torch.float64, **more: Any
    ) -> Tensor:  # picture by picture: the adaptive one's error estimate would tie them together
        whole = torch.from_numpy(visited(sampler, schedule, steps)).to(dtype)
        return torch.cat(
            [run(sampling, sampler, posterior_mean, whole, Streams([seed], SHAPE, dtype), **more) for seed in SEEDS]
        )

    for sampler, original in ORIGINALS.items():
        print(sampler, flush=True)
        runs = [(schedule, n) for schedule in (["Uniform"] if original.takes_ends else SCHEDULES) for n in STEPS]
        table = torch.stack([final(sampler, *of) for of in runs])
        rounded = torch.stack([final(sampler, *of, dtype=torch.float32) for of in runs])
        results[f"{sampler}/schedules"] = table.unflatten(0, (-1, len(STEPS)))
        results[f"{sampler}/rounding"] = relative_error(rounded, table).unflatten(0, (-1, len(STEPS)))
        results[f"{sampler}/few"] = torch.stack([final(sampler, original.schedule, n) for n in FEW])
        results[f"{sampler}/entries"] = torch.stack(
            [
                final(sampler, original.schedule, 20, skip=skip_of(strength), init=INIT.double())
                for strength in STRENGTHS
            ]
        )
    for i, (sampler, options) in enumerate(OPTIONS):
        results[f"options/{i}"] = final(sampler, ORIGINALS[sampler].schedule, 7, **options)
    results = {key: value.float().contiguous() for key, value in results.items()}
    for schedule in SCHEDULES:
        for n in STEPS:
            results[f"levels/{schedule}/{n}"] = torch.from_numpy(sigma_tables.levels(schedule, n).copy())
    path.write_bytes(save(results))


def record_programs(comfyui: Path, forge: Path, path: Path) -> None:
    """Final latents of the samplers that k-diffusion does not have, guided, and of entries in the middle."""
    from references.programs import COMFYUI, FORGE, ComfyUI, Forge

    results: dict[str, Tensor] = {}
    theirs, timesteps = ComfyUI(comfyui), Forge(forge)
    for sampler in COMFYUI:
        for schedule in PROGRAM_SCHEDULES:
            for n in PROGRAM_STEPS:
                levels = torch.from_numpy(sigma_tables.levels(schedule, n).copy())
                results[f"{sampler}/{schedule}/{n}"] = theirs.run(sampler, levels, Streams(SEEDS, SHAPE))
    for sampler in FORGE:
        for n in TIMESTEP_STEPS:
            results[f"{sampler}/Automatic/{n}"] = timesteps.run(sampler, n, Streams(SEEDS, SHAPE))
        results[f"{sampler}/entries"] = torch.stack(
            [
                timesteps.run(sampler, 20, Streams(SEEDS, SHAPE), skip=skip_of(strength), init=INIT.double())
                for strength in STRENGTHS
            ]
        )
    path.write_bytes(save({key: value.float().contiguous() for key, value in results.items()}))


def main() -> None:
    parser = argparse.ArgumentParser(description="Record what the original samplers give.")
    parser.add_argument("what", nargs="+", choices=["latents", "pictures", "programs"])
    parser.add_argument("--originals", type=Path, default=Path(tempfile.gettempdir()) / "lucid-originals")
    parser.add_argument("--comfyui", type=Path, help="where ComfyUI lies")
    parser.add_argument("--forge", type=Path, help="where Forge lies")
    arguments = parser.parse_args()
    sampling, external = load(arguments.originals)
    warnings.filterwarnings("ignore", "Should have t[ab]")  # torchsde, of levels that it rounds to 6 decimals itself
    if "latents" in arguments.what:
        record_latents(sampling, LATENTS)
    if "programs" in arguments.what:
        record_programs(arguments.comfyui, arguments.forge, PROGRAMS)
    if "pictures" in arguments.what:
        from references.pictures import record_pictures  # loads the whole engine

        record_pictures(sampling, external)


if __name__ == "__main__":
    main()
