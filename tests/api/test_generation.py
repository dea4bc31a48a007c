"""txt2img and img2img: the same picture as from the page and the command line, and A1111's words for everything."""

from __future__ import annotations

import base64
import io
import json
from pathlib import Path
from typing import Any

import gradio as gr
import httpx2
import pytest
from api_calls import SMALL, base64_png, pixels
from PIL import Image

from webui.api.fields import FIELDS, PICTURES
from webui.api.options import CallerOptions
from webui.api.payloads import prepare
from webui.cli import main
from webui.domain.request import PARAMETERS, GenerationRequest
from webui.domain.styles import Style
from webui.runtime import Runtime
from webui.tabs.components import Form


def info(answer: httpx2.Response) -> dict[str, Any]:
    assert answer.status_code == 200, answer.text
    told: dict[str, Any] = json.loads(answer.json()["info"])
    return told


def test_page_command_line_and_api_draw_the_same_picture(
    anna: httpx2.Client, runtime: Runtime, starter: Path, tmp_path: Path
) -> None:
    values = {**SMALL, "prompt": "a (red:1.1) apple", "negative_prompt": "dark", "sampler": "Euler a"}
    form = Form({name: gr.Textbox() for name in PARAMETERS})
    defaults = {name: parameter.default for name, parameter in PARAMETERS.items()}
    typed = form.show({**defaults, **values, "schedule": "Karras"})
    done = runtime.generate(form.request(typed), "anna").wait()
    of_page = runtime.outputs.resolve(done.pictures[0].path).read_bytes()

    sent = {**SMALL, "prompt": values["prompt"], "negative_prompt": "dark", "sampler_name": "Euler a Karras"}
    answer = anna.post("/sdapi/v1/txt2img", json=sent)
    assert base64.b64decode(answer.json()["images"][0]) == of_page

    flags = [f"--{name.replace('_', '-')}={value}" for name, value in values.items() if name != "prompt"]
    folders = ["--data-dir", str(tmp_path), "--models-dir", str(starter.parent.parent), "--threads", "1"]
    copy = tmp_path / "copy.png"
    command = ["generate", values["prompt"], *flags, "--schedule", "Karras", "-o", str(copy), "--quiet", *folders]
    assert main(command) == 0
    assert copy.read_bytes() == of_page

    ours = anna.post("/api/v1/jobs", json={**values, "schedule": "Karras"}).json()
    assert anna.get(f"/api/v1/jobs/{ours['id']}/events").status_code == 200
    assert anna.get(f"/api/v1/jobs/{ours['id']}/pictures/0").content == of_page


def test_an_empty_request_has_a1111_s_defaults(runtime: Runtime) -> None:
    request = prepare(runtime, CallerOptions(runtime, Path("nowhere")), {}, "txt2img", "local").request
    assert (request.steps, request.sampler, request.schedule) == (50, "Euler", "Automatic")
    assert (request.width, request.height, request.cfg_scale, request.seed) == (512, 512, 7.0, -1)
    assert (request.batch_count, request.batch_size, request.clip_skip, request.rng) == (1, 1, 1, "NV")
    picture = {"init_images": [base64_png()]}
    over = prepare(runtime, CallerOptions(runtime, Path("nowhere")), picture, "img2img", "local").request
    assert (over.denoising_strength, over.resize_mode, over.masked_content) == (0.75, "Just resize", "fill")
    assert (over.inpaint_area, over.mask_padding, over.mask_blur_x, over.mask_invert) == ("Only masked", 0, 4.0, False)


def other_value(name: str) -> Any:
    """One that is allowed and is not the default."""
    parameter = PARAMETERS[name]
    special = {
        "styles": ["Sharp"],
        "sampler": "Heun",
        "schedule": "Karras",
        "transparent_ground": "#102030",
        "custom_sigmas": "14, 3, 0",
        "eta": 0.5,
    }
    if name in special:
        return special[name]
    if parameter.choices:
        return next(choice for choice in parameter.choices if choice not in ("", parameter.default))
    if parameter.type is bool:
        return not parameter.default
    if parameter.type is str:
        return "words"
    assert parameter.minimum is not None and parameter.maximum is not None
    value = min(parameter.maximum, parameter.minimum + 8 * 16)
    return parameter.type(value if value != parameter.default else parameter.maximum)


