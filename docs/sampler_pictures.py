"""Draw the pictures of docs/samplers.md with the checkpoint that ships:

    python docs/sampler_pictures.py                 # all of them: about 20 minutes on two cores
    python docs/sampler_pictures.py schedules       # only these: grid, schedules, convergence

They land in docs/images: ``samplers.webp``, what each sampler makes of so many steps; ``schedules.svg``, which noise levels
each schedule visits; ``convergence.svg``, how far each sampler is from where it would arrive with ever more steps.
"""

from __future__ import annotations

import argparse
import html
import math
import os
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

os.environ["HF_HUB_OFFLINE"] = "1"
ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import torch  # noqa: E402
from PIL import Image, ImageDraw, ImageFont  # noqa: E402

from webui.domain.noise_levels import NoiseModel, scaled_linear_alphas_cumprod  # noqa: E402
from webui.domain.request import GenerationRequest  # noqa: E402
from webui.domain.samplers import SAMPLERS, Sampler  # noqa: E402
from webui.domain.schedules import SCHEDULES  # noqa: E402
from webui.engine.device import choose_compute, find_hardware  # noqa: E402
from webui.engine.latents import decode, to_images  # noqa: E402
from webui.engine.model_manager import Model, ModelManager, Selection  # noqa: E402
from webui.engine.sampling import Options, sample  # noqa: E402
from webui.library.index import Library  # noqa: E402
from webui.tabs import schedule_plot  # noqa: E402

IMAGES = ROOT / "docs" / "images"
REQUEST = GenerationRequest(prompt="a sunflower in a meadow", width=128, height=128, cfg_scale=2.5, seed=0)
CFGPP_SCALE = 0.4  # the λ of CFG++, which lies between 0 and 1
GRID_STEPS = (4, 7, 10, 20, 40)
SCHEDULE_STEPS = 10
CONVERGENCE_STEPS = (4, 6, 10, 16, 25, 40, 63, 100)
REFERENCE_STEPS = 1000

Curve = Sequence[tuple[float, float]]
"""(network calls, distance) by rising number of steps."""

LIGHT_AND_DARK = """<style>
text { font: 11px system-ui, "Segoe UI", "DejaVu Sans", sans-serif; fill: #475569; }
text.title { font-weight: 600; fill: #0f172a; }
.page { fill: #ffffff; } .grid { stroke: #e2e8f0; } .even { stroke: #64748b; stroke-dasharray: 2 3; }
polyline { fill: none; stroke-width: 1.5; stroke-linejoin: round; }
.sigma { fill: #6366f1; } polyline.sigma { stroke: #6366f1; fill: none; }
.timestep { fill: #64748b; } polyline.timestep { stroke: #64748b; stroke-width: 1; fill: none; } .pointed { display: none; }
@media (prefers-color-scheme: dark) {
  text { fill: #94a3b8; } text.title { fill: #f1f5f9; } .page { fill: #0f172a; } .grid { stroke: #334155; }
  .sigma { fill: #818cf8; } polyline.sigma { stroke: #818cf8; fill: none; }
  .timestep { fill: #94a3b8; } polyline.timestep { stroke: #94a3b8; fill: none; }
}
</style>"""
COLOURS = ("#6366f1", "#dc2626", "#059669", "#d97706", "#0891b2", "#c026d3", "#65a30d", "#78716c", "#2563eb", "#be185d")


def main() -> None:
    drawings: Mapping[str, Callable[[], None]] = {
        "schedules": draw_schedules,
        "grid": draw_grid,
        "convergence": draw_convergence,
    }
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pictures", nargs="*", help=", ".join(drawings))
    for name in parser.parse_args().pictures or drawings:
        drawings[name]()


# ---- what each sampler makes of so many steps


def draw_grid() -> None:
    """A row for each sampler, a column for each number of steps, each on the sampler's own schedule."""
    side, left, top, gap = REQUEST.width, 170, 26, 2
    size = (left + len(GRID_STEPS) * (side + gap), top + len(SAMPLERS) * (side + gap))
    grid = Image.new("RGB", size, "white")
    pen, font = ImageDraw.Draw(grid), ImageFont.load_default(15)
    for column, steps in enumerate(GRID_STEPS):
        pen.text((left + column * (side + gap) + side / 2, top / 2), f"{steps} steps", "black", font, "mm")
    with starter() as model:
        for row, sampler in enumerate(SAMPLERS):
            y = top + row * (side + gap)
            pen.text((4, y + side / 2), sampler.name, "black", font, "lm")
            for column, steps in enumerate(GRID_STEPS[:1] if sampler.adaptive else GRID_STEPS):
                latents, calls = drawn(model, request_for(sampler, steps))
                grid.paste(to_images(decode(model.vae, latents, tiled=False))[0], (left + column * (side + gap), y))
                if sampler.adaptive:
                    words = f"chooses its own steps: {calls} calls"
                    pen.text((left + side + 12, y + side / 2), words, "black", font, "lm")
            print(f"grid: {sampler.name}", flush=True)
    grid.save(IMAGES / "samplers.webp", quality=80, method=6)


