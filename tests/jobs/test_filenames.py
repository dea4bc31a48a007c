from __future__ import annotations

from datetime import datetime
from pathlib import PurePosixPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from webui.domain.request import GenerationRequest
from webui.errors import InvalidSettings
from webui.jobs.filenames import (
    TOKENS,
    NamedPicture,
    check_filename_pattern,
    check_folder_pattern,
    file_stem,
    folder_name,
    number_in,
)

WHEN = datetime(2025, 3, 9, 14, 5, 6)
TEXT = st.text(max_size=300)


def _picture(**fields: object) -> NamedPicture:
    about = {"owner": "anna", "kind": "txt2img"} | {
        name: fields.pop(name) for name in ("owner", "kind") if name in fields
    }
    request = GenerationRequest(**{"seed": 12, "checkpoint": "v1-5", "checkpoint_hash": "6ce0161689", **fields})
    return NamedPicture(request=request, job="00ff", index=5, batch_size=4, when=WHEN, **about)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("pattern", "name"),
    [
        ("[number]-[seed]", "00042-12"),
        ("[number]", "00042"),
        ("[date] [datetime]", "2025-03-09 20250309140506"),
        ("[datetime<%H.%M>]", "14.05"),
        ("[steps]-[cfg]-[width]x[height]-[clip_skip]", "20-6.5-512x512-1"),
        ("[sampler]-[scheduler]-[schedule]", "DPM++ 2M-Karras-Karras"),
        ("[model_name] [model_hash]", "v1-5 6ce0161689"),
        ("[vae_filename]", "ft-mse"),
        ("[prompt_words]", "a cat red 1 2 on the mat"),
        ("[prompt_words<2>]", "a cat"),
        ("[prompt]", "a_cat,_(red_1.2)_on_the_mat,_best"),
        ("[prompt_spaces]", "a cat, (red_1.2) on the mat, best"),
        ("[prompt_hash<6>]", "1320d8"),
        ("[batch_number]of[batch_size]-[generation_number]", "2of4-6"),
        ("[kind]-[job]-[owner]-[user][none]", "txt2img-00ff-anna-anna"),
    ],
)
def test_tokens(pattern: str, name: str) -> None:
    check_filename_pattern(pattern)
    picture = _picture(
        prompt="a cat, (red:1.2) on the mat, <lora:fine:0.8>best",
        schedule="Karras",
        cfg_scale=6.5,
        vae="ft-mse.safetensors",
    )
    assert file_stem(pattern, picture, 42, 255) == name


@pytest.mark.parametrize(
    ("pattern", "sentence"),
    [
        ("", "filename_pattern is empty"),
        ("[sed]", r"unknown \[sed\]. Did you mean \"seed\""),
        ("a/b", 'holds "/"'),
        ("a\\b", "file names cannot have"),
        ("[seed", r'single "\["'),
        ("seed]", r'single "\]"'),
        ("what?", r'holds "\?"'),
        ("[prompt_words<0>]", "takes how many words"),
        ("[datetime<%Q>]", "takes a format such as"),
        ("[datetime<%>]", "takes a format such as"),
        ("[seed<3>]", "takes nothing"),
    ],
)
def test_a_wrong_filename_pattern_is_a_sentence(pattern: str, sentence: str) -> None:
    with pytest.raises(InvalidSettings, match=sentence):
        check_filename_pattern(pattern)


@pytest.mark.parametrize(
    "pattern", ["../x", "a/../b", "/etc", "a//b", "a/", "./a", "C:/x", "a\\..\\b", "[number]", "a/[typo]"]
)
def test_a_folder_pattern_cannot_leave_the_outputs(pattern: str) -> None:
    with pytest.raises(InvalidSettings, match="folder_pattern"):
        check_folder_pattern(pattern)


def test_folders() -> None:
    for pattern in ("", "[kind]/[date]", "[owner]", "all/[model_name]/[none]"):
        check_folder_pattern(pattern)
    assert folder_name("[kind]/[date]", _picture(), 255) == PurePosixPath("txt2img/2025-03-09")
    assert folder_name("all/[none]/[owner]", _picture(owner="../../etc/passwd"), 255) == PurePosixPath(
        "all/_.._etc_passwd"
    )
    assert folder_name("[owner]", _picture(owner=".."), 255) == PurePosixPath(".")
    assert folder_name("", _picture(), 255) == PurePosixPath(".")


@pytest.mark.parametrize("prompt", ["CON", "nul.txt", "com1", "LPT9.a", "aux"])
def test_names_that_windows_keeps_for_devices_are_not_used(prompt: str) -> None:
    assert file_stem("[prompt]", _picture(prompt=prompt), 0, 255) == f"_{prompt}"


@pytest.mark.parametrize("prompt", ["", "...", " . ", "\u202e\u200b", "<lora:x:1>"])
def test_a_name_is_never_empty(prompt: str) -> None:
    assert file_stem("[prompt]", _picture(prompt=prompt), 0, 255) == "picture"


def test_a_long_prompt_is_cut_so_that_number_and_seed_remain() -> None:
    name = file_stem("[prompt]-[number]-[seed]", _picture(prompt="猫" * 500), 7, 100)
    assert name.endswith("-00007-12") and len(name.encode()) <= 100
    assert set(name.removesuffix("-00007-12")) == {"猫"}


@given(
    TEXT,
    TEXT,
    st.sampled_from(["".join(f"[{token}]" for token in TOKENS), "[prompt]", "[owner].[kind]"]),
    st.integers(40, 255),
)
def test_names_are_safe_everywhere(prompt: str, owner: str, pattern: str, limit: int) -> None:
    picture = _picture(prompt=prompt, owner=owner, kind=owner[::-1])
    for name in (file_stem(pattern, picture, 3, limit), *folder_name("[owner]/[prompt]", picture, limit).parts):
        assert name and len(name.encode("utf-8")) <= limit
        assert not set(name) & set('<>:"/\\|?*')
        assert not any(ord(char) < 32 or 127 <= ord(char) < 160 for char in name)
        assert name not in (".", "..") and not name.startswith((".", " ")) and not name.endswith((".", " "))


@pytest.mark.parametrize("pattern", ["[number]-[seed]", "[seed]_[number]", "x[number]", "[number] [prompt] [number]"])
def test_the_number_is_found_again_in_names_that_the_pattern_made(pattern: str) -> None:
    name = file_stem(pattern, _picture(prompt="a cat 00099 b"), 123456, 255)
    found = number_in(pattern).match(name + ".png")
    assert found is not None and found[1] == "123456"
