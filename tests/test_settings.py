"""Settings: four places in order, every problem one sentence with its key and its place."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from webui.errors import InvalidSettings
from webui.settings import SETTINGS, Settings, Told, create_folders, load

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture
def data(tmp_path: Path) -> Path:
    (tmp_path / "models").mkdir()
    return tmp_path


def written(data: Path, text: str, name: str = "config.yaml") -> Path:
    path = data / name
    path.write_text(text, encoding="utf-8")
    return path


def read(data: Path, *flags: Told, **environment: str) -> Settings:
    return load([Told("data_dir", str(data), "--data-dir"), *flags], environment=environment)


def test_defaults_serve_this_computer_only_and_lie_in_the_data_folder(data: Path) -> None:
    settings = read(data)
    assert (settings.host, settings.port) == ("127.0.0.1", 7860)
    assert settings.models_dir == data / "models"
    assert settings.outputs_dir == data / "outputs"
    assert settings.var_dir == data / "var"
    assert settings.devices == ("auto",)


def test_each_place_goes_before_the_one_above_it(data: Path) -> None:
    assert read(data).port == 7860
    written(data, "port: 1001\npreview: off\nthreads: 3")
    assert read(data).port == 1001
    written(data, "port: 1002", "config.local.yaml")
    assert read(data).port == 1002
    assert read(data, LUCID_PORT="1003").port == 1003
    settings = read(data, Told("port", "1004", "--port"), LUCID_PORT="1003")
    assert (settings.port, settings.preview, settings.threads) == (1004, "off", 3)


def test_a_named_config_file_is_read_instead(data: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    written(data, "port: 1001")
    other = written(tmp_path_factory.mktemp("elsewhere"), "threads: 2", "my.yaml")
    flags = [Told("data_dir", data, "--data-dir")]
    by_flag = load(flags, config=other, environment={})
    by_variable = load(flags, environment={"LUCID_CONFIG": str(other)})
    assert (by_flag.port, by_flag.threads) == (by_variable.port, by_variable.threads) == (7860, 2)


def test_paths_count_from_the_data_folder_in_a_file_and_from_here_in_a_shell(
    data: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = tmp_path_factory.mktemp("here")
    monkeypatch.chdir(here)
    for folder in (data / "pictures", data / "weights", here / "pictures"):
        folder.mkdir()
    written(data, "outputs_dir: pictures\nmodels_dir: weights")
    assert read(data).outputs_dir == data / "pictures"
    assert read(data).models_dir == data / "weights"
    assert read(data, LUCID_OUTPUTS_DIR="pictures").outputs_dir == here / "pictures"
    assert read(data, Told("outputs_dir", "pictures", "--outputs-dir")).outputs_dir == here / "pictures"


def test_a_config_file_can_move_the_data_folder(data: Path) -> None:
    (data / "big" / "models").mkdir(parents=True)
    config = written(data, "data_dir: big")
    assert load(config=config, environment={}).outputs_dir == data / "big" / "outputs"


def test_extra_model_folders_of_all_places_add_up(data: Path) -> None:
    for name in ("a", "b", "c"):
        (data / name).mkdir()
    written(data, "extra_model_folders:\n  lora: a\n  vae: [b]")
    flag = Told("extra_model_folders", {"lora": data / "c"}, "--lora-dir")
    assert read(data, flag).extra_model_folders == {"lora": (data / "a", data / "c"), "vae": (data / "b",)}
    value = os.pathsep.join([f"lora={data / 'b'}", f"upscaler={data / 'c'}"])
    assert read(data, LUCID_EXTRA_MODEL_FOLDERS=value).extra_model_folders["upscaler"] == (data / "c",)


@pytest.mark.parametrize(
    ("web_ui", "folder", "kind"),
    [
        ("a1111", "models/Stable-diffusion", "checkpoint"),
        ("forge", "models/Lora", "lora"),
        ("a1111", "embeddings", "embedding"),
        ("comfyui", "models/upscale_models", "upscaler"),
    ],
)
def test_one_line_takes_the_models_of_another_web_ui(data: Path, web_ui: str, folder: str, kind: str) -> None:
    (data / "other" / folder).mkdir(parents=True)
    written(data, f"extra_model_folders:\n  {web_ui}: {data / 'other'}")
    assert read(data).extra_model_folders == {kind: (data / "other" / folder,)}


def test_several_devices_make_a_list(data: Path) -> None:
    written(data, "device: [cuda:0, cuda:1]")
    assert read(data).devices == ("cuda:0", "cuda:1")
    assert read(data, LUCID_DEVICE="cuda:0, CPU").devices == ("cuda:0", "cpu")


WRONG_VALUES: list[tuple[str, str, str]] = [  # line of config.yaml, what the sentence must name, and what it must say
    ("prot: 7861", '"prot"', 'Did you mean "port"'),
    ("port: http", "port", "whole number between 0 and 65535"),
    ("port: 70000", "port", "between 0 and 65535, not 70000"),
    ("port: true", "port", "whole number"),
    ("port: 78.5", "port", "whole number"),
    ("host: ''", "host", "must not be empty"),
    ("host: 127", "host", "must be text"),
    ("open_browser: maybe", "open_browser", "true or false"),
    ("picture_format: gif", "picture_format", "png, jpeg, webp"),
    ("picture_quality: 0", "picture_quality", "between 1 and 100"),
    ("dtype: half", "dtype", "float16"),
    ("preview: often", "preview", "linear, taesd, off"),
    ("memory_budget_gb: .nan", "memory_budget_gb", "number between"),
    ("memory_budget_gb: -1", "memory_budget_gb", "number between 0"),
    ("device: cdua", '"cdua"', 'Did you mean "cuda"'),
    ("device: []", "device", "must be a device"),
    ("device: [cuda:0, cuda:0]", "device", "twice"),
    ("device: [auto, cpu]", "device", "cannot mix auto"),
    ("models_dir: [a]", "models_dir", "path of a folder"),
    ("models_dir: nowhere", "nowhere", "does not exist"),
    ("extra_model_folders: 3", "extra_model_folders", "lines such as"),
    ("extra_model_folders: {lroa: /}", '"lroa"', 'Did you mean "lora"'),
    ("extra_model_folders: {lora: nowhere}", "nowhere", "does not exist"),
    ("extra_model_folders: {lora: 3}", "lora", "folder"),
    ("extra_model_folders: {a1111: here}", "a1111", "full path"),
    ("extra_model_folders: {a1111: /nowhere}", "/nowhere", "finds no model folder"),
    ("- port", "config.yaml", "must hold lines"),
    ("port: [", "line", "not valid YAML"),
    ("port: 1\nport: 2", "line 2", "twice"),
    ("host: \x01", "config.yaml", "not valid YAML"),
]


@pytest.mark.parametrize(("text", "name", "sentence"), WRONG_VALUES)
def test_a_wrong_line_of_the_file_is_one_sentence_with_its_key_and_its_file(
    data: Path, text: str, name: str, sentence: str
) -> None:
    path = written(data, text)
    with pytest.raises(InvalidSettings) as caught:
        read(data)
    message = str(caught.value)
    assert name in message and sentence in message and str(path) in message
    assert "\n" not in message


def test_a_file_that_is_not_text_is_named(data: Path) -> None:
    (data / "config.yaml").write_bytes(b"\xff\xfe\x00port")
    with pytest.raises(InvalidSettings, match=re.escape(f"{data / 'config.yaml'} cannot be read: it is not UTF-8")):
        read(data)


def test_the_variable_and_the_flag_are_named_too(data: Path) -> None:
    with pytest.raises(InvalidSettings, match=r"^LUCID_THREADS: threads must be a whole number"):
        read(data, LUCID_THREADS="many")
    with pytest.raises(InvalidSettings, match=r'LUCID_PROT: there is no such setting. Did you mean "LUCID_PORT"'):
        read(data, LUCID_PROT="1")
    with pytest.raises(InvalidSettings, match=r"^--port: port must be a whole number"):
        read(data, Told("port", "x", "--port"))
    with pytest.raises(InvalidSettings, match="LUCID_EXTRA_MODEL_FOLDERS: extra_model_folders must look like lora="):
        read(data, LUCID_EXTRA_MODEL_FOLDERS="/loras")
    with pytest.raises(InvalidSettings, match=r"missing\.yaml does not exist"):
        load(config=data / "missing.yaml", environment={})
    with pytest.raises(InvalidSettings, match=r"--data-dir: the folder .*gone does not exist"):
        read(data / "gone")


@pytest.mark.parametrize("word", ["true", "Yes", "on", "1"])
def test_a_shell_says_yes_in_words(data: Path, word: str) -> None:
    assert read(data, LUCID_OPEN_BROWSER=word).open_browser is True


def test_an_instance_is_frozen_and_always_checked(data: Path) -> None:
    settings = Settings(data_dir=data)
    with pytest.raises(AttributeError):
        settings.port = 1  # type: ignore[misc]
    with pytest.raises(InvalidSettings, match="port must be"):
        replace(settings, port=-1)
    assert replace(settings, port=1).models_dir == data / "models"


def test_the_default_folders_are_made_and_one_that_cannot_be_is_named(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path)
    create_folders(settings)
    create_folders(settings)
    assert {path.name for path in tmp_path.iterdir()} == {"models", "outputs", "styles", "wildcards", "var"}
    (tmp_path / "file").write_text("")
    with pytest.raises(InvalidSettings, match="file/outputs cannot be created"):
        create_folders(replace(settings, outputs_dir=tmp_path / "file" / "outputs"))


def config_lines() -> Mapping[str, tuple[str, Any]]:
    """Key -> (the comment above it, its value once uncommented) of the config.yaml that ships."""
    found: dict[str, tuple[str, Any]] = {}
    comment: list[str] = []
    for line in (ROOT / "config.yaml").read_text(encoding="utf-8").splitlines():
        key = re.match(r"# ([a-z_]+): ", line)
        if key and key[1] in SETTINGS:
            found[key[1]] = (" ".join(comment), yaml.safe_load(line.removeprefix("# "))[key[1]])
        comment = [*comment, line.removeprefix("# ")] if line else []
    return found


def test_the_shipped_file_is_all_comment_and_shows_every_key_with_its_meaning_and_default() -> None:
    assert yaml.safe_load((ROOT / "config.yaml").read_text(encoding="utf-8")) is None
    shown = config_lines()
    assert set(shown) == set(SETTINGS)
    for name, setting in SETTINGS.items():
        comment, value = shown[name]
        assert setting.help in comment
        if name == "data_dir":
            assert ROOT / value == setting.default
        else:
            assert value == setting.default, name


@pytest.mark.parametrize("name", [name for name in SETTINGS if name != "data_dir"])
def test_each_shipped_line_can_be_uncommented(data: Path, name: str) -> None:
    written(data, yaml.safe_dump({name: config_lines()[name][1]}))
    assert read(data) == Settings(data_dir=data)
