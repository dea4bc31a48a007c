"""The original ("CompVis") names of the tensors of a checkpoint, the ones that every Stable Diffusion program reads.

The same three networks go by two sets of tensor names. In memory they are diffusers' modules (``down_blocks.1.resnets.0``
...). The published checkpoints still use the names of the code that trained Stable Diffusion 1 (CompVis/latent-diffusion,
``ldm/modules/diffusionmodules/openaimodel.py`` and ``model.py``), each network below a prefix:

    model.diffusion_model.                       the U-Net, which predicts the noise
    first_stage_model.                           the autoencoder (VAE), pictures <-> latents
    cond_stage_model.transformer.text_model.     the CLIP text encoder
    cond_stage_model.model.                      Stable Diffusion 2: OpenCLIP's (``open_clip_layout.py``)
    conditioner.embedders.0.transformer.text_model. and conditioner.embedders.1.model.         SDXL: one of each
    conditioner.embedders.0.model.               SDXL's refiner: OpenCLIP's alone

**The U-Net** in the original is two flat lists with a middle, where diffusers nests layers in resolution levels:

    input_blocks.0                 the first convolution
    input_blocks.1 ... n           on the way down, level after level: its residual layers, each with its attention (if it
                                   has one) as second member; then, on every level but the last, the downsampling
    middle_block.0 .1 .2           residual layer, attention, residual layer
    output_blocks.0 ... n          on the way up: the residual layers, one more per level than on the way down, because
                                   each takes up the output of one entry of ``input_blocks`` (the skip connections, and
                                   the downsampling has one too); the upsampling is the last member of a level's last entry

Numbers are counted from the tensors themselves, so any number of levels and layers, with or without attention, will do.
**The autoencoder** keeps its levels but counts the decoder's from the finest (``up.0`` is full resolution), and its one
attention uses 1 x 1 convolutions where diffusers has linear layers. **The text encoder** keeps all its names.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping

from webui.errors import IncompatibleModel
from webui.library.open_clip_layout import open_clip_name, pieces

UNET_PREFIX = "model.diffusion_model."
VAE_PREFIX = "first_stage_model."
TEXT_ENCODER_PREFIX = "cond_stage_model.transformer.text_model."

# prefixes under which a component is found, the published form first
PREFIXES: Mapping[str, tuple[str, ...]] = {
    "unet": (UNET_PREFIX, "diffusion_model.", ""),
    "vae": (VAE_PREFIX, "vae.", ""),
    "text_encoder": (
        TEXT_ENCODER_PREFIX,
        "cond_stage_model.transformer.",
        "conditioner.embedders.0.transformer.text_model.",
        "cond_stage_model.model.",
        "text_model.",
        "",
    ),
    "text_encoder_2": ("conditioner.embedders.1.model.", "conditioner.embedders.0.model.", "text_model.", ""),
}

# inside a residual layer: diffusers -> original
_UNET_RESNET = {
    "norm1": "in_layers.0",  # in_layers.1 is the SiLU between, which has no tensors
    "conv1": "in_layers.2",
    "time_emb_proj": "emb_layers.1",
    "norm2": "out_layers.0",
    "conv2": "out_layers.3",  # after SiLU and dropout
    "conv_shortcut": "skip_connection",
}
_VAE_RESNET = {"norm1": "norm1", "conv1": "conv1", "norm2": "norm2", "conv2": "conv2", "conv_shortcut": "nin_shortcut"}
_VAE_ATTENTION = {
    "group_norm": "norm",
    "to_q": "q",
    "to_k": "k",
    "to_v": "v",
    "to_out.0": "proj_out",
    # what diffusers called them until 0.15
    "query": "q",
    "key": "k",
    "value": "v",
    "proj_attn": "proj_out",
}


def unet_modules(keys: Collection[str]) -> Iterator[tuple[str, str]]:
    """Pairs (diffusers module, original module) of the U-Net that has these diffusers tensor names."""
    yield "time_embedding.linear_1", "time_embed.0"
    yield "time_embedding.linear_2", "time_embed.2"
    yield "add_embedding.linear_1", "label_emb.0.0"  # SDXL: picture sizes and the pooled text
    yield "add_embedding.linear_2", "label_emb.0.2"

    yield "conv_in", "input_blocks.0.0"
    number = 1
    for level in range(_count(keys, "down_blocks")):
        block = f"down_blocks.{level}"
        for layer in range(_count(keys, f"{block}.resnets")):
            yield from _below(f"{block}.resnets.{layer}", f"input_blocks.{number}.0", _UNET_RESNET)
            yield f"{block}.attentions.{layer}", f"input_blocks.{number}.1"
            number += 1
        if _count(keys, f"{block}.downsamplers"):
            yield f"{block}.downsamplers.0.conv", f"input_blocks.{number}.0.op"
            number += 1

    yield from _below("mid_block.resnets.0", "middle_block.0", _UNET_RESNET)
    yield "mid_block.attentions.0", "middle_block.1"
    yield from _below("mid_block.resnets.1", "middle_block.2", _UNET_RESNET)

    number = 0
    for level in range(_count(keys, "up_blocks")):
        block = f"up_blocks.{level}"
        has_attention = _count(keys, f"{block}.attentions") > 0
        for layer in range(_count(keys, f"{block}.resnets")):
            yield from _below(f"{block}.resnets.{layer}", f"output_blocks.{number}.0", _UNET_RESNET)
            yield f"{block}.attentions.{layer}", f"output_blocks.{number}.1"
            number += 1
        yield f"{block}.upsamplers.0.conv", f"output_blocks.{number - 1}.{2 if has_attention else 1}.conv"

    yield "conv_norm_out", "out.0"
    yield "conv_out", "out.2"


def vae_modules(keys: Collection[str]) -> Iterator[tuple[str, str]]:
    """Pairs (diffusers module, original module) of the autoencoder that has these diffusers tensor names."""
    yield "quant_conv", "quant_conv"
    yield "post_quant_conv", "post_quant_conv"
    for half in ("encoder", "decoder"):
        yield f"{half}.conv_in", f"{half}.conv_in"
        yield from _below(f"{half}.mid_block.resnets.0", f"{half}.mid.block_1", _VAE_RESNET)
        yield from _below(f"{half}.mid_block.attentions.0", f"{half}.mid.attn_1", _VAE_ATTENTION)
        yield from _below(f"{half}.mid_block.resnets.1", f"{half}.mid.block_2", _VAE_RESNET)
        yield f"{half}.conv_norm_out", f"{half}.norm_out"
        yield f"{half}.conv_out", f"{half}.conv_out"

    for level in range(_count(keys, "encoder.down_blocks")):
        block, original = f"encoder.down_blocks.{level}", f"encoder.down.{level}"
        for layer in range(_count(keys, f"{block}.resnets")):
            yield from _below(f"{block}.resnets.{layer}", f"{original}.block.{layer}", _VAE_RESNET)
        yield f"{block}.downsamplers.0.conv", f"{original}.downsample.conv"

    levels = _count(keys, "decoder.up_blocks")
    for level in range(levels):
        block, original = f"decoder.up_blocks.{level}", f"decoder.up.{levels - 1 - level}"
        for layer in range(_count(keys, f"{block}.resnets")):
            yield from _below(f"{block}.resnets.{layer}", f"{original}.block.{layer}", _VAE_RESNET)
        yield f"{block}.upsamplers.0.conv", f"{original}.upsample.conv"


def original_names(component: str, keys: Collection[str]) -> dict[str, str]:
    """The original name of each diffusers tensor name of ``component`` ("unet", "vae", "text_encoder" ...), no prefix before it.

    A tensor that has no place in the original layout raises ``IncompatibleModel``.
    """
    if component.startswith("text_encoder"):  # transformers wrapped the network in "text_model." until 5.6
        return {key: key.removeprefix("text_model.") for key in keys}
    modules = dict(unet_modules(keys) if component == "unet" else vae_modules(keys))
    return _renamed(keys, modules, {"unet": "U-Net", "vae": "VAE"}[component])


def names_in_file(component: str, parameters: Collection[str], present: Collection[str]) -> dict[str, str]:
    """Where each parameter of a network (diffusers names) is to be found among the names ``present`` in a file.

    The file may hold original or diffusers names, with any of the prefixes seen in published files; the pair under which
    most parameters are found is taken. What is not there is left out. A name may be that of a piece (``open_clip_layout.py``).
    """
    layouts = [{key: key for key in parameters}, original_names(component, parameters)]
    if component == "vae":  # diffusers before 0.15 named the attention's layers otherwise
        layouts.append({key: _old_attention_name(key) for key in parameters})
    if component.startswith("text_encoder"):
        layouts.append({key: name for key in parameters if (name := open_clip_name(key.removeprefix("text_model.")))})
    available = {*present, *pieces(present)}
    best: dict[str, str] = {}
    for layout in layouts:
        for prefix in PREFIXES[component]:
            found = {key: prefix + name for key, name in layout.items() if prefix + name in available}
            if len(found) > len(best):
                best = found
    return best


def _old_attention_name(key: str) -> str:
    for new, old in (("to_q", "query"), ("to_k", "key"), ("to_v", "value"), ("to_out.0", "proj_attn")):
        key = key.replace(f".attentions.0.{new}.", f".attentions.0.{old}.")
    return key


def _count(keys: Collection[str], prefix: str) -> int:
    """How many numbered members follow ``prefix``: 2 for "a.0.x", "a.1.x"."""
    start = f"{prefix}."
    return 1 + max((int(key[len(start) :].split(".", 1)[0]) for key in keys if key.startswith(start)), default=-1)


def _below(module: str, original: str, members: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    for member, original_member in members.items():
        yield f"{module}.{member}", f"{original}.{original_member}"


def _renamed(keys: Collection[str], modules: Mapping[str, str], network: str) -> dict[str, str]:
    """Each key with the name of the module that holds it exchanged."""
    names = {}
    for key in keys:
        parts = key.split(".")
        for end in range(len(parts) - 1, 0, -1):
            module = ".".join(parts[:end])
            if module in modules:
                names[key] = ".".join((modules[module], *parts[end:]))
                break
        else:
            raise IncompatibleModel(
                f'The {network} tensor "{key}" has no place in the original checkpoint layout, so it cannot be exported.'
            )
    return names
