"""From a model file of any kind to what is held in memory of it."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import replace

from webui.engine.adapters.file import read_adapter
from webui.engine.device import Compute
from webui.engine.embeddings import read_embedding
from webui.engine.families import FAMILIES
from webui.engine.families.networks import load_vae
from webui.engine.holdings import RAM, Held, part_of
from webui.engine.hypernetworks import read_hypernetwork
from webui.engine.taesd import load_taesd
from webui.engine.upscaler import read_upscaler
from webui.engine.weights import byte_size
from webui.library.model_file import ModelFile

MOVABLE = ("checkpoint", "vae")  # those made of networks that can wait in RAM


def read_model(file: ModelFile, compute: Compute, *, aside: bool = False) -> Generator[int, None, Held]:
    """Yields the bytes of each tensor as it is read. ``aside``: networks that can be moved are read into RAM."""
    home = replace(compute, device=RAM) if aside else compute
    if file.kind == "vae":
        vae = yield from load_vae(file, home)
        return Held(vae, (part_of(vae, on_device=not aside),), 0)
    if file.kind == "taesd":
        taesd = yield from load_taesd(file, compute)
        return Held(taesd, (), byte_size(taesd))
    if file.kind == "lora":
        adapter = yield from read_adapter(file, compute.device)
        return Held(adapter, (), adapter.size)
    if file.kind == "embedding":
        embedding = yield from read_embedding(file, compute.device)
        return Held(embedding, (), embedding.size)
    if file.kind == "hypernetwork":
        hypernetwork = yield from read_hypernetwork(file, compute.device)
        return Held(hypernetwork, (), hypernetwork.size)
    if file.kind == "upscaler":
        upscaler = yield from read_upscaler(file, compute)
        return Held(upscaler, (), upscaler.size)
    checkpoint = yield from FAMILIES[file.family].load(file, home)
    own_vae = () if checkpoint.vae is None else (checkpoint.vae,)
    networks = (*checkpoint.text_encoders.values(), checkpoint.unet, *own_vae)
    parts = tuple(part_of(network, on_device=not aside) for network in networks)
    return Held(checkpoint, parts, 0, when_aside=checkpoint.prompts.clear)
