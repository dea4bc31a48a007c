"""A request to make finished pictures larger: no prompt, no seed, no checkpoint. The Extras tab's kind of job.

Its parameters are declared here once, as those of a generation are in :mod:`webui.domain.request`. The words and the defaults
are AUTOMATIC1111's.
"""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from webui.domain.parameter import Parameter, parameter
from webui.domain.sizes import Box, Size
from webui.errors import InvalidRequest

KIND = "extras"
NO_UPSCALER = "None"
RESAMPLERS = ("Lanczos", "Nearest")  # upscalers that are no networks
BY_FACTOR, TO_SIZE = SCALE_MODES = ("Scale by", "Scale to")
MOST_PICTURES = 100
MOST_PIXELS = 2**27  # of one result: 11,585 a side where it is a square
LONGEST_INFOTEXT = 100_000
_ID = re.compile("[0-9a-f]{32}")


@dataclass(frozen=True, kw_only=True)
class EnlargeRequest:
    """One job for one or more pictures, each enlarged on its own. Frozen; checked like ``GenerationRequest``.

    Names of upscalers are checked where the files are known: ``Runtime.enlarge``.
    """

    pictures: str = parameter(
        "", "Pictures", "The pictures to enlarge, by the ids of input pictures, with commas between."
    )
    infotexts: str = parameter(
        "[]", "Infotexts", "How each picture was made, as a JSON list of texts; kept in the enlarged pictures."
    )
    upscaler_1: str = parameter(
        "Lanczos",
        "Upscaler",
        "What enlarges: Lanczos and Nearest only compute between pixels, a network from models/upscalers invents detail.",
        infotext="Postprocess upscaler",
    )
    upscaler_2: str = parameter(
        NO_UPSCALER,
        "Second upscaler",
        "Another one, whose picture is laid over the first.",
        infotext="Postprocess upscaler 2",
    )
    upscaler_2_visibility: float = parameter(
        0.0,
        "Visibility of the second",
        "0 shows the first upscaler's picture alone, 1 the second's alone.",
        minimum=0.0,
        maximum=1.0,
        step=0.01,
    )
    scale_mode: str = parameter(
        BY_FACTOR, "Resize", "By a factor, or to a size whatever the picture's is.", choices=SCALE_MODES
    )
    scale_by: float = parameter(
        4.0,
        "Factor",
        "How many times as wide and as high.",
        infotext="Postprocess upscale by",
        minimum=0.1,
        maximum=16.0,
        step=0.05,
        slider_maximum=8.0,
    )
    max_side: int = parameter(
        0,
        "Longest side at most",
        "Bounds what the factor makes of a large picture, in pixels; 0 is off.",
        infotext="Max side length",
        minimum=0,
        maximum=16384,
        step=8,
        slider_maximum=8192,
    )
    width: int = parameter(512, "Width", "In pixels.", minimum=1, maximum=16384, step=8, slider_maximum=8192)
    height: int = parameter(512, "Height", "In pixels.", minimum=1, maximum=16384, step=8, slider_maximum=8192)
    crop: bool = parameter(
        True,
        "Crop to fit",
        "Cut what reaches beyond the size, on both sides. Otherwise one side may come out longer.",
    )

    def __post_init__(self) -> None:
        for name, declared in ENLARGE_PARAMETERS.items():
            object.__setattr__(self, name, declared.checked(getattr(self, name)))
        if not self.ids:
            raise InvalidRequest("There is no picture to enlarge. Choose one.", "pictures")
        if len(self.ids) > MOST_PICTURES:
            raise InvalidRequest(
                f"{len(self.ids)} pictures are too many for one job; {MOST_PICTURES} are allowed.", "pictures"
            )
        for id in self.ids:
            if not _ID.fullmatch(id):
                raise InvalidRequest(f"{id[:40]!r} is not the id of an input picture.", "pictures")
        self._texts()

    @property
    def ids(self) -> tuple[str, ...]:
        return tuple(id.strip() for id in self.pictures.split(",") if id.strip())

    def source_infotext(self, index: int) -> str:
        """How picture ``index`` was made, as far as it was said."""
        texts = self._texts()
        return texts[index] if index < len(texts) else ""

    def _texts(self) -> list[str]:
        try:
            texts = json.loads(self.infotexts)
        except (ValueError, RecursionError):
            texts = None
        if not isinstance(texts, list) or not all(
            isinstance(text, str) and len(text) <= LONGEST_INFOTEXT for text in texts
        ):
            raise InvalidRequest("Infotexts must be a JSON list of texts.", "infotexts")
        return texts

    # what a job is told by, whatever its kind

    @property
    def picture_count(self) -> int:
        return len(self.ids)

    @property
    def runs(self) -> int:
        return len(self.ids)

    @property
    def pictures_per_run(self) -> int:
        return 1

    @property
    def batch_count(self) -> int:
        return self.runs

    @property
    def batch_size(self) -> int:
        return self.pictures_per_run

    @property
    def prompt(self) -> str:
        """What the queue shows."""
        return f"{self.upscaler_1}, {self.scale_by:g} times" if self.scale_mode == BY_FACTOR else self.upscaler_1

    def picture(self, index: int) -> EnlargeRequest:
        """The request that enlarges picture ``index`` alone."""
        texts = json.dumps([text] if (text := self.source_infotext(index)) else [])
        return dataclasses.replace(self, pictures=self.ids[index], infotexts=texts)

    def target(self, picture: Size) -> Target:
        """How large ``picture`` becomes. Raises ``InvalidRequest`` where that is absurdly large."""
        if self.scale_mode == BY_FACTOR:
            scale = self.scale_by
            if self.max_side:
                scale = min(scale, self.max_side / max(picture))
            target = Target(Size(*(max(1, round(side * scale)) for side in picture)))
        else:
            # large enough in both directions: one side fits and the other reaches beyond
            scale = max(self.width / picture.width, self.height / picture.height)
            size = Size(*(max(1, round(side * scale)) for side in picture))
            size = Size(max(size.width, self.width), max(size.height, self.height))
            left, top = (size.width - self.width) // 2, (size.height - self.height) // 2
            target = Target(size, Box(left, top, left + self.width, top + self.height) if self.crop else None)
        if target.size.width * target.size.height > MOST_PIXELS:
            raise InvalidRequest(
                f"{picture.width} x {picture.height} would become {target.size.width} x {target.size.height}; at most "
                f"{MOST_PIXELS / 1e6:.0f} million pixels are made. Choose a smaller factor or size.",
                "scale_by" if self.scale_mode == BY_FACTOR else "width",
            )
        return target


@dataclass(frozen=True)
class Target:
    """Enlarge to ``size``; then ``crop``, if that is not None, is what stays."""

    size: Size
    crop: Box | None = None

    @property
    def result(self) -> Size:
        return self.size if self.crop is None else Size(self.crop.width, self.crop.height)


ENLARGE_PARAMETERS: Mapping[str, Parameter] = MappingProxyType(
    {
        field.name: Parameter(name=field.name, default=field.default, **field.metadata)
        for field in dataclasses.fields(EnlargeRequest)
    }
)


def enlarge_from_dict(values: Mapping[str, Any]) -> EnlargeRequest:
    """An unknown key raises ``InvalidRequest``; a missing one takes its default."""
    unknown = sorted(set(values) - set(ENLARGE_PARAMETERS))
    if unknown:
        raise InvalidRequest(f"Unknown parameter {unknown[0]!r}.", unknown[0])
    return EnlargeRequest(**values)
