"""The settings of one installation, read once at start.

Four places are read, each going before the one above it:

    1. the defaults, written here
    2. ``config.yaml``, then ``config.local.yaml`` beside it (git ignores that one, so an update never touches it)
    3. environment variables: ``LUCID_PORT`` for ``port``
    4. flags: ``--port``

Each setting is declared ONCE, as a field of :class:`Settings`: its name, default, one-line description and the
:class:`Kind` that checks it. Flags, the comments of ``config.yaml`` and ``docs/settings.md`` follow that record
(``SETTINGS``), and tests hold them to it. Whatever cannot be used raises ``InvalidSettings`` with one sentence that
names the key and the place where it was read. (The two name patterns are checked by ``jobs/filenames.py``, which knows
the tokens, when the Runtime is built.)
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import yaml

from webui.errors import InvalidSettings, did_you_mean
from webui.setting_kinds import Choice, Devices, Folder, Kind, ModelFolders, Number, Text, Words, YesNo

ENVIRONMENT_PREFIX = "LUCID_"
CONFIG_VARIABLE = "LUCID_CONFIG"  # names the file, so it is no setting itself
MADE_FOLDERS = (
    "outputs_dir",
    "styles_dir",
    "wildcards_dir",
)  # made where missing; any other that is named must be there


@dataclass(frozen=True)
class Setting:
    """How one setting is called, described and checked."""

    name: str
    help: str
    default: Any
    kind: Kind

    @property
    def flag(self) -> str:
        """``picture_format`` -> ``--picture-format``; the one that is on by default has a flag that turns it off."""
        return "--no-browser" if self.name == "open_browser" else "--" + self.name.replace("_", "-")

    @property
    def variable(self) -> str:
        return ENVIRONMENT_PREFIX + self.name.upper()


def installation_folder() -> Path:
    """Where ``app.py`` lies; the current folder when only the package is installed."""
    beside_the_package = Path(__file__).resolve().parent.parent
    return beside_the_package if (beside_the_package / "app.py").is_file() else Path.cwd()


def _setting(default: Any, kind: Kind, help: str) -> Any:
    # a factory, because dataclasses take an empty mapping for a default that somebody could change
    return field(default_factory=lambda: default, metadata={"default": default, "kind": kind, "help": help})


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Frozen and checked: an instance that exists can be used. ``dataclasses.replace`` makes another one."""

    host: str = _setting("127.0.0.1", Text(empty=False), "Address to serve on; 127.0.0.1 is this computer only.")
    port: int = _setting(7860, Number(0, 65535), "Port to serve on; 0 takes any free one.")
    open_browser: bool = _setting(True, YesNo(), "Open the page in a browser once it answers.")
    root_path: str = _setting(
        "", Words("path", r"(/[\w.~-]+)+"), "Path that a reverse proxy serves Lucid under, such as /lucid."
    )
    trusted_hosts: str = _setting(
        "", Words("host name", r"[\w.-]+"), "Further names that this server answers to when there are no accounts."
    )
    cors_origins: str = _setting(
        "",
        Words("origin such as https://example.org", r"https?://[\w.:\[\]-]+"),
        "Pages of others that may use this server.",
    )
    tls_cert: str = _setting("", Text(), "Certificate chain (PEM) to serve HTTPS with; needs tls_key.")
    tls_key: str = _setting("", Text(), "Private key (PEM) of the certificate.")
    data_dir: Path = _setting(
        installation_folder(), Folder(), "Folder that the other folders and var/ lie in; the one app.py lies in."
    )
    models_dir: Path = _setting("models", Folder(), "Folder of the models, with checkpoints/, vae/, loras/ ... in it.")
    outputs_dir: Path = _setting("outputs", Folder(), "Folder that finished pictures are written to.")
    styles_dir: Path = _setting("styles", Folder(), "Folder of the styles that everybody can use, .csv or .yaml.")
    wildcards_dir: Path = _setting(
        "wildcards", Folder(), "Folder of the .txt files that __name__ in a prompt takes a line of."
    )
    extra_model_folders: Mapping[str, tuple[Path, ...]] = _setting(
        MappingProxyType({}), ModelFolders(), "More folders to find models in, by kind or by the web UI they belong to."
    )
    write_model_notes: bool = _setting(
        True, YesNo(), "Let the page write descriptions and previews beside the model files."
    )
    device: str = _setting(
        "auto", Devices(), "What computes: auto, cpu, cuda, cuda:1, mps or xpu; several make several workers."
    )
    dtype: str = _setting(
        "auto", Choice("auto", "float32", "float16", "bfloat16"), "Number format that the networks compute in."
    )
    eight_bit_unet: bool = _setting(
        False, YesNo(), "Store the U-Net in 8 bits a weight: half the memory, slightly other pictures."
    )
    attention: str = _setting(
        "auto", Choice("auto", "sdpa", "xformers"), "What computes attention; auto is PyTorch's own, sdpa."
    )
    threads: int = _setting(0, Number(0, 1024), "CPU threads that one picture may use; 0 leaves it to PyTorch.")
    picture_format: str = _setting("png", Choice("png", "jpeg", "webp"), "File format of the pictures.")
    picture_quality: int = _setting(90, Number(1, 100), "Quality of JPEG and WebP pictures, 1 to 100.")
    filename_pattern: str = _setting(
        "[number]-[seed]", Text(empty=False), "File name of a picture, without its suffix."
    )
    folder_pattern: str = _setting("[kind]/[date]", Text(), "Folder of a picture within outputs_dir.")
    preview: str = _setting(
        "linear", Choice("linear", "taesd", "off"), "How the unfinished picture is shown while it is drawn."
    )
    preview_every: int = _setting(1, Number(1, 1000), "Show it after every so many steps.")
    default_checkpoint: str = _setting(
        "", Text(), "Checkpoint to draw with when none is chosen; empty takes the first."
    )
    memory_budget_gb: float = _setting(
        0.0, Number(0, 1_000_000, whole=False), "GB of RAM that loaded models may fill; 0 takes half of what there is."
    )
    device_memory_budget_gb: float = _setting(
        0.0, Number(0, 1_000_000, whole=False), "GB of a card's memory that loaded models may fill; 0 leaves a quarter."
    )
    low_memory: str = _setting(
        "auto",
        Choice("auto", "off", "model", "sequential"),
        "How a model that is too large for the card is run: one network, or one layer, on it at a time.",
    )
    tile_vae_above: int = _setting(
        1024, Number(64, 65536), "Decode a picture in strips when a side is longer than this many pixels."
    )
    max_pixels: int = _setting(
        16_777_216, Number(4096, 2**40), "Refuse more pixels than this in one batch (width x height x batch size)."
    )
    max_upload_mb: int = _setting(64, Number(1, 65536), "Refuse a request whose body is larger than this many MB.")
    keep_input_days: float = _setting(
        7.0,
        Number(0, 100_000, whole=False),
        "Days that a picture handed in for img2img is kept after its last use, unless a job waits for it.",
    )
    max_steps: int = _setting(1000, Number(1, 1000), "Refuse more sampling steps than this.")
    max_waiting_jobs: int = _setting(1000, Number(1, 1_000_000), "Refuse a job when this many are waiting.")
    max_waiting_jobs_per_user: int = _setting(
        0, Number(0, 1_000_000), "Refuse a job when this many of the same user are waiting; 0 is no limit."
    )
    max_jobs_per_minute: int = _setting(
        0, Number(0, 1_000_000), "Refuse a job when a user sent this many in the last minute; 0 is no limit."
    )

    def __post_init__(self) -> None:
        for setting in SETTINGS.values():
            try:
                value = setting.kind.read(getattr(self, setting.name))
            except ValueError as error:
                raise InvalidSettings(f"{setting.name} {error}") from error
            object.__setattr__(self, setting.name, value)
        if bool(self.tls_cert) != bool(self.tls_key):
            given, missing = ("tls_cert", "tls_key") if self.tls_cert else ("tls_key", "tls_cert")
            raise InvalidSettings(f"{given} needs {missing} beside it: HTTPS wants both files.")
        object.__setattr__(self, "data_dir", _absolute(self.data_dir, Path.cwd()))
        object.__setattr__(self, "models_dir", _absolute(self.models_dir, self.data_dir))
        object.__setattr__(self, "outputs_dir", _absolute(self.outputs_dir, self.data_dir))
        object.__setattr__(self, "styles_dir", _absolute(self.styles_dir, self.data_dir))
        object.__setattr__(self, "wildcards_dir", _absolute(self.wildcards_dir, self.data_dir))
        folders = {
            kind: tuple(_absolute(path, self.data_dir) for path in paths)
            for kind, paths in self.extra_model_folders.items()
        }
        object.__setattr__(self, "extra_model_folders", MappingProxyType(folders))

    @property
    def devices(self) -> tuple[str, ...]:
        """``device`` as a list: one worker each."""
        return tuple(self.device.split(","))

    @property
    def tls(self) -> tuple[Path, Path] | None:
        """Certificate and key, or None for plain HTTP."""
        if not self.tls_cert:
            return None
        return _absolute(Path(self.tls_cert), self.data_dir), _absolute(Path(self.tls_key), self.data_dir)

    @property
    def var_dir(self) -> Path:
        """Where the queue, the history and the hashes of model files are kept."""
        return self.data_dir / "var"


