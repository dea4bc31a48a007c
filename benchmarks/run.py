"""Ratios between Lucid and what it is built on, each measured in one run on one machine:

    python benchmarks/run.py [--only step,load,start,sd15,sampler,lora,cards,vae,serving] [--cache FOLDER]

Seconds mean little on another machine; ratios travel. Each pair is run turn about, so that a machine that slows down
slows both, and the medians are compared. ``docs/benchmarks.md`` holds the figures of the last run.
"""

from __future__ import annotations

import argparse
import copy
import gc
import json
import os
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from statistics import median

os.environ["HF_HUB_OFFLINE"] = "1"
ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))


def turn_about(repeats: int, **runs: Callable[[], float]) -> dict[str, float]:
    """Median seconds of each, run one after the other ``repeats`` times."""
    times: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(repeats):
        for name, run in runs.items():
            gc.collect()
            times[name].append(run())
    return {name: median(values) for name, values in times.items()}


def seconds(run: Callable[[], object]) -> float:
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def stopwatch(module) -> list[float]:  # type: ignore[no-untyped-def]
    """A list of one number that grows by the seconds which each call of the network takes."""
    spent = [0.0]

    def begin(module, args, kwargs):  # type: ignore[no-untyped-def]
        spent[0] -= time.perf_counter()

    def end(module, args, kwargs, output):  # type: ignore[no-untyped-def]
        spent[0] += time.perf_counter()

    module.register_forward_pre_hook(begin, with_kwargs=True)
    module.register_forward_hook(end, with_kwargs=True)
    return spent


def tell(what: str, ratio: float, detail: str) -> None:
    print(f"{ratio:6.2f}  {what}  ({detail})", flush=True)


def manager_and_selection(checkpoint: Path, budget: int = 2**34):  # type: ignore[no-untyped-def]
    from webui.engine.device import choose_compute, find_hardware
    from webui.engine.model_manager import ModelManager, Selection
    from webui.library.index import Library

    library = Library({"checkpoint": (checkpoint.parent,)}, Path(tempfile.mkdtemp()) / "hashes.sqlite3")
    library.rescan()
    models = ModelManager(choose_compute("auto", "auto", find_hardware()), budget)
    return models, Selection(library.find("checkpoint", checkpoint.stem))


def step_and_picture(checkpoint: Path, side: int, steps: int, repeats: int) -> None:
    """The same weights, seed-sized noise, sampler and guidance in our loop and in diffusers' StableDiffusionPipeline."""
    import torch
    from diffusers import EulerDiscreteScheduler, StableDiffusionPipeline

    from webui.domain.request import GenerationRequest
    from webui.engine.generate import Options, generate_batch

    models, selection = manager_and_selection(checkpoint)
    list(models.load(selection))
    with models.use(selection) as model:
        parts = model.checkpoint
        network = parts.unet
        width = network.config.cross_attention_dim
        theirs = copy.deepcopy(network).to(memory_format=torch.contiguous_format)  # as diffusers loads it
        in_calls, in_their_calls, in_decoder = map(stopwatch, (network, theirs, parts.vae.decoder))
        pipeline = StableDiffusionPipeline(
            unet=theirs,
            vae=parts.vae,
            text_encoder=parts.text_encoders["text_encoder"],
            tokenizer=None,
            scheduler=EulerDiscreteScheduler.from_config(
                {**parts.scheduler_config, "steps_offset": 1}, timestep_spacing="linspace"
            ),
            safety_checker=None,
            feature_extractor=None,
            requires_safety_checker=False,
        )
        pipeline.set_progress_bar_config(disable=True)
        embeddings = torch.randn(1, 77, width)
        request = GenerationRequest(
            prompt="a cat", width=side, height=side, steps=steps, seed=1, sampler="Euler", schedule="Uniform"
        )

        inside: dict[str, list[float]] = {"lucid": [], "diffusers": []}
        decoding: list[float] = []

        def run_ours() -> float:
            in_calls[0] = in_decoder[0] = 0.0
            taken = seconds(lambda: list(generate_batch(request, 0, models, selection, Options(preview="linear"))))
            inside["lucid"].append(in_calls[0] / taken)
            decoding.append(in_decoder[0] / taken)
            return taken

        def run_theirs() -> float:
            in_their_calls[0] = 0.0
            taken = seconds(
                lambda: pipeline(
                    prompt_embeds=embeddings,
                    negative_prompt_embeds=embeddings,
                    width=side,
                    height=side,
                    num_inference_steps=steps,
                    guidance_scale=7.0,
                )
            )
            inside["diffusers"].append(in_their_calls[0] / taken)
            return taken

        for run in (run_ours, run_theirs):
            run()  # warm up
        for values in (*inside.values(), decoding):
            values.clear()
        taken = turn_about(repeats, lucid=run_ours, diffusers=run_theirs)
        name = f"{checkpoint.stem}, {side} x {side}, {steps} steps"
        tell(
            f"whole picture over diffusers' pipeline: {name}",
            taken["lucid"] / taken["diffusers"],
            f"{taken['lucid']:.2f} s over {taken['diffusers']:.2f} s",
        )
        share = {key: median(values) for key, values in inside.items()}
        per_step = {key: taken[key] * share[key] / steps for key in taken}
        tell(
            f"seconds per step over diffusers' pipeline: {name}",
            per_step["lucid"] / per_step["diffusers"],
            f"{per_step['lucid'] * 1e3:.0f} ms over {per_step['diffusers'] * 1e3:.0f} ms in the network",
        )
        around = taken["lucid"] * (1 - share["lucid"] - median(decoding))
        tell(
            f"time around U-Net and VAE over the whole picture: {name}",
            around / taken["lucid"],
            f"{around * 1e3:.0f} ms: text encoder, sampler, previews",
        )