def request_for(sampler: Sampler, steps: int) -> GenerationRequest:
    scales = {"DDIM CFG++": CFGPP_SCALE * 12.5}  # it divides by as much
    own = scales.get(sampler.name, CFGPP_SCALE if "CFG++" in sampler.name else REQUEST.cfg_scale)
    return replace(REQUEST, sampler=sampler.name, steps=steps, cfg_scale=own)


@contextmanager
def starter() -> Iterator[Model]:
    """The checkpoint that ships, in memory."""
    with tempfile.TemporaryDirectory() as folder:
        library = Library({"checkpoint": (ROOT / "models" / "checkpoints",)}, Path(folder) / "hashes.sqlite3")
        library.rescan()
        models = ModelManager(choose_compute("auto", "auto", find_hardware()), 2**32)
        selection = Selection(library.find("checkpoint", "lucid-starter"))
        for _ in models.load(selection):
            pass
        with models.use(selection) as model:
            yield model


def drawn(model: Model, request: GenerationRequest) -> tuple[torch.Tensor, int]:
    """The finished latent (1, 4, h/8, w/8) of a single picture, and how often the network was called."""
    run, calls = sample(request, 0, [request], model, Options(preview="off"), 1), 0
    while True:
        try:
            next(run)
        except StopIteration as end:
            return end.value, calls
        calls += 1


# ---- which noise levels each schedule visits


def draw_schedules() -> None:
    """The page's own plot of every schedule, for Stable Diffusion 1.x."""
    model = NoiseModel.from_alphas_cumprod(scaled_linear_alphas_cumprod())
    across, wide, high = 4, 275, 164
    rows = [row for row in SCHEDULES if row.function is not None]
    plots = []
    for place, row in enumerate(rows):
        x, y = place % across * wide, place // across * high
        visited = [(sigma, model.sigma_to_t(sigma)) for sigma in row.sigmas(SCHEDULE_STEPS, model)]
        plot = schedule_plot.draw(visited).replace("<svg ", f'<svg x="{x}" y="{y + 24}" width="260" height="120" ', 1)
        title = _text(x + 26, y + 18, row.name, "title")
        plots.append(title + plot + _text(x + 26, y + 156, schedule_plot.summary(visited)))
    _write("schedules.svg", across * wide, math.ceil(len(rows) / across) * high + 6, plots)


# ---- how far each sampler is from where it would arrive


