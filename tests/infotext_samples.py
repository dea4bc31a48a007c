"""Infotexts as they are found, and texts that might be mistaken for a part of one."""

from __future__ import annotations

from hypothesis import strategies as st

ROW = "Steps: 20, Sampler: Euler a, Schedule type: Karras, CFG scale: 7, Seed: 1, Size: 512x768, RNG: CPU"

# what might be mistaken for a part of the grammar
FRAGMENTS = (
    "Negative prompt: x",
    "Negative prompt:",
    "negative prompt",
    "Steps: 20, Sampler: Euler, CFG scale: 7",
    "Steps:",
    "Template: {a|b}",
    "Negative Template: c",
    'Exact prompt: "no"',
    "Lora hashes: ",
    'Hashes: {"model": "ab"}',
    "<lora:a b:0.8>",
    "a cat",
    "(red:1.2)",
    *'\n\r\t ",:\\{}[]\0\x0b\x1c\x85\u2028\u3000\ufeff猫😀é',
    "\r\n",
    ", ",
    ": ",
)
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=40) | st.lists(
    st.sampled_from(FRAGMENTS) | st.text(st.characters(exclude_categories=["Cs"]), max_size=3), max_size=12
).map("".join)

# found in public repositories
IN_THE_WILD = {
    1: "wood table top\nSteps: 25, Sampler: Euler a, CFG scale: 7, Seed: 1057871485, Size: 512x512, Model hash: 7460a6fa",
    3: "masterpiece,gufeng boy,<lora:gufeng boy_20230805210621:0.8>,armor\nNegative prompt: (worst quality:2),lowres\n"
    "Steps: 30, Sampler: DPM++ 2M Karras, CFG scale: 7, Seed: 1008176401, Size: 512x768, Model hash: 87ce93011a, "
    "Model: majicMIX alpha 麦橘男团, Denoising strength: 0.45, Clip skip: 2, Hires upscale: 2, Hires steps: 10, "
    'Hires upscaler: R-ESRGAN 4x+, Lora hashes: "gufeng boy_20230805210621: 60129e9d06ab", Version: v1.3.1',
    4: "a\nSteps: 40, Sampler: DPM++ 2M Karras, CFG scale: 8, Seed: 1429876294, Size: 512x512, Model hash: 61bc7001e8, "
    "Model: anyhentai_20, Denoising strength: 0.7, Clip skip: 2, Hires upscale: 1.5, Hires steps: 10, "
    'Hires upscaler: Latent, Lora hashes: "concept_sunbathing: 7b93421e39bd", TI hashes: "EasyNegativeV2: 339cc9210f70, '
    'FastNegativeV2: a7465e7cc2a2, EasyNegativeV2: 339cc9210f70, FastNegativeV2: a7465e7cc2a2", Version: 1.6.0',
    7: "1 girl <lora:身材调节器S-shape body(1.5-2.5)_v1.0:0.9> <lora:20231026-1698309368847:0.9>\n"
    "Negative prompt: (umbrella:2),(worst quality:2),\n"
    "Steps: 26, Sampler: Euler a, CFG scale: 6, Seed: 656613292, Size: 512x768, Model hash: 1a17bcd93d, "
    "Model: beautifulRealistic_v7, Clip skip: 2, ADetailer model: face_yolov8n.pt, ADetailer confidence: 0.3, "
    "ADetailer dilate/erode: 4, ADetailer model 2nd: hand_yolov8n.pt, ADetailer confidence 2nd: 0.3, "
    'ADetailer version: 23.7.11, Lora hashes: "身材调节器S-shape body(1.5-2.5)_v1.0: 4221edfe4df6, '
    '20231026-1698309368847: 4d7aef12f497", Version: v1.6.0',
    9: "Steps: 30, Sampler: DPM++ 2M SDE, Schedule type: Karras, CFG scale: 3.5, Seed: 1516059803, Size: 912x1144, "
    "Model hash: c34728806b, Model: cyberillustrious_v38, Denoising strength: 0.5, RNG: CPU, "
    "ADetailer model: face_yolov8n.pt, Template: a girl, Negative Template: lowres, "
    "Hires Module 1: Use same choices, Hires prompt: a girl, Hires CFG Scale: 5, Hires upscale: 2, Hires steps: 20, "
    'Hires upscaler: 4x-UltraMix_Balanced, Lora hashes: "MuscleUp-Ilustrious Edition: 7437f7a09915", '
    "Version: f2.0.1v1.10.1-previous-661-g0b261213",
    12: "a cat\nNegative prompt: blurry, ugly\nSteps: 20, Sampler: Euler a, Schedule type: Karras, CFG scale: 7, "
    "Seed: 12345, Size: 512x768, Model hash: abc123def, Model: dreamshaper_8, Denoising strength: 0.4, Clip skip: 2, "
    'Lora hashes: "castleLora: deadbeef", Version: v1.10.1',
    13: "AnyLoRA, best quality Steps: 20, Sampler: Euler a, CFG scale: 7, Seed: 59944576, Size: 512x512, "
    'Model hash: ef49fbb25f, Model: AnyLoRA, Lora hashes: "大月阿露露_base_loraYabuki: e96f805afa76", Version: v1.4.0',
}
