"""Stripped headers of published model files: the tensor names and shapes that tell them apart, without the weights."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path

Shapes = Mapping[str, tuple[int, ...]]

UNET, CLIP = "model.diffusion_model.", "cond_stage_model.transformer.text_model."
TO_K = "input_blocks.4.1.transformer_blocks.0.attn2.to_k.weight"


def below(prefix: str, shapes: Shapes) -> Shapes:
    return {prefix + name: shape for name, shape in shapes.items()}


def unet(width: int = 320, channels: int = 4, context: int = 768) -> Shapes:
    return {
        "input_blocks.0.0.weight": (width, channels, 3, 3),
        "input_blocks.1.0.in_layers.0.weight": (width,),
        TO_K: (640, context),
        "out.2.weight": (4, width, 3, 3),
    }


DIFFUSERS_UNET: Shapes = {
    "conv_in.weight": (320, 4, 3, 3),
    "down_blocks.0.resnets.0.norm1.weight": (320,),
    "down_blocks.1.attentions.0.transformer_blocks.0.attn2.to_k.weight": (640, 768),
}
VAE: Shapes = {
    "encoder.conv_in.weight": (128, 3, 3, 3),
    "encoder.mid.attn_1.q.weight": (512, 512, 1, 1),
    "decoder.conv_in.weight": (512, 4, 3, 3),
    "decoder.mid.block_1.norm1.weight": (512,),
    "quant_conv.weight": (8, 8, 1, 1),
}
DIFFUSERS_VAE: Shapes = {
    "encoder.conv_in.weight": (128, 3, 3, 3),
    "encoder.down_blocks.0.resnets.0.norm1.weight": (128,),
    "decoder.conv_in.weight": (512, 4, 3, 3),
    "decoder.mid_block.resnets.0.norm1.weight": (512,),
    "quant_conv.weight": (8, 8, 1, 1),
}
OPENAI_CLIP: Shapes = {
    "embeddings.token_embedding.weight": (49408, 768),
    "encoder.layers.0.self_attn.k_proj.weight": (768, 768),
}
OPEN_CLIP: Shapes = {
    "cond_stage_model.model.token_embedding.weight": (49408, 1024),
    "cond_stage_model.model.transformer.resblocks.0.attn.in_proj_weight": (3072, 1024),
}
STORED_VAE = below("first_stage_model.", VAE)

SD1: Shapes = {**below(UNET, unet()), **STORED_VAE, **below(CLIP, OPENAI_CLIP)}
SD1_INPAINT: Shapes = {**SD1, UNET + "input_blocks.0.0.weight": (320, 9, 3, 3)}
SD1_IP2P: Shapes = {**SD1, UNET + "input_blocks.0.0.weight": (320, 8, 3, 3)}
# the first leaks of SD 1 and some mergers left "text_model." out
SD1_OLD_CLIP: Shapes = {**below(UNET, unet()), **STORED_VAE, **below("cond_stage_model.transformer.", OPENAI_CLIP)}
SD1_WITH_EMA: Shapes = {
    "model_ema.diffusion_modelinput_blocks00weight": (320, 4, 3, 3),
    "model_ema.x.attn2.to_k.weight": (640, 1024),  # must not be taken for the U-Net's
    "alphas_cumprod": (1000,),
    **SD1,
}
SD1_V: Shapes = {**SD1, "v_pred": (0,), "ztsnr": (0,)}
SD1_NO_VAE: Shapes = {**below(UNET, unet()), **below(CLIP, OPENAI_CLIP)}
SD1_NO_CLIP: Shapes = {**below(UNET, unet()), **STORED_VAE}
SD1_SMALL: Shapes = {**SD1, UNET + "input_blocks.0.0.weight": (64, 4, 3, 3)}
SD2: Shapes = {**below(UNET, unet(context=1024)), **STORED_VAE, **OPEN_CLIP}
SD2_INPAINT: Shapes = {**below(UNET, unet(channels=9, context=1024)), **STORED_VAE, **OPEN_CLIP}
SD2_DEPTH: Shapes = {
    **below(UNET, unet(channels=5, context=1024)),
    **STORED_VAE,
    **OPEN_CLIP,
    "depth_model.model.pretrained.cls_token": (1, 1, 768),
}
SDXL: Shapes = {
    **below(UNET, {**unet(context=2048), "label_emb.0.0.weight": (1280, 2816)}),
    **STORED_VAE,
    **below("conditioner.embedders.0.transformer.text_model.", OPENAI_CLIP),
    "conditioner.embedders.1.model.ln_final.weight": (1280,),
    "conditioner.embedders.1.model.token_embedding.weight": (49408, 1280),
}
REFINER: Shapes = {
    **below(UNET, {**unet(width=384, context=1280), "label_emb.0.0.weight": (1536, 2560)}),
    **STORED_VAE,
    "conditioner.embedders.0.model.ln_final.weight": (1280,),
    "conditioner.embedders.0.model.token_embedding.weight": (49408, 1280),
}
SVD: Shapes = {
    **below(UNET, {**unet(channels=8, context=1024), "input_blocks.1.0.time_stack.in_layers.0.weight": (320,)}),
    "conditioner.embedders.0.open_clip.model.visual.proj": (1280, 1024),
}
SDXL_INPAINT: Shapes = {**SDXL, UNET + "input_blocks.0.0.weight": (320, 9, 3, 3)}
SDXL_V: Shapes = {**SDXL, "v_pred": (0,), "ztsnr": (0,)}
SDXL_ONE_CLIP: Shapes = {key: shape for key, shape in SDXL.items() if "token_embedding" not in key or ".0." in key}
PLAYGROUND: Shapes = {**SDXL, "edm_mean": (4,), "edm_std": (4,)}
UNCLIP: Shapes = {**SD2, UNET + "label_emb.0.0.weight": (1280, 2048)}
X4_UPSCALER: Shapes = {**SD2, UNET + "input_blocks.0.0.weight": (256, 7, 3, 3)}
FLUX: Shapes = {UNET + "double_blocks.0.img_attn.qkv.weight": (9216, 3072)}
FLUX_BARE: Shapes = {"double_blocks.0.img_attn.qkv.weight": (9216, 3072), "img_in.weight": (3072, 64)}
SD3: Shapes = {UNET + "joint_blocks.0.x_block.attn.qkv.weight": (4608, 1536)}
ALIEN: Shapes = {UNET + "layers.0.attention.qkv.weight": (64, 64)}


def kohya_lora(context: int, text: str = "lora_te_text_model") -> Shapes:
    attention = "lora_unet_down_blocks_1_attentions_0_transformer_blocks_0_attn2_to_k"
    return {
        f"{attention}.alpha": (),
        f"{attention}.lora_down.weight": (8, context),
        f"{attention}.lora_up.weight": (640, 8),
        f"{text}_encoder_layers_0_mlp_fc1.lora_down.weight": (8, 768),
    }


PEFT_LORA: Shapes = {"unet.down_blocks.1.attentions.0.transformer_blocks.0.attn2.to_k.lora_A.weight": (8, 768)}
LOHA: Shapes = {
    "lora_unet_down_blocks_1_attentions_0_transformer_blocks_0_attn2_to_k.hada_w1_a": (640, 8),
    "lora_unet_down_blocks_1_attentions_0_transformer_blocks_0_attn2_to_k.hada_w1_b": (8, 768),
}
TEXTUAL_INVERSION: Shapes = {"emb_params": (8, 768)}
TEXTUAL_INVERSION_XL: Shapes = {"clip_l": (8, 768), "clip_g": (8, 1280)}
CONTROLNET: Shapes = below("control_model.", {**unet(), "input_hint_block.0.weight": (16, 3, 3, 3)})
CONTROLNET_DIFFUSERS: Shapes = {**DIFFUSERS_UNET, "controlnet_cond_embedding.conv_in.weight": (16, 3, 3, 3)}
ESRGAN: Shapes = {"model.0.weight": (64, 3, 3, 3), "model.1.sub.0.RDB1.conv1.0.weight": (32, 64, 3, 3)}
REAL_ESRGAN: Shapes = {
    "params_ema.conv_first.weight": (64, 3, 3, 3),
    "params_ema.body.0.rdb1.conv1.weight": (32, 64, 3, 3),
}
COMPACT: Shapes = {"body.0.weight": (64, 3, 3, 3), "body.1.weight": (64,), "body.2.weight": (64, 64, 3, 3)}
TAESD_DECODER: Shapes = {"1.weight": (64, 4, 3, 3), "3.conv.0.weight": (64, 64, 3, 3)}
TAESD_ENCODER: Shapes = {"0.weight": (64, 3, 3, 3), "1.conv.0.weight": (64, 64, 3, 3)}
TAEF1_DECODER: Shapes = {"1.weight": (64, 16, 3, 3)}
AUTOENCODER_TINY: Shapes = {"decoder.layers.0.weight": (64, 4, 3, 3), "encoder.layers.0.weight": (64, 3, 3, 3)}
FLUX_VAE: Shapes = {
    **{k: v for k, v in VAE.items() if k != "quant_conv.weight"},
    "decoder.conv_in.weight": (512, 16, 3, 3),
}
HYPERNETWORK: Shapes = {"768.0.linear.0.weight": (1536, 768), "768.1.linear.0.weight": (1536, 768)}


def write_model(path: Path, shapes: Shapes, metadata: Mapping[str, str] | None = None) -> Path:
    """A whole and valid safetensors file of these tensors, all fp16 zeros: a hole in the file, so it takes no space."""
    header: dict[str, object] = {"__metadata__": dict(metadata)} if metadata else {}
    offset = 0
    for name, shape in shapes.items():
        end = offset + 2 * math.prod(shape)
        header[name] = {"dtype": "F16", "shape": list(shape), "data_offsets": [offset, end]}
        offset = end
    return write_raw(path, json.dumps(header).encode(), offset)


def write_raw(path: Path, header: bytes, data_bytes: int) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        file.write(len(header).to_bytes(8, "little") + header)
        file.truncate(8 + len(header) + data_bytes)
    return path
