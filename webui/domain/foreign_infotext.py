"""What the pictures of other programs say about themselves, as infotexts.

A picture carries named texts: the text chunks of a PNG, or EXIF values by their tag names ("UserComment", "Make", ...).
Each reader below knows one program by these and returns None for everything else; the first one that answers is
believed. A broken record is no record: nothing here raises.
"""

from __future__ import annotations

import html
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from webui.domain.comfyui_graph import read_graph, summarise
from webui.domain.comfyui_sampling import begins_as_comfyui
from webui.domain.foreign_invokeai import invokeai, invokeai_1, invokeai_2
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
from webui.domain.infotext_grammar import ParsedInfotext, parse, read_pairs

Reader = Callable[[Chunks], ParsedInfotext | None]

XMP = "XML:com.adobe.xmp"


def read_chunks(chunks: Chunks, picture_size: tuple[int, int] | None = None) -> ParsedInfotext | None:
    """The infotext of a picture with these texts, or None if no generator is known that writes such.

    ``picture_size`` (width, height in pixels) stands in for NovelAI's, which early pictures do not name.
    """
    parsed = next((found for reader in READERS if (found := reader(chunks)) is not None), None)
    if parsed is not None and picture_size and parsed.source == "NovelAI" and "Size" not in parsed.fields:
        return replace(parsed, fields={**parsed.fields, "Size": size(*picture_size) or ""})
    return parsed


def _texts(chunks: Chunks) -> list[str]:
    """Where A1111 looks for an infotext, in its order: EXIF, the PNG chunk, the comment of a GIF."""
    return [chunks[key] for key in ("UserComment", "parameters", "comment") if chunks.get(key, "").strip()]


def swarmui(chunks: Chunks) -> ParsedInfotext | None:
    """JSON under A1111's names; the first versions put it into EXIF's camera model."""
    for text in (*_texts(chunks), chunks.get("Model")):
        values = mapping((load_object(text) or {}).get("sui_image_params"))
        if values:
            break
    else:
        return None
    names, weights = (_listed(values.get(key)) for key in ("loras", "loraweights"))
    tags = [lora_tag(name, *weights[at : at + 1]) for at, name in enumerate(names)]
    layer = whole_number(values.get("clipstopatlayer"))
    named = sampler_and_schedule(
        values.get("sampler") or values.get("comfyuisampler") or values.get("autowebuisampler"),
        values.get("scheduler") or values.get("comfyuischeduler"),
    )
    return summary(
        "SwarmUI",
        with_tags(values.get("prompt"), tags),
        values.get("negativeprompt"),
        {
            "Steps": values.get("steps"),
            **named,
            **begins_as_comfyui(
                named["Schedule type"], values.get("initimagecreativity"), values.get("samplersigmamax")
            ),
            "Schedule min sigma": values.get("samplersigmamin"),
            "Schedule max sigma": values.get("samplersigmamax"),
            "Schedule rho": values.get("samplerrho"),
            "CFG scale": values.get("cfgscale"),
            "CFG rescale": values.get("rescalecfgmultiplier"),
            "Seed": values.get("seed"),
            "Size": size(values.get("width"), values.get("height")),
            "Model": file_stem(values.get("model")),
            "VAE": file_stem(values.get("vae")),
            "Variation seed": values.get("variationseed"),
            "Variation seed strength": values.get("variationseedstrength"),
            "Denoising strength": values.get("initimagecreativity"),
            "Clip skip": -layer if layer is not None and layer < -1 else None,
            "RNG": "CPU",  # its backend is ComfyUI
            "Version": signed("SwarmUI", values.get("swarm_version")),
        },
    )


def fooocus(chunks: Chunks) -> ParsedInfotext | None:
    """Its own JSON, or A1111's grammar with fields of its own; early versions had only a JSON comment."""
    for text in (*_texts(chunks), chunks.get("Comment")):
        values = load_object(text) or {}
        if "base_model" in values:
            return _fooocus_json(values)
    for text in _texts(chunks):
        parsed = parse(text)
        if parsed.source == "Fooocus":
            fields = dict(parsed.fields)
            named = sampler_and_schedule(fields.get("Sampler"), fields.pop("Scheduler", None))
            named |= {**begins_as_comfyui(named["Schedule type"]), "RNG": "CPU"}
            return replace(parsed, fields=fields | {key: value for key, value in named.items() if value})
    return None


def _fooocus_json(values: Mapping[str, Any]) -> ParsedInfotext:
    named = sampler_and_schedule(values.get("sampler"), values.get("scheduler"))
    sides = re.findall(r"\d+", plain_text(values.get("resolution")))
    width, height = sides if len(sides) == 2 else (values.get("width"), values.get("height"))
    loras = [lora_tag(*entry[:2]) for entry in items(values.get("loras")) if isinstance(entry, list) and entry]
    return summary(
        "Fooocus",
        with_tags(values.get("prompt"), loras),
        values.get("negative_prompt"),
        {
            "Steps": values.get("steps"),
            **named,
            **begins_as_comfyui(named["Schedule type"]),
            "CFG scale": values.get("guidance_scale", values.get("cfg")),
            "Seed": values.get("seed"),
            "Size": size(width, height),
            "Model": file_stem(values.get("base_model")),
            "Model hash": values.get("base_model_hash"),
            "Clip skip": values.get("clip_skip"),
            "RNG": "CPU",
            "Sharpness": values.get("sharpness"),
            "ADM Guidance": values.get("adm_guidance"),
            "Performance": values.get("performance"),
            "Styles": values.get("styles"),
            "Version": signed("Fooocus", values.get("version")),
        },
    )


