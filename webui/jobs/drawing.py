"""What a worker draws with: the engine on one device, fed with model files from the library.

Imported in the worker's thread only, because it loads torch.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

import psutil

from webui.domain.enlarging import NO_UPSCALER, RESAMPLERS
from webui.domain.events import Loading, Notice, Preview, Step
from webui.domain.hires_options import LATENT_UPSCALERS
from webui.domain.network_hashes import EMBEDDING, write_hashes
from webui.domain.request import GenerationRequest
from webui.domain.second_pass import second_pass
from webui.engine.device import choose_compute, find_hardware, free_device_memory, use_threads
from webui.engine.drawn import Drawn
from webui.engine.embedding_words import why_skipped
from webui.engine.generate import Options, Sources, generate_batch
from webui.engine.memory import choose_budgets
from webui.engine.model_manager import AdapterUse, HypernetworkUse, ModelManager, Selection
from webui.engine.tokenizer import ClipTokenizer
from webui.jobs.inputs import InputPictures
from webui.jobs.named_files import NamedFiles, find_named
from webui.library.index import Library
from webui.library.model_file import ModelFile

Drawing = Iterator[Loading | Step | Preview | Notice | Drawn]
DrawFor = Callable[..., Drawing]
"""(request, batch, owner="") -> events; see ``jobs.tasks.Draw``."""

VAE_AUTOMATIC = "Automatic"
VAE_OWN = "None"


@dataclass(frozen=True)
class Workplace:
    """Where a worker computes and how much it may hold. ``threads`` 0 and bytes 0 mean automatic.

    ``ram`` is what models may fill of the computer's memory and ``device_memory`` of a card's; ``workers`` share the former.
    """

    device: str = "auto"
    dtype: str = "auto"
    threads: int = 0
    ram: int = 0
    device_memory: int = 0
    low_memory: str = "auto"
    workers: int = 1
    float8: bool = False
    attention: str = "auto"


def workplace(settings: Any, device: str) -> Workplace:
    """That of the worker for a device, out of what has the fields of an installation's settings."""
    return Workplace(
        device,
        settings.dtype,
        settings.threads,
        int(settings.memory_budget_gb * 1e9),
        int(settings.device_memory_budget_gb * 1e9),
        settings.low_memory,
        len(settings.devices),
        settings.eight_bit_unet,
        settings.attention,
    )


def model_manager(workplace: Workplace) -> ModelManager:
    """Choose device and precision, and who holds the weights there."""
    use_threads(workplace.threads)
    compute = choose_compute(
        workplace.device,
        workplace.dtype,
        find_hardware(),
        float8=workplace.float8,
        attention=workplace.attention,
    )
    budgets = choose_budgets(
        compute.device.type,
        ram_total=psutil.virtual_memory().total,
        device_free=free_device_memory(compute.device),
        device_asked=workplace.device_memory,
        ram_asked=workplace.ram,
        workers=workplace.workers,
    )
    return ModelManager(compute, budgets.device, ram=budgets.ram, low_memory=workplace.low_memory)


def set_up(library: Library, models: ModelManager, options: Options, inputs: InputPictures | None = None) -> DrawFor:
    """The function that draws one batch of an owner's request. ``inputs`` are the pictures that requests may start from."""
    # the hash of a 2 GB file takes seconds when it is not known yet: calculated while the picture is drawn
    hasher = ThreadPoolExecutor(max_workers=1, thread_name_prefix="hasher")

    tokenizer = ClipTokenizer()

    def draw(
        request: GenerationRequest, batch: int, owner: str = ""
    ) -> Iterator[Loading | Step | Preview | Notice | Drawn]:
        named = find_named(library, request, tokenizer)
        selection = select(library, request, named, want_taesd=options.preview == "taesd")
        if batch == 0:
            yield from (Notice(remark) for remark in named.remarks)
        if options.preview == "taesd" and selection.taesd is None and batch == 0:
            yield Notice("There is no usable TAESD file in models/taesd, so previews are the coarse linear ones.")
        hashes = hasher.submit(_hashes, library, selection, named)
        sources = open_sources(inputs, request, owner) if inputs is not None else Sources()
        second = _second_selection(library, request, tokenizer) if request.draws_twice else None
        for event in generate_batch(request, batch, models, selection, options, sources, second):
            if isinstance(event, Drawn):
                yield replace(event, facts={**event.facts, **hashes.result()})
            else:
                yield event

    return draw


