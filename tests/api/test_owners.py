"""Two people at one server: options, progress, interrupting and results are each one's own."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx2
import pytest
from api_calls import LONG, SMALL, Ask, eventually

from webui.api.options import CallerOptions
from webui.runtime import Runtime


def progress(client: httpx2.Client) -> dict[str, Any]:
    told: dict[str, Any] = client.get("/sdapi/v1/progress").json()
    return told


def idle(client: httpx2.Client) -> bool:
    return bool(progress(client)["state"]["job_count"] == 0)


def test_an_interrupt_stops_the_caller_s_own_job_alone(anna: httpx2.Client, ben: httpx2.Client) -> None:
    with ThreadPoolExecutor(2) as programs:
        of_anna = programs.submit(anna.post, "/sdapi/v1/txt2img", json={**LONG, "force_task_id": "mine"})
        eventually(lambda: progress(anna)["state"]["sampling_step"] > 1)
        told = progress(anna)
        assert 0 < told["progress"] < 1 and told["current_image"] and told["state"]["job"] == "mine"
        assert idle(ben)
        ben.post("/sdapi/v1/interrupt")
        ben.post("/sdapi/v1/skip")
        asked = {"id_task": "mine", "id_live_preview": -1}
        assert ben.post("/internal/progress", json=asked).json()["textinfo"] == "Waiting..."
        mine = anna.post("/internal/progress", json=asked).json()
        assert mine["active"] and mine["live_preview"].startswith("data:image/jpeg;base64,")
        of_ben = programs.submit(ben.post, "/sdapi/v1/txt2img", json={**SMALL, "force_task_id": "his"})
        eventually(lambda: ben.get("/internal/pending-tasks").json()["size"])
        assert ben.get("/internal/pending-tasks").json()["tasks"] == ["his"]
        assert anna.get("/internal/pending-tasks").json()["tasks"] == []
        queued = ben.post("/internal/progress", json={"id_task": "his"}).json()
        assert queued["queued"] and queued["textinfo"].startswith("In queue")
        step = progress(anna)["state"]["sampling_step"]
        eventually(lambda: progress(anna)["state"]["sampling_step"] > step)  # it goes on
        anna.post("/sdapi/v1/interrupt")
        assert of_anna.result().status_code == 200 and of_anna.result().json()["images"] == []
        assert json.loads(of_anna.result().json()["info"])["state"] == "stopped"
        assert len(of_ben.result().json()["images"]) == 1
    assert anna.post("/internal/progress", json={"id_task": "mine"}).json()["completed"]


def test_an_interrupt_lets_the_page_s_job_go_on(anna: httpx2.Client, runtime: Runtime) -> None:
    from webui.domain.request import GenerationRequest

    job = runtime.generate(GenerationRequest(**LONG), "anna")
    eventually(lambda: progress(anna)["state"]["sampling_step"])  # it is shown
    anna.post("/sdapi/v1/interrupt")
    step = job.snapshot().step
    assert step is not None
    eventually(lambda: (job.snapshot().step or step).step > step.step)
    job.stop()
    assert job.wait().state == "stopped"


def test_skip_goes_on_with_the_next_batch(anna: httpx2.Client) -> None:
    with ThreadPoolExecutor(1) as program:
        answer = program.submit(anna.post, "/sdapi/v1/txt2img", json={**LONG, "n_iter": 2})
        eventually(lambda: progress(anna)["state"]["sampling_step"] > 1)
        anna.post("/sdapi/v1/skip")
        eventually(lambda: progress(anna)["state"]["job_no"] == 1)
        anna.post("/sdapi/v1/interrupt")
        assert answer.result().json()["images"] == []


def test_a_client_that_goes_away_stops_its_own_job(
    ask: Ask, port: int, tokens: dict[str, str], runtime: Runtime
) -> None:
    other = runtime.generate(_long_request(), "anna")
    headers = {"Authorization": f"Bearer {tokens['ben']}"}
    with (
        httpx2.Client(base_url=f"http://127.0.0.1:{port}", headers=headers, timeout=0.5) as impatient,
        pytest.raises(httpx2.TimeoutException),
    ):
        impatient.post("/sdapi/v1/txt2img", json=LONG)
    eventually(lambda: not runtime.jobs("ben"))
    assert not other.snapshot().is_final
    other.stop()
    other.wait()


def _long_request() -> Any:
    from webui.domain.request import GenerationRequest

    return GenerationRequest(**LONG)


def test_options_are_the_caller_s_own(anna: httpx2.Client, ben: httpx2.Client, runtime: Runtime) -> None:
    before = ben.get("/sdapi/v1/options").json()
    wanted = {"CLIP_stop_at_last_layers": 2, "sd_vae": "None", "send_seed": not before["send_seed"], "s_noise": 1.01}
    assert anna.post("/sdapi/v1/options", json=wanted).json() is None
    shown = anna.get("/sdapi/v1/options").json()
    assert {name: shown[name] for name in wanted} == wanted
    assert ben.get("/sdapi/v1/options").json() == before
    told = json.loads(anna.post("/sdapi/v1/txt2img", json={**SMALL, "s_noise": 1.0}).json()["info"])
    assert told["clip_skip"] == 2
    assert json.loads(ben.post("/sdapi/v1/txt2img", json=SMALL).json()["info"])["clip_skip"] == 1
    folder = runtime.settings.var_dir / "api-options"
    assert CallerOptions(runtime, folder).parameters("anna")["clip_skip"] == 2, "kept for the next start"
    anna.post("/sdapi/v1/options", json={name: before[name] for name in wanted})
    assert anna.get("/sdapi/v1/options").json() == before


def test_a_client_may_post_all_options_back(anna: httpx2.Client) -> None:
    """open-webui does, and some are the server's."""
    shown = anna.get("/sdapi/v1/options").json()
    changed = {**shown, "outdir_samples": "/etc", "made_up": 1, "samples_format": "exe"}
    answer = anna.post("/sdapi/v1/options", json=changed)
    assert answer.status_code == 200
    assert set(json.loads(answer.headers["x-lucid-ignored"])) == {"outdir_samples", "made_up", "samples_format"}
    assert anna.get("/sdapi/v1/options").json() == shown


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"sd_model_checkpoint": "lucid-startr"}, 'Did you mean "lucid-starter"'),
        ({"CLIP_stop_at_last_layers": 99, "s_noise": 1.02}, "must be between 1 and 12"),
        ({"send_seed": "x" * 9999}, "send_seed must be like True"),
        ({"emphasis": "Much"}, "must be one of"),
        (["sd_vae"], "must be a JSON object"),
    ],
)
def test_an_option_that_cannot_be_changes_nothing(anna: httpx2.Client, options: Any, sentence: str) -> None:
    before = anna.get("/sdapi/v1/options").json()
    answer = anna.post("/sdapi/v1/options", json=options)
    assert answer.status_code == 422 and sentence in answer.json()["detail"]
    assert anna.get("/sdapi/v1/options").json() == before


