"""Classifier-free guidance (Ho & Salimans 2022): steer by the difference that the prompt makes.

    guided = uncond + scale * (cond - uncond)

Scale 0 is the unconditional prediction and 1 the prompt's own, so either takes a single call of the network.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

# (x, t, text) -> model output; n pictures with n text conditionings
Network = Callable[[Tensor, float, Tensor], Tensor]


def guided_prediction(
    network: Network, x: Tensor, timestep: float, cond: Tensor, uncond: Tensor, scale: float
) -> Tensor:
    """The guided model output for pictures x (n, c, h, w); ``cond`` and ``uncond`` are (1, tokens, width).

    Both are asked in one call where their lengths agree. Where a long prompt has more 75-token chunks than the negative
    one, they are asked apart, as A1111 does by default: padding the shorter one would change the picture.
    """
    if scale == 1:
        return network(x, timestep, _for_each(cond, x))
    if scale == 0:
        return network(x, timestep, _for_each(uncond, x))
    if cond.shape == uncond.shape:
        text = torch.cat([_for_each(cond, x), _for_each(uncond, x)])
        with_prompt, without = network(torch.cat([x, x]), timestep, text).chunk(2)
    else:
        with_prompt = network(x, timestep, _for_each(cond, x))
        without = network(x, timestep, _for_each(uncond, x))
    return without + scale * (with_prompt - without)


def _for_each(text: Tensor, x: Tensor) -> Tensor:
    return text.expand(x.shape[0], -1, -1)
