"""Classifier-free guidance (Ho & Salimans 2022): steer by the difference that the prompt makes.

    guided = uncond + scale * (cond - uncond)

Scale 0 is the unconditional prediction and 1 the prompt's own, so either takes a single call of the network. Three variants
change how it goes on a run: some steps may do without the negative prompt (``skip_early``, ``ngms``), and what a large scale
adds in contrast may be taken back (``rescale``).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

# (x, t, text) -> model output; n pictures with n text conditionings
Network = Callable[[Tensor, float, Tensor], Tensor]


@dataclass(frozen=True, eq=False)
class Guidance:
    """Where a run is steered to, and how hard.

    ``cond`` and ``uncond``, the prompt and the negative prompt, are (1, tokens, width). ``rescale`` is φ of
    :func:`rescaled`, 0 ... 1. The negative prompt is left out, and the scale counts as 1, in the first share ``skip_early``
    of the calls, and below the noise level ``ngms`` (negative guidance minimum sigma) in every other call, or in all with
    ``ngms_all_steps``; 0 turns either off. A1111's settings of these names.
    """

    cond: Tensor
    uncond: Tensor
    scale: float
    rescale: float = 0.0
    skip_early: float = 0.0
    ngms: float = 0.0
    ngms_all_steps: bool = False

    def wants_uncond(self, call: int, calls: int, sigma: float) -> bool:
        """Whether the negative prompt counts in network call number ``call`` (from 0) of about ``calls``, at ``sigma``."""
        is_early = self.skip_early > 0 and call / calls <= self.skip_early
        is_late = sigma < self.ngms and (call % 2 == 1 or self.ngms_all_steps)
        return not (is_early or is_late)


@dataclass(frozen=True, eq=False)
class Prediction:
    """Model outputs (n, c, h, w). ``uncond`` is that without the prompt or, where only one was asked for, ``guided``."""

    guided: Tensor
    uncond: Tensor


def predict(network: Network, x: Tensor, timestep: float, guidance: Guidance, *, pair: bool = False) -> Prediction:
    """What the network says of pictures x (n, c, h, w), guided. With ``pair`` it is asked without the prompt at any scale.

    Both are asked in one call where their lengths agree. Where a long prompt has more 75-token chunks than the negative
    one, they are asked apart, as A1111 does by default: padding the shorter one would change the picture.
    """
    if guidance.scale == 1 and not pair:
        return _alone(network, x, timestep, guidance.cond)
    if guidance.scale == 0:
        return _alone(network, x, timestep, guidance.uncond)
    if guidance.cond.shape == guidance.uncond.shape:
        text = torch.cat([_for_each(guidance.cond, x), _for_each(guidance.uncond, x)])
        with_prompt, without = network(torch.cat([x, x]), timestep, text).chunk(2)
    else:
        with_prompt = network(x, timestep, _for_each(guidance.cond, x))
        without = network(x, timestep, _for_each(guidance.uncond, x))
    guided = without + guidance.scale * (with_prompt - without)
    if guidance.rescale:
        guided = rescaled(guided, with_prompt, guidance.rescale)
    return Prediction(guided, without)


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


def _alone(network: Network, x: Tensor, timestep: float, text: Tensor) -> Prediction:
    answer = network(x, timestep, _for_each(text, x))
    return Prediction(answer, answer)


def _for_each(text: Tensor, x: Tensor) -> Tensor:
    return text.expand(x.shape[0], -1, -1)
