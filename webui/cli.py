"""The commands: ``serve`` (when none is named), ``generate``, ``users`` and ``doctor``. ``python app.py`` is ``lucid``.

Errors that a person can cure end here as one sentence on stderr. Exit codes: 0 done, 1 it could not be done, 2 what was
asked for cannot be (a flag, a setting, a parameter, a name), 130 stopped by Ctrl-C or SIGTERM.
"""

from __future__ import annotations

import argparse
import logging
import os
import signal
import sys
from collections.abc import Callable, Mapping
from types import MappingProxyType

from webui import __version__, doctor, draw, server, users
from webui.errors import InvalidRequest, InvalidSettings, ModelNotFound, WebUIError, did_you_mean
from webui.flags import Parser, add_settings_flags, notes, read_settings

# Nothing here needs the network, and no library may ask it: read by gradio, huggingface_hub, transformers and diffusers.
OFFLINE: Mapping[str, str] = MappingProxyType(
    {
        "GRADIO_ANALYTICS_ENABLED": "False",
        "HF_HUB_OFFLINE": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "TRANSFORMERS_OFFLINE": "1",
        "DO_NOT_TRACK": "1",
    }
)

# Read by torch's OpenMP when it is loaded. A thread that waits gives its core away instead of spinning: where a browser wants
# that core too, spinning made a picture take 5 to 15 s instead of 1.3 s (docs/design-opinions.md).
PATIENT_THREADS = ("OMP_WAIT_POLICY", "PASSIVE")


def main(argv: list[str] | None = None) -> int:
    """Run one command and return its exit code."""
    argv = sys.argv[1:] if argv is None else argv
    os.environ.update(OFFLINE)
    os.environ.setdefault(*PATIENT_THREADS)
    logging.basicConfig(format="%(asctime)s %(levelname)s %(name)s: %(message)s", level=logging.WARNING)
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)  # a service manager's stop is a Ctrl-C
    try:
        return _run(argv)
    except (InvalidRequest, InvalidSettings, ModelNotFound) as error:
        print(error, file=sys.stderr)
        return 2
    except WebUIError as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    finally:
        signal.signal(signal.SIGTERM, before)


def _run(argv: list[str]) -> int:
    name = "serve"
    if argv and not argv[0].startswith("-"):
        name, *argv = argv
    if name not in COMMANDS:
        raise InvalidSettings(f'There is no command "{name}". {did_you_mean(name, COMMANDS)}')
    description, add_flags, run = COMMANDS[name]
    parser = Parser(prog=f"lucid {name}", description=description)
    parser.add_argument("--version", action="version", version=f"Lucid {__version__}")
    add_flags(parser)
    add_settings_flags(parser, serving=name in ("serve", "doctor"))
    args = parser.parse(argv)
    for note in notes(args):
        print(note, file=sys.stderr)
    return run(args)


def _serve(args: argparse.Namespace) -> int:
    server.serve(read_settings(args), insecure=args.insecure, with_page=not args.nowebui)
    return 0


def _generate(args: argparse.Namespace) -> int:
    return draw.draw(args, read_settings(args))


def _users(args: argparse.Namespace) -> int:
    return users.run(args, read_settings(args))


def _doctor(args: argparse.Namespace) -> int:
    return doctor.report(lambda: read_settings(args))


# command -> what it says of itself, its own flags, what runs
COMMANDS: Mapping[str, tuple[str, Callable[[Parser], None], Callable[[argparse.Namespace], int]]] = MappingProxyType(
    {
        "serve": (
            "Serve the page. Other commands: generate (draw from the command line), users (who may sign in) and doctor (check\n"
            "the installation); each has a --help of its own.",
            server.add_flags,
            _serve,
        ),
        "generate": ("Draw pictures with the engine that the page uses.", draw.add_flags, _generate),
        "users": ("Make and change the accounts of this server.", users.add_flags, _users),
        "doctor": ("Check this installation and name what to do about each fault.", lambda parser: None, _doctor),
    }
)
