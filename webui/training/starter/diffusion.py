"""The noise predictor and its text model: the heart of the matter.

The procedure is that of every latent diffusion model: take a picture's latent, draw noise, mix the two for a random
timestep, let the network say what was mixed in, and move its weights towards a better answer. One caption in ten is left
empty, so that classifier-free guidance (Ho & Salimans, arXiv 2207.12598) has something to guide away from.

Four choices make words stick to things in minutes; measured together, not each alone:

- the network predicts v = sqrt(abar) noise - sqrt(1 - abar) x0 (Salimans & Ho, arXiv 2202.00512) with its plain squared
  error. Weights that favour low noise (min-SNR) all but ignore the levels at which the picture's structure is decided;
- noise levels are drawn around ln sigma = 0.6, where structure is decided, and later lower, for detail;
- the motif counts four times as much as the ground;
- the text model has learned to tell its words apart before (text_model.py).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKL, DDPMScheduler, UNet2DConditionModel
from torch import Tensor
from transformers import CLIPTextModel

from webui.engine.tokenizer import ClipTokenizer
from webui.training.starter.latents import LatentPictures, token_ids
from webui.training.starter.networks import noise_predictor, text_model
from webui.training.starter.progress import PROMPTS, draw_curves, draw_samples
from webui.training.starter.run import (
    Average,
    Log,
    average_gradients,
    cosine,
    load_state,
    processes,
    same_weights,
    save_state,
)
from webui.training.starter.text_model import Questions, Vocabulary, answers, embed


@dataclass(frozen=True)
class DiffusionPlan:
    """``batch`` is that of one process. ``start_from`` names a folder with "unet" and "text_encoder" to begin with."""

    steps: int = 12000
    batch: int = 24
    rate: float = 1e-3
    text_rate: float = 0.5  # of the noise predictor's
    text_steps: int = 400  # of the text model alone
    motif_weight: float = 3.0
    empty_share: float = 0.1
    babble_share: float = 0.1
    noise_mean: tuple[float, float] = (0.6, 0.2)  # of ln sigma, at the start and at the end
    noise_spread: float = 1.2
    start_from: str = ""
    samples: tuple[str, ...] = PROMPTS  # drawn at every save
    save_every: int = 500


def training_schedule() -> DDPMScheduler:
    """Stable Diffusion's noise levels, v-prediction."""
    return DDPMScheduler(
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        prediction_type="v_prediction",
        clip_sample=False,
        steps_offset=1,
    )


