"""Training runs for real, on a few pictures: they learn, two processes are one, and a cut-off run goes on as if it was not."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from diffusers import AutoencoderKL
from PIL import Image
from processes import learn_together
from safetensors import safe_open
from torch import Tensor

from webui.library.index import Library
from webui.training.starter import latents
from webui.training.starter.autoencoder import AutoencoderPlan, held_out_pictures, psnr, train_autoencoder
from webui.training.starter.checkpoint import write_checkpoint, write_vae
from webui.training.starter.diffusion import DiffusionPlan, DiffusionRun, train_diffusion
from webui.training.starter.icons import Sprites
from webui.training.starter.latents import LatentPictures, write_latents
from webui.training.starter.networks import widened
from webui.training.starter.run import Average, cosine, in_processes, load_state, save_state


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory, sprites: Sprites) -> Path:
    """Sprites, an autoencoder of a few steps, and two small shards of latents."""
    folder = tmp_path_factory.mktemp("training")
    sprites.save(folder / "sprites.npz")
    plan = AutoencoderPlan(steps=6, save_every=3)
    train_autoencoder(0, folder / "sprites.npz", folder / "autoencoder", plan)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(latents, "SHARD", 32)
        write_latents(0, 1, folder / "sprites.npz", folder / "autoencoder" / "vae", folder / "latents", 2)
    return folder


def _run(work: Path, folder: Path, plan: DiffusionPlan) -> Path:
    train_diffusion(0, work / "latents", work / "autoencoder" / "vae", folder, plan)
    return folder


def _weights(folder: Path) -> dict[str, Tensor]:
    with safe_open(folder / "unet" / "diffusion_pytorch_model.safetensors", "pt") as file:
        return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  (not a dict)


PLAN = DiffusionPlan(steps=4, batch=2, text_steps=2, save_every=2, samples=("a dog",))


def test_an_autoencoder_learns_and_says_how_wide_its_latents_are(work: Path, sprites: Sprites) -> None:
    vae = AutoencoderKL.from_pretrained(work / "autoencoder" / "vae")
    held = held_out_pictures(sprites, 4)
    with torch.no_grad():
        spread = vae.encode(held).latent_dist.mean.std()
        grey = psnr(held, torch.zeros_like(held))
        assert psnr(held, vae.decode(vae.encode(held).latent_dist.mean).sample) > grey + 1
    assert 0.5 < float(spread) * vae.config.scaling_factor < 2
    with Image.open(work / "autoencoder" / "vae.png") as sheet:
        assert sheet.size == (1024, 512)


def test_a_decoder_alone_keeps_the_meaning_of_the_latents(work: Path, tmp_path: Path, sprites: Sprites) -> None:
    start = work / "autoencoder" / "vae"
    plan = AutoencoderPlan(steps=2, save_every=2, decoder_only=True, start_from=str(start))
    train_autoencoder(0, work / "sprites.npz", tmp_path, plan)
    before, after = (AutoencoderKL.from_pretrained(folder) for folder in (start, tmp_path / "vae"))
    held = held_out_pictures(sprites, 2)
    with torch.no_grad():
        assert torch.equal(before.encode(held).latent_dist.mean, after.encode(held).latent_dist.mean)
    assert not torch.equal(before.decoder.conv_out.weight, after.decoder.conv_out.weight)


def test_a_widened_autoencoder_begins_where_the_narrow_one_ended(work: Path, tmp_path: Path, sprites: Sprites) -> None:
    start = AutoencoderKL.from_pretrained(work / "autoencoder" / "vae")
    held = held_out_pictures(sprites, 2)
    wide = widened(start)
    assert sum(p.numel() for p in wide.parameters()) > 3.5 * sum(p.numel() for p in start.parameters())
    with torch.no_grad():
        narrow_latents = start.encode(held).latent_dist.mean
        torch.testing.assert_close(wide.encode(held).latent_dist.mean, narrow_latents, atol=1e-4, rtol=1e-4)
        decoded = start.decode(narrow_latents).sample
        torch.testing.assert_close(wide.decode(narrow_latents).sample, decoded, atol=1e-4, rtol=1e-4)
    plan = AutoencoderPlan(
        steps=2,
        save_every=2,
        decoder_only=True,
        widen=True,
        finish="chalk",
        start_from=str(work / "autoencoder" / "vae"),
    )
    train_autoencoder(0, work / "sprites.npz", tmp_path, plan)
    learned = AutoencoderKL.from_pretrained(tmp_path / "vae")
    with torch.no_grad():
        torch.testing.assert_close(learned.encode(held).latent_dist.mean, narrow_latents, atol=1e-4, rtol=1e-4)
        assert not torch.allclose(learned.decode(narrow_latents).sample, decoded, atol=1e-3)


def test_latents_carry_what_they_show(work: Path) -> None:
    pictures = LatentPictures.load(work / "latents")
    assert len(pictures) == 64
    assert pictures.latents.shape == (64, 4, 16, 16)
    assert pictures.tokens.shape == (64, 4, 77)
    assert len(pictures.motifs) == 64
    centred = next(i for i, m in enumerate(pictures.motifs) if not m.place and not m.count)
    assert pictures.masks[centred, 7:9, 7:9].float().mean() > pictures.masks[centred, :2, :2].float().mean()


def test_a_cut_off_run_goes_on_as_if_it_was_not(work: Path, tmp_path: Path) -> None:
    whole = _weights(_run(work, tmp_path / "whole", PLAN))
    run = DiffusionRun(0, LatentPictures.load(work / "latents"), work / "autoencoder" / "vae", tmp_path / "cut", PLAN)
    assert run.step == 0
    with pytest.MonkeyPatch.context() as patch:  # the power fails after the first save
        patch.setattr(DiffusionRun, "save", _save_and_fail(DiffusionRun.save))
        with pytest.raises(KeyboardInterrupt):
            _run(work, tmp_path / "cut", PLAN)
    cut = _weights(_run(work, tmp_path / "cut", PLAN))
    assert all(torch.allclose(whole[name], cut[name], atol=1e-6) for name in whole)
    assert (tmp_path / "cut" / "samples-000004.webp").exists()


def _save_and_fail(save):  # type: ignore[no-untyped-def]
    def failing(run: DiffusionRun) -> None:
        save(run)
        raise KeyboardInterrupt

    return failing


def test_the_result_is_one_file_that_says_how_to_use_it(work: Path, tmp_path: Path) -> None:
    folder = _run(work, tmp_path / "run", replace(PLAN, steps=1, save_every=1))
    write_checkpoint(tmp_path / "model.safetensors", work / "autoencoder" / "vae", folder, title="T", description="D")
    with safe_open(tmp_path / "model.safetensors", "pt") as file:
        assert json.loads(file.metadata()["lucid.defaults"])["cfg_scale"] == 2.5
        assert "v_pred" in file.keys()  # noqa: SIM118  (not a dict)


def test_an_autoencoder_alone_is_a_vae_file(work: Path, tmp_path: Path) -> None:
    (tmp_path / "vae").mkdir()
    write_vae(tmp_path / "vae" / "fine.safetensors", work / "autoencoder" / "vae")
    library = Library({"vae": (tmp_path / "vae",)}, tmp_path / "cache.sqlite3")
    library.rescan()
    assert not library.find("vae", "fine").problem


def test_two_processes_learn_what_one_would(tmp_path: Path) -> None:
    for processes in (1, 2):
        in_processes(learn_together, processes, tmp_path, processes)
    alone, first, second = (torch.load(tmp_path / f"{name}.pt", weights_only=True) for name in ("1-0", "2-0", "2-1"))
    for name in alone:
        assert torch.equal(first[name], second[name])
        torch.testing.assert_close(first[name], alone[name])


def test_the_average_follows_and_steps_aside() -> None:
    weight = torch.zeros(2)
    average = Average([weight], limit=0.9)
    for step in range(10):
        weight.fill_(step)
        average.update(step)
    average.swap()
    assert 5 < weight[0] < 9
    average.swap()
    assert weight.tolist() == [9, 9]


def test_the_rate_rises_and_falls() -> None:
    factors = [cosine(step, 1000, warm_up=100) for step in range(1001)]
    assert factors[0] < factors[50] < factors[99] > factors[500] > factors[1000]
    assert factors[1000] == pytest.approx(0.02)


def test_a_state_is_whole_or_the_one_before(tmp_path: Path) -> None:
    path = tmp_path / "state.pt"
    assert load_state(path) is None
    save_state(path, {"step": 1})
    with pytest.raises(AttributeError):
        save_state(path, {"step": lambda: None})
    assert load_state(path) == {"step": 1}
