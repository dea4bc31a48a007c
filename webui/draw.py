"""``lucid generate "a red apple" -o out.png``: the engine of the page, driven from a shell."""

from __future__ import annotations

import argparse
import dataclasses
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, TextIO

from webui.domain.request import PARAMETERS, GenerationRequest, Parameter
from webui.errors import InvalidRequest, InvalidSettings, StorageFailure
from webui.flags import Parser
from webui.jobs.job import Job, JobSnapshot
from webui.settings import Settings, create_folders

FORMATS: Mapping[str, str] = MappingProxyType({".png": "png", ".jpg": "jpeg", ".jpeg": "jpeg", ".webp": "webp"})
# Parameters that are pictures: here the path of a file.
PICTURES: Mapping[str, str] = MappingProxyType(
    {
        "init_image": "Picture file to start from (img2img).",
        "mask": "Picture file that says what to draw anew: white is drawn anew, black stays.",
        "depth_map": "Picture file that says how near each place is, for depth checkpoints: bright is near.",
    }
)
_BAR = 24  # characters


def add_flags(parser: Parser) -> None:
    """The prompt, ``-o``, and a flag for each parameter of a request, as ``PARAMETERS`` declares it."""
    parser.add_argument("prompt", nargs="?", default="", help=PARAMETERS["prompt"].help)
    parser.add_argument(
        "-o",
        "--output",
        type=Path,
        metavar="FILE",
        help="Put a copy of the picture here (.png, .jpg or .webp); several get -1, -2 ... before the suffix.",
    )
    parser.add_argument("--quiet", action="store_true", help="Show no progress.")
    group = parser.add_argument_group(
        "parameters", "Those not given are what the checkpoint suggests, else the default."
    )
    for parameter in PARAMETERS.values():
        if parameter.name != "prompt":
            if parameter.name in PICTURES:
                flag, text = "--" + parameter.name.replace("_", "-"), PICTURES[parameter.name]
                group.add_argument(flag, dest=f"request_{parameter.name}", type=Path, metavar="FILE", help=text)
                continue
            choices = f" One of {', '.join(filter(None, parameter.choices))}." if parameter.choices else ""
            default = "" if parameter.default in ("", ()) else f" [{parameter.default}]"
            group.add_argument(
                "--" + parameter.name.replace("_", "-"),
                dest=f"request_{parameter.name}",  # a setting could have the same name
                **_kind(parameter),
                help=(parameter.help + choices + default).replace("%", "%%"),
            )


def draw(args: argparse.Namespace, settings: Settings) -> int:
    """Draw what ``args`` ask for; the paths of the pictures go to stdout, the progress to stderr. Returns the exit code."""
    given = {name: _value(parameter, vars(args).get(f"request_{name}")) for name, parameter in PARAMETERS.items()}
    given = {name: value for name, value in given.items() if value is not None} | {"prompt": args.prompt}
    files = {name: _read(given.pop(name), name) for name in PICTURES if name in given}
    GenerationRequest(**given)  # a value out of range is told before anything is loaded
    if args.output is not None:
        settings = dataclasses.replace(settings, picture_format=_format(args.output), open_browser=False)
    create_folders(settings)
    # Imported here because it brings Pillow, NumPy and the tokenizer, which a wrong flag need not wait for.
    from webui.runtime import Runtime

    runtime = Runtime(settings, adopt=False)  # jobs that a killed server left behind are the next server's
    try:
        runtime.start()
        suggested = runtime.suggested(given.get("checkpoint", ""))
        ids = {name: runtime.add_input(data) for name, data in files.items()}
        request = GenerationRequest(**{**suggested, **given, **ids})
        job = runtime.generate(request, kind="img2img" if request.has_picture else "txt2img")
        final = _watch(job, Progress(sys.stderr, bar=not args.quiet and sys.stderr.isatty()), settings, args.output)
    finally:
        runtime.close()
    if final.state == "failed":
        print(final.error, file=sys.stderr)
        return 1
    return 0 if final.state == "done" else 130