class DiffusionRun:
    """The weights of a run, its optimizer, and where it stands."""

    def __init__(self, rank: int, pictures: LatentPictures, vae: Path, folder: Path, plan: DiffusionPlan) -> None:
        self.rank, self.pictures, self.vae, self.folder, self.plan = rank, pictures, vae, folder, plan
        torch.manual_seed(0)
        self.unet, self.text = noise_predictor(), text_model()
        if plan.start_from:
            start = Path(plan.start_from)
            self.unet = (
                UNet2DConditionModel.from_pretrained(start / "unet").float().to(memory_format=torch.channels_last)
            )
            self.text = CLIPTextModel.from_pretrained(start / "text_encoder").float()
        self.vocabulary = Vocabulary(pictures.tokens)
        self.text.set_input_embeddings(self.vocabulary.compact(self.text.get_input_embeddings().weight.detach()))
        self.questions = Questions()
        self.right = answers(pictures.motifs)
        self.empty = token_ids([""], ClipTokenizer())[0]
        self.noise = training_schedule()
        self.alphas_cumprod = self.noise.alphas_cumprod
        self.sigmas = ((1 - self.alphas_cumprod) / self.alphas_cumprod).sqrt()
        self.parameters = [*self.unet.parameters(), *self.text.parameters()]
        self.trained = [*self.parameters, *self.questions.parameters()]
        self.optimizer = torch.optim.AdamW(self._groups(), lr=plan.rate, betas=(0.9, 0.99), foreach=True)
        self.average = Average(self.parameters)
        self.step = 0
        self.random = torch.Generator()
        self._restore()
        same_weights(self.trained)

    def _groups(self) -> list[dict[str, Any]]:
        kernels = [p for p in self.unet.parameters() if p.ndim > 1]
        others = [p for p in self.unet.parameters() if p.ndim <= 1]
        words = [*self.text.parameters(), *self.questions.parameters()]
        return [
            {"params": kernels, "weight_decay": 0.01, "share": 1.0},
            {"params": others, "weight_decay": 0.0, "share": 1.0},
            {"params": words, "weight_decay": 0.0, "share": self.plan.text_rate},
        ]

    def _restore(self) -> None:
        state = load_state(self.folder / "state.pt")
        if state is not None:
            for name in ("unet", "text", "questions", "optimizer"):
                getattr(self, name).load_state_dict(state[name])
            self.average.values, self.step = state["average"], state["step"]

    def save(self) -> None:
        """The state to go on from, and the averaged weights as diffusers folders."""
        names = ("unet", "text", "questions", "optimizer")
        state = {name: getattr(self, name).state_dict() for name in names}
        save_state(self.folder / "state.pt", state | {"average": self.average.values, "step": self.step})
        self.average.swap()
        compact = self.text.get_input_embeddings()
        full = torch.nn.Embedding.from_pretrained(self.vocabulary.expand(compact.weight.detach()))
        self.text.set_input_embeddings(full)
        vae = AutoencoderKL.from_pretrained(self.vae)
        draw_samples(self.unet, self._encode, vae, self.plan.samples).save(self.folder / f"samples-{self.step:06}.webp")
        self.unet.save_pretrained(self.folder / "unet")
        self.text.save_pretrained(self.folder / "text_encoder")
        self.noise.save_pretrained(self.folder / "scheduler")
        self.text.set_input_embeddings(compact)
        self.average.swap()

    def _encode(self, texts: Sequence[str]) -> Tensor:
        states: Tensor = self.text(input_ids=token_ids(texts, ClipTokenizer())).last_hidden_state
        return states

    def learn_words(self) -> None:
        """The text model alone, answering questions."""
        optimizer = torch.optim.AdamW([*self.text.parameters(), *self.questions.parameters()], lr=1e-3)
        for step in range(self.plan.text_steps):
            picks = self._pick(48, step)
            ids = self._captions(picks)
            loss = self.questions.loss(embed(self.text, self.vocabulary, ids), ids, self.right[picks])
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            average_gradients([*self.text.parameters(), *self.questions.parameters()])
            optimizer.step()
            if self.rank == 0 and step % 50 == 49:
                print(f"words {step + 1} of {self.plan.text_steps}: {loss.item():.4f}", flush=True)

    def _pick(self, count: int, step: int) -> Tensor:
        """Which pictures come next: another stream in every process and step, the same after a restart."""
        self.random.manual_seed(((step * 64 + self.rank) * 2654435761 + 12345) % 2**63)
        return torch.randint(len(self.pictures), (count,), generator=self.random)

    def _captions(self, picks: Tensor) -> Tensor:
        which = torch.randint(self.pictures.tokens.shape[1], (len(picks),), generator=self.random)
        ids = self.pictures.tokens[picks, which]
        return self.vocabulary.babble(ids, self.plan.babble_share, self.random)

    def timesteps(self, count: int) -> Tensor:
        """Stratified: a batch covers the distribution evenly. One in ten is drawn from all timesteps alike."""
        progress = min(1.0, self.step / self.plan.steps)
        start, end = self.plan.noise_mean
        mean = start + (end - start) * progress
        even = (torch.arange(count) + torch.rand(count, generator=self.random)) / count
        normal = torch.erfinv((2 * even - 1).clamp(-0.9999, 0.9999)) * math.sqrt(2)
        levels = (mean + self.plan.noise_spread * normal).exp()
        t = torch.searchsorted(self.sigmas, levels).clamp(0, len(self.sigmas) - 1)
        anywhere = torch.rand(count, generator=self.random) < 0.1
        return torch.where(anywhere, torch.randint(len(self.sigmas), (count,), generator=self.random), t)

    def predict(self, x: Tensor, t: Tensor, states: Tensor) -> Tensor:
        answer: Tensor = self.unet(x.contiguous(memory_format=torch.channels_last), t, states).sample
        return answer

    def losses(self) -> tuple[Tensor, Tensor]:
        """(of the noise predictor, of the text model's questions) for one batch."""
        plan = self.plan
        picks = self._pick(plan.batch, 1_000_000 + self.step)
        x0 = self.pictures.latents[picks].float()
        ids = self._captions(picks)
        states = embed(self.text, self.vocabulary, ids)
        asked = self.questions.loss(states, ids, self.right[picks])
        empty = embed(self.text, self.vocabulary, self.empty[None])
        is_empty = torch.rand(len(picks), generator=self.random) < plan.empty_share
        states = torch.where(is_empty[:, None, None], empty, states)
        t = self.timesteps(len(picks))
        noise = torch.randn(x0.shape, generator=self.random)
        a, b = (weight.sqrt()[:, None, None, None] for weight in self._signal_and_noise(t))
        difference = (self.predict(a * x0 + b * noise, t, states) - (a * noise - b * x0)).square()
        weight = 1 + plan.motif_weight * self.pictures.masks[picks][:, None] / 255
        return (difference * (weight / weight.mean())).mean(), asked

    def _signal_and_noise(self, t: Tensor) -> tuple[Tensor, Tensor]:
        return self.alphas_cumprod[t], 1 - self.alphas_cumprod[t]


