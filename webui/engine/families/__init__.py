"""The model families. A new one is a file beside this and a row here."""

from collections.abc import Mapping

from webui.engine.families.base import Family
from webui.engine.families.sd import StableDiffusion1, StableDiffusion2
from webui.engine.families.sdxl import StableDiffusionXL, StableDiffusionXLRefiner

FAMILIES: Mapping[str, Family] = {
    "sd1": StableDiffusion1(),
    "sd2": StableDiffusion2(),
    "sdxl": StableDiffusionXL(),
    "sdxl-refiner": StableDiffusionXLRefiner(),
}