def draw_convergence() -> None:
    """Four panels: samplers that solve the ODE, A1111's and further ones, and samplers that add noise, of either kind."""
    with starter() as model:
        curves = measure_convergence(model)
    rows = [row for row in SAMPLERS if row.name in curves]
    quiet = [row.name for row in rows if not row.brownian and not row.ancestral]
    since = quiet.index("UniPC") + 1  # A1111's are those up to here
    panels = {
        "no noise added": quiet[:since],
        "no noise added, further ones, and Euler": ["Euler", *quiet[since:]],
        "noise of a Brownian path added": [row.name for row in rows if row.brownian],
        "fresh noise added": [row.name for row in rows if row.ancestral],
    }
    wide, high = 440, 360
    drawn = [
        _panel(title, {name: curves[name] for name in names}, place % 2 * wide, place // 2 * high, wide, high)
        for place, (title, names) in enumerate(panels.items())
    ]
    _write("convergence.svg", 2 * wide, 2 * high, drawn)


def measure_convergence(model: Model) -> dict[str, Curve]:
    """Relative distance of the final latent to that of very many steps, by network calls.

    All run along Karras, except those that place their noise levels themselves. The reference is Heun's, which solves the ODE
    that all samplers without noise solve; one that follows a Brownian path has its own. There is none for those that add
    fresh noise: they arrive elsewhere each time, and Heun's shows how far apart that is. CFG++ is left out, since it adds
    as much guidance in each step however short the step is, and arrives nowhere.
    """

    def final(sampler: Sampler, steps: int) -> tuple[torch.Tensor, int]:
        schedule = "Karras" if sampler.accepts("Karras") else "Automatic"
        return drawn(model, replace(request_for(sampler, steps), schedule=schedule))

    heun, _ = final(next(row for row in SAMPLERS if row.name == "Heun"), REFERENCE_STEPS)
    curves: dict[str, Curve] = {}
    for sampler in SAMPLERS:
        if "CFG++" in sampler.name:
            continue
        reference = final(sampler, REFERENCE_STEPS)[0] if sampler.brownian else heun
        curve = []
        for steps in CONVERGENCE_STEPS[:1] if sampler.adaptive else CONVERGENCE_STEPS:
            latents, calls = final(sampler, steps)
            distance = torch.linalg.vector_norm(latents - reference) / torch.linalg.vector_norm(reference)
            curve.append((calls, distance.item()))
        curves[sampler.name] = curve
        print(
            f"convergence: {sampler.name}", " ".join(f"{calls}:{distance:.3g}" for calls, distance in curve), flush=True
        )
    return curves


def _panel(title: str, curves: Mapping[str, Curve], left: float, top: float, wide: float, high: float) -> str:
    """A plot with two logarithmic axes; each curve has its name at its end."""
    x0, x1, y0, y1 = left + 46, left + wide - 130, top + high - 44, top + 34
    calls, distances = (3, 300), (1e-4, 5.0)

    def x(value: float) -> float:
        return x0 + (x1 - x0) * math.log(value / calls[0]) / math.log(calls[1] / calls[0])

    def y(value: float) -> float:
        part = math.log(max(value, distances[0]) / distances[0]) / math.log(distances[1] / distances[0])
        return y0 + (y1 - y0) * part

    parts = [_text(x0, top + 20, title, "title")]
    for decade in (1e-4, 1e-3, 1e-2, 1e-1, 1):
        parts.append(f'<line class="grid" x1="{x0}" x2="{x1}" y1="{y(decade):.1f}" y2="{y(decade):.1f}"/>')
        parts.append(_text(x0 - 6, y(decade) + 4, f"{decade:g}", anchor="end"))
    for count in (5, 10, 20, 50, 100, 200):
        parts.append(f'<line class="grid" x1="{x(count):.1f}" x2="{x(count):.1f}" y1="{y0}" y2="{y1}"/>')
        parts.append(_text(x(count), y0 + 16, str(count), anchor="middle"))
    parts.append(_text((x0 + x1) / 2, y0 + 32, "network calls", anchor="middle"))
    ends = sorted(curves, key=lambda name: curves[name][-1][1], reverse=True)
    label = -math.inf
    for place, name in enumerate(ends):
        colour, dash = COLOURS[place % len(COLOURS)], ("", "5 3", "2 2")[place // len(COLOURS)]
        points = [(x(count), y(distance)) for count, distance in curves[name]]
        path = " ".join(f"{px:.1f},{py:.1f}" for px, py in points)
        parts.append(f'<polyline points="{path}" stroke="{colour}" stroke-dasharray="{dash}"/>')
        if len(points) == 1:
            parts.append(f'<circle cx="{points[0][0]:.1f}" cy="{points[0][1]:.1f}" r="3" fill="{colour}"/>')
        label = max(label + 13, points[-1][1] + 4)
        leader = f"{points[-1][0]:.1f},{points[-1][1]:.1f} {x1 + 10},{label - 4:.1f}"
        parts.append(f'<polyline points="{leader}" stroke="{colour}" stroke-width="0.7" stroke-dasharray="1 3"/>')
        parts.append(_text(x1 + 13, label, name, style=f"fill: {colour}"))
    return "".join(parts)


def _text(x: float, y: float, words: str, css: str = "", anchor: str = "start", style: str = "") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" class="{css}" text-anchor="{anchor}" style="{style}">{html.escape(words)}</text>'


def _write(name: str, wide: int, high: int, parts: Sequence[str]) -> None:
    page = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {wide} {high}" width="{wide}" height="{high}">'
    background = f'<rect class="page" width="{wide}" height="{high}"/>'
    drawing = "\n".join([page, LIGHT_AND_DARK, background, *parts, "</svg>"])
    (IMAGES / name).write_text(drawing + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