def _watch(job: Job, progress: Progress, settings: Settings, output: Path | None) -> JobSnapshot:
    """Show the job and hand over its pictures until it is over. Ctrl-C stops it; pictures that are finished stay."""
    told = 0
    stopping = False
    while True:
        try:
            for snapshot in job.events(heartbeat=1.0):  # without it Windows would see Ctrl-C only at the next change
                progress.show(snapshot)
                for saved in snapshot.pictures[told:]:
                    picture = settings.outputs_dir / saved.path
                    progress.clear()
                    print(
                        picture
                        if output is None
                        else _copy(picture, output, saved.index, snapshot.request.picture_count),
                        flush=True,
                    )
                told = len(snapshot.pictures)
            break
        except KeyboardInterrupt:
            if stopping:  # pressed twice: not even the running step is waited for
                raise
            stopping = True
            job.stop()
        except StorageFailure:
            job.stop()
            raise
    progress.clear()
    return snapshot


def _kind(parameter: Parameter) -> dict[str, Any]:
    """Of what kind argparse's flag is: ``--steps INT``, but ``--ngms-all-steps`` and ``--no-ngms-all-steps``."""
    if parameter.type is bool:
        return {"action": argparse.BooleanOptionalAction}
    if parameter.type is tuple:
        return {"action": "append", "metavar": "NAME"}
    return {"metavar": parameter.type.__name__.upper().replace("STR", "TEXT")}


def _read(path: Path, name: str) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        flag = "--" + name.replace("_", "-")
        raise InvalidRequest(f"{flag} {path}: the file cannot be read: {error.strerror}.", name) from error


def _value(parameter: Parameter, text: str | bool | None) -> Any:
    """The flag's text in the parameter's type. The request itself checks ranges and choices."""
    if text is None or parameter.type in (str, bool, tuple):
        return text
    try:
        return parameter.type(text)
    except ValueError as error:
        noun = "a whole number" if parameter.type is int else "a number"
        raise InvalidRequest(f"{parameter.label} must be {noun}, not {text!r}.", parameter.name) from error


def _format(output: Path) -> str:
    if output.suffix.lower() not in FORMATS:
        raise InvalidSettings(f"-o {output}: the name must end in {', '.join(FORMATS)}.")
    if not output.absolute().parent.is_dir():
        raise InvalidSettings(f"-o {output}: the folder {output.absolute().parent} does not exist.")
    return FORMATS[output.suffix.lower()]


def _copy(picture: Path, output: Path, index: int, count: int) -> Path:
    """A copy under the name that was asked for, whole or not at all.

    What the format cannot hold (a side too long for JPEG) was saved as PNG with a notice, and is called that here too.
    """
    if FORMATS[output.suffix.lower()] != FORMATS[picture.suffix]:
        output = output.with_suffix(picture.suffix)
    target = output if count == 1 else output.with_name(f"{output.stem}-{index + 1}{output.suffix}")
    unfinished = target.with_name(f".{target.name}.part")
    try:
        shutil.copyfile(picture, unfinished)
        unfinished.replace(target)
    except OSError as error:
        unfinished.unlink(missing_ok=True)
        raise StorageFailure(f"{target} cannot be written: {error.strerror}. The picture is at {picture}.") from error
    return target


class Progress:
    """One line that is written over and over, where the stream is a terminal; notices get lines of their own."""

    def __init__(self, stream: TextIO, bar: bool) -> None:
        self._stream = stream
        self._bar = bar
        self._notices = 0
        self._width = 0

    def show(self, snapshot: JobSnapshot) -> None:
        for notice in snapshot.notices[self._notices :]:
            self.clear()
            print(notice, file=self._stream)
        self._notices = len(snapshot.notices)
        if self._bar:
            text = _progress_text(snapshot)
            print(f"\r{text:<{self._width}}", end="", file=self._stream, flush=True)
            self._width = len(text)

    def clear(self) -> None:
        if self._bar:
            print(f"\r{'':<{self._width}}\r", end="", file=self._stream, flush=True)


def _progress_text(snapshot: JobSnapshot) -> str:
    step = snapshot.step
    if step is None:
        return snapshot.loading.text if snapshot.loading else "Loading"
    share = (step.batch + (step.step / step.steps if step.steps else 0.0)) / step.batches
    done = round(share * _BAR)
    bar = "#" * done + "." * (_BAR - done)
    batch = f", batch {step.batch + 1}/{step.batches}" if step.batches > 1 else ""
    pace = f", {snapshot.steps_per_second:.2f} it/s" if snapshot.steps_per_second else ""
    left = f", {snapshot.eta:.0f} s left" if snapshot.eta is not None else ""
    count = f"step {step.step}/{step.steps}" if step.steps else f"call {step.step}, noise level {step.sigma:.3g}"
    return f"[{bar}] {share:4.0%} {count}{batch}{pace}{left}"
