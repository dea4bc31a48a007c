"""InvokeAI's three ways of saying how a picture was made, from its newest to its first."""

from __future__ import annotations

import re
from typing import Any

from webui.domain.foreign_names import (
    Chunks,
    file_stem,
    items,
    load_object,
    lora_tag,
    mapping,
    plain_text,
    sampler_and_schedule,
    signed,
    size,
    summary,
    whole_number,
    with_tags,
)
from webui.domain.infotext_grammar import ParsedInfotext


def invokeai(chunks: Chunks) -> ParsedInfotext | None:
    """Version 3 and later: the record of the graph's result. Names of models are objects there."""
    values = load_object(chunks.get("invokeai_metadata"))
    if not values:
        return None
    model, tags = mapping(values.get("model")), []
    for entry in map(mapping, items(values.get("loras"))):
        lora = mapping(entry.get("model") or entry.get("lora"))
        tags.append(lora_tag(lora.get("name") or lora.get("model_name"), entry.get("weight", 1)))
    skipped, vae = whole_number(values.get("clip_skip")), mapping(values.get("vae"))
    return summary(
        "InvokeAI",
        with_tags(values.get("positive_prompt"), tags),
        values.get("negative_prompt"),
        {
            "Steps": values.get("steps"),
            **_invokeai_sampler(values.get("scheduler")),
            "CFG scale": values.get("cfg_scale"),
            "CFG rescale": values.get("cfg_rescale_multiplier") or None,
            "Seed": values.get("seed"),
            "Size": size(values.get("width"), values.get("height")),
            "Model": file_stem(model.get("name") or model.get("model_name")),
            "VAE": file_stem(vae.get("name") or vae.get("model_name")),
            "Denoising strength": values.get("strength"),
            "Clip skip": skipped + 1 if skipped else None,  # it counts the layers left out
            "RNG": "CPU" if values.get("rand_device", "cpu") == "cpu" else "GPU",
            "Tiling": "True" if values.get("seamless_x") and values.get("seamless_y") else None,
            "Version": signed("InvokeAI", values.get("app_version")),
        },
    )


def invokeai_2(chunks: Chunks) -> ParsedInfotext | None:
    """Version 2: a record with the picture's part under "image"; the negative prompt is what stands in brackets."""
    values = load_object(chunks.get("sd-metadata")) or {}
    image = mapping(values.get("image"))
    if not image:
        return None
    prompts = image.get("prompt")
    parts = [prompts] if isinstance(prompts, str) else [mapping(part).get("prompt") for part in items(prompts)]
    prompt, negative = _split_brackets(" ".join(part for part in parts if isinstance(part, str)))
    return summary(
        "InvokeAI",
        prompt,
        negative,
        {
            "Steps": image.get("steps"),
            **_invokeai_sampler(image.get("sampler")),
            "CFG scale": image.get("cfg_scale"),
            "Seed": image.get("seed"),
            "Size": size(image.get("width"), image.get("height")),
            "Model": file_stem(values.get("model_weights")),
            "Model hash": plain_text(values.get("model_hash"))[:10],
            "Tiling": "True" if image.get("seamless") else None,
            "Version": signed("InvokeAI", values.get("app_version")),
        },
    )


def invokeai_1(chunks: Chunks) -> ParsedInfotext | None:
    """Version 1: the command line, ``"a cat [blurry]" -s 50 -S 42 -W 512 -H 512 -C 7.5 -A k_lms``."""
    command = chunks.get("Dream", "").strip()
    after_prompt = re.compile(r"\s--?\w").search(command, command.rfind('"') + 1)
    if after_prompt is None:
        return None
    options = dict(re.findall(r"\s-([sSWHCA]) ?([\w.]+)", command[after_prompt.start() :]))
    prompt, negative = _split_brackets(command[: after_prompt.start()].strip().removeprefix('"').removesuffix('"'))
    return summary(
        "InvokeAI",
        prompt,
        negative,
        {
            "Steps": options.get("s"),
            **_invokeai_sampler(options.get("A")),
            "CFG scale": options.get("C"),
            "Seed": options.get("S"),
            "Size": size(options.get("W"), options.get("H")),
        },
    )


def _invokeai_sampler(name: Any) -> dict[str, Any]:
    """InvokeAI names a schedule only if it is Karras, by ``_k``."""
    named = sampler_and_schedule(name)
    return named if named["Schedule type"] else {**named, "Schedule type": "Uniform"}


def _split_brackets(prompt: str) -> tuple[str, str]:
    """A prompt, and what stood within it in brackets."""
    parts = [part.strip() for part in re.split(r"\[([^\[\]]*)\]", prompt)]
    return " ".join(filter(None, parts[::2])), ", ".join(filter(None, parts[1::2]))
