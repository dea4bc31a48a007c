"""What each family's network is told of a prompt, against OpenCLIP's own arithmetic and diffusers' pipelines."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from diffusers import EulerDiscreteScheduler, StableDiffusionPipeline, StableDiffusionXLPipeline
from families_open_clip import TextTransformer
from tiny_families import CONFIGS, family_components, open_clip_tensors, write_family

from webui.domain.request import GenerationRequest
from webui.engine.chunks import chunk_prompt
from webui.engine.conditioning import Conditioning
from webui.engine.denoise import denoise
from webui.engine.device import Hardware, choose_compute
from webui.engine.guidance import Guidance
from webui.engine.model_manager import Model, ModelManager, Selection
from webui.engine.samplers import build
from webui.engine.tokenizer import ClipTokenizer
from webui.library.index import Library

TOKENIZER = ClipTokenizer()
FOX = "a red fox in the snow"


@contextmanager
def loaded(folder: Path, family: str, **more: Any) -> Iterator[Model]:
    write_family(folder / "model.safetensors", family, **more)
    library = Library({"checkpoint": (folder,)}, folder / "hashes.sqlite3")
    library.rescan()
    models = ModelManager(choose_compute("cpu", "auto", Hardware()), budget=2**33)
    selection = Selection(library.find("checkpoint", "model"))
    list(models.load(selection))
    with models.use(selection) as model:
        yield model


@pytest.fixture(scope="module", params=CONFIGS)
def any_family(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Model]:
    with loaded(tmp_path_factory.mktemp("any"), request.param) as model:
        yield model


@pytest.fixture(scope="module")
def sdxl(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Model]:
    with loaded(tmp_path_factory.mktemp("sdxl"), "sdxl") as model:
        yield model


def told(model: Model, text: str, *, is_negative: bool = False, **request: Any) -> Conditioning:
    words = GenerationRequest(**{"width": 64, "height": 72, **request})
    prompts = (chunk_prompt(text, TOKENIZER, emphasis=words.emphasis),)
    return model.condition(prompts, words, is_negative=is_negative, is_empty=not text)


def ids_of(text: str, padding: int) -> torch.Tensor:
    content = TOKENIZER.encode(text)
    return torch.tensor([[49406, *content, 49407, *[padding] * (75 - len(content))]])


def open_clip(family: str, component: str) -> TextTransformer:
    config = CONFIGS[family][component]
    state = family_components(family)[component].state_dict()
    tensors = open_clip_tensors({key.removeprefix("text_model."): value for key, value in state.items()})
    layers = 1 + max(int(key.split(".")[2]) for key in tensors if key.startswith("transformer."))
    width, heads = config["hidden_size"], config["num_attention_heads"]
    reference = TextTransformer(width, heads, config["intermediate_size"], layers, config["projection_dim"])
    reference.load_state_dict(tensors, strict="text_projection" in tensors)
    return reference.eval()


def test_stable_diffusion_2_reads_the_last_layer_but_one_through_the_final_norm(tmp_path: Path) -> None:
    with loaded(tmp_path, "sd2") as model, torch.no_grad():
        _, normed, _ = open_clip("sd2", "text_encoder")(ids_of(FOX, padding=0))
        found = told(model, FOX)
        torch.testing.assert_close(found.text, normed, atol=1e-5, rtol=0)
        assert found.pooled is None
        assert torch.equal(told(model, FOX, clip_skip=3).text, found.text)


def test_stable_diffusion_2_equals_diffusers(tmp_path: Path) -> None:
    parts = family_components("sd2")
    pipeline = StableDiffusionPipeline(
        **parts,
        tokenizer=Tokenizer(padding=0),
        scheduler=None,
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    expected, _ = pipeline.encode_prompt(FOX, "cpu", 1, False)
    with loaded(tmp_path, "sd2") as model:
        torch.testing.assert_close(told(model, FOX).text, expected, atol=1e-5, rtol=0)


class TestSDXL:
    def test_states_are_those_of_the_last_layers_but_one_side_by_side(self, sdxl: Model) -> None:
        found = told(sdxl, FOX)
        with torch.no_grad():
            states, _, pooled = open_clip("sdxl", "text_encoder_2")(ids_of(FOX, padding=0))
        torch.testing.assert_close(found.text[..., 32:], states, atol=1e-5, rtol=0)
        torch.testing.assert_close(found.pooled, pooled, atol=1e-5, rtol=0)

    def test_is_told_what_diffusers_tells(self, sdxl: Model) -> None:
        expected, silent, pooled, pooled_silent = pipeline().encode_prompt(FOX)
        found, nothing = told(sdxl, FOX), told(sdxl, "", is_negative=True)
        torch.testing.assert_close(found.text, expected, atol=1e-5, rtol=0)
        torch.testing.assert_close(found.pooled, pooled, atol=1e-5, rtol=0)
        assert torch.equal(nothing.text, silent)
        assert torch.equal(nothing.pooled, pooled_silent)

    def test_a_negative_prompt_with_words_equals_diffusers(self, sdxl: Model) -> None:
        _, expected, _, pooled = pipeline().encode_prompt(FOX, negative_prompt="blue")
        found = told(sdxl, "blue", is_negative=True)
        torch.testing.assert_close(found.text, expected, atol=1e-5, rtol=0)
        torch.testing.assert_close(found.pooled, pooled, atol=1e-5, rtol=0)

    def test_only_nothing_at_all_is_silence(self, sdxl: Model) -> None:
        assert told(sdxl, " ", is_negative=True).text.abs().max() > 0
        assert told(sdxl, "").text.abs().max() > 0  # the prompt is read even where it is empty

    def test_sizes_are_those_of_the_picture(self, sdxl: Model) -> None:
        assert told(sdxl, FOX, width=64, height=72).time_ids.tolist() == [[72, 64, 0, 0, 72, 64]]

    def test_the_first_chunk_is_pooled_and_emphasis_leaves_it_alone(self, sdxl: Model) -> None:
        assert torch.equal(told(sdxl, "cat " * 75 + "dog").pooled, told(sdxl, "cat " * 75).pooled)
        stressed, plain = told(sdxl, "a (red:1.5) fox"), told(sdxl, "a red fox")
        assert torch.equal(stressed.pooled, plain.pooled)

    def test_emphasis_keeps_the_mean_of_each_encoder(self, sdxl: Model) -> None:
        stressed, plain = told(sdxl, "a (red:1.5) fox").text, told(sdxl, "a red fox").text
        for part in (slice(0, 32), slice(32, None)):
            torch.testing.assert_close(stressed[..., part].mean(), plain[..., part].mean())

    def test_a_picture_equals_diffusers(self, sdxl: Model) -> None:
        """The whole run: conditioning, sizes, guidance, twelve steps of Euler."""
        noise = torch.randn(1, 4, 9, 8, generator=torch.Generator().manual_seed(5))
        theirs = pipeline()
        theirs.set_progress_bar_config(disable=True)
        expected = theirs(
            FOX, latents=noise, num_inference_steps=12, guidance_scale=5.0, width=64, height=72, output_type="latent"
        ).images
        scheduler = build("Euler", "Uniform", 12, CONFIGS["sdxl"]["scheduler"])
        guidance = Guidance(told(sdxl, FOX), told(sdxl, "", is_negative=True), 5.0)
        states = denoise(sdxl.network(), scheduler, noise * scheduler.init_noise_sigma, lambda *levels: noise, guidance)
        torch.testing.assert_close([*states][-1].latents, expected, atol=1e-4, rtol=0)


def test_the_refiner_reads_one_encoder_and_is_told_a_score(tmp_path: Path) -> None:
    with loaded(tmp_path, "sdxl-refiner") as model, torch.no_grad():
        states, _, pooled = open_clip("sdxl-refiner", "text_encoder_2")(ids_of(FOX, padding=0))
        good, bad = told(model, FOX), told(model, "blue", is_negative=True)
    torch.testing.assert_close(good.text, states, atol=1e-5, rtol=0)
    torch.testing.assert_close(good.pooled, pooled, atol=1e-5, rtol=0)
    assert good.time_ids.tolist() == [[72, 64, 0, 0, 6.0]]
    assert bad.time_ids.tolist() == [[72, 64, 0, 0, 2.5]]


def test_a_prompt_is_encoded_once_whatever_size_is_told_with_it(any_family: Model) -> None:
    first = told(any_family, FOX)
    assert told(any_family, FOX, width=128).text.data_ptr() == first.text.data_ptr()


class Tokenizer:
    """What diffusers' pipelines ask of a tokenizer, by ours."""

    model_max_length = 77
    added_tokens_encoder: tuple[str, ...] = ()

    def __init__(self, padding: int) -> None:
        self._padding = padding

    def __call__(self, prompt: str | list[str], **options: Any) -> Any:
        texts = [prompt] if isinstance(prompt, str) else prompt
        ids = torch.cat([ids_of(text, self._padding) for text in texts])
        return SimpleNamespace(input_ids=ids, attention_mask=torch.ones_like(ids))

    def tokenize(self, prompt: str) -> list[str]:
        return prompt.split()

    def batch_decode(self, ids: Any) -> list[str]:
        return [""]


def pipeline() -> StableDiffusionXLPipeline:
    betas = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"}
    return StableDiffusionXLPipeline(
        **family_components("sdxl"),
        tokenizer=Tokenizer(padding=49407),
        tokenizer_2=Tokenizer(padding=0),
        scheduler=EulerDiscreteScheduler(**betas, steps_offset=1, timestep_spacing="linspace"),
        add_watermarker=False,
    )