def train_diffusion(rank: int, latents: Path, vae: Path, folder: Path, plan: DiffusionPlan) -> None:
    """Train, or go on training, until ``plan.steps``; writes "unet", "text_encoder" and "scheduler" into ``folder``.

    Beside them lie a sheet of samples for each time it saved, drawn through ``vae``, and the curves.
    """
    folder.mkdir(parents=True, exist_ok=True)
    run = DiffusionRun(rank, LatentPictures.load(latents), vae, folder, plan)
    if run.step == 0:
        run.learn_words()
    log, sums = Log(folder, rank), []
    probe = Probe(run)
    while run.step < plan.steps:
        factor = cosine(run.step, plan.steps)
        for group in run.optimizer.param_groups:
            group["lr"] = plan.rate * factor * group["share"]
        loss, asked = run.losses()
        run.optimizer.zero_grad(set_to_none=True)
        (loss + 0.05 * asked).backward()
        average_gradients(run.trained)
        torch.nn.utils.clip_grad_norm_(run.parameters, 1.0, foreach=True)
        run.optimizer.step()
        run.step += 1
        run.average.update(run.step)
        sums.append(loss.item())
        if rank == 0 and (run.step % plan.save_every == 0 or run.step == plan.steps):
            run.save()
            if log.path.exists():
                draw_curves(log.path, folder / "curves.png", ("loss", "asked", "bound"))
        if log.is_due():
            seen = run.step * plan.batch * processes()
            log.write(
                step=run.step,
                pictures=seen,
                loss=round(sum(sums) / len(sums), 4),
                asked=round(asked.item(), 3),
                **probe(),
            )
            sums = []


class Probe:
    """Whether words are bound to things: the loss on the motif with the right caption, and with another motif's.

    Where the two do not draw apart within 10,000 pictures a run is not worth its time.
    """

    def __init__(self, run: DiffusionRun, count: int = 96) -> None:
        self.run = run
        chosen = [
            i for i, m in enumerate(run.pictures.motifs[:20000]) if not (m.is_shape or m.place or m.count or m.size)
        ]
        self.picks = torch.tensor(chosen[:count])
        others = self.picks.roll(1)
        self.right = run.pictures.tokens[self.picks, 0]
        self.wrong = run.pictures.tokens[others, 0]

    @torch.no_grad()
    def __call__(self) -> dict[str, list[float]]:
        run = self.run
        x0, mask = run.pictures.latents[self.picks].float(), run.pictures.masks[self.picks][:, None] / 255
        noise = torch.randn(x0.shape, generator=torch.Generator().manual_seed(2))
        found: dict[str, list[float]] = {"right": [], "wrong": []}
        for timestep in (500, 850):
            t = torch.full((len(x0),), timestep)
            a, b = (weight.sqrt()[:, None, None, None] for weight in run._signal_and_noise(t))
            for name, ids in (("right", self.right), ("wrong", self.wrong)):
                answer = run.predict(a * x0 + b * noise, t, embed(run.text, run.vocabulary, ids))
                error = ((answer - (a * noise - b * x0)).square() * mask).sum() / mask.sum() / 4
                found[name].append(round(float(error), 3))
        return found | {
            "bound": [round(wrong / right, 2) for right, wrong in zip(found["right"], found["wrong"], strict=True)]
        }
