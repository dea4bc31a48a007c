"""Read a ComfyUI graph as an infotext.

ComfyUI stores what it ran: ``{node id: {"class_type": ..., "inputs": {name: value or [node id, output]}}}``. There are
thousands of kinds of nodes, so they are told by the names of their inputs, not by their class: what has a
``latent_image`` and ``steps`` samples, what has a ``ckpt_name`` loads a checkpoint. From the sampler the links are
followed upward. A graph with several passes is told by its first one, which made the composition.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from webui.domain.comfyui_sampling import sampling_fields
from webui.domain.foreign_names import (
    file_stem,
    load_object,
    lora_tag,
    mapping,
    plain_text,
    size,
    summary,
    with_tags,
)
from webui.domain.infotext_grammar import ParsedInfotext

Graph = Mapping[str, Mapping[str, Any]]  # node id -> inputs, and its class as KIND
KIND = "class_type"

_MAX_SAMPLERS = 32  # a graph of thousands would only be made to keep us busy
_MAX_HOPS = 100
_SIDE_NODES = ("sampler", "sigmas", "noise", "guider")  # SamplerCustom takes its parameters from these
_TEXTS = ("text", "text_g", "text_l", "clip_l", "t5xxl", "prompt")
_VALUES = ("value", "text", "string", "String", "seed", "noise_seed", "int", "float", "number", "prompt")
_NO_CONDITIONING = ("clip", "clip_vision", "vae", "model", "control_net", "image", "mask", "latent", "pixels")


def read_graph(text: str | None) -> Graph | None:
    """The graph that the text holds, or None if it holds none."""
    found = load_object(text)
    if not found or not all(isinstance(node, Mapping) and KIND in node for node in found.values()):
        return None
    return {name: {**mapping(node.get("inputs")), KIND: node[KIND]} for name, node in found.items()}


def summarise(graph: Graph) -> ParsedInfotext | None:
    """Prompts and parameters of the first pass; None if nothing in the graph samples."""
    first = _first_sampler(graph)
    if first is None:
        return None
    sides = (_link(graph, graph[first].get(name)) for name in _SIDE_NODES)
    nodes = [graph[first], *(graph[side[0]] for side in sides if side)]

    def find(*names: str) -> Any:
        values = (_scalar(graph, node, name) for node in nodes for name in names)
        return next((value for value in values if value is not None), None)

    def connection(*names: str) -> Any:
        inputs = (node.get(name) for node in nodes for name in names)
        return next((value for value in inputs if _link(graph, value)), None)

    def above(name: str) -> Any:
        through = (graph[node] for node in _upstream(graph, connection("model")))
        return next((node[name] for node in through if name in node), None)

    checkpoint, tags = _models(graph, connection("model"))
    positive = _texts(graph, connection("positive", "conditioning"), "positive")
    negative = _texts(graph, connection("negative"), "negative")
    latents = [graph[first], *(graph[name] for name in _upstream(graph, graph[first].get("latent_image")))]
    sizes = ((_scalar(graph, node, "width"), _scalar(graph, node, "height")) for node in latents)
    denoise = find("denoise")
    everywhere = list(graph.values())
    clip_layer = _anywhere(everywhere, "stop_at_clip_layer")
    return summary(
        "ComfyUI",
        with_tags(positive, tags),
        negative,
        {
            "Steps": find("steps"),
            **sampling_fields(tuple(plain_text(node[KIND]) for node in nodes), find, above),
            "CFG scale": find("cfg"),
            "Seed": find("seed", "noise_seed"),
            "Size": next((text for pair in sizes if (text := size(*pair))), None),
            "Model": file_stem(checkpoint),
            "VAE": file_stem(_anywhere(everywhere, "vae_name")),
            "Denoising strength": denoise if denoise != 1 else None,
            "Clip skip": -clip_layer if isinstance(clip_layer, int) and clip_layer < -1 else None,
            "RNG": "CPU",  # ComfyUI draws its noise there on every device
        },
    )


def _link(graph: Graph, value: Any) -> tuple[str, int] | None:
    """The node and output that an input is connected to, or None for a plain value."""
    if not (isinstance(value, list) and len(value) == 2 and isinstance(value[0], (str, int))):
        return None
    return (str(value[0]), value[1]) if str(value[0]) in graph and isinstance(value[1], int) else None


def _upstream(graph: Graph, value: Any) -> Iterator[str]:
    """Every node from which the value comes, the nearest first."""
    links, seen = [_link(graph, value)], set()
    for link in links:
        if link and link[0] not in seen:
            seen.add(link[0])
            yield link[0]
            links += [_link(graph, above) for above in graph[link[0]].values()]


def _first_sampler(graph: Graph) -> str | None:
    """The sampler whose latent comes from no other sampler."""
    samplers = [
        name for name, node in graph.items() if "latent_image" in node and ("steps" in node or "sigmas" in node)
    ]
    for name in samplers[:_MAX_SAMPLERS]:
        if not set(samplers).intersection(_upstream(graph, graph[name]["latent_image"])):
            return name
    return samplers[0] if samplers else None


def _scalar(graph: Graph, node: Mapping[str, Any], name: str) -> Any:
    """An input's text or number, also where another node provides it; else None."""
    value = node.get(name)
    for _ in range(_MAX_HOPS):
        link = _link(graph, value)
        if link is None:
            break
        above = graph[link[0]]
        value = next((above[key] for key in (name, *_VALUES) if key in above), None)
    return value if isinstance(value, (str, int, float)) else None


def _texts(graph: Graph, value: Any, side: str) -> str:
    """The prompts behind a conditioning, each once, joined by commas. ``side`` is "positive" or "negative"."""
    texts: list[str] = []
    waiting, seen = [value], set()
    while waiting:
        link = _link(graph, waiting.pop(0))
        if link is None or link in seen:
            continue
        seen.add(link)
        node = graph[link[0]]
        found = [text for name in _TEXTS if isinstance(text := _scalar(graph, node, name), str)]
        if found:
            texts += found
        elif "positive" in node and "negative" in node:  # one node for both: ControlNet, or a loader with prompts
            if isinstance(node.get(side), str):
                texts.append(node[side])
            else:
                waiting.append(node[("positive", "negative")[link[1]] if link[1] in (0, 1) else side])
        else:
            waiting += [above for name, above in node.items() if name not in _NO_CONDITIONING]
    return ", ".join(text for text in dict.fromkeys(texts) if text.strip())


def _models(graph: Graph, value: Any) -> tuple[Any, list[str]]:
    """The checkpoint's file name, and the LoRAs between it and the sampler as tags for the prompt."""
    tags: list[str] = []
    for name in _upstream(graph, value):
        node = graph[name]
        if isinstance(node.get("lora_name"), str):
            strengths = (node.get(key, 1) for key in ("strength_clip", "strength_model") if key in node)
            tags.append(lora_tag(node["lora_name"], *strengths))
        for entry in map(mapping, node.values()):  # several LoRAs in one node
            if entry.get("on") and "lora" in entry:
                tags.append(lora_tag(entry["lora"], entry.get("strength", 1)))
        checkpoint = next((node[key] for key in ("ckpt_name", "unet_name") if key in node), None)
        if checkpoint is not None:
            return checkpoint, tags
    return None, tags


def _anywhere(nodes: list[Mapping[str, Any]], name: str) -> Any:
    return next((node[name] for node in nodes if name in node), None)
