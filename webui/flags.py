"""The flags of the command line: one for each setting, and those that people bring along from other web UIs.

A flag of A1111 or Forge does here what it did there, or is noted with a sentence and ignored because nothing needs it, or
is refused with a sentence because ignoring it would leave somebody less safe or with other pictures than they think.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, NoReturn

from webui.errors import InvalidSettings, did_you_mean
from webui.settings import SETTINGS, Settings, Told, load

# flag -> kind of model, or web UI, that the folder after it holds
FOLDER_FLAGS: Mapping[str, str] = MappingProxyType(
    {
        "--ckpt-dir": "checkpoint",
        "--vae-dir": "vae",
        "--lora-dir": "lora",
        "--embeddings-dir": "embedding",
        "--hypernetwork-dir": "hypernetwork",
        "--esrgan-models-path": "upscaler",
        "--forge-ref-a1111-home": "a1111",
    }
)

# flag -> (setting, value, what it says)
SAME_AS: Mapping[str, tuple[str, str, str]] = MappingProxyType(
    {
        "--listen": ("host", "0.0.0.0", "serve to the whole network; wants accounts (lucid users add) or --insecure"),
        "--autolaunch": ("open_browser", "true", "open the page in a browser once it answers"),
        "--no-half": ("dtype", "float32", "compute in float32, as --dtype float32"),
        "--all-in-fp32": ("dtype", "float32", "compute in float32, as --dtype float32"),
        "--medvram": ("low_memory", "model", "one network on the card at a time, as --low-memory model"),
        "--lowvram": ("low_memory", "sequential", "one layer on the card at a time, as --low-memory sequential"),
        "--unet-in-fp8-e4m3fn": ("eight_bit_unet", "true", "store the U-Net in 8 bits, as --eight-bit-unet true"),
        "--all-in-bf16": ("dtype", "bfloat16", "compute in bfloat16, as --dtype bfloat16"),
    }
)

_ATTENTION = "attention is PyTorch's own scaled_dot_product_attention, which is as fast"
_MEMORY = "models move in and out of memory by themselves, and a picture that does not fit is decoded in tiles"
_NAN = "a NaN is always looked for, and a part that gave one is run again in float32"
_ALWAYS_API = "the HTTP API is always there, on the page's port (docs/api.md)"
_NO_EFFECT = "nothing here needs it"

# flag -> why it can be ignored
IGNORED: Mapping[str, str] = MappingProxyType(
    {
        "--api": _ALWAYS_API,
        "--api-log": "what programs draw is in the history, as everything is",
        "--api-server-stop": "a server is stopped where it was started, not over HTTP",
        "--xformers": _ATTENTION,
        "--force-enable-xformers": _ATTENTION,
        "--opt-sdp-attention": _ATTENTION,
        "--opt-sdp-no-mem-attention": _ATTENTION,
        "--opt-split-attention": _ATTENTION,
        "--opt-split-attention-v1": _ATTENTION,
        "--opt-sub-quad-attention": _ATTENTION,
        "--attention-pytorch": _ATTENTION,
        "--opt-channelslast": "the memory format is chosen for the device",
        "--medvram-sdxl": _MEMORY,
        "--lowram": _MEMORY,
        "--always-batch-cond-uncond": _MEMORY,
        "--always-offload-from-vram": _MEMORY,
        "--no-half-vae": _NAN,
        "--upcast-sampling": _NAN,
        "--disable-nan-check": "a picture of NaN is black, so the check stays on",
        "--skip-torch-cuda-test": "without a GPU the CPU draws",
        "--skip-python-version-check": _NO_EFFECT,
        "--skip-version-check": _NO_EFFECT,
        "--skip-install": "nothing is installed at start",
        "--skip-prepare-environment": "nothing is installed at start",
        "--reinstall-torch": "nothing is installed at start; README.md says how to install torch",
        "--reinstall-xformers": "nothing is installed at start",
        "--update-check": "Lucid never asks the network",
        "--update-all-extensions": "there are no extensions",
        "--disable-all-extensions": "there are no extensions",
        "--disable-extra-extensions": "there are no extensions",
        "--no-hashing": "a file is hashed once, and the hash is kept",
        "--no-gradio-queue": "jobs wait in a queue of Lucid's own",
        "--no-download-sd-model": "Lucid never downloads a model",
        "--do-not-download-clip": "Lucid never downloads a model",
        "--disable-console-progressbars": "the server prints none",
        "--disable-model-loading-ram-optimization": _NO_EFFECT,
        "--cuda-malloc": _NO_EFFECT,
        "--cuda-stream": _NO_EFFECT,
        "--pin-shared-memory": _NO_EFFECT,
        "--enable-console-prompts": _NO_EFFECT,
        "--hide-ui-dir-config": "no path can be changed from the page",
        "--freeze-settings": "no setting can be changed from the page",
    }
)
IGNORED_WITH_VALUE: Mapping[str, str] = MappingProxyType(
    {
        "--precision": _NAN,
        "--theme": "the page follows the light or dark theme of the browser",
        "--ui-config-file": "the page keeps its form in the browser",
        "--loglevel": _NO_EFFECT,
    }
)

_NO_TUNNEL = (
    "it would put this computer on the internet behind an address that strangers have guessed before. "
    "To reach Lucid from afar, use an SSH tunnel (ssh -L 7860:127.0.0.1:7860 you@this-computer) or a VPN"
)
_ACCOUNTS = "make an account with: lucid users add NAME. It opens page and API, and its password is in no command line"
_NO_EXTENSIONS = "no code is ever installed or run from the page"
_NO_PICKLES = "a model file that could run code is never opened, and there is no switch for that"

# flag -> why it is not done
REFUSED: Mapping[str, str] = MappingProxyType(
    {
        "--share": _NO_TUNNEL,
        "--ngrok": _NO_TUNNEL,
        "--enable-insecure-extension-access": _NO_EXTENSIONS,
        "--allow-code": _NO_EXTENSIONS,
        "--disable-safe-unpickle": _NO_PICKLES,
        "--gradio-auth": _ACCOUNTS,
        "--gradio-auth-path": _ACCOUNTS,
        "--api-auth": _ACCOUNTS,
        "--tls-keyfile": "it is called --tls-key here",
        "--tls-certfile": "it is called --tls-cert here",
        "--subpath": "it is called --root-path here",
        "--cors-allow-origins": "it is called --cors-origins here",
        "--cors-allow-origins-regex": "name the pages one by one with --cors-origins",
        "--server-name": "it is called --host here",
        "--device-id": "it is called --device here: --device cuda:1",
        "--use-cpu": "it is called --device cpu here",
        "--always-cpu": "it is called --device cpu here",
        "--ckpt": "name the folder with --ckpt-dir and the file with --default-checkpoint",
        "--vae-path": "name the folder with --vae-dir and choose the VAE on the page",
        "--styles-file": "put the file into the folder styles, or name its folder with --styles-dir",
        "--gradio-allowed-path": "the page serves pictures of the outputs folder and nothing else",
    }
)

_SERVING = ("host", "port", "open_browser", "root_path", "trusted_hosts", "cors_origins", "tls_cert", "tls_key")


class Parser(argparse.ArgumentParser):
    """Says what is wrong in one sentence, as ``InvalidSettings``, instead of printing the usage and exiting."""

    def __init__(self, prog: str, description: str) -> None:
        super().__init__(
            prog=prog,
            description=description,
            allow_abbrev=False,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )

    def error(self, message: str) -> NoReturn:
        raise InvalidSettings(f"{message[:1].upper()}{message[1:]}. See {self.prog} --help.")

    def known_flags(self) -> list[str]:
        return [flag for action in self._actions for flag in action.option_strings if flag.startswith("--")]

    def parse(self, argv: list[str]) -> argparse.Namespace:
        """``parse_args``, with near matches for a flag that does not exist."""
        args, unknown = self.parse_known_args(argv)
        for word in unknown:
            flag = word.partition("=")[0]
            if flag in REFUSED:
                raise InvalidSettings(f"{flag}: {REFUSED[flag]}.")
        if unknown:
            flag = unknown[0].partition("=")[0]
            hint = did_you_mean(flag, self.known_flags()) if flag.startswith("-") else f"See {self.prog} --help."
            noun = "flag" if flag.startswith("-") else "argument"
            raise InvalidSettings(f'There is no {noun} "{flag}". {hint}')
        return args


def add_settings_flags(parser: Parser, serving: bool) -> None:
    """A flag for each setting, those about serving only where something is served, then A1111's."""
    parser.add_argument("--config", metavar="FILE", type=Path, help="Settings file to read instead of config.yaml.")
    ours = parser.add_argument_group("settings", "Each is a line of config.yaml too; docs/settings.md tells more.")
    for name, setting in SETTINGS.items():
        if name in _SERVING and not serving:
            continue
        default = "" if setting.default in ("", {}) else f" [{setting.default}]"
        if name == "open_browser":
            told: dict[str, Any] = {"action": "store_const", "const": "false", "help": "Do not open a browser."}
        else:
            told = {"metavar": name.rpartition("_")[2].upper(), "help": setting.help + default.replace("%", "%%")}
        ours.add_argument(setting.flag, dest=name, default=argparse.SUPPRESS, **told)
    theirs = parser.add_argument_group("flags of A1111 and Forge that mean the same here")
    for flag, kind in FOLDER_FLAGS.items():
        noun = (
            "Folder that A1111 is installed in, to use its models." if kind == "a1111" else f"One more {kind} folder."
        )
        theirs.add_argument(flag, metavar="DIR", action="append", default=[], help=noun)
    for flag, (name, _, meaning) in SAME_AS.items():
        if name not in _SERVING or serving:
            theirs.add_argument(flag, action="store_true", help=meaning[:1].upper() + meaning[1:] + ".")
    for flag in IGNORED:
        parser.add_argument(flag, action="store_true", help=argparse.SUPPRESS)
    for flag in IGNORED_WITH_VALUE:
        parser.add_argument(flag, default=None, help=argparse.SUPPRESS)
    parser.epilog = (
        "Other flags of A1111 and Forge are understood too.\n"
        f"Noted and ignored: {_wrapped((*IGNORED, *IGNORED_WITH_VALUE))}\n"
        f"Refused, with the reason: {_wrapped(tuple(REFUSED))}"
    )


def read_settings(args: argparse.Namespace) -> Settings:
    """The settings that the flags, the environment and the file amount to; raises ``InvalidSettings``."""
    given = vars(args)
    told = [Told(name, given[name], setting.flag) for name, setting in SETTINGS.items() if name in given]
    for flag, (name, value, _) in SAME_AS.items():
        if given.get(_dest(flag)):
            told.append(Told(name, value, flag))
    for flag, kind in FOLDER_FLAGS.items():
        for path in given[_dest(flag)]:
            absolute = Path(path).expanduser().absolute()
            told.append(Told("extra_model_folders", {kind: absolute}, flag))
    return load(told, config=args.config)


def notes(args: argparse.Namespace) -> list[str]:
    """A sentence for each flag that was understood and ignored."""
    ignored = {**IGNORED, **IGNORED_WITH_VALUE}
    return [f"{flag} is ignored: {why}." for flag, why in ignored.items() if vars(args).get(_dest(flag))]


def _dest(flag: str) -> str:
    return flag.removeprefix("--").replace("-", "_")


def _wrapped(flags: tuple[str, ...]) -> str:
    lines = [", ".join(flags[start : start + 4]) for start in range(0, len(flags), 4)]
    return "\n  " + ",\n  ".join(lines)