SETTINGS: Mapping[str, Setting] = MappingProxyType(
    {declared.name: Setting(name=declared.name, **declared.metadata) for declared in fields(Settings)}
)


class Told(NamedTuple):
    """A value as it was read, and the place to name when it cannot be used ("--port", "LUCID_PORT", a file)."""

    name: str
    value: Any
    place: str


def load(
    flags: Iterable[Told] = (),
    config: Path | None = None,
    environment: Mapping[str, str] | None = None,
) -> Settings:
    """Read all four places. ``flags`` is what the command line said, ``config`` the file that ``--config`` names.

    A relative path in a file counts from ``data_dir`` (``data_dir`` itself from the file); one in the environment or a
    flag counts from the current folder, as a shell completes it. ``extra_model_folders`` of several places add up; of
    everything else the last one counts. Raises ``InvalidSettings``, also for a folder that is named but missing.
    """
    environment = os.environ if environment is None else environment
    shell = [_checked(told, Path.cwd()) for told in (*_from_environment(environment), *flags)]
    root = {told.name: told.value for told in shell}.get("data_dir", installation_folder())
    written = [told for path in _config_files(root, config, environment) for told in _from_yaml(path)]
    roots = [_checked(told, Path(told.place).resolve().parent) for told in written if told.name == "data_dir"]
    if roots and not any(told.name == "data_dir" for told in shell):
        root = roots[-1].value
    values: dict[str, Any] = {}
    for told in (*(_checked(told, root) for told in written if told.name != "data_dir"), *shell):
        if isinstance(told.value, Mapping):
            before = values.get(told.name, {})
            added = {kind: (*before.get(kind, ()), *paths) for kind, paths in told.value.items()}
            values[told.name] = {**before, **added}
        else:
            values[told.name] = told.value
    return Settings(**{**values, "data_dir": root})