def test_two_who_alternate_each_get_the_pictures_they_get_alone(anna: httpx2.Client, ben: httpx2.Client) -> None:
    tiny = {**SMALL, "width": 64, "height": 64, "override_settings": {"sd_model_checkpoint": "tiny"}}
    alone = (
        anna.post("/sdapi/v1/txt2img", json=SMALL).json()["images"],
        ben.post("/sdapi/v1/txt2img", json=tiny).json()["images"],
    )
    with ThreadPoolExecutor(2) as programs:

        def draw(turn: int) -> Any:
            client, sent = (anna, SMALL) if turn % 2 else (ben, tiny)
            return client.post("/sdapi/v1/txt2img", json=sent).json()["images"]

        for turn, images in enumerate(programs.map(draw, range(6))):
            assert images == alone[0 if turn % 2 else 1]


def test_models_are_let_go_by_an_administrator_and_come_back(anna: httpx2.Client, ben: httpx2.Client) -> None:
    before = anna.post("/sdapi/v1/txt2img", json=SMALL).json()["images"]
    assert ben.post("/sdapi/v1/unload-checkpoint").status_code == 403
    assert anna.post("/sdapi/v1/unload-checkpoint").json() == {}
    job = anna.post("/api/v1/jobs", json={**SMALL, "batch_count": 2}).json()["id"]
    seen = anna.get(f"/api/v1/jobs/{job}/events").text
    assert anna.post("/sdapi/v1/reload-checkpoint").json() == {}
    assert anna.post("/sdapi/v1/txt2img", json=SMALL).json()["images"] == before
    assert '"state": "done"' in seen
