"""The question that every training of a diffusion model asks: what noise was mixed into this latent?"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn


class NoiseLoss:
    """The squared error of a noise predictor at random noise levels.

    ``alphas_cumprod`` (T,) are the levels that it was trained on; ``prediction_type`` is "epsilon" or "v_prediction".
    ln sigma is drawn from a normal distribution of ``mean`` and ``spread``: high levels decide structure, low ones detail.
    """

    def __init__(self, alphas_cumprod: Tensor, prediction_type: str, mean: float = 0.3, spread: float = 1.3) -> None:
        if prediction_type not in ("epsilon", "v_prediction"):
            raise ValueError(f"prediction type {prediction_type!r}: epsilon or v_prediction")
        self.alphas_cumprod = alphas_cumprod.float().cpu()
        self.predicts_v = prediction_type == "v_prediction"
        self.sigmas = ((1 - self.alphas_cumprod) / self.alphas_cumprod).sqrt()
        self.mean, self.spread = mean, spread

    def timesteps(self, count: int, generator: torch.Generator) -> Tensor:
        """Stratified, so that a batch covers the distribution evenly."""
        even = (torch.arange(count) + torch.rand(count, generator=generator)) / count
        normal = torch.erfinv((2 * even - 1).clamp(-0.9999, 0.9999)) * math.sqrt(2)
        return torch.searchsorted(self.sigmas, (self.mean + self.spread * normal).exp()).clamp(0, len(self.sigmas) - 1)

    def __call__(self, unet: nn.Module, latents: Tensor, states: Tensor, generator: torch.Generator) -> Tensor:
        """The mean error for ``latents`` (n, c, h, w) and text ``states`` (n, tokens, width)."""
        t = self.timesteps(len(latents), generator)
        noise = torch.randn(latents.shape, generator=generator).to(latents)
        a, b = (
            weight.sqrt()[:, None, None, None].to(latents)
            for weight in (self.alphas_cumprod[t], 1 - self.alphas_cumprod[t])
        )
        wanted = a * noise - b * latents if self.predicts_v else noise
        answer = unet(a * latents + b * noise, t.to(latents.device), states, return_dict=False)[0]
        error: Tensor = (answer - wanted).square().mean()
        return error
