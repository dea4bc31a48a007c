"""What other programs really write into their pictures, shortened."""

from __future__ import annotations

import html
import json
from typing import Any

INVOKEAI_3 = {
    "generation_mode": "sdxl_txt2img",
    "positive_prompt": "oil painting",
    "negative_prompt": "photo",
    "width": 1024,
    "height": 768,
    "seed": 3293022630,
    "rand_device": "cpu",
    "cfg_scale": 7.5,
    "cfg_rescale_multiplier": 0.0,
    "steps": 35,
    "scheduler": "dpmpp_2m_k",
    "clip_skip": 1,
    "model": {"key": "ab", "hash": "blake3:0123", "name": "juggernautXL", "base": "sdxl", "type": "main"},
    "loras": [{"model": {"name": "detail.v2", "base": "sdxl"}, "weight": 0.75}],
    "vae": None,
    "app_version": "5.4.0",
}
INVOKEAI_2: dict[str, Any] = {
    "model": "stable diffusion",
    "model_weights": "deliberate",
    "model_hash": "56d1442a0feefd64836a19ac8e3527ec71c884fc962e246ddf67b03e42921272",
    "app_id": "invoke-ai/InvokeAI",
    "app_version": "2.3.0",
    "image": {
        "prompt": [{"prompt": "a photo of a woman [glowing eyes, skinny] at night", "weight": 1}],
        "steps": 50,
        "cfg_scale": 5.0,
        "height": 768,
        "width": 512,
        "seed": 2980747362,
        "seamless": False,
        "sampler": "k_lms",
        "type": "txt2img",
    },
}
SWARM: dict[str, Any] = {
    "sui_image_params": {
        "prompt": "a lake",
        "negativeprompt": "fog",
        "model": "SDXL/dream.safetensors",
        "seed": 9,
        "steps": "20",
        "cfgscale": "6.5",
        "width": "1152",
        "height": 896,
        "sampler": "dpmpp_2m_sde_gpu",
        "scheduler": "karras",
        "loras": ["folder/glow"],
        "loraweights": ["0.6"],
        "clipstopatlayer": "-2",
        "swarm_version": "0.9.3.1",
    },
    "sui_extra_data": {"date": "2024-10-01"},
    "sui_models": [{"name": "dream.safetensors", "param": "model", "hash": "0xabc"}],
}
FOOOCUS = {
    "adm_guidance": "(1.5, 0.8, 0.3)",
    "base_model": "juggernautXL_v8Rundiffusion",
    "base_model_hash": "aeb7e9e689",
    "clip_skip": 2,
    "full_prompt": ["a smiling goldfish, cinematic"],
    "guidance_scale": 4,
    "loras": [["offset_lora.safetensors", 0.1, "4852686128"]],
    "metadata_scheme": "fooocus",
    "negative_prompt": "blurry",
    "performance": "Speed",
    "prompt": "a smiling goldfish",
    "resolution": "(768, 1280)",
    "sampler": "dpmpp_2m_sde_gpu",
    "scheduler": "karras",
    "seed": "6952411511246973023",
    "sharpness": 2,
    "steps": 30,
    "styles": "['Fooocus V2']",
    "version": "Fooocus v2.4.3",
}
FOOOCUS_A1111 = (
    "a goldfish, cinematic\nNegative prompt: blurry\nSteps: 30, Sampler: DPM++ 2M SDE Karras, Seed: 6, Size: 896x1152, "
    'CFG scale: 4, Sharpness: 2, ADM Guidance: "(1.5, 0.8, 0.3)", Model: juggernaut, Model hash: aeb7e9e689, '
    "Performance: Speed, Scheduler: karras, VAE: Default (model), Raw prompt: a goldfish, "
    'Lora hashes: "offset: 4852686128", Lora weights: "offset: 0.1", Version: Fooocus v2.4.3'
)
SDNEXT = (
    "a fox\nNegative prompt: dull\nSteps: 25, Size: 768x512, Sampler: Euler a, Seed: 4, CFG scale: 6, CFG rescale: 0.7, "
    "Clip skip: 2, Model: dream, Model hash: 0123456789, App: SD.Next, Version: 5c9ce9e, "
    "Pipeline: StableDiffusionPipeline, Parser: native, Operations: txt2img"
)
NOVELAI = {
    "Title": "AI generated image",
    "Description": "masterpiece, cat, space",
    "Software": "NovelAI",
    "Source": "Stable Diffusion 1D44365E",
    "Comment": '{"steps": 28, "sampler": "k_euler_ancestral", "seed": 2253955223, "strength": 0.4, "noise": 0.0, '
    '"scale": 10.0, "uc": "lowres, text"}',
}
EASY = {
    "prompt": "a tree",
    "seed": 77,
    "num_inference_steps": 25,
    "guidance_scale": 7.5,
    "width": 512,
    "height": 640,
    "sampler_name": "euler_a",
    "use_stable_diffusion_model": "C:\\models\\sd-v1-5.ckpt",
    "use_vae_model": "",
    "clip_skip": True,
    "negative_prompt": "leaves",
}
DRAW_THINGS = {
    "c": "a <big> hill",
    "uc": "snow",
    "sampler": "DPM++ 2M Karras",
    "scale": 4.5,
    "seed": 123,
    "size": "512x768",
    "steps": 16,
    "strength": 1,
    "model": "dream_f16.ckpt",
    "lora": [{"model": "hills.ckpt", "weight": 0.8}],
}
DRAW_THINGS_XMP = f"""<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF><rdf:Description>
<xmp:CreatorTool>Draw Things</xmp:CreatorTool>
<exif:UserComment><rdf:Alt><rdf:li xml:lang="x-default">{html.escape(json.dumps(DRAW_THINGS))}</rdf:li></rdf:Alt>
</exif:UserComment></rdf:Description></rdf:RDF></x:xmpmeta>"""