@pytest.mark.parametrize("name", PARAMETERS)
def test_every_parameter_can_be_reached(name: str, runtime: Runtime) -> None:
    runtime.styles.save("reached", Style("Sharp", "sharp", ""))
    options = CallerOptions(runtime, Path("nowhere"))
    if name in PICTURES:
        sent = {"init_images": [base64_png()], "mask": base64_png("white"), "depth_map": base64_png()}
        assert getattr(prepare(runtime, options, sent, "img2img", "reached").request, name)
        return
    wanted = other_value(name)
    fields = [(kind, field) for kind, table in FIELDS.items() for field in table.values() if name in field.parameters]
    assert fields, "no field sets it"
    for kind, field in fields:
        sent = field.choices.index(wanted) if field.choices else wanted
        if field.name == "inpaint_full_res":
            sent = True
        picture = {"init_images": [base64_png()]} if kind == "img2img" else {}
        request = prepare(runtime, options, {**picture, field.name: sent}, kind, "reached").request
        assert getattr(request, name) == (tuple(wanted) if isinstance(wanted, list) else wanted), field.name


def test_a1111_s_fields_mean_what_they_mean_there(anna: httpx2.Client) -> None:
    sent = {
        **SMALL,
        "n_iter": 2,
        "batch_size": 2,
        "subseed": 5,
        "subseed_strength": 0.25,
        "sampler_index": "Heun",
        "scheduler": "sgm_uniform",
        "seed_resize_from_w": -1,
        "tiling": True,
        "eta": 1.0,
        "s_tmax": 0,
        "styles": [],
        "no_such_field": {"of": "another program"},
        "override_settings": {"CLIP_stop_at_last_layers": 2, "samples_format": "png", "made_up": 1},
        "alwayson_scripts": {},
        "restore_faces": False,
        "enable_hr": False,
    }
    answer = anna.post("/sdapi/v1/txt2img", json=sent)
    told = info(answer)
    assert len(answer.json()["images"]) == len(told["infotexts"]) == 4
    assert told["all_seeds"] == [1] * 4 and told["all_subseeds"] == [5, 6, 7, 8]
    assert (told["sampler_name"], told["clip_skip"]) == ("Heun", 2)
    assert told["extra_generation_params"]["Schedule type"] == "SGM Uniform"
    assert "made_up" in " ".join(told["notices"])
    assert answer.json()["parameters"]["n_iter"] == 2 and "no_such_field" not in answer.json()["parameters"]
    with Image.open(io.BytesIO(base64.b64decode(answer.json()["images"][0]))) as picture:
        assert picture.text["parameters"] == told["infotexts"][0]  # type: ignore[attr-defined]
    assert info(anna.post("/sdapi/v1/txt2img", json=SMALL))["clip_skip"] == 1


@pytest.mark.parametrize("sampler", ["DDIM", "PLMS", "UniPC", "DPM fast"])
def test_a_sampler_with_timesteps_of_its_own_pays_no_heed_to_the_scheduler(anna: httpx2.Client, sampler: str) -> None:
    plain = anna.post("/sdapi/v1/txt2img", json={**SMALL, "steps": 3, "sampler_name": sampler})
    sent = anna.post("/sdapi/v1/txt2img", json={**SMALL, "steps": 3, "sampler_name": sampler, "scheduler": "karras"})
    assert pixels(plain.json()["images"][0]) == pixels(sent.json()["images"][0])
    assert f"{sampler} has timesteps of its own" in info(sent)["notices"][0]


def test_img2img_draws_over_the_picture_and_within_the_mask(anna: httpx2.Client) -> None:
    picture, half = base64_png("teal"), Image.new("L", (128, 128))
    half.paste(255, (0, 0, 64, 128))
    file = io.BytesIO()
    half.save(file, "PNG")
    mask = "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()
    sent = {**SMALL, "prompt": "a red apple", "init_images": [picture], "mask": mask, "mask_blur": 0}
    sent |= {"inpaint_full_res": False, "inpainting_fill": 1, "denoising_strength": 0.9, "steps": 4}
    answer = anna.post("/sdapi/v1/img2img", json=sent)
    told = info(answer)
    assert told["denoising_strength"] == 0.9 and answer.json()["parameters"]["init_images"] is None
    with Image.open(io.BytesIO(base64.b64decode(answer.json()["images"][0]))) as drawn:
        kept = drawn.crop((80, 0, 128, 128))
        assert kept.getextrema() == Image.new("RGB", (1, 1), "teal").getextrema()
        assert drawn.crop((0, 0, 64, 128)).getextrema() != kept.getextrema()
    inverted = anna.post("/sdapi/v1/img2img", json={**sent, "inpainting_mask_invert": True})
    assert pixels(inverted.json()["images"][0]) != pixels(answer.json()["images"][0])