def create_folders(settings: Settings) -> None:
    """Make the folders of models, outputs, styles, wildcards and var that are not there yet, or raise ``InvalidSettings``."""
    made = (getattr(settings, name) for name in MADE_FOLDERS)
    for path in (settings.models_dir, *made, settings.var_dir):
        try:
            path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InvalidSettings(f"The folder {path} cannot be created: {error.strerror}.") from error


def _absolute(path: Path, base: Path) -> Path:
    return Path(os.path.normpath(base / path.expanduser()))


def _checked(told: Told, base: Path) -> Told:
    """The value in its type, with paths made absolute from ``base``."""
    name, value, place = told
    try:
        value = SETTINGS[name].kind.read(value)
    except ValueError as error:
        raise InvalidSettings(f"{place}: {name} {error}") from error
    if isinstance(value, Path):
        value = _absolute(value, base)
        if name not in MADE_FOLDERS and not value.is_dir():
            raise InvalidSettings(f"{place}: the folder {value} does not exist.")
    elif isinstance(value, Mapping):
        value = {kind: tuple(_absolute(path, base) for path in paths) for kind, paths in value.items()}
        for kind, paths in value.items():
            for path in paths:
                if not path.is_dir():
                    raise InvalidSettings(f"{place}: the {kind} folder {path} does not exist.")
    return Told(name, value, place)


def _from_environment(environment: Mapping[str, str]) -> Iterator[Told]:
    by_variable = {setting.variable: setting.name for setting in SETTINGS.values()}
    for variable, value in environment.items():
        if not variable.startswith(ENVIRONMENT_PREFIX) or variable == CONFIG_VARIABLE:
            continue
        if variable not in by_variable:
            hint = did_you_mean(variable, by_variable)
            raise InvalidSettings(f"Environment variable {variable}: there is no such setting. {hint}")
        yield Told(by_variable[variable], value, variable)


def _config_files(root: Path, config: Path | None, environment: Mapping[str, str]) -> list[Path]:
    if config is None and environment.get(CONFIG_VARIABLE):
        config = Path(environment[CONFIG_VARIABLE])
    if config is not None:
        if not config.is_file():
            raise InvalidSettings(f"The settings file {config} does not exist.")
        return [config]
    return [path for path in (root / "config.yaml", root / "config.local.yaml") if path.is_file()]


class _UniqueKeys(yaml.SafeLoader):  # type: ignore[misc]  # PyYAML has no types
    """YAML lets a key stand twice and keeps the last one; a setting written twice is a slip to be told.

    Safe: builds plain values only.
    """

    def construct_mapping(self, node: Any, deep: bool = False) -> Any:
        seen = set()
        for key_node, _ in node.value:
            if key_node.value in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f'the key "{key_node.value}" stands there twice', key_node.start_mark
                )
            seen.add(key_node.value)
        return super().construct_mapping(node, deep)


def _from_yaml(path: Path) -> Iterator[Told]:
    try:
        content = yaml.load(path.read_text(encoding="utf-8"), Loader=_UniqueKeys)
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise InvalidSettings(f"{path} cannot be read: {reason}.") from error
    except yaml.MarkedYAMLError as error:
        line = f", line {error.problem_mark.line + 1}" if error.problem_mark else ""
        raise InvalidSettings(f"{path}{line} is not valid YAML: {error.problem}.") from error
    except yaml.YAMLError as error:
        raise InvalidSettings(f"{path} is not valid YAML: {str(error).splitlines()[0]}.") from error
    if content is None:
        return
    if not isinstance(content, dict):
        raise InvalidSettings(f'{path} must hold lines such as "port: 7860", not a {type(content).__name__}.')
    for name, value in content.items():
        if name not in SETTINGS:
            raise InvalidSettings(f'{path}: there is no setting "{name}". {did_you_mean(str(name), SETTINGS)}')
        yield Told(name, value, str(path))
