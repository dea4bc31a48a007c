"""The part of a request that starts from a picture: img2img, inpainting, outpainting, and seamless tiles.

A request is plain values, so a picture in it is an id: that of an input picture which its owner handed in before. Without
``init_image`` it is txt2img and these options mean nothing, save those that make tiles; without a mask those about masks
mean nothing. What means nothing is kept, so that it is there again when it is wanted, and is not written into pictures.
"""

from __future__ import annotations

import dataclasses
import re
from dataclasses import dataclass

from webui.domain.loopback_options import LOOPBACK_OPTIONS, LoopbackOptions
from webui.domain.parameter import parameter
from webui.domain.picture_batch import PictureBatchOptions
from webui.domain.tiled_upscale_options import TILED_UPSCALE_OPTIONS, TiledUpscaleOptions
from webui.errors import InvalidRequest

RESIZE_MODES = ("Just resize", "Crop and resize", "Resize and fill", "Just resize (latent upscale)")
STRETCH, CROP, FILL, LATENT = RESIZE_MODES
MASKED_CONTENTS = ("fill", "original", "latent noise", "latent nothing")
WHOLE_PICTURE, ONLY_MASKED = INPAINT_AREAS = ("Whole picture", "Only masked")
EXTEND_FILLS = ("noise", "mirror", "edge")
EXTENSIONS = ("extend_left", "extend_right", "extend_up", "extend_down")
TILES = ("tile_x", "tile_y")


