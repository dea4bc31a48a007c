"""The model families. A new one is a file beside this and a row here."""

from collections.abc import Mapping

from webui.engine.families.base import Family
from webui.engine.families.sd import StableDiffusion1

FAMILIES: Mapping[str, Family] = {"sd1": StableDiffusion1()}