# run in a process of its own, so that the peak is that of one loading alone
LOADING = """
import json, sys, time
sys.path.insert(0, {root!r})
how, path = {how!r}, {path!r}
def peak():
    return next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmHWM")) * 1024
if how == "read":
    start = time.perf_counter()
    with open(path, "rb", buffering=0) as file:
        buffer = bytearray(1 << 24)
        while file.readinto(buffer): pass
else:
    import torch, diffusers
    from diffusers import AutoencoderKL, StableDiffusionPipeline, UNet2DConditionModel
    from transformers import CLIPTextModel, CLIPTokenizer
    if how == "lucid":
        from pathlib import Path
        sys.path.insert(0, {root!r} + "/benchmarks")
        from run import manager_and_selection
        models, selection = manager_and_selection(Path(path))
    before = peak()
    start = time.perf_counter()
    if how == "lucid":
        for _ in models.load(selection): pass
    else:
        from webui.engine.tokenizer import CLIP_MERGES, read_merges
        sd = {root!r} + "/webui/data/sd1"
        dtype = torch.float32
        unet = UNet2DConditionModel.from_single_file(path, config=sd + "/unet.json", torch_dtype=dtype)
        vae = AutoencoderKL.from_single_file(path, config=sd + "/vae.json", torch_dtype=dtype)
seconds = time.perf_counter() - start
print(json.dumps(dict(seconds=seconds, peak=peak(), before=before if how != "read" else 0)))
"""


def loading(checkpoint: Path, repeats: int) -> None:
    """Cold in the sense of a fresh process; the file is in the page cache for all three."""

    def run(how: str) -> dict[str, float]:
        code = LOADING.format(root=str(ROOT), how=how, path=str(checkpoint))
        done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
        return json.loads(done.stdout.splitlines()[-1])  # type: ignore[no-any-return]

    results: dict[str, list[dict[str, float]]] = {"read": [], "lucid": [], "diffusers": []}
    for _ in range(repeats):
        for how, rows in results.items():
            rows.append(run(how))
    taken = {how: median(row["seconds"] for row in rows) for how, rows in results.items()}
    size = checkpoint.stat().st_size
    tell(
        "loading a 2 GB checkpoint over reading the file",
        taken["lucid"] / taken["read"],
        f"{taken['lucid']:.2f} s over {taken['read']:.2f} s",
    )
    tell(
        "loading a 2 GB checkpoint over diffusers' from_single_file",
        taken["lucid"] / taken["diffusers"],
        f"{taken['lucid']:.2f} s, with the text encoder, over {taken['diffusers']:.2f} s without",
    )
    peak = median(row["peak"] - row["before"] for row in results["lucid"])
    weights = size * 2  # float16 in the file, float32 on a CPU
    tell(
        "peak memory of loading over the weights in memory",
        peak / weights,
        f"{peak / 1e9:.2f} GB over {weights / 1e9:.2f} GB in float32",
    )


