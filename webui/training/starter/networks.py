"""The three networks of Stable Diffusion 1.x, made small, and how their weights start.

Where the weights start decides how far two CPU cores get. In latent diffusion's own code every residual branch ends in a
layer of zeros, so that a new network is close to the identity; diffusers, whose modules these are, leaves that out, and after 140
steps the autoencoder's error was then twice as large. ``near_identity`` puts it back.
"""

from __future__ import annotations

import math

import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from torch import nn
from transformers import CLIPTextConfig, CLIPTextModel

LATENT_CHANNELS = 4
TEXT_WIDTH = 128
_BLUR = torch.tensor([1.0, 2.0, 1.0])[:, None] * torch.tensor([1.0, 2.0, 1.0]) / 16


def autoencoder(channels: tuple[int, ...] = (16, 32, 64, 128), layers: int = 1) -> AutoencoderKL:
    """Pictures (n, 3, h, w) in -1 ... 1 to latents (n, 4, h/8, w/8) and back; 2.7 million weights."""
    vae = AutoencoderKL(
        in_channels=3,
        out_channels=3,
        down_block_types=("DownEncoderBlock2D",) * len(channels),
        up_block_types=("UpDecoderBlock2D",) * len(channels),
        block_out_channels=channels,
        layers_per_block=layers,
        latent_channels=LATENT_CHANNELS,
        norm_num_groups=2,
        sample_size=128,
    )
    near_identity(vae, resampling=0.1, branch=0.1, attention=0.1)
    _pass_pixels_through(vae)
    return vae.to(memory_format=torch.channels_last)


def noise_predictor() -> UNet2DConditionModel:
    """Latents (n, 4, 16, 16), timesteps (n,) and text (n, 77, 128) to v (n, 4, 16, 16); 10.9 million weights.

    Self- and cross-attention at 8 x 8 and 4 x 4: at 16 x 16 they cost as much as all else together.
    """
    unet = UNet2DConditionModel(
        sample_size=16,
        in_channels=LATENT_CHANNELS,
        out_channels=LATENT_CHANNELS,
        block_out_channels=(64, 128, 192),
        layers_per_block=1,
        cross_attention_dim=TEXT_WIDTH,
        attention_head_dim=4,
        norm_num_groups=16,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
    )
    near_identity(unet, resampling=0.3, branch=0.1, attention=0.2)
    with torch.no_grad():
        unet.conv_in.weight.mul_(1.7)
        unet.conv_out.weight.zero_()
        unet.conv_out.bias.zero_()
    return unet.to(memory_format=torch.channels_last)


def text_model() -> CLIPTextModel:
    """Token ids (n, 77) to embeddings (n, 77, 128): CLIP's text transformer with 3 layers; 6.8 million weights."""
    config = CLIPTextConfig(
        vocab_size=49408,
        hidden_size=TEXT_WIDTH,
        intermediate_size=3 * TEXT_WIDTH,
        num_hidden_layers=3,
        num_attention_heads=4,
        max_position_embeddings=77,
        hidden_act="quick_gelu",
        projection_dim=TEXT_WIDTH,
        bos_token_id=49406,
        eos_token_id=49407,
        pad_token_id=49407,
    )
    model = CLIPTextModel(config)
    nn.init.normal_(model.get_input_embeddings().weight, std=0.05)
    return model


@torch.no_grad()
def widened(vae: AutoencoderKL) -> AutoencoderKL:
    """The same autoencoder with twice as many channels and groups in every layer; its answers are the same (Net2Net, 1511.05641).

    The old channels are the first half, and so the first half of the groups. The new ones begin at random and lead nowhere: what
    reads them begins at zero. In a frozen encoder they stay so, and its latents keep their meaning.
    """
    config = {**vae.config, "block_out_channels": [2 * width for width in vae.config.block_out_channels]}
    wide = AutoencoderKL.from_config({**config, "norm_num_groups": 2 * vae.config.norm_num_groups})
    state = wide.state_dict()
    for name, old in vae.state_dict().items():
        new = state[name]
        if new.shape == old.shape:
            new.copy_(old)
            continue
        is_query = (
            ".to_q." in name
        )  # new queries would ask new questions, and their products are divided by the width's root
        new[: None if is_query else len(old)] = 0  # the old outputs read no new channel
        new[tuple(slice(0, size) for size in old.shape)] = old * (math.sqrt(2) if is_query else 1)
    wide.load_state_dict(state)
    return wide.to(memory_format=torch.channels_last)


@torch.no_grad()
def near_identity(network: nn.Module, *, resampling: float, branch: float, attention: float) -> None:
    """Start a network as a near-linear pyramid: resampling keeps the channels, residual branches add little.

    ``resampling`` is the share of random weights left in the resampling convolutions, ``branch`` and ``attention`` those in
    the last layers of residual and attention blocks.
    """
    for name, module in network.named_modules():
        if isinstance(module, nn.Conv2d) and module.bias is not None:
            weight = module.weight
            keep = torch.eye(*weight.shape[:2])[:, :, None, None]
            if "downsamplers" in name:
                weight.mul_(resampling)
                # the mean of 2 x 2 pixels, the upper left or the lower right ones by how the module pads
                corner = weight[:, :, :2, :2] if module.padding == (0, 0) else weight[:, :, 1:, 1:]
                corner += keep * 0.25
                module.bias.zero_()
            elif "upsamplers" in name:
                weight.mul_(resampling)
                weight += keep * _BLUR
                module.bias.zero_()
            elif "conv_shortcut" in name:
                nn.init.orthogonal_(weight)
                module.bias.zero_()
            elif name.endswith("conv2"):
                weight.mul_(branch)
        if name.endswith(("to_out.0", "proj_out")) and isinstance(module, nn.Conv2d | nn.Linear):
            module.weight.mul_(attention)


@torch.no_grad()
def _pass_pixels_through(vae: AutoencoderKL) -> None:
    """The first three features are the colours, the latents the first features, with a small spread."""
    first, last = vae.encoder.conv_in.weight, vae.decoder.conv_in.weight
    first[:3].mul_(0.1)
    first[:3, :, 1, 1] += torch.eye(3)
    last.mul_(0.3)
    last[:, :, 1, 1] += torch.randn(last.shape[:2]) * 0.5
    moments = vae.quant_conv
    moments.weight[LATENT_CHANNELS:].mul_(0.1)
    moments.bias[LATENT_CHANNELS:] = -5.0  # log variance
    for conv in (moments, vae.post_quant_conv):
        conv.weight[:LATENT_CHANNELS, :LATENT_CHANNELS] = torch.eye(LATENT_CHANNELS)[:, :, None, None]
        conv.bias[:LATENT_CHANNELS] = 0
