"""What a setting may hold: one class a kind of value, each reading what YAML, a shell or Python hands over.

``read`` returns the checked value or raises ``ValueError`` with the rest of a sentence that begins with the setting's
name: ``must be a whole number between 0 and 65535, not 'http'.``
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, Protocol

from webui.errors import did_you_mean

MODEL_KINDS = ("checkpoint", "vae", "lora", "embedding", "hypernetwork", "upscaler", "taesd", "controlnet")

# where other web UIs keep what we know, so that one line of settings makes use of all of it
WEB_UI_FOLDERS: Mapping[str, Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "a1111": {
            "checkpoint": ("models/Stable-diffusion",),
            "vae": ("models/VAE",),
            "lora": ("models/Lora", "models/LyCORIS"),
            "embedding": ("embeddings",),
            "hypernetwork": ("models/hypernetworks",),
            "upscaler": ("models/ESRGAN", "models/RealESRGAN"),
        },
        "comfyui": {
            "checkpoint": ("models/checkpoints",),
            "vae": ("models/vae",),
            "lora": ("models/loras",),
            "embedding": ("models/embeddings",),
            "hypernetwork": ("models/hypernetworks",),
            "upscaler": ("models/upscale_models",),
        },
    }
)
_FOLDERS_OF = {**WEB_UI_FOLDERS, "forge": WEB_UI_FOLDERS["a1111"]}  # Forge kept A1111's names


class Kind(Protocol):
    def read(self, value: Any) -> Any: ...


class Text:
    """A line of text."""

    def __init__(self, empty: bool = True) -> None:
        self.empty = empty

    def read(self, value: Any) -> str:
        if not isinstance(value, str):
            raise ValueError(f"must be text, not {value!r}. Put it in quotes.")
        if not (value or self.empty):
            raise ValueError("must not be empty.")
        return value


class YesNo:
    """True or false; a shell writes it as a word."""

    words = MappingProxyType(
        {"true": True, "yes": True, "on": True, "1": True, "false": False, "no": False, "off": False, "0": False}
    )

    def read(self, value: Any) -> bool:
        if isinstance(value, str):
            value = self.words.get(value.strip().casefold(), value)
        if not isinstance(value, bool):
            raise ValueError(f"must be true or false, not {value!r}.")
        return value


class Number:
    """A number from ``low`` to ``high``, both allowed."""

    def __init__(self, low: float, high: float, whole: bool = True) -> None:
        self.low, self.high, self.whole = low, high, whole

    def read(self, value: Any) -> float:
        number = value
        if isinstance(number, str):
            try:
                number = float(number)
            except ValueError:
                number = math.nan
        usable = isinstance(number, int | float) and not isinstance(number, bool) and self.low <= number <= self.high
        if not usable or (self.whole and number != int(number)):
            noun = "whole number" if self.whole else "number"
            raise ValueError(f"must be a {noun} between {self.low:.16g} and {self.high:.16g}, not {value!r}.")
        return int(number) if self.whole else float(number)


class Choice:
    """One word out of a few."""

    def __init__(self, *choices: str) -> None:
        self.choices = choices

    def read(self, value: Any) -> str:
        if value is False and "off" in self.choices:  # YAML 1.1 reads a bare off as false
            return "off"
        if value not in self.choices:
            raise ValueError(f"must be one of {', '.join(self.choices)}, not {value!r}.")
        return str(value)


class Devices:
    """One torch device, or several with commas between them (in YAML a list too)."""

    pattern = re.compile(r"auto|cpu|mps|(cuda|xpu)(:\d+)?")

    def read(self, value: Any) -> str:
        names = value.split(",") if isinstance(value, str) else value
        if not isinstance(names, list | tuple) or not names or not all(isinstance(name, str) for name in names):
            raise ValueError(f"must be a device such as cuda:0 or a list of them, not {value!r}.")
        names = [name.strip().casefold() for name in names]
        for name in names:
            if not self.pattern.fullmatch(name):
                hint = did_you_mean(name, ["auto", "cpu", "cuda", "cuda:0", "mps", "xpu"])
                raise ValueError(f'knows no device "{name}". {hint}')
        if len(set(names)) < len(names):
            raise ValueError(f"names the same device twice: {', '.join(names)}.")
        if "auto" in names and len(names) > 1:
            raise ValueError("cannot mix auto with other devices; name them all.")
        return ",".join(names)


class Words:
    """Words with commas between them (in YAML a list too); ``check`` is what each must look like, ``noun`` what it is called."""

    def __init__(self, noun: str, check: str) -> None:
        self.noun, self.check = noun, re.compile(check)

    def read(self, value: Any) -> str:
        words = value.split(",") if isinstance(value, str) else value
        if not isinstance(words, list | tuple) or not all(isinstance(word, str) for word in words):
            raise ValueError(f"must be {self.noun}s with commas between them, not {value!r}.")
        words = [word.strip() for word in words if word.strip()]
        for word in words:
            if not self.check.fullmatch(word):
                raise ValueError(f"must name {self.noun}s, which {word!r} is not.")
        return ",".join(words)


class Folder:
    """A path, with ``~`` for the home folder."""

    def read(self, value: Any) -> Path:
        if not isinstance(value, str | Path) or not str(value).strip() or "\0" in str(value):
            raise ValueError(f"must be the path of a folder, not {value!r}.")
        return Path(value).expanduser()


class ModelFolders:
    """``kind -> folders``. In YAML a mapping; in a shell ``lora=/a;vae=/b`` with the system's path separator.

    The name of a web UI instead of a kind stands for all the folders of that web UI that exist.
    """

    def read(self, value: Any) -> Mapping[str, tuple[Path, ...]]:
        if value is None:  # a key in YAML with nothing after it
            value = {}
        if isinstance(value, str):
            value = self._from_shell(value)
        if not isinstance(value, Mapping):
            raise ValueError(f"must be lines such as 'lora: /path', not {value!r}.")
        folders: dict[str, list[Path]] = {}
        for kind, paths in value.items():
            listed = [paths] if isinstance(paths, str | Path) else paths
            if not isinstance(listed, list | tuple):
                raise ValueError(f"must name a folder or a list of folders for {kind}, not {paths!r}.")
            for path in listed:
                for found_kind, folder in self._folders(str(kind), Folder().read(path)):
                    folders.setdefault(found_kind, []).append(folder)
        return MappingProxyType({kind: tuple(paths) for kind, paths in folders.items()})

    def _folders(self, kind: str, path: Path) -> list[tuple[str, Path]]:
        if kind in MODEL_KINDS:
            return [(kind, path)]
        if kind not in _FOLDERS_OF:
            hint = did_you_mean(kind, [*MODEL_KINDS, *_FOLDERS_OF])
            raise ValueError(f'knows no kind of model "{kind}". {hint}')
        if not path.is_absolute():
            raise ValueError(f"needs the full path of the {kind} folder, not {str(path)!r}.")
        inside = [
            (model_kind, path / folder)
            for model_kind, inner in _FOLDERS_OF[kind].items()
            for folder in inner
            if (path / folder).is_dir()
        ]
        if not inside:
            raise ValueError(f"finds no model folder of {kind} in {path}. Name the folder that {kind} is installed in.")
        return inside

    def _from_shell(self, text: str) -> dict[str, list[str]]:
        folders: dict[str, list[str]] = {}
        for item in filter(None, text.split(os.pathsep)):
            kind, equals, path = item.partition("=")
            if not equals:
                raise ValueError(f"must look like lora=/path{os.pathsep}vae=/path, not {text!r}.")
            folders.setdefault(kind.strip(), []).append(path)
        return folders
