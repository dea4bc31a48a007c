"""The one owner of all weights: it brings what a request names into memory and nothing else ever touches a model.

Hot swap is no operation of its own. ``load`` compares wanted with present and does the difference. What is in memory and what
of it goes first is told in :mod:`webui.engine.holdings`, how a file becomes networks in :mod:`webui.engine.reading`, what is
handed out in :mod:`webui.engine.model`. A manager belongs to one worker thread, so it needs no locks.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace

from diffusers import AutoencoderKL
from torch import nn

from webui.domain.events import Loading, Notice
from webui.engine.device import Compute, is_out_of_memory
from webui.engine.embedding_words import EmbeddingWords, too_long, why_skipped
from webui.engine.embeddings import AddedWords
from webui.engine.holdings import Holdings, Key
from webui.engine.hypernetworks import changes_nothing, hypernetworks_on
from webui.engine.memory import BY_LAYER, BY_NETWORK, WHOLE, Budgets, choose_low_memory
from webui.engine.model import Model
from webui.engine.patches import Applied, Patches
from webui.engine.reading import MOVABLE, read_model
from webui.engine.selection import AdapterUse, HypernetworkUse, Selection
from webui.engine.tokenizer import ClipTokenizer
from webui.engine.upscaler import Upscaler
from webui.errors import IncompatibleModel, OutOfMemory, UnreadableModel
from webui.library.model_file import ModelFile

__all__ = ["AdapterUse", "HypernetworkUse", "Model", "ModelManager", "Selection"]


class ModelManager:
    """Weights in memory for one device. ``budget`` is in bytes; what is in use is never evicted, however large.

    ``ram``: bytes that models may fill beside it, where the device has a memory of its own. ``low_memory``: "auto", "off",
    "model" or "sequential", see :func:`webui.engine.memory.choose_low_memory`.
    """

    def __init__(self, compute: Compute, budget: int, *, ram: int = 0, low_memory: str = "auto") -> None:
        self.compute = compute
        self.held = Holdings(compute.device, Budgets(budget, ram))
        self._asked = low_memory
        self._mode = WHOLE
        self._tokenizer = ClipTokenizer()
        self._remarked: frozenset[str] = frozenset()

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
        yield from self._bring_all(wanted)
        yield from self._patch(selection)
        if refining is not None:
            self._check_refiner(selection, refining.checkpoint)
            yield from self._patch(refining)
        yield from self._remark(selection)

    def load_upscalers(self, files: Sequence[ModelFile]) -> Iterator[Loading]:
        """Bring upscaling networks in, for work on finished pictures, which needs no checkpoint. Errors as of ``load``."""
        yield from self._bring_all(files)

    def upscaler(self, file: ModelFile) -> Upscaler:
        """A network that ``load`` or ``load_upscalers`` has brought in."""
        upscaler: Upscaler = self.held[_key(file)]
        return upscaler

    @contextmanager
    def use(self, selection: Selection) -> Iterator[Model]:
        """The networks of a selection that ``load`` has brought in."""
        checkpoint = self.held[_key(selection.checkpoint)]
        vae = checkpoint.vae if selection.vae is None else self.held[_key(selection.vae)]
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
        checkpoint = self.held[_key(selection.checkpoint)]
        taesd = None if selection.taesd is None else self.held[_key(selection.taesd)]
        patches = self._patches_of(selection)
        if not patches.carry(self._applied(selection)):  # its loading was not pulled to the end
            raise RuntimeError(
                f'the weights of "{selection.checkpoint.name}" do not carry the adapters of the selection'
            )
        embeddings = _fitting(selection)
        added = AddedWords(
            EmbeddingWords(embeddings, self._tokenizer), [self.held[_key(embedding)] for embedding in embeddings]
        )
        acting = [(self.held[_key(use.file)], use.strength) for use in selection.hypernetworks]
        with hypernetworks_on(checkpoint.unet, acting):
            yield Model(checkpoint, vae, taesd, self._tokenizer, self.compute, added, self._bring_network)

    def _check_refiner(self, selection: Selection, file: ModelFile) -> None:
        """Raises ``IncompatibleModel`` where the refiner's latents or what it predicts are others than the checkpoint's."""
        first, second = self.held[_key(selection.checkpoint)], self.held[_key(file)]
        same = first.prediction_type == second.prediction_type and first.latent_scale == second.latent_scale
        if not same or first.unet.config.in_channels < second.unet.config.in_channels:
            raise IncompatibleModel(
                f'"{file.name}" cannot go on with what "{selection.checkpoint.name}" began: its latents, or what it predicts of '
                "them, are of another kind. Choose another refiner."
            )

    def free_unused(self) -> None:
        """Give memory back: nothing stays on the device but what the current selection names.

        On a card of its own memory other models wait in RAM, and of the selection only the network that computes is there from now
        on.
        """
        self.held.free_unused(aside=self.held.budgets.ram > 0)
        if self.held.budgets.ram and self._asked != WHOLE:
            self._mode = BY_NETWORK
            self.held.put_pinned_aside()
        gc.collect()

    def free_all(self) -> None:
        """Let go of everything; the next ``load`` reads it anew."""
        self.held.pin(frozenset())
        self.held.free_unused(aside=False)
        gc.collect()

    @property
    def loaded_bytes(self) -> int:
        """On the device and in RAM."""
        return self.held.on_device + self.held.aside

    def _bring_all(self, files: Sequence[ModelFile]) -> Iterator[Loading]:
        """All files are in memory afterwards, and their networks where they are to wait for their turn."""
        self.held.pin(frozenset(_key(file) for file in files))
        budgets = self.held.budgets
        expected = sum(file.size for file in files if file.kind in MOVABLE)
        aside = choose_low_memory(self._asked, [expected], budgets) != WHOLE
        for file in files:
            yield from self._bring(file, aside=aside)
        parts = self.held.pinned_parts()
        self._mode = choose_low_memory(self._asked, [part.size for part in parts], budgets)
        for part in parts:
            too_large = part.size > budgets.device or self._asked == BY_LAYER
            if self._mode == WHOLE:
                self._bring_network(part.network)
            # a VAE in strips looks at its weights itself, and none is so large
            elif too_large and not part.lends and not isinstance(part.network, AutoencoderKL):
                self.held.lend(part)

    def _bring_network(self, network: nn.Module) -> None:
        self.held.bring(network, alone=self._mode != WHOLE)

    def _bring(self, file: ModelFile, *, aside: bool) -> Iterator[Loading]:
        """The file is in memory afterwards, and the one used last."""
        if _key(file) not in self.held:
            try:
                yield from self._load(file, aside=aside)
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error):
                    raise
                # the half-built network hangs on the error's traceback: let go of it before trying again
                error.__traceback__ = None
                self.free_unused()
                yield from self._load_alone(file, aside=aside)
        self.held.touch(_key(file))

    def _load_alone(self, file: ModelFile, *, aside: bool) -> Iterator[Loading]:
        try:
            yield from self._load(file, aside=aside)
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            raise OutOfMemory(
                f'"{file.name}" does not fit into the memory of {self.compute.device}, even with every other model let '
                "go. Close other programs, or choose a smaller model or a lower precision (setting dtype)."
            ) from error

    def _load(self, file: ModelFile, *, aside: bool) -> Iterator[Loading]:
        self.held.make_room(0 if aside else file.size)
        text = f"loading {file.name}"
        yield Loading(text, 0.0)
        total, read, told = max(file.size, 1), 0, 0.0
        reading = read_model(file, self.compute, aside=aside)
        while True:
            try:
                read += next(reading)
            except StopIteration as finished:
                held = finished.value
                break
            fraction = min(read / total, 1.0)
            if fraction - told >= 0.02:  # a hundred tensors a second need not all be told
                told = fraction
                yield Loading(f"{text}: {_in_gb(read)} of {_in_gb(total)}", fraction)
        self.held.put(_key(file), held)

    def _patch(self, selection: Selection) -> Iterator[Loading | Notice]:
        """Make the checkpoint's weights carry the adapters of the selection and no others."""
        patches = self._patches_of(selection)
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
            self.held.forget(_key(selection.checkpoint))
            raise
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            raise OutOfMemory(
                f"Memory ran out on {self.compute.device} while {text}. Close other programs, or use fewer or smaller ones."
            ) from error

    def _patches_of(self, selection: Selection) -> Patches:
        held = self.held.entry(_key(selection.checkpoint))
        if held.patches is None:
            held.patches = Patches(held.value)
        return held.patches

    def _applied(self, selection: Selection) -> list[Applied]:
        return [Applied(self.held[_key(use.file)], use.te, use.unet, use.dyn) for use in selection.adapters]

    def _remark(self, selection: Selection) -> Iterator[Notice]:
        """What of the selection has no effect, said once for as long as it stays selected."""
        unet = self.held[_key(selection.checkpoint)].unet
        remarks = [why_skipped(file, selection.checkpoint) or too_long(file) for file in selection.embeddings]
        remarks += [
            f'The hypernetwork "{use.file.name}" changes nothing: "{selection.checkpoint.name}" has no layer of its widths.'
            for use in selection.hypernetworks
            if changes_nothing(self.held[_key(use.file)], unet)
        ]
        said, self._remarked = self._remarked, frozenset(remarks)
        for remark in dict.fromkeys(remarks):
            if remark and remark not in said:
                yield Notice(remark)


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
