"""A Runtime from end to end on tiny real weights: names resolved, pictures on disk, infotext that draws them again."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from webui.domain.infotext import to_request
from webui.domain.request import GenerationRequest
from webui.errors import InvalidRequest, JobNotFound, ModelNotFound, UnreadableModel
from webui.runtime import Runtime
from webui.settings import Settings

REQUEST = GenerationRequest(prompt="a (red:1.2) cat", negative_prompt="blurry", width=64, height=64, steps=3, seed=5)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from tiny import write_tiny_checkpoint, write_tiny_vae

    folder = tmp_path_factory.mktemp("data")
    checkpoints, vaes = folder / "models" / "checkpoints", folder / "models" / "vae"
    checkpoints.mkdir(parents=True)
    vaes.mkdir()
    write_tiny_checkpoint(checkpoints / "alpha.safetensors", seed=1)
    write_tiny_checkpoint(checkpoints / "beta.safetensors", seed=2, prediction_type="v_prediction")
    write_tiny_vae(vaes / "sharper.safetensors", seed=3)
    (checkpoints / "broken.safetensors").write_bytes(b"\x10\x00")
    return folder


@pytest.fixture(scope="module")
def runtime(data: Path) -> Iterator[Runtime]:
    runtime = Runtime(Settings(data_dir=data, device="cpu", preview="off"))
    runtime.start()
    yield runtime
    runtime.close()


def draw(runtime: Runtime, request: GenerationRequest, **more: str):
    """The pictures of a job that must succeed, with their pixels."""
    done = runtime.generate(request, **more).wait()
    assert done.state == "done", done.error
    return [(saved, Image.open(runtime.outputs.resolve(saved.path)).tobytes()) for saved in done.pictures]


def test_a_picture_on_disk_draws_itself_again(runtime):
    ((saved, pixels),) = draw(runtime, REQUEST)
    parsed = runtime.read_infotext(runtime.outputs.resolve(saved.path).read_bytes())
    again, unused, remarks = to_request(parsed)
    assert (unused, remarks) == ({}, ())
    assert again.checkpoint_hash
    assert draw(runtime, again)[0][1] == pixels


def test_names_and_seeds_are_resolved_when_a_job_is_given(runtime):
    resolved = runtime.resolve(
        replace(REQUEST, sampler="k_euler_a", schedule="karras", checkpoint="BETA", seed=-1, vae="automatic")
    )
    assert (resolved.sampler, resolved.schedule) == ("Euler a", "Karras")
    foreign = runtime.resolve(replace(REQUEST, sampler="dpmpp_2m_sde_k", schedule="Automatic"))
    assert (foreign.sampler, foreign.schedule) == ("DPM++ 2M SDE", "Karras")
    assert (resolved.checkpoint, resolved.vae) == ("beta", "Automatic")
    assert 0 <= resolved.seed < 2**32
    assert resolved.variation_seed == -1
    assert runtime.resolve(replace(REQUEST, variation_strength=0.5)).variation_seed >= 0
    assert runtime.resolve(REQUEST).checkpoint == "alpha"


@pytest.mark.parametrize(
    ("change", "error", "sentence"),
    [
        ({"sampler": "Eulr a"}, InvalidRequest, 'no sampler "Eulr a". Did you mean "Euler a"'),
        ({"schedule": "Karass"}, InvalidRequest, 'Did you mean "Karras"'),
        ({"sampler": "DDIM", "schedule": "Karras"}, InvalidRequest, "DDIM has timesteps of its own"),
        (
            {"schedule": "Custom", "custom_sigmas": "9, 3, x"},
            InvalidRequest,
            'Custom sigmas: number 3, "x", is not a number',
        ),
        ({"sigma_min": 20.0}, InvalidRequest, "Schedule min sigma (20) must be below schedule max sigma (14.6146)"),
        ({"checkpoint": "alpah"}, ModelNotFound, 'no checkpoint "alpah". Did you mean "alpha"'),
        ({"checkpoint": "broken"}, UnreadableModel, "broken.safetensors"),
        ({"vae": "sharp"}, ModelNotFound, 'Did you mean "sharper"'),
        ({"width": 8192, "height": 8192}, InvalidRequest, "67,108,864 pixels; this server allows 16,777,216"),
        ({"clip_skip": 6}, InvalidRequest, "has 5 layers"),
        ({"seed": 2**63 - 1, "batch_size": 2}, InvalidRequest, "Seed must be between"),
    ],
)
def test_what_cannot_be_drawn_is_refused_at_once(runtime, change, error, sentence):
    with pytest.raises(error) as refused:
        runtime.generate(replace(REQUEST, **change))
    assert sentence in str(refused.value)


def test_levels_are_told_without_drawing(runtime):
    karras = runtime.visited_levels(replace(REQUEST, sampler="k_dpmpp_2m_ka", steps=2))
    assert karras == ((pytest.approx(14.6146, abs=1e-4), 999.0), (pytest.approx(0.0292, abs=1e-4), 0.0), (0.0, 0.0))
    noisy = runtime.visited_levels(replace(REQUEST, zero_terminal_snr=True))
    assert noisy[0] == (pytest.approx(4518.76, abs=0.01), 999.0)


def test_checkpoints_and_vaes_swap_between_jobs_and_come_back_to_the_last_bit(runtime):
    alpha = draw(runtime, REQUEST)[0][1]
    beta = draw(runtime, replace(REQUEST, checkpoint="beta"))[0][1]
    (saved, sharper), *_ = draw(runtime, replace(REQUEST, vae="sharper"))
    assert len({alpha, beta, sharper}) == 3
    assert draw(runtime, REQUEST)[0][1] == alpha
    assert "VAE: sharper.safetensors" in saved.infotext
    assert "Model: alpha" in saved.infotext


def test_a_vae_named_like_the_checkpoint_is_taken_automatically(runtime, data):
    plain = draw(runtime, REQUEST)[0][1]
    named = data / "models" / "vae" / "alpha.vae.safetensors"
    named.write_bytes((data / "models" / "vae" / "sharper.safetensors").read_bytes())
    runtime.rescan()
    try:
        assert draw(runtime, REQUEST)[0][1] == draw(runtime, replace(REQUEST, vae="sharper"))[0][1]
        assert draw(runtime, replace(REQUEST, vae="None"))[0][1] == plain
    finally:
        named.unlink()
        runtime.rescan()


def test_a_batch_saves_the_pictures_that_are_drawn_alone(runtime):
    batch = draw(runtime, replace(REQUEST, batch_count=2, batch_size=2))
    assert [saved.seed for saved, _ in batch] == [5, 6, 7, 8]
    for saved, pixels in batch:
        alone, _, _ = to_request(runtime.read_infotext(runtime.outputs.resolve(saved.path).read_bytes()))
        assert alone.picture_count == 1
        assert draw(runtime, alone)[0][1] == pixels


def test_a_job_is_its_owners_alone(runtime):
    job = runtime.generate(REQUEST, owner="ann")
    with pytest.raises(JobNotFound):
        runtime.job(job.id, "bob")
    assert runtime.job(job.id, "ann").wait().state == "done"
    assert runtime.history.search("bob", "cat") == []
    assert runtime.history.search("ann", "cat")


def test_a_failed_job_says_why_and_the_next_one_works(runtime, data):
    damaged = data / "models" / "checkpoints" / "gamma.safetensors"
    damaged.write_bytes((data / "models" / "checkpoints" / "alpha.safetensors").read_bytes())
    runtime.rescan()
    with damaged.open("r+b") as file:
        file.truncate(damaged.stat().st_size // 2)
    failed = runtime.generate(replace(REQUEST, checkpoint="gamma")).wait()
    damaged.unlink()
    runtime.rescan()
    assert failed.state == "failed"
    assert "gamma.safetensors" in failed.error
    draw(runtime, REQUEST)


def test_tokens_are_counted_without_torch(runtime):
    count = runtime.count_tokens("cat " * 76)
    assert (count.tokens, count.limit) == (76, 150)
    assert runtime.count_tokens("[dog:cat cat:0.5] (a:1.2) <lora:x:1> AND b # no").tokens == 3


def test_a_preview_that_cannot_be_had_is_told(data, tmp_path):
    runtime = Runtime(Settings(data_dir=tmp_path, models_dir=data / "models", device="cpu", preview="taesd"))
    runtime.start()
    done = runtime.generate(replace(REQUEST, batch_count=2)).wait()
    runtime.close()
    assert done.state == "done"
    assert done.notices == ("There is no usable TAESD file in models/taesd, so previews are the coarse linear ones.",)


def test_an_empty_models_folder_is_explained(tmp_path):
    runtime = Runtime(Settings(data_dir=tmp_path, device="cpu"))
    with pytest.raises(ModelNotFound, match=r"no usable checkpoint in .*checkpoints.*\.safetensors"):
        runtime.resolve(REQUEST)
    runtime.close()
