"""How a run goes, as pictures: its curves, and what the networks draw so far."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from PIL import Image
from torch import Tensor

from webui.engine.samplers import build

PROMPTS = (
    "a dog on a white background, flat style",
    "a dog on a white background, detailed style",
    "a red apple on a blue background, flat style",
    "a green circle on the left, yellow background",
    "a small owl in the top right corner, pink background, detailed style",
    "a rocket at night, flat style",
    "two hearts on a black background, flat style",
    "a penguin in the snow, detailed style",
    "a purple square at the bottom, white background",
    "a robot on the right, orange background, flat style",
    "a pizza in a meadow, detailed style",
    "a blue star on a red background, flat style",
)


def draw_curves(log: Path, picture: Path, names: Sequence[str]) -> None:
    """Each named figure of ``log.jsonl`` over the steps."""
    from matplotlib.figure import Figure  # only whoever trains needs it

    lines = [json.loads(line) for line in log.read_text().splitlines()]
    figure = Figure(figsize=(4 * len(names), 3), layout="constrained")
    for place, name in enumerate(names):
        axes = figure.add_subplot(1, len(names), place + 1)
        points = [(line["step"], line[name]) for line in lines if name in line]
        axes.plot([step for step, _ in points], [value for _, value in points])
        axes.set_title(name)
        axes.set_xlabel("step")
        axes.grid(alpha=0.3)
    figure.savefig(picture, dpi=80)


@torch.inference_mode()
def draw_samples(
    unet: UNet2DConditionModel,
    encode: Callable[[Sequence[str]], Tensor],
    vae: AutoencoderKL,
    prompts: Sequence[str],
    *,
    steps: int = 12,
    scale: float = 2.5,
) -> Image.Image:
    """One picture for each prompt, side by side; ``encode`` gives (n, 77, width) for n texts."""
    scheduler = build("DPM++ 2M", "Karras", steps, {"prediction_type": "v_prediction"})
    noise = torch.randn((len(prompts), 4, 16, 16), generator=torch.Generator().manual_seed(3))
    x = scheduler.begin(noise * scheduler.init_noise_sigma)
    cond, empty = encode(prompts), encode([""])
    states = torch.cat([cond, empty.expand_as(cond)])
    while not scheduler.done:
        scaled = scheduler.scale_model_input(x).repeat(2, 1, 1, 1).contiguous(memory_format=torch.channels_last)
        with_prompt, without = unet(scaled, scheduler.timestep, states).sample.chunk(2)
        x = scheduler.advance(scheduler.predict_x0(without + scale * (with_prompt - without), x))
    pixels = torch.cat([vae.decode(part / vae.config.scaling_factor).sample for part in x.split(4)])
    frames = ((pixels.clamp(-1, 1) + 1) * 127.5).round().byte().permute(0, 2, 3, 1).numpy()
    sheet = Image.new("RGB", (128 * 6, 128 * -(-len(prompts) // 6)))
    for number, frame in enumerate(frames):
        sheet.paste(Image.fromarray(frame), (number % 6 * 128, number // 6 * 128))
    return sheet