@dataclass(frozen=True, kw_only=True)
class PictureOptions(LoopbackOptions, TiledUpscaleOptions, PictureBatchOptions):
    """What a request draws over, where, and how much of it stays. The words and defaults are those of A1111's web UI."""

    init_image: str = parameter("", "Init image", "The picture to start from, by the id of an input picture.")
    mask: str = parameter(
        "", "Mask", "What to draw anew, by the id of an input picture: white is drawn anew, black stays."
    )
    depth_map: str = parameter(
        "",
        "Depth map",
        "How near each place is, for checkpoints that draw by depth, by the id of an input picture: bright is near.",
    )
    denoising_strength: float = parameter(
        0.75,
        "Denoising strength",
        "How much of the picture to draw anew: 0 changes nothing, 1 hardly looks at it.",
        infotext="Denoising strength",
        minimum=0.0,
        maximum=1.0,
        step=0.01,
    )
    resize_mode: str = parameter(
        RESIZE_MODES[0],
        "Resize mode",
        "How a picture of another shape is brought to the size: stretched, cropped, or with bands filled at its edges.",
        infotext="Resize mode",
        choices=RESIZE_MODES,
    )
    exact_steps: bool = parameter(
        False,
        "Do exactly as many steps",
        "Take as many steps as asked for at any denoising strength, rather than that share of them.",
        infotext="Exact steps",
    )
    noise_multiplier: float = parameter(
        1.0,
        "Noise multiplier",
        "What the noise over the picture is multiplied by: below 1 smoother, above 1 more detail.",
        infotext="Noise multiplier",
        minimum=0.0,
        maximum=10.0,
        step=0.001,
        slider_maximum=1.5,
    )
    extra_noise: float = parameter(
        0.0,
        "Extra noise",
        "Noise added besides, of which the sampler knows nothing and makes detail.",
        infotext="Extra noise",
        minimum=0.0,
        maximum=10.0,
        step=0.01,
        slider_maximum=1.0,
    )
    color_correction: bool = parameter(
        False, "Color correction", "Give the result the colours of the picture.", infotext="Color correction"
    )
    transparent_ground: str = parameter(
        "#ffffff",
        "Ground of transparent pictures",
        "The colour, as #rrggbb, that a transparent picture is laid upon.",
        infotext="Transparent ground",
    )
    mask_blur_x: float = parameter(
        4.0,
        "Mask blur across",
        "How far the edge of the mask is softened from left to right, in pixels.",
        minimum=0.0,
        maximum=256.0,
        step=1.0,
        slider_maximum=64.0,
    )
    mask_blur_y: float = parameter(
        4.0,
        "Mask blur down",
        "How far the edge of the mask is softened from top to bottom, in pixels.",
        minimum=0.0,
        maximum=256.0,
        step=1.0,
        slider_maximum=64.0,
    )
    mask_invert: bool = parameter(
        False,
        "Inpaint what is not masked",
        "Draw anew what the mask leaves out, and keep what it covers.",
        infotext="Mask mode",
        spelled=("Inpaint masked", "Inpaint not masked"),
    )
    masked_content: str = parameter(
        "original",
        "Masked content",
        "What lies under the mask to begin with: the colours around it, the picture itself, noise, or nothing.",
        infotext="Masked content",
        choices=MASKED_CONTENTS,
    )
    inpaint_area: str = parameter(
        WHOLE_PICTURE,
        "Inpaint area",
        "Draw the whole picture at the size, or only what surrounds the mask, which gives it more detail.",
        infotext="Inpaint area",
        choices=INPAINT_AREAS,
    )
    mask_padding: int = parameter(
        32,
        "Only masked padding",
        "How many pixels around the mask are drawn with it, as its surroundings.",
        infotext="Masked area padding",
        minimum=0,
        maximum=2048,
        step=4,
        slider_maximum=256,
    )
    conditioning_mask_strength: float = parameter(
        1.0,
        "Inpainting conditioning mask strength",
        "How much of what is masked an inpainting checkpoint is kept from seeing.",
        infotext="Conditional mask weight",
        minimum=0.0,
        maximum=1.0,
        step=0.01,
    )
    image_cfg_scale: float = parameter(
        1.5,
        "Image CFG scale",
        "How strictly an instruct-pix2pix checkpoint keeps to the picture.",
        infotext="Image CFG scale",
        minimum=0.0,
        maximum=100.0,
        step=0.05,
        slider_maximum=3.0,
    )
    soft_inpainting: bool = parameter(
        False,
        "Soft inpainting",
        "Let the grey of the mask decide step by step how much of the picture stays.",
        infotext="Soft inpainting enabled",
    )
    soft_schedule_bias: float = parameter(
        1.0,
        "Schedule bias",
        "Above 1 what is kept counts in the late steps, below 1 in the early ones.",
        infotext="Soft inpainting schedule bias",
        minimum=0.0,
        maximum=8.0,
        step=0.1,
    )
    soft_preservation_strength: float = parameter(
        0.5,
        "Preservation strength",
        "How much of the picture is kept where the mask is grey.",
        infotext="Soft inpainting preservation strength",
        minimum=0.0,
        maximum=8.0,
        step=0.05,
    )
    soft_transition_contrast: float = parameter(
        4.0,
        "Transition contrast boost",
        "How much contrast is kept where old and new are mixed.",
        infotext="Soft inpainting transition contrast boost",
        minimum=1.0,
        maximum=32.0,
        step=0.5,
    )
    soft_mask_influence: float = parameter(
        0.0,
        "Mask influence",
        "How much the mask itself counts when the result is laid over the picture.",
        infotext="Soft inpainting mask influence",
        minimum=0.0,
        maximum=1.0,
        step=0.05,
    )
    soft_difference_threshold: float = parameter(
        0.5,
        "Difference threshold",
        "How far a place must have changed to be taken from the result.",
        infotext="Soft inpainting difference threshold",
        minimum=0.0,
        maximum=8.0,
        step=0.25,
    )
    soft_difference_contrast: float = parameter(
        2.0,
        "Difference contrast",
        "How sharply the result is told from what stayed the same.",
        infotext="Soft inpainting difference contrast",
        minimum=0.0,
        maximum=8.0,
        step=0.25,
    )
    extend_left: int = parameter(
        0,
        "Extend to the left",
        "Draw the picture on beyond its left edge, by so many pixels.",
        infotext="Extend left",
        minimum=0,
        maximum=4096,
        step=8,
        slider_maximum=512,
    )
    extend_right: int = parameter(
        0,
        "Extend to the right",
        "Draw the picture on beyond its right edge, by so many pixels.",
        infotext="Extend right",
        minimum=0,
        maximum=4096,
        step=8,
        slider_maximum=512,
    )
    extend_up: int = parameter(
        0,
        "Extend upwards",
        "Draw the picture on beyond its upper edge, by so many pixels.",
        infotext="Extend up",
        minimum=0,
        maximum=4096,
        step=8,
        slider_maximum=512,
    )
    extend_down: int = parameter(
        0,
        "Extend downwards",
        "Draw the picture on beyond its lower edge, by so many pixels.",
        infotext="Extend down",
        minimum=0,
        maximum=4096,
        step=8,
        slider_maximum=512,
    )
    extend_fill: str = parameter(
        "edge",
        "Extend with",
        "What lies in the new part to begin with: noise in the picture's colours, its mirror image, or its edge.",
        infotext="Extend fill",
        choices=EXTEND_FILLS,
    )
    tile_x: bool = parameter(False, "Tile across", "Let the right edge continue at the left one.")
    tile_y: bool = parameter(False, "Tile down", "Let the lower edge continue at the upper one.")

    @property
    def has_picture(self) -> bool:
        """img2img, inpainting among it; False is txt2img."""
        return bool(self.init_image)

    @property
    def extends(self) -> bool:
        """Outpainting: a picture is drawn on beyond its edges."""
        return self.has_picture and any(getattr(self, name) for name in EXTENSIONS)

    @property
    def inpaints(self) -> bool:
        """A part of a picture is drawn anew, the rest stays."""
        return self.has_picture and (bool(self.mask) or self.extends)

    @property
    def loops_back(self) -> bool:
        """The result is drawn over again."""
        return self.has_picture and self.loops > 1

    @property
    def upscales_in_tiles(self) -> bool:
        """The picture is enlarged and drawn over tile by tile."""
        return self.has_picture and self.sd_upscale

    def acting_picture_options(self) -> frozenset[str]:
        """The names of those that mean something in this request; the others are not written into its pictures."""
        acting = {*TILES}
        if self.has_picture:
            acting |= _OF_IMG2IMG
        if self.loops_back:
            acting |= {*LOOPBACK_OPTIONS}
        if self.upscales_in_tiles:
            acting |= {*TILED_UPSCALE_OPTIONS}
        if self.extends:
            acting |= {*EXTENSIONS, "extend_fill"}
        if self.inpaints:
            acting |= _OF_INPAINTING | ({"mask_padding"} if self.inpaint_area == ONLY_MASKED else set())
            acting |= _OF_SOFT_INPAINTING if self.soft_inpainting else set()
        return frozenset(acting)

    def check_ways(self) -> None:
        """Refuses ways of drawing over a picture that exclude one another."""
        if self.loops_back and self.extends:
            raise InvalidRequest(
                "A picture that is drawn on beyond its edges would grow with every loop. Choose 1 loop, or do not extend it.",
                "loops",
            )
        if self.upscales_in_tiles and self.loops_back:
            raise InvalidRequest("SD upscale would enlarge the picture with every loop. Choose 1 loop.", "loops")
        if self.upscales_in_tiles and self.inpaints:
            raise InvalidRequest(
                "SD upscale draws all of the picture. Take the mask and the extension away, or switch it off.",
                "sd_upscale",
            )

    def check_ground(self) -> None:
        """Refuses what is no colour."""
        if not re.fullmatch("#[0-9a-fA-F]{6}", self.transparent_ground):
            raise InvalidRequest(
                f"Ground of transparent pictures must be a colour such as #ffffff, not {self.transparent_ground!r}.",
                "transparent_ground",
            )


PICTURE_OPTIONS: tuple[str, ...] = tuple(field.name for field in dataclasses.fields(PictureOptions))

_OF_IMG2IMG = frozenset(
    {
        "init_image",
        "depth_map",
        "denoising_strength",
        "resize_mode",
        "exact_steps",
        "noise_multiplier",
        "extra_noise",
        "color_correction",
        "transparent_ground",
        "image_cfg_scale",
    }
)
_OF_INPAINTING = frozenset(
    {
        "mask",
        "mask_blur_x",
        "mask_blur_y",
        "mask_invert",
        "masked_content",
        "inpaint_area",
        "conditioning_mask_strength",
        "soft_inpainting",
    }
)
_OF_SOFT_INPAINTING = frozenset(name for name in PICTURE_OPTIONS if name.startswith("soft_"))
