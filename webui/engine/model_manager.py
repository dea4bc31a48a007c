"""The one owner of all weights: it brings what a request names into memory and nothing else ever touches a model.

Hot swap is no operation of its own. ``load`` compares wanted with present and does the difference. Checkpoints and VAE files
stay in memory under a byte budget, the least recently used out first. A manager belongs to one worker thread, so it needs no
locks.
"""

from __future__ import annotations

import gc
from collections import OrderedDict
from collections.abc import Generator, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch
from diffusers import AutoencoderKL
from torch import Tensor, nn

from webui.domain.events import Loading, Notice
from webui.domain.request import GenerationRequest
from webui.engine.adapters.file import read_adapter
from webui.engine.chunks import chunk_prompt
from webui.engine.conditioning import Conditioning, Prompt, Reading, encode_prompts
from webui.engine.denoise import unet_network
from webui.engine.device import Compute, is_out_of_memory, release_unused_memory
from webui.engine.embedding_words import EmbeddingWords, too_long, why_skipped
from webui.engine.embeddings import AddedWords, read_embedding
from webui.engine.families import FAMILIES
from webui.engine.families.base import Checkpoint
from webui.engine.families.networks import load_vae
from webui.engine.guidance import Network
from webui.engine.hypernetworks import changes_nothing, hypernetworks_on, read_hypernetwork
from webui.engine.patches import Applied, Patches
from webui.engine.selection import AdapterUse, HypernetworkUse, Selection
from webui.engine.taesd import load_taesd
from webui.engine.tokenizer import ClipTokenizer
from webui.engine.upscaler import Upscaler, read_upscaler
from webui.engine.weights import byte_size
from webui.errors import IncompatibleModel, OutOfMemory, UnreadableModel
from webui.library.identity import TEXT_ENCODERS
from webui.library.model_file import ModelFile

__all__ = ["AdapterUse", "HypernetworkUse", "Model", "ModelManager", "Selection"]

Key = tuple[str, int, int]


@dataclass(frozen=True)
class Model:
    """What ``use`` hands out: the networks of a selection, for as long as its ``with`` lasts."""

    checkpoint: Checkpoint
    vae: AutoencoderKL
    taesd: nn.Module | None
    tokenizer: ClipTokenizer
    compute: Compute
    added: AddedWords
    refiner: Model | None = None

    @property
    def words(self) -> EmbeddingWords:
        """The embeddings that prompts may name: to be given to :func:`webui.engine.chunks.chunk_prompt`."""
        return self.added.words

    def network(self) -> Network:
        return unet_network(self.checkpoint.unet)

    def condition(
        self, prompts: tuple[Prompt, ...], request: GenerationRequest, *, is_negative: bool, is_empty: bool = False
    ) -> Conditioning:
        """What the network is told of texts that take turns, cut into chunks; encoded once and remembered by content.

        ``is_empty``: there is nothing in any of the texts, not even a space.
        """
        checkpoint = self.checkpoint
        keep_mean = request.emphasis != "No norm"
        told = checkpoint.prompts.get(
            (prompts, request.clip_skip, keep_mean),
            lambda: encode_prompts(
                prompts,
                chunk_prompt("", self.tokenizer)[0],
                [
                    partial(self.read, clip_skip=request.clip_skip, encoder=encoder)
                    for encoder in TEXT_ENCODERS[checkpoint.file.family]
                ],
                self.compute.device,
                keep_mean=keep_mean,
            ),
        )
        return checkpoint.family.complete(told, request, is_negative=is_negative, is_empty=is_empty)

    def read(self, ids: Tensor, clip_skip: int, encoder: str = "clip_l") -> Reading:
        """What a text encoder makes of token ids (n, 77), those of embeddings among them."""
        checkpoint = self.checkpoint
        component = TEXT_ENCODERS[checkpoint.file.family][encoder]
        return self.added.encode(
            checkpoint.text_encoders[component],
            encoder,
            ids,
            lambda known: checkpoint.family.read(checkpoint, component, known, clip_skip),
        )

    @property
    def is_float32(self) -> bool:
        return all(next(module.parameters()).dtype == torch.float32 for module in (*self.unets, self.vae))

    @property
    def unets(self) -> tuple[nn.Module, ...]:
        """That of the checkpoint, and that of the refiner if there is one."""
        return (self.checkpoint.unet, *(self.refiner.unets if self.refiner else ()))

    @contextmanager
    def in_float32(self) -> Iterator[None]:
        """Everything in full precision inside; half precision returns bit for bit, as widening it loses nothing."""
        checkpoints = [model.checkpoint for model in (self, self.refiner) if model is not None]
        encoders = (encoder for checkpoint in checkpoints for encoder in checkpoint.text_encoders.values())
        modules = (*self.unets, *encoders, self.vae)
        before = [next(module.parameters()).dtype for module in modules]
        for checkpoint in checkpoints:
            checkpoint.prompts.clear()
        try:
            for module in modules:
                module.float()
            yield
        finally:
            for checkpoint in checkpoints:
                checkpoint.prompts.clear()
            for module, dtype in zip(modules, before, strict=True):
                module.to(dtype)