def _second_selection(library: Library, request: GenerationRequest, tokenizer: ClipTokenizer) -> Selection:
    """The models of hires fix' second pass: its own checkpoint and LoRAs if it has any, and what enlarges before it."""
    later = second_pass(request)
    selection = select(library, later, find_named(library, later, tokenizer))
    if request.hires_upscaler in (*LATENT_UPSCALERS, *RESAMPLERS):
        return selection
    return replace(selection, upscaler=library.find("upscaler", request.hires_upscaler))


def open_sources(inputs: InputPictures, request: GenerationRequest, owner: str) -> Sources:
    """The input pictures that the request names. Raises ``UnreadablePicture`` where one is gone."""
    ids = (request.init_image, request.mask, request.depth_map)
    return Sources(*(inputs.open(id, owner) if id else None for id in ids))


def select(library: Library, request: GenerationRequest, named: NamedFiles, *, want_taesd: bool = False) -> Selection:
    """The model files that the request names. Raises ``ModelNotFound`` with near matches."""
    checkpoint = library.find("checkpoint", request.checkpoint, request.checkpoint_hash)
    taesd = _taesd(library, checkpoint) if want_taesd else None
    return Selection(
        checkpoint,
        _vae(library, request, checkpoint),
        taesd,
        upscaler=_tile_upscaler(library, request),
        refiner=library.find("checkpoint", request.refiner_checkpoint) if request.refines else None,
        embeddings=named.embeddings,
        hypernetworks=tuple(HypernetworkUse(file, tag.te) for tag, file in named.hypernetworks),
        adapters=tuple(AdapterUse(file, tag.te, tag.unet, tag.dyn) for tag, file in named.loras),
    )


def _tile_upscaler(library: Library, request: GenerationRequest) -> ModelFile | None:
    """The network that enlarges before SD upscale draws its tiles; None where none does."""
    if not request.upscales_in_tiles or request.sd_upscale_upscaler in (NO_UPSCALER, *RESAMPLERS):
        return None
    return library.find("upscaler", request.sd_upscale_upscaler)


def _vae(library: Library, request: GenerationRequest, checkpoint: ModelFile) -> ModelFile | None:
    """None stands for the checkpoint's own. Automatic takes a file named like the checkpoint, if there is one."""
    if request.vae == VAE_OWN:
        return None
    if request.vae != VAE_AUTOMATIC:
        return library.find("vae", request.vae, request.vae_hash)
    stem = checkpoint.path.stem.casefold()
    named_alike = {stem, f"{stem}.vae"}
    usable = (file for file in library.files("vae") if not file.problem)
    return next((file for file in usable if file.path.stem.casefold() in named_alike), None)


def _taesd(library: Library, checkpoint: ModelFile) -> ModelFile | None:
    """The first for the checkpoint's latents: SDXL has its own, the others share theirs."""
    family = "sdxl" if checkpoint.family.startswith("sdxl") else "sd1"
    return next((file for file in library.files("taesd") if not file.problem and file.family == family), None)


def _hashes(library: Library, selection: Selection, named: NamedFiles) -> dict[str, str]:
    """What the pictures say of their model files. "Hashes" is for Civitai, and only where a prompt names files."""
    resources = {"model": library.hash(selection.checkpoint)[:10]}
    facts = {"checkpoint_hash": resources["model"]}
    if selection.vae is not None:
        resources["vae"] = library.hash(selection.vae)[:10]
        facts |= {"vae": selection.vae.path.name, "vae_hash": resources["vae"]}
    if selection.refiner is not None:
        facts["refiner_checkpoint"] = f"{selection.refiner.name} [{library.hash(selection.refiner)[:10]}]"
    embeddings = [file for file in named.embeddings if not why_skipped(file, selection.checkpoint)]
    facts["lora_hashes"] = write_hashes((tag.name, library.lora_hash(file)[:12]) for tag, file in named.loras)
    facts["ti_hashes"] = write_hashes((file.name, library.hash(file)[:12]) for file in embeddings)
    used = [(f"{tag.kind}:{tag.name}", file) for tag, file in (*named.loras, *named.hypernetworks)]
    used += [(f"{EMBEDDING}:{file.name}", file) for file in embeddings]
    if used:
        resources |= {key: library.hash(file)[:10] for key, file in used}
        facts["Hashes"] = json.dumps(resources, ensure_ascii=False)
    return facts
