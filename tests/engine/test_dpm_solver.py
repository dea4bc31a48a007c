"""DPM fast and DPM adaptive: where they go, and what they do when a run is as short or as odd as can be."""

import math

import pytest
import torch
from references.mixture import posterior_mean
from references.mixture_run import SHAPE, drawn, error, fresh

from webui.engine.samplers import build
from webui.engine.schedulers.dpm_solver import DPMAdaptiveScheduler, DPMFastScheduler, dpm_solver_23_step
from webui.errors import NumericalFailure

ORDERS = {1: [1], 2: [2], 3: [2, 1], 4: [3, 1], 5: [3, 2], 6: [3, 2, 1], 7: [3, 3, 1], 20: [3] * 6 + [2]}


def run(scheduler, denoiser=posterior_mean, start=None):
    """(result, levels asked for), one picture."""
    numbers = fresh()
    x = drawn(0)[:1].float() * scheduler.init_noise_sigma if start is None else start
    x = scheduler.begin(x, lambda *levels: next(numbers)[:1].float())
    asked = []
    while not scheduler.done:
        asked.append(scheduler.level)
        x = scheduler.advance(denoiser(x, scheduler.level))
    return x, asked


@pytest.mark.parametrize(("calls", "orders"), ORDERS.items())
def test_dpm_fast_shares_the_calls_out_to_steps_even_in_log_sigma(calls, orders):
    scheduler = build("DPM fast", "Automatic", calls, {}, eta=0.0)
    _, asked = run(scheduler)
    high, low = scheduler.noise_model.sigma_max, scheduler.noise_model.sigma_min
    steps = [high * (low / high) ** (i / len(orders)) for i in range(len(orders) + 1)]
    within = {1: [0.0], 2: [0.0, 1 / 2], 3: [0.0, 1 / 3, 2 / 3]}
    expected = [
        sigma * (steps[i + 1] / sigma) ** part for i, sigma in enumerate(steps[:-1]) for part in within[orders[i]]
    ]
    assert asked == pytest.approx(expected)
    assert len(scheduler.timesteps) == calls


@pytest.mark.parametrize("sampler", ["DPM fast", "DPM adaptive"])
@pytest.mark.parametrize("eta", [0.0, 1.0])
def test_leaves_as_much_noise_as_a1111_does(sampler, eta):
    """Of a single point the ideal denoiser knows the picture; what differs from it in the end is the last level's noise."""
    scheduler = build(sampler, "Automatic", 30, {}, eta=eta)
    point = torch.full(SHAPE[1:], 0.3)[None].repeat(1, 1, 20, 20)
    start = torch.randn(point.shape, generator=torch.Generator().manual_seed(1)) * scheduler.init_noise_sigma
    generator = torch.Generator().manual_seed(2)
    x = scheduler.begin(start, lambda *levels: torch.randn(point.shape, generator=generator))
    while not scheduler.done:
        x = scheduler.advance(point)
    assert (x - point).std().item() == pytest.approx(scheduler.noise_model.sigma_min, rel=0.05)


def test_the_third_order_step_is_of_third_order():
    """x0 of variance 0.5: the ideal denoiser is x/(1 + 2σ²), and the exact path of a picture is x ∝ √(1 + 2σ²)."""

    def errors(ratio):
        x = torch.tensor(1.0, dtype=torch.float64)
        step = dpm_solver_23_step(x, x / 3, 1.0, ratio)
        u, sigma = next(step)
        try:
            while True:
                u, sigma = step.send(u / (1 + 2 * sigma**2))
        except StopIteration as stop:
            exact = math.sqrt((1 + 2 * ratio**2) / 3)
            return [abs(result.item() - exact) for result in stop.value]

    (low, high), (low_of_half, high_of_half) = errors(0.8), errors(math.sqrt(0.8))
    assert math.log2(low / low_of_half) == pytest.approx(3, abs=0.3), "an error of h³ is second order"
    assert math.log2(high / high_of_half) == pytest.approx(4, abs=0.3), "an error of h⁴ is third order"


def test_dpm_adaptive_takes_more_steps_where_it_is_asked_to_be_more_exact():
    class Strict(DPMAdaptiveScheduler):
        rtol, atol = 1e-4, 1e-4

    exact, loose, strict = (
        build("LMS", "Automatic", 400, {}),
        build("DPM adaptive", "Automatic", 1, {}, eta=0.0),
        Strict(eta=0.0),
    )
    strict.set_timesteps(sigmas=loose.levels)
    exact.set_timesteps(sigmas=[loose.levels[0] * 0.002 ** (i / 400) for i in range(401)])
    end = exact.levels[-1]
    loose.set_timesteps(sigmas=[exact.levels[0], end])
    strict.set_timesteps(sigmas=[exact.levels[0], end])
    (there, _), (near, few), (nearer, many) = run(exact), run(loose), run(strict)
    assert 2 * len(few) < len(many) < 1000
    assert error(nearer, there.double()) < error(near, there.double()) / 10
    assert len(few) % 3 == len(many) % 3 == 0


def test_dpm_adaptive_does_not_heed_the_number_of_steps():
    few, many = (run(build("DPM adaptive", "Automatic", steps, {}))[0] for steps in (2, 150))
    assert torch.equal(few, many)


def test_a_network_that_jumps_is_told_of_instead_of_followed_for_ever():
    scheduler, sign = build("DPM adaptive", "Automatic", 20, {}), iter([1.0, -1.0] * 1000)
    with pytest.raises(NumericalFailure, match="Try another sampler"):
        run(scheduler, lambda x, sigma: torch.full_like(x, 100.0 * next(sign)))


@pytest.mark.parametrize("sigmas", [[0.5, 0.0], [0.01, 0.0], [5.0, 1.0], [5.0, 1.0, 0.0]])
@pytest.mark.parametrize("cls", [DPMFastScheduler, DPMAdaptiveScheduler])
def test_the_shortest_runs(cls, sigmas):
    scheduler = cls()
    scheduler.set_timesteps(sigmas=sigmas)
    x, asked = run(scheduler)
    assert x.isfinite().all()
    assert asked[0] == sigmas[0]
    assert min(asked) > 0


def test_dpm_adaptive_cannot_begin_in_the_middle_nor_in_a_pipeline():
    scheduler = build("DPM adaptive", "Automatic", 20, {})
    scheduler.set_begin_index(3)
    with pytest.raises(ValueError, match="cannot begin at network call 3"):
        scheduler.begin(torch.zeros(1, 4, 2, 2))
    scheduler = build("DPM adaptive", "Automatic", 20, {})
    with pytest.raises(ValueError, match="wants to know them before"):
        scheduler.step(torch.zeros(1, 4, 2, 2), scheduler.timesteps[0], torch.zeros(1, 4, 2, 2))
