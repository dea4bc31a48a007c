"""``python -m webui.training.starter``: make the starter checkpoint, from nothing or from where the last run stopped.

Without a stage all are run in order; each goes on where it was cut off. On two cores a whole run is estimated at eight hours.
``evaluate FILE`` measures any checkpoint that draws the starter's vocabulary.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from pathlib import Path

from webui.training.starter.additions import train_additions
from webui.training.starter.autoencoder import AutoencoderPlan, train_autoencoder
from webui.training.starter.checkpoint import write_checkpoint, write_vae
from webui.training.starter.diffusion import DiffusionPlan, train_diffusion
from webui.training.starter.evaluation import report
from webui.training.starter.icons import Sprites, common_slugs, render_all
from webui.training.starter.latents import write_latents
from webui.training.starter.recognition import trained_recognizer
from webui.training.starter.run import in_processes
from webui.training.starter.vocabulary import SUBJECTS, THINGS

STAGES = ("icons", "autoencoder", "latents", "diffusion", "checkpoint", "fine-vae", "chalk", "additions", "evaluate")


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m webui.training.starter", description=__doc__.partition("\n\n")[0])
    parser.add_argument("stage", nargs="?", choices=STAGES, help="one stage only")
    parser.add_argument("file", nargs="?", type=Path, help="the checkpoint to write or to evaluate")
    parser.add_argument("--work", type=Path, default=Path("var/training"), help="where everything is kept meanwhile")
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--shards", type=int, default=24, help="of 2,048 training pictures each")
    parser.add_argument("--autoencoder-steps", type=int, default=8000)
    parser.add_argument("--diffusion-steps", type=int, default=20000)
    parser.add_argument("--fine-steps", type=int, default=3000, help="of the wider decoder, and of the chalk decoder")
    parser.add_argument("--chalk-steps", type=int, default=1500, help="of the second checkpoint")
    options = parser.parse_args(arguments)
    options.work.mkdir(parents=True, exist_ok=True)
    for stage in [options.stage] if options.stage else STAGES:
        _run(stage, options)


def _run(stage: str, options: argparse.Namespace) -> None:
    work: Path = options.work
    sprites, latents, vae = work / "sprites.npz", work / "latents", work / "autoencoder" / "vae"
    file = options.file or work / "lucid-starter.safetensors"
    if stage == "icons":
        slugs = [*(thing.slug for thing in THINGS), *SUBJECTS, *common_slugs(work / "icons", 500)]
        render_all(work / "icons", dict.fromkeys(slugs)).save(sprites)
    elif stage == "autoencoder":
        plan = AutoencoderPlan(steps=options.autoencoder_steps)
        in_processes(train_autoencoder, options.processes, sprites, vae.parent, plan)
    elif stage == "latents":
        in_processes(write_latents, options.processes, options.processes, sprites, vae, latents, options.shards)
    elif stage == "diffusion":
        diffusion = DiffusionPlan(steps=options.diffusion_steps)
        in_processes(train_diffusion, options.processes, latents, vae, work / "diffusion", diffusion)
    elif stage == "fine-vae":
        fine = AutoencoderPlan(
            steps=options.fine_steps, rate=4e-4, decoder_only=True, widen=True, start_from=str(vae), save_every=100
        )
        in_processes(train_autoencoder, options.processes, sprites, work / "fine-vae", fine)
        write_vae(work / "lucid-fine.vae.safetensors", work / "fine-vae" / "vae")
    elif stage == "chalk":
        _chalk(work, options)
    elif stage == "additions":
        train_additions(file, Sprites.load(sprites), work / "additions", work / "hashes.sqlite3")
    elif stage == "checkpoint":
        write_checkpoint(
            file,
            vae,
            work / "diffusion",
            title="Lucid starter",
            description=f"A small latent diffusion model that knows {len(THINGS)} things in two styles, plain shapes, "
            "twelve colours, eight places and seven scenes. It ships with Lucid so that a fresh clone draws a picture.",
        )
    else:
        loaded = Sprites.load(sprites)
        print(report(file, loaded, trained_recognizer(loaded, work / "recognizer.safetensors"), work))


def _chalk(work: Path, options: argparse.Namespace) -> None:
    """The second checkpoint: the first one's networks, taught another style, with a decoder for fine lines."""
    sprites, vae, folder = work / "sprites.npz", work / "autoencoder" / "vae", work / "chalk"
    shards = max(2, options.shards // 4)
    in_processes(write_latents, options.processes, options.processes, sprites, vae, folder / "latents", shards, "chalk")
    style = DiffusionPlan(
        steps=options.chalk_steps, rate=5e-4, text_steps=0, noise_mean=(0.5, 0.0), start_from=str(work / "diffusion")
    )
    in_processes(train_diffusion, options.processes, folder / "latents", vae, folder / "diffusion", style)
    decoder = AutoencoderPlan(
        steps=options.fine_steps, rate=4e-4, decoder_only=True, finish="chalk", start_from=str(vae), save_every=100
    )
    in_processes(train_autoencoder, options.processes, sprites, folder / "autoencoder", decoder)
    write_checkpoint(
        work / "lucid-chalk.safetensors",
        folder / "autoencoder" / "vae",
        folder / "diffusion",
        title="Lucid chalk",
        description="The Lucid starter, taught to draw with chalk on a board: the same words, another style.",
    )


if __name__ == "__main__":
    main()