class ModelManager:
    """Weights in memory for one device. ``budget`` is in bytes; what is in use is never evicted, however large."""

    def __init__(self, compute: Compute, budget: int) -> None:
        self.compute = compute
        self.budget = budget
        self._tokenizer = ClipTokenizer()
        self._loaded: OrderedDict[Key, Any] = OrderedDict()
        self._sizes: dict[Key, int] = {}
        self._in_use: frozenset[Key] = frozenset()
        self._remarked: frozenset[str] = frozenset()
        self._patches: dict[Key, Patches] = {}

    def load(self, selection: Selection) -> Iterator[Loading | Notice]:
        """Bring the selection into memory, telling how far it is; nothing happens if it is there already.

        Raises ``UnreadableModel``, ``IncompatibleModel`` where an adapter does not fit the checkpoint or, when even an empty
        memory cannot hold it, ``OutOfMemory``.
        """
        wanted = [file for file in (selection.checkpoint, selection.vae, selection.taesd) if file is not None]
        wanted += [selection.upscaler] if selection.upscaler is not None else []
        wanted += [use.file for use in selection.adapters]
        wanted += [*_fitting(selection), *(use.file for use in selection.hypernetworks)]
        refining = selection.of_refiner
        wanted += [refining.checkpoint, *_fitting(refining)] if refining is not None else []
        self._in_use = frozenset(_key(file) for file in wanted)
        for file in wanted:
            yield from self._bring(file)
        yield from self._patch(selection)
        if refining is not None:
            self._check_refiner(selection, refining.checkpoint)
            yield from self._patch(refining)
        yield from self._remark(selection)

    def load_upscalers(self, files: Sequence[ModelFile]) -> Iterator[Loading]:
        """Bring upscaling networks in, for work on finished pictures, which needs no checkpoint. Errors as of ``load``."""
        self._in_use = frozenset(_key(file) for file in files)
        for file in files:
            yield from self._bring(file)

    def upscaler(self, file: ModelFile) -> Upscaler:
        """A network that ``load`` or ``load_upscalers`` has brought in."""
        upscaler: Upscaler = self._loaded[_key(file)]
        return upscaler

    @contextmanager
    def use(self, selection: Selection) -> Iterator[Model]:
        """The networks of a selection that ``load`` has brought in."""
        checkpoint = self._loaded[_key(selection.checkpoint)]
        vae = checkpoint.vae if selection.vae is None else self._loaded[_key(selection.vae)]
        if vae is None:
            raise IncompatibleModel(f'"{selection.checkpoint.name}" holds no VAE: choose one under VAE.')
        if vae is not checkpoint.vae:
            # a VAE file does not say how its latents are scaled; the checkpoint's family does
            vae.register_to_config(scaling_factor=checkpoint.latent_scale)
        with ExitStack() as stack:
            model = stack.enter_context(self._use(selection, vae))
            if selection.of_refiner is not None:
                model = replace(model, refiner=stack.enter_context(self._use(selection.of_refiner, vae)))
            yield model

    @contextmanager
    def _use(self, selection: Selection, vae: AutoencoderKL) -> Iterator[Model]:
        checkpoint = self._loaded[_key(selection.checkpoint)]
        taesd = None if selection.taesd is None else self._loaded[_key(selection.taesd)]
        patches = self._patches[_key(selection.checkpoint)]
        if not patches.carry(self._applied(selection)):  # its loading was not pulled to the end
            raise RuntimeError(
                f'the weights of "{selection.checkpoint.name}" do not carry the adapters of the selection'
            )
        embeddings = _fitting(selection)
        added = AddedWords(
            EmbeddingWords(embeddings, self._tokenizer), [self._loaded[_key(embedding)] for embedding in embeddings]
        )
        acting = [(self._loaded[_key(use.file)], use.strength) for use in selection.hypernetworks]
        with hypernetworks_on(checkpoint.unet, acting):
            yield Model(checkpoint, vae, taesd, self._tokenizer, self.compute, added)

    def _check_refiner(self, selection: Selection, file: ModelFile) -> None:
        """Raises ``IncompatibleModel`` where the refiner's latents or what it predicts are others than the checkpoint's."""
        first, second = self._loaded[_key(selection.checkpoint)], self._loaded[_key(file)]
        same = first.prediction_type == second.prediction_type and first.latent_scale == second.latent_scale
        if not same or first.unet.config.in_channels < second.unet.config.in_channels:
            raise IncompatibleModel(
                f'"{file.name}" cannot go on with what "{selection.checkpoint.name}" began: its latents, or what it predicts of '
                "them, are of another kind. Choose another refiner."
            )

    def free_unused(self) -> None:
        """Let go of everything that the current selection does not name."""
        for key in [key for key in self._loaded if key not in self._in_use]:
            self._forget(key)
        gc.collect()
        release_unused_memory(self.compute.device)

    def free_all(self) -> None:
        """Let go of everything; the next ``load`` reads it anew."""
        self._in_use = frozenset()
        self.free_unused()

    @property
    def loaded_bytes(self) -> int:
        return sum(self._sizes.values())

    def _load_alone(self, file: ModelFile) -> Iterator[Loading]:
        try:
            yield from self._load(file)
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            raise OutOfMemory(
                f'"{file.name}" does not fit into the memory of {self.compute.device}, even with every other model let '
                "go. Close other programs, or choose a smaller model or a lower precision (setting dtype)."
            ) from error

    def _bring(self, file: ModelFile) -> Iterator[Loading]:
        """The file is in memory afterwards, and the one used last."""
        if _key(file) not in self._loaded:
            try:
                yield from self._load(file)
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error):
                    raise
                # the half-built network hangs on the error's traceback: let go of it before trying again
                error.__traceback__ = None
                self.free_unused()
                yield from self._load_alone(file)
        self._loaded.move_to_end(_key(file))

    def _load(self, file: ModelFile) -> Iterator[Loading]:
        self._make_room(file.size)
        text = f"loading {file.name}"
        yield Loading(text, 0.0)
        total, read, told = max(file.size, 1), 0, 0.0
        reading = self._reader(file)
        while True:
            try:
                read += next(reading)
            except StopIteration as finished:
                loaded, size = finished.value
                break
            fraction = min(read / total, 1.0)
            if fraction - told >= 0.02:  # a hundred tensors a second need not all be told
                told = fraction
                yield Loading(f"{text}: {_in_gb(read)} of {_in_gb(total)}", fraction)
        self._loaded[_key(file)] = loaded
        self._sizes[_key(file)] = size
        self._make_room(0)

    def _reader(self, file: ModelFile) -> Generator[int, None, tuple[Any, int]]:
        if file.kind == "vae":
            vae = yield from load_vae(file, self.compute)
            return vae, byte_size(vae)
        if file.kind == "taesd":
            taesd = yield from load_taesd(file, self.compute)
            return taesd, byte_size(taesd)
        if file.kind == "lora":
            adapter = yield from read_adapter(file, self.compute.device)
            return adapter, adapter.size
        if file.kind == "embedding":
            embedding = yield from read_embedding(file, self.compute.device)
            return embedding, embedding.size
        if file.kind == "hypernetwork":
            hypernetwork = yield from read_hypernetwork(file, self.compute.device)
            return hypernetwork, hypernetwork.size
        if file.kind == "upscaler":
            upscaler = yield from read_upscaler(file, self.compute)
            return upscaler, upscaler.size
        checkpoint = yield from FAMILIES[file.family].load(file, self.compute)
        own_vae = () if checkpoint.vae is None else (checkpoint.vae,)
        return checkpoint, byte_size(*checkpoint.text_encoders.values(), checkpoint.unet, *own_vae)

    def _patch(self, selection: Selection) -> Iterator[Loading | Notice]:
        """Make the checkpoint's weights carry the adapters of the selection and no others."""
        key = _key(selection.checkpoint)
        if key not in self._patches:
            self._patches[key] = Patches(self._loaded[key])
        patches = self._patches[key]
        applied = self._applied(selection)
        if patches.carry(applied):
            return
        for remark in patches.remarks(applied):
            yield Notice(remark)
        names = ", ".join(dict.fromkeys(use.file.name for use in selection.adapters))
        text = f"applying {names}" if names else "taking LoRAs off"
        yield Loading(text, 0.0)
        try:
            try:
                yield from _telling(text, patches.change(applied))
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error):
                    raise
                self.free_unused()
                yield from _telling(text, patches.change(applied))
        except UnreadableModel:  # the checkpoint's own weights are lost: the next request reads the file anew
            self._forget(key)
            raise
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            raise OutOfMemory(
                f"Memory ran out on {self.compute.device} while {text}. Close other programs, or use fewer or smaller ones."
            ) from error

    def _applied(self, selection: Selection) -> list[Applied]:
        return [Applied(self._loaded[_key(use.file)], use.te, use.unet, use.dyn) for use in selection.adapters]

    def _remark(self, selection: Selection) -> Iterator[Notice]:
        """What of the selection has no effect, said once for as long as it stays selected."""
        unet = self._loaded[_key(selection.checkpoint)].unet
        remarks = [why_skipped(file, selection.checkpoint) or too_long(file) for file in selection.embeddings]
        remarks += [
            f'The hypernetwork "{use.file.name}" changes nothing: "{selection.checkpoint.name}" has no layer of its widths.'
            for use in selection.hypernetworks
            if changes_nothing(self._loaded[_key(use.file)], unet)
        ]
        said, self._remarked = self._remarked, frozenset(remarks)
        for remark in dict.fromkeys(remarks):
            if remark and remark not in said:
                yield Notice(remark)

    def _make_room(self, needed: int) -> None:
        for key in list(self._loaded):
            if self.loaded_bytes + needed <= self.budget:
                return
            if key not in self._in_use:
                self._forget(key)
                release_unused_memory(self.compute.device)

    def _forget(self, key: Key) -> None:
        del self._loaded[key], self._sizes[key]
        self._patches.pop(key, None)


def _telling(text: str, fractions: Iterator[float]) -> Iterator[Loading]:
    """Every tenth of the way, as hundreds of weights a second need not all be told."""
    told = 0.0
    for fraction in fractions:
        if fraction - told >= 0.1:
            told = fraction
            yield Loading(text, fraction)


def _fitting(selection: Selection) -> tuple[ModelFile, ...]:
    """The embeddings that the checkpoint's text encoder can read."""
    return tuple(file for file in selection.embeddings if not why_skipped(file, selection.checkpoint))


def _key(file: ModelFile) -> Key:
    return (str(file.path), file.mtime_ns, file.size)


def _in_gb(count: int) -> str:
    return f"{count / 1e9:.2f} GB"
