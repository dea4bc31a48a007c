"""One LoRA on a U-Net of Stable Diffusion 1.5's size: put on, given another strength, taken off; and so by diffusers with PEFT."""

from __future__ import annotations

import copy
import dataclasses
import importlib.util
from collections.abc import Callable
from pathlib import Path

RANK = 32


def write_lora(path: Path, unet) -> Path:  # type: ignore[no-untyped-def]
    """A LoRA of rank 32 with random weights for every linear layer of the attention blocks, in diffusers' names, float16."""
    import torch
    from safetensors.torch import save_file

    generator = torch.Generator().manual_seed(0)
    tensors = {}
    for name, module in unet.named_modules():
        if isinstance(module, torch.nn.Linear) and "transformer_blocks" in name:
            outputs, inputs = module.weight.shape
            for part, shape in (("lora_A", (RANK, inputs)), ("lora_B", (outputs, RANK))):
                tensors[f"unet.{name}.{part}.weight"] = (torch.randn(shape, generator=generator) * 0.01).half()
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file(tensors, path)
    return path


def put_on_and_off(models, selection, cache: Path, seconds: Callable, turn_about: Callable, tell: Callable, repeats: int) -> None:  # type: ignore[no-untyped-def,type-arg]  # fmt: skip
    """``models`` and ``selection`` are those of the checkpoint; the other arguments are ``run.py``'s."""
    if importlib.util.find_spec("peft") is None:
        print("        lora: left out, because diffusers needs peft for it (pip install peft)", flush=True)
        return
    import torch
    from diffusers import StableDiffusionPipeline

    from webui.engine.model_manager import AdapterUse
    from webui.library.model_file import ModelFile

    list(models.load(selection))
    with models.use(selection) as model:
        parts = model.checkpoint
    path = write_lora(cache / "rank32.safetensors", parts.unet)
    status = path.stat()
    file = ModelFile("lora", path.stem, path, status.st_size, status.st_mtime_ns, "sd1")
    pipeline = StableDiffusionPipeline(
        unet=copy.deepcopy(parts.unet).to(memory_format=torch.contiguous_format),
        vae=parts.vae,
        text_encoder=parts.text_encoders["text_encoder"],
        tokenizer=None,
        scheduler=None,
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    before = parts.unet.get_parameter("mid_block.attentions.0.transformer_blocks.0.attn1.to_q.weight").clone()

    def ours(strength: float | None) -> Callable[[], float]:
        uses = () if strength is None else (AdapterUse(file, strength, strength),)
        return lambda: seconds(lambda: list(models.load(dataclasses.replace(selection, adapters=uses))))

    def put_on() -> None:
        pipeline.load_lora_weights(path)
        pipeline.fuse_lora(lora_scale=0.8)

    def change() -> None:
        pipeline.unfuse_lora()
        pipeline.fuse_lora(lora_scale=0.5)

    def take_off() -> None:
        pipeline.unfuse_lora()
        pipeline.unload_lora_weights()

    def ours_from_file() -> float:
        models.free_unused()  # the LoRA's factors too, so that its file is read as theirs is
        return ours(0.8)()

    taken = turn_about(
        repeats,
        **{"put on": ours_from_file, "put on, theirs": lambda: seconds(put_on)},
        **{"strength": ours(0.5), "strength, theirs": lambda: seconds(change)},
        **{"taken off": ours(None), "taken off, theirs": lambda: seconds(take_off)},
    )
    for what, title in (
        ("put on", "a LoRA of rank 32 read and put on, over diffusers' load_lora_weights and fuse_lora"),
        ("strength", "its strength changed, over unfuse_lora and fuse_lora"),
        ("taken off", "taken off, over unfuse_lora and unload_lora_weights"),
    ):
        theirs = taken[f"{what}, theirs"]
        tell(title, taken[what] / theirs, f"{taken[what]:.2f} s over {theirs:.2f} s")
    after = parts.unet.get_parameter("mid_block.attentions.0.transformer_blocks.0.attn1.to_q.weight")
    off = (
        (pipeline.unet.get_parameter("mid_block.attentions.0.transformer_blocks.0.attn1.to_q.weight") - before)
        .abs()
        .max()
    )
    print(f"        ours is as before: {torch.equal(before, after)}; theirs is off by up to {off:.0e}", flush=True)
