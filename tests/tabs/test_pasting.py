"""An infotext goes into the form as far as it can, and the rest is said."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from webui.domain.request import PARAMETERS
from webui.domain.styles import Style
from webui.runtime import Runtime
from webui.settings import Settings
from webui.tabs.pasting import pasted

FORM: dict[str, Any] = {name: parameter.default for name, parameter in PARAMETERS.items()}
WHOLE = "a cat\nNegative prompt: a dog\nSteps: 12, Sampler: Euler a, Schedule type: Karras, CFG scale: 4.5, Seed: 99, Size: 192x256"


def test_what_it_names_is_taken_over(runtime: Runtime) -> None:
    values, remarks = pasted(runtime, WHOLE, FORM)
    assert remarks == []
    expected = {"prompt": "a cat", "negative_prompt": "a dog", "steps": 12, "sampler": "Euler a", "schedule": "Karras"}
    expected |= {"cfg_scale": 4.5, "seed": 99, "width": 192, "height": 256}
    assert {name: values[name] for name in expected} == expected


def test_what_it_does_not_name_stays_and_a_mistake_in_the_form_is_no_hindrance(runtime: Runtime) -> None:
    form = {**FORM, "steps": "", "width": "wide", "batch_count": 3}
    values, _ = pasted(runtime, WHOLE, form)
    assert (values["steps"], values["width"], values["batch_count"]) == (12, 192, 3)
    values, remarks = pasted(runtime, "only words", form)
    assert (values["prompt"], values["batch_count"], remarks) == ("only words", 3, [])


def test_a_checkpoint_is_found_by_its_hash_under_another_name(runtime: Runtime) -> None:
    file = runtime.checkpoint("lucid-starter")
    sha256 = runtime.library.hash(file)
    values, remarks = pasted(runtime, f"{WHOLE}, Model hash: {sha256[:10]}, Model: as-it-was-called", FORM)
    assert (values["checkpoint"], values["checkpoint_hash"]) == ("lucid-starter", "")
    assert remarks == []


@pytest.mark.parametrize(
    ("more", "kept", "remark"),
    [
        ("Model: lucid-startr", {"checkpoint": "chosen"}, r'"lucid-startr".*"lucid-starter".*Kept chosen\.'),
        ("VAE: missing.safetensors", {"vae": "Automatic"}, r'"missing.safetensors".*Kept Automatic\.'),
        (
            "Face restoration: CodeFormer, Token merging ratio: 0.5",
            {},
            r"Not taken over.*: Face restoration, Token merging ratio\.$",
        ),
    ],
)
def test_what_cannot_be_taken_over_is_said(runtime: Runtime, more: str, kept: dict[str, str], remark: str) -> None:
    values, remarks = pasted(runtime, f"{WHOLE}, {more}", {**FORM, "checkpoint": "chosen"})
    assert values["steps"] == 12
    assert {name: values[name] for name in kept} == kept
    assert len(remarks) == 1
    assert re.search(remark, remarks[0])


def test_a_schedule_that_the_sampler_does_not_take_is_left_out(runtime: Runtime) -> None:
    values, remarks = pasted(runtime, WHOLE.replace("Euler a", "DDIM"), FORM)
    assert (values["sampler"], values["schedule"]) == ("DDIM", "Automatic")
    assert remarks == ["DDIM does not take the schedule type Karras, which is left out."]


def test_a_long_list_of_unknown_fields_is_cut(runtime: Runtime) -> None:
    many = ", ".join(f"Field number {number}: 1" for number in range(30))
    _, remarks = pasted(runtime, f"{WHOLE}, {many}", FORM)
    assert remarks[-1].endswith("and 18 more.")


def test_a_checkpoint_that_cannot_be_used_is_said_with_its_reason(tmp_path: Path, starter: Path) -> None:
    checkpoints = tmp_path / "models" / "checkpoints"
    checkpoints.mkdir(parents=True)
    (checkpoints / "cut.safetensors").write_bytes(starter.read_bytes()[:100_000])
    runtime = Runtime(Settings(data_dir=tmp_path))
    runtime.rescan()
    try:
        values, remarks = pasted(runtime, f"{WHOLE}, Model: cut", FORM)
    finally:
        runtime.close()
    assert values["checkpoint"] == ""
    assert "cut" in remarks[0]


def test_styles_are_recognised_and_chosen_instead(tmp_path: Path) -> None:
    runtime = Runtime(Settings(data_dir=tmp_path))
    try:
        runtime.styles.save("anna", Style("Film", "film of {prompt}", "cartoon"))
        styled = WHOLE.replace("a cat", "film of a cat").replace("a dog", "a dog, cartoon")
        form = {**FORM, "styles": ["Other"]}
        values, _ = pasted(runtime, styled, form, "anna")
        assert (values["prompt"], values["negative_prompt"], values["styles"]) == ("a cat", "a dog", ("Film",))
        values, _ = pasted(runtime, styled, form, "bob")
        assert (values["prompt"], values["styles"]) == ("film of a cat", ())
    finally:
        runtime.close()


def test_the_same_checkpoint_name_with_another_hash_is_remarked_on(runtime: Runtime) -> None:
    for form in (FORM, {**FORM, "checkpoint": "lucid-starter"}):
        values, remarks = pasted(runtime, f"{WHOLE}, Model hash: 0123456789, Model: lucid-starter", form)
        assert (values["checkpoint"], values["checkpoint_hash"]) == ("lucid-starter", "")
        assert len(remarks) == 1
        assert re.search(
            r'"lucid-starter" is another file here .*: its hash is [0-9a-f]{10} and not 0123456789\.', remarks[0]
        )
    right = runtime.library.hash(runtime.checkpoint("lucid-starter"))[:10]
    _, remarks = pasted(runtime, f"{WHOLE}, Model hash: {right.upper()}, Model: lucid-starter", FORM)
    assert remarks == []


def test_networks_are_looked_for_and_their_hashes_kept_until_the_next_paste(runtime: Runtime) -> None:
    text = WHOLE.replace("a cat", "a cat <lora:castle:1>") + ', Lora hashes: "castle: 0123456789ab"'
    values, remarks = pasted(runtime, f"{text}, Civitai resources: []", FORM)
    assert values["lora_hashes"] == "castle: 0123456789ab"
    assert remarks == ['There is no LoRA "castle". There are none. Its hash is 0123456789ab.']
    values, _ = pasted(runtime, WHOLE, {**FORM, **values})
    assert values["lora_hashes"] == ""
