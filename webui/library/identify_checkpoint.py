"""Which family a checkpoint is of, what its U-Net sees and predicts, and why it cannot be used if it cannot.

Besides the latents' 4 channels the U-Net's first convolution may take others: for inpainting (1 mask + 4 masked picture), for
instruct-pix2pix (4 of the picture to change), for depth (1).
"""

from __future__ import annotations

from collections.abc import Mapping

from webui.library.formats import Header, TensorInfo
from webui.library.identity import (
    LATENT_CHANNELS,
    TEXT_ENCODERS,
    Identity,
    any_starts,
    context_width,
    family_by_context,
    not_supported,
)
from webui.library.original_layout import PREFIXES

VAE_WIDTH = 128
UNET_WIDTHS = {"sd1": 320, "sd2": 320, "sdxl": 320, "sdxl-refiner": 384}  # of the families that can be used
CONTEXT_WIDTHS = {"sd1": 768, "sd2": 1024, "sdxl": 2048, "sdxl-refiner": 1280}
USABLE_CHANNELS = (LATENT_CHANNELS, 9, 8, 5)
_PURPOSE_BY_CHANNELS = {9: "inpainting", 8: "instruct-pix2pix", 7: "upscaling", 5: "depth"}


def identify_checkpoint(header: Header, label: str, has_configs: bool) -> Identity | None:
    """None if the file holds no network that predicts noise."""
    tensors = header.tensors
    if any_starts(tensors, *(f"{prefix}double_blocks." for prefix in PREFIXES["unet"])):
        return not_supported("flux", label)
    if any_starts(tensors, *(f"{prefix}joint_blocks." for prefix in PREFIXES["unet"])):
        return not_supported("sd3", label)
    for prefix in PREFIXES["unet"]:
        if f"{prefix}input_blocks.0.0.weight" in tensors:
            layout, first = "original", tensors[f"{prefix}input_blocks.0.0.weight"]
            break
        if f"{prefix}conv_in.weight" in tensors and f"{prefix}down_blocks.0.resnets.0.norm1.weight" in tensors:
            layout, first = "diffusers", tensors[f"{prefix}conv_in.weight"]
            break
    else:
        if any_starts(tensors, *PREFIXES["unet"][:-1]):
            return Identity("checkpoint", problem=f"{label} is a diffusion model of a kind that Lucid does not know.")
        return None

    family = _family(tensors)
    problem = unusable(family, first, label) or _of_another_training(family, tensors, label)
    problem = problem or _missing_text_encoder(family, tensors, label)
    if not problem and not has_configs and not _has_published_sizes(family, tensors, first):
        problem = f"{label} is not of its family's published sizes and does not say which it has (no lucid.configs)."
    prediction = _prediction_type(header, family, first) if family in UNET_WIDTHS else ""
    return Identity("checkpoint", family, layout, prediction, "ztsnr" in tensors, problem)


def unusable(family: str, first: TensorInfo | None, label: str) -> str:
    """Why a checkpoint of this family, with this first convolution of the U-Net, cannot be used; "" if it can."""
    if family not in UNET_WIDTHS:
        return not_supported(family, label).problem
    channels = first.shape[1] if first is not None and len(first.shape) == 4 else 0
    if channels in USABLE_CHANNELS:
        return ""
    purpose = _PURPOSE_BY_CHANNELS.get(channels, "other")
    return f"{label} is a checkpoint for {purpose} ({channels} input channels), which is not supported yet."


def vae_prefix(tensors: Mapping[str, TensorInfo]) -> str | None:
    """Where in the file the VAE's tensors lie; None if there is none."""
    for prefix in PREFIXES["vae"]:
        if f"{prefix}decoder.conv_in.weight" in tensors and f"{prefix}encoder.conv_in.weight" in tensors:
            return prefix
    return None


def _family(tensors: Mapping[str, TensorInfo]) -> str:
    if any(".time_stack." in key for key in tensors):
        return "video"
    if "conditioner.embedders.1.model.ln_final.weight" in tensors:
        return "sdxl"
    if "conditioner.embedders.0.model.ln_final.weight" in tensors:
        return "sdxl-refiner"
    if any_starts(tensors, "cond_stage_model.model.", "depth_model."):
        return "sd2"
    if any_starts(tensors, "cond_stage_model.transformer."):
        return "sd1"
    return family_by_context(tensors)


def _of_another_training(family: str, tensors: Mapping[str, TensorInfo], label: str) -> str:
    """Networks of a usable shape that are to be used in another way."""
    if "edm_mean" in tensors or "edm_vpred.sigma_max" in tensors:  # Playground 2.5
        return f"{label} was trained with EDM's noise levels, which are not supported yet."
    if family in ("sd1", "sd2") and any_starts(tensors, *(f"{prefix}label_emb." for prefix in PREFIXES["unet"][:-1])):
        return f"{label} is an unCLIP checkpoint, which is told of a picture; those are not supported yet."
    return ""


def _missing_text_encoder(family: str, tensors: Mapping[str, TensorInfo], label: str) -> str:
    names = ("token_embedding.weight", "embeddings.token_embedding.weight")
    for component in TEXT_ENCODERS[family].values():
        if not any(f"{prefix}{name}" in tensors for prefix in PREFIXES[component] for name in names):
            which = "second text encoder" if component == "text_encoder_2" and family == "sdxl" else "text encoder"
            return f"{label} holds no {which}; checkpoints that do not bring their own are not supported yet."
    return ""


def _has_published_sizes(family: str, tensors: Mapping[str, TensorInfo], first: TensorInfo) -> bool:
    prefix = vae_prefix(tensors)
    return (
        first.shape[0] == UNET_WIDTHS[family]
        and context_width(tensors) == CONTEXT_WIDTHS[family]
        and (prefix is None or tensors[f"{prefix}encoder.conv_in.weight"].shape[:1] == (VAE_WIDTH,))
    )


def _prediction_type(header: Header, family: str, first: TensorInfo) -> str:
    """By the Stability AI model metadata standard, else by the empty marker tensor that trainers put in; else epsilon.

    Of Stable Diffusion 2 both kinds were published without a mark. Those that see more than latents all predict noise.
    """
    stated = header.metadata.get("modelspec.prediction_type", "")
    if stated:
        return "v_prediction" if stated in ("v", "v_prediction") else "epsilon"
    if "v_pred" in header.tensors:
        return "v_prediction"
    return "" if family == "sd2" and first.shape[1] == LATENT_CHANNELS else "epsilon"
