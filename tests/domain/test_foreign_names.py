"""Names of other programs, translated."""

from __future__ import annotations

from webui.domain.foreign_names import SCHEDULES, file_stem, lora_tag, sampler_and_schedule


def test_names() -> None:
    assert sampler_and_schedule("DPM++ 2M") == {"Sampler": "DPM++ 2M", "Schedule type": ""}
    assert sampler_and_schedule("k_dpmpp_2m", "exponential") == {"Sampler": "DPM++ 2M", "Schedule type": "Exponential"}
    assert sampler_and_schedule("something_new", "else")["Sampler"] == "something_new"
    assert file_stem("a/b\\c.v1.5.safetensors") == "c.v1.5"
    assert file_stem("model.v1.5") == "model.v1.5"
    assert file_stem(None) is None
    assert lora_tag("x/glow.safetensors", 1.0) == "<lora:glow:1>"
    assert lora_tag("glow", 0.5, 0.8) == "<lora:glow:0.5:0.8>"
    assert sampler_and_schedule("DPM++ 2M Karras") == {"Sampler": "DPM++ 2M", "Schedule type": "Karras"}
    assert sampler_and_schedule("euler", "beta")["Schedule type"] == "Beta (ComfyUI)"
    assert all(name == name.casefold() for name in SCHEDULES)
