"""The configs of a model's networks (how many layers, how wide, how noise was scheduled), in diffusers' terms.

They are found in one of three places:

    the file itself      Lucid writes them into the metadata as "lucid.configs", so that models of any size load
    the folder           a model in diffusers layout has a config.json beside each network's weights
    webui/data/<family>  ships with Lucid for the published families, whose files say nothing of the kind
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from webui.errors import UnreadableModel
from webui.library.formats import parse_json, read_json

Configs = Mapping[str, Mapping[str, Any]]

CONFIGS_KEY = "lucid.configs"
DEFAULTS_KEY = "lucid.defaults"
COMPONENTS = ("unet", "vae", "text_encoder", "text_encoder_2", "scheduler")
MAX_SIDECAR_BYTES = 1_000_000

_DATA = Path(__file__).parent.parent / "data"
_PRIVATE = ("architectures", "dtype", "torch_dtype", "transformers_version")


def public_config(config: Mapping[str, Any]) -> dict[str, Any]:
    """A config without what only says which program wrote it."""
    return {key: value for key, value in config.items() if not key.startswith("_") and key not in _PRIVATE}


def embedded_configs(metadata: Mapping[str, str], label: str) -> dict[str, dict[str, Any]]:
    """What "lucid.configs" says; empty when there is none. Anything but objects in an object raises ``UnreadableModel``."""
    if CONFIGS_KEY not in metadata:
        return {}
    configs = parse_json(metadata[CONFIGS_KEY], f"The metadata {CONFIGS_KEY} of {label}")
    for name, config in configs.items():
        if name not in COMPONENTS or not isinstance(config, dict):
            raise UnreadableModel(
                f'The metadata {CONFIGS_KEY} of {label} may hold {", ".join(COMPONENTS)}, each an object; "{name}" is not.'
            )
    return configs


def suggested_parameters(metadata: Mapping[str, str], label: str) -> dict[str, Any]:
    """What "lucid.defaults" says: plain values by parameter name."""
    if DEFAULTS_KEY not in metadata:
        return {}
    values = parse_json(metadata[DEFAULTS_KEY], f"The metadata {DEFAULTS_KEY} of {label}")
    if not all(isinstance(value, str | int | float | bool) for value in values.values()):
        raise UnreadableModel(f"The metadata {DEFAULTS_KEY} of {label} may hold numbers, text, true and false only.")
    return values


def folder_configs(folder: Path) -> dict[str, dict[str, Any]]:
    """The configs of a checkpoint in diffusers layout, of those text encoders that it has."""
    absent = [part for part in ("text_encoder", "text_encoder_2") if not (folder / part).is_dir()]
    needed = COMPONENTS if len(absent) == 2 else [component for component in COMPONENTS if component not in absent]
    return {
        component: public_config(
            read_json(folder / component / ("scheduler_config.json" if component == "scheduler" else "config.json"))
        )
        for component in needed
    }


def family_configs(family: str) -> dict[str, dict[str, Any]]:
    """The published configs of a family that ships with Lucid ("sd1", "sd2" ...); the dicts are the caller's own."""
    here = [component for component in COMPONENTS if (_DATA / family / f"{component}.json").is_file()]
    return {component: json.loads(_shipped(family, component)) for component in here}


def sidecar_prediction(path: Path) -> str:
    """The prediction type that a CompVis ``.yaml`` beside a checkpoint states; "" when it states none.

    Such a file names the training code and its arguments; of these only ``parameterization`` ("eps" or "v") changes how an
    otherwise equal checkpoint is to be used. A file that is not YAML raises ``UnreadableModel``.
    """
    try:
        with path.open("rb") as file:
            content = yaml.safe_load(file.read(MAX_SIDECAR_BYTES))
    except OSError as error:
        raise UnreadableModel(f"{path.name} cannot be read: {error.strerror or error}.") from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise UnreadableModel(f"{path.name} is not valid YAML; correct it or take it away.") from error
    stated = content
    for key in ("model", "params", "parameterization"):
        if not isinstance(stated, dict):
            break
        stated = stated.get(key)
    if stated is None or not isinstance(stated, str):
        stated = content.get("parameterization") if isinstance(content, dict) else None
    return {"v": "v_prediction", "eps": "epsilon"}.get(str(stated), "")


@cache
def _shipped(family: str, component: str) -> str:
    return (_DATA / family / f"{component}.json").read_text(encoding="utf-8")