def samplers(checkpoint: Path, repeats: int) -> None:
    """What each sampler calculates and draws between two calls of the network, over a call at 512 x 512 with guidance."""
    import torch

    from webui.domain.samplers import SAMPLERS
    from webui.engine.noise import BatchNoise, PictureNoise
    from webui.engine.samplers import build
    from webui.engine.sampling import sampling_noise

    models, selection = manager_and_selection(checkpoint)
    list(models.load(selection))
    with models.use(selection) as model, torch.inference_mode():
        device = model.compute.device
        shape = (4, 64, 64)
        text = torch.randn(2, 77, model.checkpoint.unet.config.cross_attention_dim, device=device)
        network, x = model.network(), torch.randn(2, *shape, device=device)

        def call() -> None:
            network(x, 500.0, text).sum().item()  # waits for the device

        def run(name: str) -> float:
            """Seconds per call; what the network would answer costs next to nothing."""
            scheduler = build(name, "Automatic", 20, model.checkpoint.scheduler_config)
            noise = BatchNoise([PictureNoise(1, shape, device)])
            latents = noise.first() * scheduler.init_noise_sigma
            begin = time.perf_counter()
            latents = scheduler.begin(latents, sampling_noise(scheduler, noise))
            while not scheduler.done:
                output = scheduler.scale_model_input(latents)
                denoised = scheduler.predict_x0(output, latents)
                latents = scheduler.advance(denoised, denoised)
            latents.sum().item()
            return (time.perf_counter() - begin) / scheduler.call

        call()
        per_call = median(seconds(call) for _ in range(repeats))
        costs = {row.name: median(run(row.name) for _ in range(repeats)) for row in SAMPLERS}
        for name in sorted(costs, key=lambda name: -costs[name]):
            detail = f"{costs[name] * 1e3:.2f} ms over {per_call * 1e3:.0f} ms"
            tell(f"% of a U-Net call: {name}", 100 * costs[name] / per_call, detail)


def start(repeats: int) -> None:
    """From ``python app.py`` to the first answered page, over a bare ``import gradio`` in the same Python."""

    def serve() -> float:
        with tempfile.TemporaryDirectory() as folder:
            begin = time.perf_counter()
            server = subprocess.Popen(
                [
                    *(sys.executable, "app.py", "--no-browser", "--port", "0"),
                    *("--data-dir", folder, "--models-dir", str(ROOT / "models")),
                ],
                cwd=ROOT,
                stdout=subprocess.PIPE,
                text=True,
            )
            try:
                assert server.stdout is not None
                line = next(line for line in server.stdout if "http://" in line)
                address = "http://" + line.split("http://", 1)[1].split()[0].rstrip(".,")
                urllib.request.urlopen(address).read()
                return time.perf_counter() - begin
            finally:
                server.terminate()
                server.wait()

    def bare() -> float:
        return seconds(lambda: subprocess.run([sys.executable, "-c", "import gradio"], check=True))

    taken = turn_about(repeats, page=serve, gradio=bare)
    tell(
        "python app.py to the first answered page over import gradio",
        taken["page"] / taken["gradio"],
        f"{taken['page']:.2f} s over {taken['gradio']:.2f} s",
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument(
        "--only",
        default="step,load,start",
        help="comma-separated: step, load, start, sd15, sampler, lora, cards, vae, serving",
    )
    parser.add_argument("--cache", type=Path, default=Path(tempfile.gettempdir()) / "lucid-benchmarks")
    parser.add_argument("--repeats", type=int, default=5)
    arguments = parser.parse_args()
    wanted = set(arguments.only.split(","))
    print(" ratio", flush=True)
    if "start" in wanted:
        start(arguments.repeats)
    if "cards" in wanted:
        from cards import many_cards

        many_cards(arguments.cache, seconds, tell)
    if "vae" in wanted:
        from vae import large_pictures

        large_pictures(384, seconds, tell)
    if "serving" in wanted:
        from serving import many_users

        many_users(50, 20, tell)
    if "step" in wanted:
        starter = ROOT / "models" / "checkpoints" / "lucid-starter.safetensors"
        step_and_picture(starter, side=128, steps=20, repeats=arguments.repeats)
    if wanted & {"load", "sd15", "sampler", "lora"}:
        from random_checkpoint import write_sd15

        checkpoint = write_sd15(arguments.cache / "sd15-random.safetensors")
        if "sampler" in wanted:
            samplers(checkpoint, arguments.repeats)
        if "lora" in wanted:
            from lora import put_on_and_off

            put_on_and_off(
                *manager_and_selection(checkpoint), arguments.cache, seconds, turn_about, tell, arguments.repeats
            )
        if "load" in wanted:
            loading(checkpoint, arguments.repeats)
        if "sd15" in wanted:
            step_and_picture(checkpoint, side=256, steps=3, repeats=max(2, arguments.repeats // 2))


if __name__ == "__main__":
    main()
