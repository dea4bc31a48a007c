"""A1111's options as a view of each caller's own: what a client sets applies to its own later requests, and to nobody else's.

In A1111 an option is the server's, so that one client's choice of a checkpoint changes another's pictures. Here an option that
means a parameter of a request is that caller's default for it; one that means nothing here is kept, so that the client reads
back what it has set; and those that are the server's own (folders, patterns, the format of files) cannot be set over HTTP.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import threading
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any
from uuid import uuid4

from webui.api.values import checked
from webui.domain.request import PARAMETERS
from webui.errors import InvalidRequest, ModelNotFound, StorageFailure
from webui.runtime import VAE_CHOICES, Runtime

# option -> the parameter that it is the default of
OPTIONS: Mapping[str, str] = MappingProxyType(
    {
        "sd_model_checkpoint": "checkpoint",
        "sd_vae": "vae",
        "CLIP_stop_at_last_layers": "clip_skip",
        "eta_noise_seed_delta": "ensd",
        "randn_source": "rng",
        "emphasis": "emphasis",
        "use_old_scheduling": "old_timelines",
        "eta_ancestral": "eta",
        "s_churn": "s_churn",
        "s_tmin": "s_tmin",
        "s_tmax": "s_tmax",
        "s_noise": "s_noise",
        "s_min_uncond": "ngms",
        "s_min_uncond_all": "ngms_all_steps",
        "skip_early_cond": "skip_early_cfg",
        "sigma_min": "sigma_min",
        "sigma_max": "sigma_max",
        "rho": "rho",
        "beta_dist_alpha": "beta_alpha",
        "beta_dist_beta": "beta_beta",
        "sgm_noise_multiplier": "sgm_noise_multiplier",
        "always_discard_next_to_last_sigma": "discard_penultimate",
        "sd_noise_schedule": "zero_terminal_snr",
        "img2img_color_correction": "color_correction",
        "img2img_fix_steps": "exact_steps",
        "img2img_background_color": "transparent_ground",
        "img2img_extra_noise": "extra_noise",
        "initial_noise_multiplier": "noise_multiplier",
        "inpainting_mask_weight": "conditioning_mask_strength",
    }
)

# Options that mean nothing here, and that clients read or set all the same.
WITHOUT_EFFECT: Mapping[str, Any] = MappingProxyType(
    {
        "send_seed": True,
        "send_size": True,
        "live_previews_enable": True,
        "show_progress_every_n_steps": 1,
        "show_progress_type": "Approx NN",
        "return_grid": False,
        "grid_save": False,
        "samples_save": True,
        "face_restoration_model": "",
        "code_former_weight": 0.5,
        "upscaler_for_img2img": "",
        "save_images_add_number": True,
        "enable_pnginfo": True,
        "sd_checkpoint_cache": 0,
        "sd_vae_overrides_per_model_preferences": True,
    }
)
SERVERS_OWN = (
    "outdir_",
    "temp_dir",
    "clean_temp_dir_at_start",
    "filenames_",
    "directories_",
    "samples_filename_pattern",
)
READ_ONLY = ("sd_checkpoint_hash", "samples_format")
_ZERO_SNR = "Zero Terminal SNR"
_LONGEST = 2000


class CallerOptions:
    """Every owner's options; kept in ``folder``, one small file an owner, so that they outlive the server."""

    def __init__(self, runtime: Runtime, folder: Path) -> None:
        self._runtime = runtime
        self._folder = folder
        self._lock = threading.Lock()
        self._set: dict[str, dict[str, Any]] = {}  # owner -> option -> value

    def parameters(self, owner: str) -> dict[str, Any]:
        """The parameters that the owner's options amount to."""
        own = self._of(owner)
        return {OPTIONS[name]: value for name, value in own.items() if name in OPTIONS}

    def shown(self, owner: str) -> dict[str, Any]:
        """All options as the owner sees them, flat, with A1111's names."""
        own = self._of(owner)
        shown = {name: own.get(name, PARAMETERS[parameter].default) for name, parameter in OPTIONS.items()} | {
            name: own.get(name, value) for name, value in WITHOUT_EFFECT.items()
        }
        shown["sd_noise_schedule"] = _ZERO_SNR if shown["sd_noise_schedule"] else "Default"
        title, sha256 = "", ""
        with contextlib.suppress(ModelNotFound):  # the page works without any model, and so does this
            file = self._runtime.checkpoint(own.get("sd_model_checkpoint", ""))
            title, sha256 = title_of(self._runtime, file), self._runtime.library.known_hash(file)
        format = self._runtime.settings.picture_format
        paths = dict.fromkeys(
            ("outdir_samples", "outdir_txt2img_samples", "outdir_img2img_samples", "outdir_grids"), ""
        )
        return shown | {
            "sd_model_checkpoint": title,
            "sd_checkpoint_hash": sha256,
            "samples_format": "jpg" if format == "jpeg" else format,
            **paths,
        }

    def set(self, owner: str, values: Mapping[str, Any]) -> dict[str, str]:
        """All or nothing. Returns what was not set: option -> why. Raises ``InvalidRequest`` for values that cannot be."""
        if not isinstance(values, Mapping):
            raise InvalidRequest("Options must be a JSON object: {name: value}.")
        shown, changes, ignored = self.shown(owner), {}, {}
        for name, value in values.items():
            if name in shown and value == shown[name]:
                continue
            if name in OPTIONS:
                changes[name] = option_value(self._runtime, name, value)
            elif name in WITHOUT_EFFECT:
                if type(value) is not type(WITHOUT_EFFECT[name]) or len(str(value)) > _LONGEST:
                    raise InvalidRequest(f"{name} must be like {WITHOUT_EFFECT[name]!r}.", name)
                changes[name] = value
            elif name in READ_ONLY or name.startswith(SERVERS_OWN):
                ignored[name] = "it is the server's own, and no client can set it"
            else:
                ignored[name] = "there is no such option here"
        if changes:
            with self._lock:
                self._set[owner] = {**self._read(owner), **changes}
                self._write(owner)
        return ignored

    def _of(self, owner: str) -> Mapping[str, Any]:
        with self._lock:
            return self._read(owner)

    def _read(self, owner: str) -> dict[str, Any]:
        if owner not in self._set:
            try:
                read = json.loads(self._file(owner).read_text(encoding="utf-8"))
            except (OSError, ValueError):
                read = {}
            known = {**OPTIONS, **WITHOUT_EFFECT}
            self._set[owner] = (
                {name: value for name, value in read.items() if name in known} if isinstance(read, dict) else {}
            )
        return self._set[owner]

    def _write(self, owner: str) -> None:
        file = self._file(owner)
        unfinished = file.with_name(f".{uuid4().hex}.part")
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            try:
                unfinished.write_text(json.dumps(self._set[owner]), encoding="utf-8")
                unfinished.replace(file)
            finally:
                unfinished.unlink(missing_ok=True)
        except OSError as error:
            raise StorageFailure(
                f"The options hold until the server ends, but cannot be kept in {file.parent.name}: {error.strerror or error}."
            ) from error

    def _file(self, owner: str) -> Path:
        return self._folder / f"{hashlib.sha256(owner.encode()).hexdigest()[:16]}.json"  # a name may hold anything


def option_value(runtime: Runtime, name: str, value: Any) -> Any:
    """The value of an option as its parameter has it. Names of models are looked up. Raises ``InvalidRequest``."""
    parameter = PARAMETERS[OPTIONS[name]]
    if name == "sd_noise_schedule" and isinstance(value, str):
        value = {"default": False, _ZERO_SNR.lower(): True}.get(value.lower(), value)
    value = checked(parameter, value, name)
    try:
        if name == "sd_model_checkpoint":
            return runtime.checkpoint(value).name if value else ""
        if name == "sd_vae":
            fixed = {choice.casefold(): choice for choice in ("", *VAE_CHOICES)}
            return fixed.get(value.casefold()) or (runtime.library.find("vae", value).name if value else "Automatic")
    except ModelNotFound as error:
        raise InvalidRequest(f"{name}: {error}", name) from error
    return value


def title_of(runtime: Runtime, file: Any) -> str:
    """A checkpoint as A1111 titles it: "name.safetensors [hash10]", without the hash where it is not known yet."""
    sha256 = runtime.library.known_hash(file)
    return f"{file.name}{file.path.suffix}" + (f" [{sha256[:10]}]" if sha256 else "")
