"""The fields of what starts from a picture, in groups, and which of them mean something when.

A field that means nothing now is hidden, and keeps its value: see ``lucid.pictureFields`` in ``assets/picture_fields.js``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import gradio as gr
from gradio.components import Component

from webui.domain.enlarging import NO_UPSCALER, RESAMPLERS
from webui.domain.picture_options import INPAINT_AREAS, MASKED_CONTENTS
from webui.domain.request import PARAMETERS
from webui.runtime import Runtime
from webui.tabs.components import Tab, asset, choice_field, field, flag_field, number_field, widget_html

SOFT = (
    "soft_schedule_bias",
    "soft_preservation_strength",
    "soft_transition_contrast",
    "soft_mask_influence",
    "soft_difference_threshold",
    "soft_difference_contrast",
)
SIDES = ("extend_left", "extend_right", "extend_up", "extend_down")
CHANNELS = {
    "conditioning_mask_strength": 9,
    "image_cfg_scale": 8,
    "depth_map": 5,
}  # field -> what the U-Net must take in for it to mean much


def strength_fields(tab: Tab) -> dict[str, Component]:
    """How much is drawn anew, and how the picture is brought to the size."""
    fields: dict[str, Component] = {}
    fields["denoising_strength"] = number_field("denoising_strength", prefix=tab.prefix)
    with gr.Row(elem_classes="resize"):
        with gr.Column(elem_classes="stack", min_width=0):
            fields["resize_mode"] = choice_field(
                "resize_mode", PARAMETERS["resize_mode"].choices or (), prefix=tab.prefix
            )
        enliven = f"lucid.resizePreview({tab.name!r}, {tab.kept!r}, element)"
        widget_html(asset("resize_preview.html"), tab.id("resize-preview"), enliven)
    return fields


def mask_fields(tab: Tab) -> dict[str, Component]:
    """Where the mask lets through, and what lies under it."""
    prefix = tab.prefix
    fields: dict[str, Component] = {}
    with gr.Row(elem_classes="pair"):
        fields["masked_content"] = choice_field("masked_content", MASKED_CONTENTS, prefix=prefix)
        fields["inpaint_area"] = choice_field("inpaint_area", INPAINT_AREAS, prefix=prefix)
    fields["mask_padding"] = number_field("mask_padding", prefix=prefix)
    with gr.Row(elem_classes="pair"):
        fields["mask_blur_x"] = number_field("mask_blur_x", prefix=prefix)
        fields["mask_blur_y"] = number_field("mask_blur_y", prefix=prefix)
    fields["mask_invert"] = flag_field("mask_invert", prefix)
    return fields


def extension_fields(tab: Tab) -> dict[str, Component]:
    """Outpainting: by how much the picture is made larger, which the handles of the editor set too."""
    fields: dict[str, Component] = {}
    with gr.Column(elem_id=tab.id("extension"), elem_classes="option-group extension", min_width=0):
        with gr.Row(elem_classes="options"):
            fields |= {name: number_field(name, slider=False, prefix=tab.prefix) for name in SIDES}
        fields["extend_fill"] = field("extend_fill", tab.prefix)
    return fields


def soft_fields(tab: Tab) -> dict[str, Component]:
    """Soft inpainting, folded away."""
    fields: dict[str, Component] = {}
    with gr.Accordion("Soft inpainting", open=False):
        fields["soft_inpainting"] = flag_field("soft_inpainting", tab.prefix)
        with gr.Row(elem_classes="options"):
            fields |= {name: number_field(name, prefix=tab.prefix) for name in SOFT}
    return fields


def advanced_fields(tab: Tab, inpaints: bool) -> dict[str, Component]:
    """What is rarely touched."""
    prefix = tab.prefix
    names = [
        "noise_multiplier",
        "extra_noise",
        "image_cfg_scale",
        *(["conditioning_mask_strength"] if inpaints else []),
        "transparent_ground",
    ]
    fields: dict[str, Component] = {}
    with gr.Accordion("Starting from a picture: advanced", open=False), gr.Row(elem_classes="options"):
        fields["exact_steps"] = flag_field("exact_steps", prefix)
        fields["color_correction"] = flag_field("color_correction", prefix)
        fields |= {name: field(name, prefix) for name in names}
    return fields


def loopback_fields(tab: Tab) -> dict[str, Component]:
    """The result drawn over again and again, folded away."""
    prefix = tab.prefix
    with gr.Accordion("Loopback", open=False, elem_id=tab.id("loopback")):
        return {
            "loops": number_field("loops", prefix=prefix),
            "final_denoising_strength": number_field("final_denoising_strength", prefix=prefix),
            "denoising_curve": field("denoising_curve", prefix),
        }


def tiled_upscale_fields(runtime: Runtime, tab: Tab) -> dict[str, Component]:
    """SD upscale, folded away. An upscaler that is not in the list may be pasted: the server finds it, or says what is near."""
    prefix = tab.prefix
    names = sorted(file.name for file in runtime.upscalers() if not file.problem)
    fields: dict[str, Component] = {}
    with gr.Accordion("SD upscale: enlarge, and draw over in tiles", open=False, elem_id=tab.id("sd-upscale")):
        fields["sd_upscale"] = flag_field("sd_upscale", prefix)
        fields["sd_upscale_upscaler"] = gr.Dropdown(
            [NO_UPSCALER, *RESAMPLERS, *names],
            value=PARAMETERS["sd_upscale_upscaler"].default,
            label=PARAMETERS["sd_upscale_upscaler"].label,
            elem_id=tab.id("sd_upscale_upscaler"),
            elem_classes="choice",
            allow_custom_value=True,
        )
        with gr.Row(elem_classes="pair"):
            fields["sd_upscale_by"] = number_field("sd_upscale_by", prefix=prefix)
            fields["sd_upscale_overlap"] = number_field("sd_upscale_overlap", prefix=prefix)
    return fields


def depth_field(tab: Tab) -> None:
    """Where a depth map is dropped; shown for checkpoints that draw by one. The browser sends its id with Generate."""
    widget_html(asset("depth_map.html"), tab.id("depth_map"), f"lucid.depthMap({tab.name!r}, element)")


def connect_fields(runtime: Runtime, tab: Tab) -> None:
    """Show what means something for what the form holds, the picture and the checkpoint."""

    def channels(asked: dict[str, Any]) -> dict[str, Any]:
        return {"channels": input_channels(runtime, str(asked.get("checkpoint") or ""))}

    rules = {"soft": SOFT, "channels": CHANNELS}
    enliven = f"lucid.pictureFields({tab.name!r}, {tab.prefix!r}, {tab.kept!r}, {json.dumps(rules)}, server)"
    widget_html("", tab.id("field-rules"), enliven, visible="hidden", server_functions=[channels])


def input_channels(runtime: Runtime, checkpoint: str) -> int:
    """How many channels the checkpoint's U-Net takes in: 4, or 9 for inpainting, 8 for instruct-pix2pix, 5 with depth."""
    files = {file.name: file for file in runtime.checkpoints()}
    configs: Mapping[str, Any] = files[checkpoint].configs if checkpoint in files else {}
    return int(configs.get("unet", {}).get("in_channels", 4))
