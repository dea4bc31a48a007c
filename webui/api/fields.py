"""A1111's names: which field of txt2img and img2img sets which parameter, and what it is when it is left out.

A parameter that A1111 has no field for is a field under our own name. Every field is optional; null is as good as absent.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from webui.domain.picture_options import (
    INPAINT_AREAS,
    MASKED_CONTENTS,
    ONLY_MASKED,
    PICTURE_OPTIONS,
    RESIZE_MODES,
    TILES,
    WHOLE_PICTURE,
)
from webui.domain.request import PARAMETERS
from webui.errors import InvalidRequest


@dataclass(frozen=True)
class Field:
    """One field: the ``parameters`` that it sets, and its ``default``; with None it stays as options and infotext have it.

    ``read`` makes of the value what the parameters want; ``choices`` are texts that A1111 counts from 0 on.
    """

    name: str
    parameters: tuple[str, ...]
    default: Any = None
    read: Callable[[Any], Any] | None = None
    choices: tuple[str, ...] = ()

    def value(self, sent: Any) -> Any:
        """What the parameters get. Raises ``InvalidRequest`` for a number that stands for nothing."""
        if self.choices and isinstance(sent, int | float):
            if sent not in range(len(self.choices)):
                known = ", ".join(f"{number} ({choice})" for number, choice in enumerate(self.choices))
                raise InvalidRequest(f"{self.name} must be one of {known}, not {sent}.", self.name)
            return self.choices[int(sent)]
        return sent if self.read is None else self.read(sent)


def _off_below_0(value: Any) -> Any:
    return 0 if value in (-1, "-1") else value


def _area(value: Any) -> Any:
    """``inpaint_full_res``: true draws only what surrounds the mask."""
    if value in INPAINT_AREAS:
        return value
    return {"true": ONLY_MASKED, "1": ONLY_MASKED, "false": WHOLE_PICTURE, "0": WHOLE_PICTURE}.get(
        str(value).strip().lower(), value
    )


def _text(value: Any) -> Any:
    """An empty name is none."""
    return None if value == "" else value


def _no_model(value: Any) -> Any:
    """A1111's word for no checkpoint of its own."""
    return "" if value == "None" else value


COMMON: tuple[Field, ...] = (
    Field("prompt", ("prompt",), ""),
    Field("negative_prompt", ("negative_prompt",), ""),
    Field("styles", ("styles",)),
    Field("seed", ("seed",), -1),
    Field("subseed", ("variation_seed",), -1),
    Field("subseed_strength", ("variation_strength",), 0.0),
    Field("seed_resize_from_w", ("seed_resize_width",), -1, _off_below_0),
    Field("seed_resize_from_h", ("seed_resize_height",), -1, _off_below_0),
    Field("sampler_index", ("sampler",), "Euler", _text),
    Field("sampler_name", ("sampler",), None, _text),  # goes before sampler_index
    Field("scheduler", ("schedule",), None, _text),
    Field("batch_size", ("batch_size",), 1),
    Field("n_iter", ("batch_count",), 1),
    Field("steps", ("steps",), 50),
    Field("cfg_scale", ("cfg_scale",), 7.0),
    Field("width", ("width",), 512),
    Field("height", ("height",), 512),
    Field("tiling", ("tile_x", "tile_y")),
    Field("eta", ("eta",)),
    Field("s_min_uncond", ("ngms",)),
    Field("s_churn", ("s_churn",)),
    Field("s_tmax", ("s_tmax",)),
    Field("s_tmin", ("s_tmin",)),
    Field("s_noise", ("s_noise",)),
)


def _as_first(value: Any) -> Any:
    """The words of A1111's form for what is as in the first pass."""
    return "" if value in ("None", "Use same sampler", "Use same scheduler", "Use same checkpoint") else value


TXT2IMG: tuple[Field, ...] = (
    Field("denoising_strength", ("denoising_strength",), 0.75),  # of the second pass
    Field("enable_hr", ("hires",), False),
    Field("hr_upscaler", ("hires_upscaler",), "Latent", _text),
    Field("hr_scale", ("hires_scale",), 2.0),
    Field("hr_resize_x", ("hires_width",), 0),
    Field("hr_resize_y", ("hires_height",), 0),
    Field("hr_second_pass_steps", ("hires_steps",), 0),
    Field("hr_sampler_name", ("hires_sampler",), None, _as_first),
    Field("hr_scheduler", ("hires_schedule",), None, _as_first),
    Field("hr_checkpoint_name", ("hires_checkpoint",), None, _as_first),
    Field("hr_cfg", ("hires_cfg_scale",)),  # Forge's
    Field("hr_prompt", ("hires_prompt",), ""),
    Field("hr_negative_prompt", ("hires_negative_prompt",), ""),
)

