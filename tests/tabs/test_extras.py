from __future__ import annotations

import io

import pytest
from PIL import Image

from webui.domain.enlarging import ENLARGE_PARAMETERS
from webui.runtime import Runtime
from webui.settings import Settings
from webui.tabs.extras import enlarged, form_html, upscaler_names
from webui.tabs.streaming import shown


@pytest.fixture
def runtime(tmp_path):
    (tmp_path / "models" / "upscalers").mkdir(parents=True)
    runtime = Runtime(Settings(data_dir=tmp_path, device="cpu"))
    yield runtime
    runtime.close()


def test_every_parameter_has_a_field_or_is_made_of_the_pictures():
    html = form_html()
    for name in set(ENLARGE_PARAMETERS) - {"pictures", "infotexts"}:
        assert f'data-name="{name}"' in html
    assert "<!--" not in html


def test_the_button_answers_with_a_job_or_a_sentence(runtime):
    assert upscaler_names(runtime) == ["None", "Lanczos", "Nearest"]
    told = enlarged(runtime, "local", {"pictures": "", "upscaler_1": "Lanczos"})
    assert (told["field"], "Choose one" in told["error"]) == ("pictures", True)
    file = io.BytesIO()
    Image.new("RGB", (8, 8), "red").save(file, "PNG")
    id = runtime.add_input(file.getvalue())
    assert enlarged(runtime, "local", {"pictures": id, "scale_by": None})["field"] == "scale_by"
    assert "no upscaler" in enlarged(runtime, "local", {"pictures": id, "upscaler_1": "4x"})["error"].lower()
    job = enlarged(runtime, "local", {"pictures": id, "scale_by": 2, "mystery": 1})["job"]
    told = shown(runtime.job(job).snapshot())
    assert (told["kind"], told["count"], told["prompt"]) == ("extras", 1, "Lanczos, 2 times")
