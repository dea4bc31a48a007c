"""What ships beside the starter: two LoRAs, two embeddings and a hypernetwork, each trained on it for a few minutes.

They show what each kind is good for. A LoRA changes the weights themselves, so it can teach a thing that the model has never seen,
or a style of fine structure. An embedding is only a word, so it can mean what the model could draw already but has no word for. A
hypernetwork bends what attention reads; a tone over everything is within its reach.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from webui.engine.device import Hardware, choose_compute
from webui.engine.model_manager import Model, ModelManager, Selection
from webui.engine.schedulers.trained_noise import trained_alphas_cumprod
from webui.engine.tokenizer import ClipTokenizer
from webui.library.index import Library
from webui.training.hypernetwork import HypernetworkTraining
from webui.training.lora import Lora
from webui.training.noise_loss import NoiseLoss
from webui.training.starter.autoencoder import to_tensor
from webui.training.starter.icons import Sprites
from webui.training.starter.latents import END, START, TOKENS
from webui.training.starter.lessons import Lesson, ground, style, subject
from webui.training.textual_inversion import Word

EXAMPLES = 768
BATCH = 24
PLACEHOLDER = 49405  # a token that no caption of the starter has
FOLDERS: Mapping[str, str] = MappingProxyType(
    {"lora": "loras", "embedding": "embeddings", "hypernetwork": "hypernetworks"}
)


@dataclass(frozen=True)
class Addition:
    """``prompt`` is one that shows it; for an embedding, ``word`` is a known word that it begins as."""

    name: str
    kind: str
    lesson: Lesson
    prompt: str
    description: str
    steps: int
    rate: float
    word: str = ""
    vectors: int = 2

    @property
    def file(self) -> str:
        suffix = ".pt" if self.kind == "hypernetwork" else ".safetensors"
        return f"{FOLDERS[self.kind]}/{self.name}{suffix}"


ADDITIONS = (
    Addition(
        "lucid-mosaic",
        "lora",
        style("mosaic"),
        "a red apple on a blue background <lora:lucid-mosaic:1>",
        "A style: everything as a mosaic of square stones. No trigger word.",
        700,
        2e-3,
    ),
    Addition(
        "lucid-tractor",
        "lora",
        subject("tractor", "tractor"),
        "a tractor in a meadow <lora:lucid-tractor:1>",
        "A thing that the starter does not know: a tractor. Trigger word: tractor.",
        700,
        2e-3,
    ),
    Addition(
        "lucid-teal",
        "embedding",
        ground("lucid-teal", (20, 120, 118), (20, 120, 118)),
        "an owl on a lucid-teal background",
        "A colour that the starter has no word for: a teal ground.",
        500,
        1e-2,
        word="cyan",
    ),
    Addition(
        "lucid-dawn",
        "embedding",
        ground("lucid-dawn", (150, 120, 200), (255, 190, 150)),
        "a sheep on a lucid-dawn background",
        "A ground that the starter has no word for: lilac above, peach below.",
        500,
        1e-2,
        word="sunset",
        vectors=4,
    ),
    Addition(
        "lucid-sepia",
        "hypernetwork",
        style("sepia"),
        "a rocket at night <hypernet:lucid-sepia:1>",
        "A tone over everything: brown and cream, as an old photograph.",
        700,
        1e-3,
    ),
)


def train_additions(
    checkpoint: Path, sprites: Sprites, folder: Path, hash_db: Path, wanted: Sequence[str] = (), share: float = 1.0
) -> None:
    """Train those of ``wanted`` names (none: all) and write them into the subfolders of ``folder``.

    ``share`` is how much of the steps to take: less for a trial.
    """
    with opened(checkpoint, hash_db) as model:
        for addition in ADDITIONS:
            if not wanted or addition.name in wanted:
                path = folder / addition.file
                path.parent.mkdir(parents=True, exist_ok=True)
                _train(addition, model, sprites, path, max(1, round(addition.steps * share)))


@contextmanager
def opened(checkpoint: Path, hash_db: Path) -> Iterator[Model]:
    """The networks of a checkpoint in float32 on the CPU."""
    library = Library({"checkpoint": (checkpoint.parent,)}, hash_db)
    library.rescan()
    models, selection = (
        ModelManager(choose_compute("cpu", "float32", Hardware()), 2**33),
        Selection(library.find("checkpoint", checkpoint.stem)),
    )
    for _ in models.load(selection):
        pass
    with models.use(selection) as model:
        yield model


def _train(addition: Addition, model: Model, sprites: Sprites, path: Path, steps: int) -> None:
    generator = torch.Generator().manual_seed(1)
    torch.manual_seed(1)
    examples = list(islice(addition.lesson.examples(sprites, np.random.default_rng(1)), EXAMPLES))
    latents = _latents(model, [picture for _, picture in examples])
    tokenizer = ClipTokenizer()
    word = addition.name if addition.kind == "embedding" else None
    ids = torch.tensor([_ids(text, tokenizer, word, addition.vectors) for text, _ in examples])
    trained, put_on, save = _beginning(addition, model, tokenizer, steps)
    optimizer = torch.optim.AdamW(trained.parameters(), lr=addition.rate, weight_decay=0.0)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, addition.rate, total_steps=steps, pct_start=0.05)
    config = model.checkpoint.scheduler_config
    loss_of = NoiseLoss(_alphas_cumprod(config), str(config["prediction_type"]))
    unet, text = model.checkpoint.unet, model.checkpoint.text_encoders["text_encoder"]
    empty = torch.tensor([_ids("", tokenizer)])
    losses = []
    for step in range(steps):
        picks = torch.randint(len(latents), (BATCH,), generator=generator)
        chosen = torch.where(torch.rand(BATCH, 1, generator=generator) < 0.1, empty, ids[picks])
        with put_on():
            loss = loss_of(unet, latents[picks], text(input_ids=chosen).last_hidden_state, generator)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(trained.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        losses.append(loss.item())
        if step % 50 == 49:
            print(f"{addition.name}: {step + 1} of {steps}, loss {np.mean(losses[-50:]):.4f}", flush=True)
    save(path)


def _beginning(
    addition: Addition, model: Model, tokenizer: ClipTokenizer, steps: int
) -> tuple[nn.Module, Callable[[], AbstractContextManager[object]], Callable[[Path], None]]:
    """What learns, how it is put on, how it is written."""
    unet, text = model.checkpoint.unet, model.checkpoint.text_encoders["text_encoder"]
    for network in (unet, text):
        network.requires_grad_(False)
    if addition.kind == "lora":
        lora = Lora(unet, text)
        told = {
            "ss_output_name": addition.name,
            "modelspec.title": addition.name,
            "modelspec.description": addition.description,
            "modelspec.author": "The Lucid authors",
            "modelspec.license": "Apache-2.0",
        }
        return lora, lora.put_on, lambda path: lora.save(path, told)
    if addition.kind == "hypernetwork":
        hypernetwork = HypernetworkTraining(unet)
        return hypernetwork, hypernetwork.put_on, lambda path: hypernetwork.save(path, addition.name, steps)
    table: nn.Embedding = text.get_input_embeddings()  # type: ignore[operator]
    begin = table.weight[tokenizer.encode(addition.word)].mean(0)
    word = Word(begin, addition.vectors, PLACEHOLDER)

    @contextmanager
    def put_on() -> Iterator[None]:
        with ExitStack() as stack:
            stack.enter_context(word.put_into(table))
            yield

    return word, put_on, word.save


def _ids(text: str, tokenizer: ClipTokenizer, word: str | None = None, vectors: int = 0) -> list[int]:
    """77 token ids; where ``word`` stands, ``vectors`` placeholders."""
    parts = text.split(word) if word else [text]
    inner = tokenizer.encode(parts[0])
    for part in parts[1:]:
        inner = [*inner, *[PLACEHOLDER] * vectors, *tokenizer.encode(part)]
    inner = inner[: TOKENS - 2]
    return [START, *inner] + [END] * (TOKENS - 1 - len(inner))


@torch.inference_mode()
def _encode(model: Model, pixels: Tensor) -> Tensor:
    latents: Tensor = model.vae.encode(pixels).latent_dist.mean * model.vae.config.scaling_factor
    return latents


def _latents(model: Model, pictures: Sequence[object]) -> Tensor:
    parts = [_encode(model, to_tensor(pictures[first : first + 16])) for first in range(0, len(pictures), 16)]  # type: ignore[arg-type]
    return torch.cat(parts).clone()


def _alphas_cumprod(config: Mapping[str, Any]) -> Tensor:
    known = inspect.signature(trained_alphas_cumprod).parameters
    return torch.tensor(trained_alphas_cumprod(**{name: config[name] for name in known if name in config}))