IMG2IMG: tuple[Field, ...] = (
    Field("denoising_strength", ("denoising_strength",), 0.75),
    Field("resize_mode", ("resize_mode",), 0, choices=RESIZE_MODES),
    Field("image_cfg_scale", ("image_cfg_scale",)),
    Field("mask_blur_x", ("mask_blur_x",), 4),
    Field("mask_blur_y", ("mask_blur_y",), 4),
    Field("mask_blur", ("mask_blur_x", "mask_blur_y")),
    Field("inpainting_fill", ("masked_content",), 0, choices=MASKED_CONTENTS),
    Field("inpaint_full_res", ("inpaint_area",), True, _area),
    Field("inpaint_full_res_padding", ("mask_padding",), 0),
    Field("inpainting_mask_invert", ("mask_invert",), 0),
    Field("initial_noise_multiplier", ("noise_multiplier",)),
)

PICTURES = ("init_image", "mask", "depth_map")  # parameters that are pictures: sent as such, not as values


def fields_of(kind: str) -> Mapping[str, Field]:
    """All fields that set parameters in ``txt2img`` or ``img2img``, A1111's first, then those under our own names."""
    fields = {field.name: field for field in (*COMMON, *(IMG2IMG if kind == "img2img" else TXT2IMG))}
    of_pictures = () if kind == "img2img" else [name for name in PICTURE_OPTIONS if name not in TILES]
    for name in PARAMETERS:
        if name not in (*fields, *PICTURES, *of_pictures):
            fields[name] = Field(name, (name,), None, _no_model if name.endswith("_checkpoint") else None)
    return MappingProxyType(fields)


FIELDS: Mapping[str, Mapping[str, Field]] = MappingProxyType({kind: fields_of(kind) for kind in ("txt2img", "img2img")})

# What else a request may say, with A1111's defaults.
OTHERS: Mapping[str, Any] = MappingProxyType(
    {
        "override_settings": None,
        "override_settings_restore_afterwards": True,
        "alwayson_scripts": {},
        "script_name": None,
        "script_args": [],
        "send_images": True,
        "save_images": False,
        "do_not_save_samples": False,
        "do_not_save_grid": False,
        "force_task_id": None,
        "infotext": None,
        "restore_faces": None,
        "disable_extra_networks": False,
        "firstpass_image": None,
        "comments": None,
    }
)
OTHERS_TXT2IMG: Mapping[str, Any] = MappingProxyType({"firstphase_width": 0, "firstphase_height": 0})
OTHERS_IMG2IMG: Mapping[str, Any] = MappingProxyType(
    {"init_images": None, "mask": None, "latent_mask": None, "mask_round": True, "include_init_images": False}
)


def others_of(kind: str) -> dict[str, Any]:
    return {**OTHERS, **(OTHERS_IMG2IMG if kind == "img2img" else OTHERS_TXT2IMG)}


def _wanted(value: Any) -> bool:
    return bool(value) and value not in ("None", "none", "false", "False")


# field -> why a request that wants it is refused; what only switches something off is fine
NOT_HERE: Mapping[str, str] = MappingProxyType(
    {
        "restore_faces": "There is no face restoration here; leave restore_faces out.",
        "disable_extra_networks": "Networks cannot be switched off for one request; take their tags out of the prompt.",
        "firstpass_image": "A first pass cannot be handed in; leave firstpass_image out.",
    }
)


def refused(body: Mapping[str, Any]) -> InvalidRequest | None:
    """The first thing that a request asks for and that is not here."""
    for name, sentence in NOT_HERE.items():
        if _wanted(body.get(name)):
            return InvalidRequest(f"{name}: {sentence}", name)
    if _wanted(body.get("script_name")):
        return InvalidRequest(f"Script '{body['script_name']}' not found. There are no scripts here.", "script_name")
    return None