def a1111(chunks: Chunks) -> ParsedInfotext | None:
    """A1111's web UI, Forge, SD.Next, ourselves, and whoever else writes this grammar."""
    after = read_pairs(chunks.get("postprocessing") or chunks.get("extras") or "")  # the extras tab's record
    for text in _texts(chunks):
        parsed = parse(text)
        if parsed.fields:
            return replace(parsed, fields={**after, **parsed.fields})
    return ParsedInfotext(fields=after, source="AUTOMATIC1111") if after else None


def novelai(chunks: Chunks) -> ParsedInfotext | None:
    """A1111 reads these with CLIP skip 2 and ENSD 31337, by which it draws the same pictures with NovelAI's model."""
    values = load_object(chunks.get("Comment"))
    if not values or not (chunks.get("Software") == "NovelAI" or "uc" in values):
        return None
    return summary(
        "NovelAI",
        chunks.get("Description") or values.get("prompt"),
        values.get("uc"),
        {
            "Steps": values.get("steps"),
            **sampler_and_schedule(values.get("sampler"), values.get("noise_schedule")),
            "CFG scale": values.get("scale"),
            "CFG rescale": values.get("cfg_rescale") or None,
            "Seed": values.get("seed"),
            "Size": size(values.get("width"), values.get("height")),
            "Denoising strength": values.get("strength") if values.get("request_type") == "Img2ImgRequest" else None,
            "Clip skip": 2,
            "ENSD": 31337,
            "NovelAI model": chunks.get("Source"),
        },
    )


def comfyui(chunks: Chunks) -> ParsedInfotext | None:
    """The graph that was run: a PNG's "prompt", or in WebP any EXIF text that begins with "prompt:"."""
    labelled = (text[len("prompt:") :] for text in chunks.values() if text[:7].casefold() == "prompt:")
    for text in (chunks.get("prompt"), *labelled):
        graph = read_graph(text)
        if graph:
            return summarise(graph)
    return None


def easy_diffusion(chunks: Chunks) -> ParsedInfotext | None:
    """A chunk for each value, or all as JSON in EXIF; under the names of its form or of its requests."""
    record = next((found for text in _texts(chunks) if (found := load_object(text))), chunks)
    values = {key.casefold().replace(" ", "_"): value for key, value in record.items()}
    if "prompt" not in values or not {"num_inference_steps", "guidance_scale"} & set(values):
        return None
    return summary(
        "Easy Diffusion",
        values["prompt"],
        values.get("negative_prompt"),
        {
            "Steps": values.get("num_inference_steps", values.get("steps")),
            **sampler_and_schedule(values.get("sampler_name", values.get("sampler"))),
            "CFG scale": values.get("guidance_scale"),
            "Seed": values.get("seed"),
            "Size": size(values.get("width"), values.get("height")),
            "Model": file_stem(values.get("use_stable_diffusion_model", values.get("stable_diffusion_model"))),
            "VAE": file_stem(values.get("use_vae_model", values.get("vae_model"))),
            "Clip skip": 2 if plain_text(values.get("clip_skip")).casefold() == "true" else None,
        },
    )


def draw_things(chunks: Chunks) -> ParsedInfotext | None:
    """JSON within the XMP packet's ``exif:UserComment``: "c" is the prompt, "uc" the negative one."""
    _, _, comment = chunks.get(XMP, "").partition("<exif:UserComment>")
    comment, _, _ = comment.partition("</exif:UserComment>")
    values = load_object(html.unescape(comment[comment.find("{") : comment.rfind("}") + 1]))
    if not values or "c" not in values:
        return None
    tags = [lora_tag(lora.get("model"), lora.get("weight", 1)) for lora in map(mapping, items(values.get("lora")))]
    name, schedule = values.get("sampler"), None
    if isinstance(name, str) and name.endswith(" Karras"):
        name, schedule = name.removesuffix(" Karras"), "Karras"
    return summary(
        "Draw Things",
        with_tags(values["c"], tags),
        values.get("uc"),
        {
            "Steps": values.get("steps"),
            **sampler_and_schedule(name, schedule),
            "CFG scale": values.get("scale"),
            "Seed": values.get("seed"),
            "Size": values.get("size"),
            "Model": file_stem(values.get("model")),
            "Denoising strength": values.get("strength") if values.get("strength") != 1 else None,
        },
    )


def prompt_alone(chunks: Chunks) -> ParsedInfotext | None:
    """A PNG chunk where an infotext belongs, without parameters in it. (In EXIF it might be anything.)"""
    text = chunks.get("parameters", "").strip()
    return parse(text) if text and load_object(text) is None else None


READERS: tuple[Reader, ...] = (
    swarmui,
    fooocus,
    a1111,  # before ComfyUI: some of its nodes save an infotext besides the graph, and say more in it
    invokeai,
    invokeai_2,
    invokeai_1,
    novelai,
    comfyui,
    easy_diffusion,
    draw_things,
    prompt_alone,
)


def _listed(value: Any) -> list[Any]:
    """SwarmUI's lists: as JSON, or as one text with commas."""
    return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else items(value)