def test_infotext_counts_where_the_request_says_nothing(anna: httpx2.Client) -> None:
    first = anna.post("/sdapi/v1/txt2img", json={**SMALL, "prompt": "a blue fish", "sampler_name": "LMS"})
    text = info(first)["infotexts"][0]
    again = anna.post("/sdapi/v1/txt2img", json={"infotext": text})
    assert again.json()["images"] == first.json()["images"]
    assert info(anna.post("/sdapi/v1/txt2img", json={"infotext": text, "seed": 9}))["seed"] == 9


def test_pictures_are_sent_only_if_they_are_wanted(anna: httpx2.Client) -> None:
    answer = anna.post("/sdapi/v1/txt2img", json={**SMALL, "send_images": False})
    assert answer.json()["images"] == [] and info(answer)["infotexts"]


@pytest.mark.parametrize(
    ("sent", "sentence"),
    [
        ({"steps": 0}, "steps: Sampling steps must be between 1 and 1000, not 0"),
        ({"steps": "many"}, "steps: Sampling steps must be a whole number"),
        ({"steps": 2.5}, "must be a whole number"),
        ({"cfg_scale": -1}, "cfg_scale: CFG scale must be between 0 and 100"),
        ({"width": 500}, "Width must be a multiple of 8, not 500. Try 496"),
        ({"width": 8192, "height": 8192}, "pixels"),
        ({"sampler_name": "Eulr a"}, 'no sampler "Eulr a". Did you mean "Euler a"'),
        ({"scheduler": "karass"}, 'Did you mean "Karras"'),
        ({"prompt": 5}, "prompt: Prompt must be text"),
        ({"styles": ["Filmic"]}, 'no style "Filmic"'),
        ({"override_settings": {"sd_model_checkpoint": "lucid-startr"}}, 'Did you mean "lucid-starter"'),
        ({"override_settings": {"sd_vae": "sharp"}}, 'no VAE "sharp"'),
        ({"override_settings": []}, "override_settings must be an object"),
        ({"script_name": "x/y/z plot"}, "Script 'x/y/z plot' not found"),
        ({"alwayson_scripts": {"ControlNet": {"args": []}}}, "always on script ControlNet not found"),
        ({"restore_faces": True}, "no face restoration here"),
        ({"force_task_id": 5}, "force_task_id must be text"),
        ([1], "must be a JSON object"),
    ],
)
def test_what_cannot_be_is_refused_with_a_sentence(anna: httpx2.Client, sent: Any, sentence: str) -> None:
    answer = anna.post("/sdapi/v1/txt2img", json=sent)
    assert answer.status_code == 422
    assert sentence in answer.json()["detail"]
    assert set(answer.json()) >= {"error", "detail", "body", "errors"}


@pytest.mark.parametrize(
    ("sent", "sentence"),
    [
        ({}, "Init image not found"),
        ({"init_images": []}, "Init image not found"),
        ({"init_images": ["%%%"]}, "init_images is no base64"),
        ({"init_images": ["AAAA"]}, "init_images: The file cannot be read as a picture"),
        ({"init_images": [5]}, "must be a picture file"),
        ({"init_images": ["http://169.254.169.254/latest"]}, "Lucid fetches no pictures from other computers"),
        ({"init_images": [base64_png()], "mask": " HTTPS://x.example/a.png"}, "mask is an address"),
        ({"init_images": [base64_png()], "resize_mode": 9}, "resize_mode must be one of 0 (Just resize), 1"),
        ({"init_images": [base64_png(), base64_png()]}, "must hold one picture"),
        ({"init_images": ["0" * 32]}, "The picture to start from is not here"),
    ],
)
def test_pictures_that_cannot_be_read_are_refused_with_a_sentence(
    anna: httpx2.Client, sent: Any, sentence: str
) -> None:
    answer = anna.post("/sdapi/v1/img2img", json=sent)
    assert answer.status_code == 422
    assert sentence in answer.json()["detail"]


def test_soft_inpainting_is_a_script_to_a1111_s_clients(runtime: Runtime) -> None:
    options = CallerOptions(runtime, Path("nowhere"))
    for args in ([True, 1.5], [{"Soft inpainting": True, "Schedule bias": 1.5}]):
        sent = {"init_images": [base64_png()], "alwayson_scripts": {"Soft Inpainting": {"args": args}}}
        request = prepare(runtime, options, sent, "img2img", "local").request
        assert request.soft_inpainting and request.soft_schedule_bias == 1.5


def test_a_request_is_what_the_page_s_would_be(runtime: Runtime) -> None:
    sent = {**SMALL, "sampler_name": "DPM++ 2M", "scheduler": "automatic"}
    request = prepare(runtime, CallerOptions(runtime, Path("nowhere")), sent, "txt2img", "local").request
    assert request == GenerationRequest(**SMALL, schedule="automatic")
