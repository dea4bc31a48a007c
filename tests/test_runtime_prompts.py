"""What prompts name, from a job's submission to its picture and back: LoRAs, embeddings, hypernetworks."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace

import pytest
import torch
from lora_files import kohya_lora
from PIL import Image
from safetensors.torch import save_file

from webui.domain.infotext import parse, to_request
from webui.domain.request import GenerationRequest
from webui.runtime import Runtime
from webui.settings import Settings

REQUEST = GenerationRequest(prompt="a cat", negative_prompt="blurry", width=64, height=64, steps=2, seed=5)
PROJECTIONS = {f"lora_te_text_model_encoder_layers_{n}_self_attn_q_proj": (32, 32) for n in range(5)}


@pytest.fixture(scope="module")
def runtime(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Runtime]:
    from tiny import write_tiny_checkpoint

    folder = tmp_path_factory.mktemp("data")
    for kind in ("checkpoints", "loras", "embeddings"):
        (folder / "models" / kind).mkdir(parents=True)
    write_tiny_checkpoint(folder / "models" / "checkpoints" / "alpha.safetensors", seed=1)
    save_file(kohya_lora(PROJECTIONS, seed=1), folder / "models" / "loras" / "Castle.safetensors")
    vectors = torch.randn(2, 32, generator=torch.Generator().manual_seed(0)) * 3
    save_file({"emb_params": vectors}, folder / "models" / "embeddings" / "verybad.safetensors")
    runtime = Runtime(Settings(data_dir=folder, device="cpu", preview="off"))
    runtime.start()
    yield runtime
    runtime.close()


def draw(runtime: Runtime, request: GenerationRequest):
    """The picture of a job that must succeed, its pixels, and what the job had to say."""
    done = runtime.generate(request).wait()
    assert done.state == "done", done.error
    (saved,) = done.pictures
    return saved, Image.open(runtime.outputs.resolve(saved.path)).tobytes(), done.notices


def test_a_lora_and_an_embedding_change_the_picture_which_says_so_and_draws_itself_again(runtime):
    request = replace(REQUEST, prompt="a cat <lora:castle:1.5>", negative_prompt="VeryBad")
    plain = draw(runtime, REQUEST)[1]
    lora = draw(runtime, replace(request, negative_prompt="blurry"))[1]
    saved, both, notices = draw(runtime, request)
    assert len({plain, lora, both}) == 3
    assert notices == ()

    told = parse(saved.infotext)
    loras, embeddings, checkpoints = (runtime.library.files(kind)[0] for kind in ("lora", "embedding", "checkpoint"))
    assert told.fields["Lora hashes"] == f"castle: {runtime.library.lora_hash(loras)[:12]}"
    assert told.fields["TI hashes"] == f"verybad: {runtime.library.hash(embeddings)[:12]}"
    assert json.loads(told.fields["Hashes"]) == {
        "model": runtime.library.hash(checkpoints)[:10],
        "lora:castle": runtime.library.hash(loras)[:10],
        "embed:verybad": runtime.library.hash(embeddings)[:10],
    }
    again, unused, _ = to_request(told)
    assert unused == {}
    assert draw(runtime, again)[1] == both
    assert draw(runtime, REQUEST)[1] == plain


def test_a_picture_made_elsewhere_finds_the_file_under_its_name_here(runtime):
    saved, here, _ = draw(runtime, replace(REQUEST, prompt="a cat <lora:castle:1.5>"))
    foreign, _, _ = to_request(parse(saved.infotext.replace("castle:", "their castle:")))
    assert "<lora:their castle:1.5>" in foreign.prompt
    saved, there, notices = draw(runtime, foreign)
    assert (there, notices) == (here, ())
    assert "their castle: " in parse(saved.infotext).fields["Lora hashes"]


def test_what_is_missing_is_told_and_not_claimed(runtime):
    request = replace(REQUEST, prompt="a cat <lora:gone:1>", lora_hashes="gone: 0123456789ab")
    saved, pixels, (notice,) = draw(runtime, request)
    assert 'There is no LoRA "gone"' in notice
    assert pixels == draw(runtime, REQUEST)[1]
    assert not {"Lora hashes", "TI hashes", "Hashes"} & set(parse(saved.infotext).fields)


def test_a_job_is_tied_to_the_files_of_its_submission(runtime):
    request = replace(REQUEST, prompt="a verybad cat <lora:castle:1.5>")
    draw(runtime, request)  # its hashes are known now
    resolved = runtime.resolve(request)
    assert resolved.lora_hashes.startswith("castle: ")
    assert resolved.ti_hashes.startswith("verybad: ")


def test_prompts_of_every_kind_give_a_picture(runtime):
    prompt = "(((a [b|c:0.5]) AND <lora:> [x:(y:1.2:1] :-2 # no\nBREAK \\# <hypernet:none:1>"
    _, _, notices = draw(runtime, replace(REQUEST, prompt=prompt, emphasis="No norm"))
    assert any("<hypernet:none> is left out" in notice for notice in notices)
