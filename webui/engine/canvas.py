"""The pictures that a request starts from, as pixels: brought to size, masked, and laid together again when all is drawn."""

from __future__ import annotations

from dataclasses import dataclass

from PIL import Image

from webui.domain.picture_options import FILL, LATENT, STRETCH
from webui.domain.request import GenerationRequest
from webui.domain.sizes import Box, Size
from webui.engine.masks import Mask, extension_of, filled, prepared
from webui.engine.overlay import laid_over, recoloured, uncropped
from webui.engine.resizing import extended, flattened, resized

_MASKED_NOTHING = "The mask covers nothing, so that the whole picture is drawn over."


@dataclass(frozen=True)
class Sources:
    """The input pictures of a request, as they were handed in: RGB or RGBA.

    ``mask`` is white where to draw anew, ``depth`` bright where things are near.
    """

    picture: Image.Image | None = None
    mask: Image.Image | None = None
    depth: Image.Image | None = None


@dataclass(frozen=True, eq=False)
class Canvas:
    """``picture`` (RGB) is what the VAE encodes, and ``source`` (RGB) what the result is laid over.

    ``picture`` is of the size that is drawn, except where latents are resized rather than pictures. ``source`` is of the size
    of the finished picture: where only a masked region is drawn, that of the input picture. ``depth`` is of the drawn size.
    """

    request: GenerationRequest
    picture: Image.Image
    source: Image.Image
    mask: Mask | None
    notices: tuple[str, ...] = ()
    depth: Image.Image | None = None

    @property
    def stays(self) -> bool:
        """At a denoising strength of 0 nothing is drawn, unless something else was asked for besides."""
        request = self.request
        latent_content = self.mask is not None and request.masked_content.startswith("latent")
        more = request.extra_noise > 0 or latent_content or request.resize_mode == LATENT
        return request.denoising_strength == 0 and not more

    def finished(self, drawn: Image.Image, overlay: Image.Image | None = None) -> Image.Image:
        """The picture, of what was drawn. ``overlay`` is used instead of the mask's own."""
        if self.request.color_correction:
            drawn = recoloured(drawn, self.picture)
        if self.mask is None:
            return drawn
        return laid_over(drawn, self.source, overlay or self.mask.overlay, self.mask.region)

    def placed(self, preview: Image.Image) -> Image.Image:
        """A preview of what is being drawn, at its place in the picture."""
        if self.mask is None or self.mask.region is None:
            return preview
        return Image.composite(
            uncropped(preview, self.mask.region, Size(*self.source.size)), self.source, self.mask.overlay
        )


def canvas_of(request: GenerationRequest, sources: Sources) -> Canvas | None:
    """None for txt2img. ``sources.picture`` must be there for a request that names one."""
    if sources.picture is None:
        return None
    picture, mask, notices = flattened(sources.picture, request.transparent_ground), sources.mask, []
    if mask is not None and mask.size != picture.size:
        across, down = mask.size
        notices.append(
            f"The mask is {across} x {down} pixels and the picture {picture.width} x {picture.height}: it was stretched to fit."
        )
        mask = mask.resize(picture.size, Image.Resampling.LANCZOS)
    masked = prepared(request, mask, Size(*picture.size)) if request.inpaints else None
    if request.inpaints and masked is None:
        notices.append(_MASKED_NOTHING)
    if request.extends:
        picture = extended(picture, extension_of(request), request.extend_fill)
    size = Size(request.width, request.height)
    if masked is not None and masked.region is not None:
        source, drawn = picture, resized(picture.crop(masked.region), size, FILL)
    else:
        source = resized(picture, size, request.resize_mode)
        drawn = picture if request.resize_mode == LATENT else source
    if masked is not None and request.masked_content != "original":
        drawn = filled(drawn, masked.drawn if drawn.size == masked.drawn.size else masked.whole)
    depth = _depth(request, sources, masked.region if masked is not None else None)
    return Canvas(request, drawn, source, masked, tuple(notices), depth)


def _depth(request: GenerationRequest, sources: Sources, region: Box | None) -> Image.Image | None:
    """The depth map, whatever its size, brought to where the picture is drawn."""
    if sources.depth is None or sources.picture is None:
        return None
    depth = sources.depth.convert("L").convert("RGB").resize(sources.picture.size, Image.Resampling.BICUBIC)
    if request.extends:
        depth = extended(depth, extension_of(request), "edge")
    size = Size(request.width, request.height)
    if region is not None:
        return resized(depth.crop(region), size, FILL)
    return resized(depth, size, STRETCH if request.resize_mode == LATENT else request.resize_mode)
