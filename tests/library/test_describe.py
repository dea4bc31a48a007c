"""What is said of a checkpoint that can be used: configs, sizes, prediction type, and where each of these is stated."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from model_headers import DIFFUSERS_UNET, DIFFUSERS_VAE, OPENAI_CLIP, SD1, SD1_SMALL, SD1_V, VAE, Shapes, write_model

from webui.errors import UnreadableModel
from webui.library.configs import family_configs, folder_configs
from webui.library.formats import component_files
from webui.library.index import Library
from webui.library.model_file import ModelFile

SMALL_CONFIGS: dict[str, dict[str, Any]] = {
    **family_configs("sd1"),
    "unet": {"sample_size": 16, "block_out_channels": [64]},
    "scheduler": {"prediction_type": "v_prediction"},
}


def described(tmp_path: Path, shapes: Shapes, kind: str = "checkpoint", **metadata: Any) -> ModelFile:
    """The only file of a library; metadata values other than text are written as JSON."""
    texts = {
        key.replace("_", "."): value if isinstance(value, str) else json.dumps(value) for key, value in metadata.items()
    }
    write_model(tmp_path / "models" / "model.safetensors", shapes, texts)
    return only_file(tmp_path, kind)


def only_file(tmp_path: Path, kind: str = "checkpoint") -> ModelFile:
    library = Library({kind: (tmp_path / "models",)}, tmp_path / "hashes.sqlite3")
    library.rescan()
    (file,) = library.files(kind)
    return file


def test_stable_diffusion_1(tmp_path: Path) -> None:
    file = described(tmp_path, SD1)
    assert (file.problem, file.family, file.layout, file.prediction_type) == ("", "sd1", "original", "epsilon")
    assert file.configs == family_configs("sd1")
    assert (file.native_size, file.suggested) == (512, {"width": 512, "height": 512})
    assert component_files(file, "unet") == component_files(file, "vae") == (file.path,)
    assert file.size == file.path.stat().st_size


def test_the_shipped_configs_are_stable_diffusion_1s() -> None:
    configs = family_configs("sd1")
    assert configs["unet"]["cross_attention_dim"] == configs["text_encoder"]["hidden_size"] == 768
    assert configs["unet"]["block_out_channels"] == [320, 640, 1280, 1280]
    assert configs["vae"]["scaling_factor"] == 0.18215
    assert (configs["scheduler"]["beta_start"], configs["scheduler"]["beta_end"]) == (0.00085, 0.012)
    configs["unet"]["sample_size"] = 1
    assert family_configs("sd1")["unet"]["sample_size"] == 64, "each caller gets dicts of its own"


def test_the_starter_carries_its_configs(starter: Path, tmp_path: Path) -> None:
    library = Library({"checkpoint": (starter.parent,)}, tmp_path / "hashes.sqlite3")
    library.rescan()
    file = library.find("checkpoint", "lucid-starter")
    assert (file.family, file.prediction_type, file.native_size) == ("sd1", "v_prediction", 128)
    assert file.suggested == {"width": 128, "height": 128, "cfg_scale": 2.5, "steps": 20}
    assert file.configs["unet"]["block_out_channels"] == [64, 128, 192]
    assert not [key for config in file.configs.values() for key in config if key.startswith("_") or "version" in key]


def test_configs_in_the_metadata(tmp_path: Path) -> None:
    file = described(tmp_path, SD1_SMALL, lucid_configs=SMALL_CONFIGS, lucid_defaults={"steps": 12, "sampler": "Euler"})
    assert file.problem == ""
    assert file.configs["unet"] == SMALL_CONFIGS["unet"]
    assert file.prediction_type == file.configs["scheduler"]["prediction_type"] == "v_prediction"
    assert (file.native_size, file.suggested) == (128, {"width": 128, "height": 128, "steps": 12, "sampler": "Euler"})


BAD_METADATA: Mapping[str, tuple[dict[str, Any], str]] = {
    "not JSON": ({"lucid_configs": "{"}, "lucid.configs of model.safetensors is not valid JSON"),
    "a list": ({"lucid_configs": []}, "not a JSON object"),
    "another component": ({"lucid_configs": {"shell": {}}}, '"shell" is not'),
    "component a list": ({"lucid_configs": {"unet": []}}, '"unet" is not'),
    "no size": ({"lucid_configs": {"unet": {}}}, "states no usable sample_size"),
    "size a text": ({"lucid_configs": {"unet": {"sample_size": "64"}}}, "states no usable sample_size"),
    "size absurd": ({"lucid_configs": {"unet": {"sample_size": 10**9}}}, "states no usable sample_size"),
    "defaults nested": ({"lucid_defaults": {"steps": [1]}}, "numbers, text, true and false only"),
    "prediction": ({"lucid_configs": {"scheduler": {"prediction_type": "sample"}}}, 'predicts "sample"'),
    "prediction a list": ({"lucid_configs": {"scheduler": {"prediction_type": [1]}}}, "predicts"),
}


@pytest.mark.parametrize(("metadata", "reason"), BAD_METADATA.values(), ids=BAD_METADATA)
def test_bad_metadata_is_a_problem_not_a_crash(tmp_path: Path, metadata: dict[str, Any], reason: str) -> None:
    assert reason in described(tmp_path, SD1, **metadata).problem


def test_marker_tensors(tmp_path: Path) -> None:
    file = described(tmp_path, SD1_V)
    assert file.prediction_type == "v_prediction"
    assert file.configs["scheduler"]["prediction_type"] == "v_prediction"
    assert file.configs["scheduler"]["rescale_betas_zero_snr"] is True


class TestSidecar:
    def beside(self, tmp_path: Path, text: str, shapes: Shapes = SD1) -> ModelFile:
        (tmp_path / "models").mkdir()
        (tmp_path / "models" / "model.yaml").write_text(text)
        return described(tmp_path, shapes)

    @pytest.mark.parametrize(
        "text",
        [
            'model:\n  params:\n    parameterization: "v"\n',
            "parameterization: v",
            "model: {params: {parameterization: v}}",
        ],
    )
    def test_says_what_is_predicted(self, tmp_path: Path, text: str) -> None:
        assert self.beside(tmp_path, text).prediction_type == "v_prediction"

    def test_goes_before_what_the_file_says(self, tmp_path: Path) -> None:
        assert self.beside(tmp_path, "model: {params: {parameterization: eps}}", SD1_V).prediction_type == "epsilon"

    @pytest.mark.parametrize("text", ["", "model: 3", "model: {params: [v]}", "- v", "parameterization: [v]", "3"])
    def test_may_say_nothing(self, tmp_path: Path, text: str) -> None:
        assert self.beside(tmp_path, text).prediction_type == "epsilon"

    @pytest.mark.parametrize("text", ["{", "a: b: c", "!!python/object/apply:os.system ['true']", "\x00"])
    def test_that_is_not_yaml_is_a_problem(self, tmp_path: Path, text: str) -> None:
        assert "model.yaml is not valid YAML" in self.beside(tmp_path, text).problem

    def test_that_changes_is_read_again(self, tmp_path: Path) -> None:
        self.beside(tmp_path, "parameterization: v")
        (tmp_path / "models" / "model.yaml").write_text("parameterization: eps")
        assert only_file(tmp_path).prediction_type == "epsilon"


class TestVae:
    def test_has_the_familys_config(self, tmp_path: Path) -> None:
        file = described(tmp_path, VAE, "vae")
        assert file.problem == ""
        assert file.configs == {"vae": family_configs("sd1")["vae"]}
        assert (file.native_size, file.suggested, file.prediction_type) == (0, {}, "")

    def test_may_carry_its_own(self, tmp_path: Path) -> None:
        small = {**VAE, "encoder.conv_in.weight": (16, 3, 3, 3)}
        assert described(tmp_path, small, "vae", lucid_configs={"vae": {"latent_channels": 4}}).configs == {
            "vae": {"latent_channels": 4}
        }

    def test_of_diffusers_has_it_beside(self, tmp_path: Path) -> None:
        folder = tmp_path / "models" / "sd-vae"
        write_model(folder / "diffusion_pytorch_model.safetensors", DIFFUSERS_VAE)
        (folder / "config.json").write_text('{"_class_name": "AutoencoderKL", "scaling_factor": 0.5}')
        assert only_file(tmp_path, "vae").configs == {"vae": {"scaling_factor": 0.5}}

    def test_of_sdxl_is_known_by_its_scale(self, tmp_path: Path) -> None:
        folder = tmp_path / "models" / "some-vae"
        write_model(folder / "diffusion_pytorch_model.safetensors", DIFFUSERS_VAE)
        (folder / "config.json").write_text('{"scaling_factor": 0.13025}')
        file = only_file(tmp_path, "vae")
        assert (file.family, file.problem) == ("sdxl", "")


@pytest.fixture
def diffusers_folder(tmp_path: Path) -> Path:
    folder = tmp_path / "models" / "my-model"
    write_model(folder / "unet" / "diffusion_pytorch_model.safetensors", DIFFUSERS_UNET)
    write_model(folder / "vae" / "diffusion_pytorch_model.fp16.safetensors", DIFFUSERS_VAE)
    write_model(folder / "text_encoder" / "model.safetensors", OPENAI_CLIP)
    (folder / "scheduler").mkdir()
    index = {
        "_class_name": "StableDiffusionPipeline",
        "unet": ["diffusers", "U"],
        "text_encoder": ["transformers", "C"],
    }
    (folder / "model_index.json").write_text(json.dumps(index))
    for component, config in family_configs("sd1").items():
        name = "scheduler_config.json" if component == "scheduler" else "config.json"
        (folder / component / name).write_text(json.dumps({**config, "_class_name": "X", "transformers_version": "4"}))
    return folder


class TestDiffusersFolder:
    def test_is_one_checkpoint(self, diffusers_folder: Path, tmp_path: Path) -> None:
        file = only_file(tmp_path)
        assert (file.name, file.path, file.problem) == ("my-model", diffusers_folder, "")
        assert (file.family, file.layout, file.prediction_type, file.native_size) == (
            "sd1",
            "diffusers",
            "epsilon",
            512,
        )
        assert file.configs == family_configs("sd1") == folder_configs(diffusers_folder)
        assert component_files(file, "vae") == (diffusers_folder / "vae" / "diffusion_pytorch_model.fp16.safetensors",)
        assert file.size == sum(path.stat().st_size for path in diffusers_folder.rglob("*.safetensors"))

    @pytest.mark.parametrize(
        ("path", "content", "reason"),
        [
            ("model_index.json", "[]", "not a JSON object"),
            ("unet/config.json", "{", "unet/config.json is not valid JSON"),
            ("unet/config.json", '{"sample_size": [64, 64]}', "no usable sample_size"),
            ("scheduler/scheduler_config.json", None, "scheduler/scheduler_config.json cannot be read"),
            ("vae/diffusion_pytorch_model.fp16.safetensors", None, "vae has no diffusion_pytorch_model.safetensors"),
            ("text_encoder/model.safetensors", "x", "model.safetensors is empty"),
            ("unet/diffusion_pytorch_model.safetensors", "version https://git-lfs.github.com/spec/v1", "git lfs pull"),
        ],
    )
    def test_damage_is_a_problem(
        self, diffusers_folder: Path, tmp_path: Path, path: str, content: str | None, reason: str
    ) -> None:
        if content is None:
            (diffusers_folder / path).unlink()
        else:
            (diffusers_folder / path).write_text(content)
        assert reason in only_file(tmp_path).problem

    def test_without_a_unet_is_of_another_architecture(self, tmp_path: Path) -> None:
        folder = tmp_path / "models" / "flux"
        folder.mkdir(parents=True)
        (folder / "model_index.json").write_text('{"transformer": ["diffusers", "FluxTransformer2DModel"]}')
        assert "has no U-Net" in only_file(tmp_path).problem

    def test_parts_that_are_links_to_elsewhere_are_refused(self, diffusers_folder: Path, tmp_path: Path) -> None:
        weights = diffusers_folder / "unet" / "diffusion_pytorch_model.safetensors"
        weights.rename(tmp_path / "blob")
        weights.symlink_to(tmp_path / "blob")
        library = Library({"checkpoint": (tmp_path / "models",)}, tmp_path / "hashes.sqlite3")
        library.rescan()
        assert library.files("checkpoint") == ()
        assert "outside the model folders" in library.problems[0]

    def test_a_change_within_is_noticed(self, diffusers_folder: Path, tmp_path: Path) -> None:
        assert only_file(tmp_path).prediction_type == "epsilon"
        (diffusers_folder / "scheduler" / "scheduler_config.json").write_text('{"prediction_type": "v_prediction"}')
        assert only_file(tmp_path).prediction_type == "v_prediction"


def test_a_config_may_not_be_missing(tmp_path: Path) -> None:
    with pytest.raises(UnreadableModel, match=r"unet/config\.json cannot be read"):
        folder_configs(tmp_path)
