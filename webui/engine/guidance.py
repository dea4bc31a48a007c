"""Classifier-free guidance (Ho & Salimans 2022): steer by the difference that the prompt makes.

    guided = uncond + scale * (cond - uncond)

Scale 0 is the unconditional prediction and 1 the prompt's own, so either takes a single call of the network. Prompts joined
by AND steer each by its own difference (composable diffusion, Liu et al. 2022, arXiv 2206.01714):

    guided = uncond + sum over i of scale * weight_i * (cond_i - uncond)

A network that is told what a picture looks like beside the prompt (instruct-pix2pix, Brooks et al. 2022, arXiv 2211.09800) can
be steered by either: ``pic`` is its answer to the picture with the negative prompt, ``uncond`` to neither.

    guided = uncond + scale * (cond - pic) + picture_scale * (pic - uncond)

Three variants change how it goes on a run: some steps may do without the negative prompt (``skip_early``, ``ngms``), and what
a large scale adds in contrast may be taken back (``rescale``).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import torch
from torch import Tensor

from webui.engine.conditioning import Conditioning

# (x, t, conditioning) -> model output; n pictures with a row of conditioning each
Network = Callable[[Tensor, float, Conditioning], Tensor]

TEXTS_PER_CALL = 8  # more prompts joined by AND than that do not share a call: memory should not grow with them


@dataclass(frozen=True, eq=False)
class Guidance:
    """Where a run is steered to, and how hard.

    ``cond`` and ``uncond``, the prompt and the negative prompt, have one row. ``others`` are further prompts that AND joins to
    the first, each with its weight; ``weight`` is the first one's. ``picture_scale`` is for a network that is told of a picture
    (see above); 1 is the picture as it is. ``rescale`` is φ of :func:`rescaled`,
    0 ... 1. The negative prompt is left out, and the scale counts as 1, in the first share ``skip_early``
    of the calls, and below the noise level ``ngms`` (negative guidance minimum sigma) in every other call, or in all with
    ``ngms_all_steps``; 0 turns either off. A1111's settings of these names.
    """

    cond: Conditioning
    uncond: Conditioning
    scale: float
    rescale: float = 0.0
    skip_early: float = 0.0
    ngms: float = 0.0
    ngms_all_steps: bool = False
    weight: float = 1.0
    others: tuple[tuple[float, Conditioning], ...] = ()
    picture_scale: float = 1.0

    def at(self, call: int) -> Guidance:
        """It is the same in every network call; :mod:`webui.engine.prompting` has one that is not."""
        return self

    def wants_uncond(self, call: int, calls: int, sigma: float) -> bool:
        """Whether the negative prompt counts in network call number ``call`` (from 0) of about ``calls``, at ``sigma``."""
        is_early = self.skip_early > 0 and call / calls <= self.skip_early
        is_late = sigma < self.ngms and (call % 2 == 1 or self.ngms_all_steps)
        return not (is_early or is_late)

    def without_uncond(self) -> Guidance:
        """For a call that leaves out the negative prompt: the first prompt stands in its place, and the scale is 1."""
        return replace(self, uncond=self.cond, scale=1.0, picture_scale=1.0)

    def terms(self, *, pair: bool = False) -> tuple[Conditioning, tuple[tuple[float, Conditioning], ...]]:
        """What the network has to be asked: ``uncond``, and each prompt with what its difference to that counts.

        Where the factors add up to 1, ``uncond`` cancels out and the first prompt can stand in its place, unless it is
        wanted for itself (``pair``).
        """
        factors = [(self.scale * weight, cond) for weight, cond in ((self.weight, self.cond), *self.others)]
        cancels = sum(factor for factor, _ in factors) == 1 and not pair
        base = self.cond if cancels else self.uncond
        return base, tuple((factor, cond) for factor, cond in factors if factor and cond is not base)


class Guide(Protocol):
    """What tells the guidance of each network call, counted from 0."""

    def at(self, call: int) -> Guidance: ...


@dataclass(frozen=True, eq=False)
class Prediction:
    """Model outputs (n, c, h, w). ``uncond`` is that without the prompt or, where only one was asked for, ``guided``."""

    guided: Tensor
    uncond: Tensor


def predict(
    network: Network,
    x: Tensor,
    timestep: float,
    guidance: Guidance,
    *,
    beside: Tensor | None = None,
    pair: bool = False,
) -> Prediction:
    """What the network says of pictures x (n, c, h, w), guided. With ``pair`` it is asked without the prompt at any scale.

    ``beside`` (n, k, h, w) are further channels that networks made for inpainting and the like see behind those of x.

    All prompts are asked in one call where their lengths agree. Where a long prompt has more 75-token chunks than the
    negative one, they are asked apart, as A1111 does by default: padding the shorter one would change the picture.
    """
    by_picture = beside is not None and guidance.picture_scale != 1
    base, terms = guidance.terms(pair=pair or by_picture)
    seen = x if beside is None else torch.cat([x, beside], dim=1)
    *with_prompt, without = _ask(network, seen, timestep, [*(cond for _, cond in terms), base])
    uncond, shift = without, None
    if beside is not None and by_picture:
        blank = torch.cat([x, torch.zeros_like(beside)], dim=1)
        (uncond,) = _ask(network, blank, timestep, [base])
        shift = (guidance.picture_scale - 1) * (without - uncond)
    if not terms:
        return Prediction(without if shift is None else without + shift, uncond)
    guided = _steered(without, with_prompt, [factor for factor, _ in terms])
    if shift is not None:
        guided = guided + shift
    if guidance.rescale:
        weights = [factor / guidance.scale for factor, _ in terms]
        # what the prompts predict together at scale 1
        plain = with_prompt[0] if weights == [1] else _steered(without, with_prompt, weights)
        guided = rescaled(guided, plain, guidance.rescale)
    return Prediction(guided, uncond)


def _steered(without: Tensor, with_prompt: Sequence[Tensor], factors: Sequence[float]) -> Tensor:
    guided = without
    for answer, factor in zip(with_prompt, factors, strict=True):
        guided = guided + factor * (answer - without)
    return guided


def _ask(network: Network, x: Tensor, timestep: float, texts: Sequence[Conditioning]) -> list[Tensor]:
    """The network's answer for each text, those of equal length in one call."""
    answers: dict[int, Tensor] = {}
    for length in {text.length: None for text in texts}:
        alike = [place for place, text in enumerate(texts) if text.length == length]
        for some in (alike[start : start + TEXTS_PER_CALL] for start in range(0, len(alike), TEXTS_PER_CALL)):
            told = Conditioning.joined([texts[place].repeated(len(x)) for place in some])
            said = network(torch.cat([x] * len(some)), timestep, told)
            answers.update(zip(some, said.chunk(len(some)), strict=True))
    return [answers[place] for place in range(len(texts))]


def rescaled(guided: Tensor, cond: Tensor, phi: float) -> Tensor:
    """``guided`` (n, ...) brought the part ``phi`` of the way to the standard deviation of ``cond``, picture by picture.

    Lin et al., arXiv 2305.08891, equations 15 and 16: a large scale makes the prediction, and so the picture, too strong in
    contrast. It is done to what the network predicts, noise or velocity, as in the paper, diffusers, SD.Next and InvokeAI.
    ComfyUI and Forge turn noise into velocity first, so there a model that predicts noise gives another picture.
    """
    # one by one: a sum over a batch is added up in another order than over a single picture
    ratios = torch.stack([c.std() / g.std() for c, g in zip(cond, guided, strict=True)])
    ratios = ratios.reshape(-1, *[1] * (guided.ndim - 1))
    return phi * (guided * ratios) + (1 - phi) * guided
