"""CFG++ against the formulas of arXiv 2406.08070 and, where the paper has none, ComfyUI's in λ = −log σ."""

from itertools import pairwise
from math import exp, expm1, log, sqrt

import pytest
import torch
from references.mixture import posterior_mean
from references.mixture_run import CFG, SCHEDULES, STEPS, drawn, error, fresh, guided, ready, run, without_prompt

from webui.engine.schedulers.cfgpp import (
    DDIMCFGppScheduler,
    DPMpp2MCFGppScheduler,
    DPMpp2SAncestralCFGppScheduler,
    EulerAncestralCFGppScheduler,
    EulerCFGppScheduler,
)
from webui.engine.schedulers.ddim import DDIMScheduler
from webui.engine.schedulers.euler import EulerScheduler

each_run = pytest.mark.parametrize(
    ("steps", "schedule"), [(steps, schedule) for steps in STEPS for schedule in SCHEDULES]
)


@pytest.mark.parametrize("steps", STEPS)
@pytest.mark.parametrize("eta", [0.0, 0.7])
def test_ddim_is_algorithm_2_with_a_scale_divided_by_12_5(steps, eta):
    scheduler = ready(DDIMCFGppScheduler(eta=eta), steps)
    alphas_cumprod, numbers = scheduler.alphas_cumprod.double(), fresh()
    x = drawn(0)
    for t, t_prev in pairwise(int(level) for level in scheduler.levels):
        now, before = alphas_cumprod[t], alphas_cumprod[t_prev]
        sigma = ((1 - now) / now).sqrt()
        eps_uncond, eps_cond = (
            (x - now.sqrt() * D(x / now.sqrt(), sigma)) / (1 - now).sqrt() for D in (without_prompt, posterior_mean)
        )
        eps = eps_uncond + CFG / 12.5 * (eps_cond - eps_uncond)
        clean = (x - (1 - now).sqrt() * eps) / now.sqrt()
        fresh_part = eta * ((1 - before) / (1 - now) * (1 - now / before)).sqrt()
        x = before.sqrt() * clean + (1 - before - fresh_part**2).sqrt() * eps_uncond
        if eta > 0:
            x = x + fresh_part * next(numbers)
    assert error(run(scheduler), x) <= 1e-5


def ancestral(sigma, sigma_next, eta):
    up = min(sigma_next, eta * sqrt(sigma_next**2 * (sigma**2 - sigma_next**2) / sigma**2))
    return sqrt(sigma_next**2 - up**2), up


@each_run
def test_euler(steps, schedule):
    scheduler = ready(EulerCFGppScheduler(), steps, schedule)
    x = drawn(0) * scheduler.levels[0]
    for sigma, sigma_next in pairwise(scheduler.levels):
        x = guided(x, sigma) + sigma_next * (x - without_prompt(x, sigma)) / sigma
    assert error(run(scheduler), x) <= 1e-5


@each_run
@pytest.mark.parametrize("options", [{}, {"eta": 0.6, "s_noise": 1.02}])
def test_euler_ancestral(steps, schedule, options):
    scheduler = ready(EulerAncestralCFGppScheduler(**options), steps, schedule)
    numbers, s_noise = fresh(), options.get("s_noise", 1.0)
    x = drawn(0) * scheduler.levels[0]
    for sigma, sigma_next in pairwise(scheduler.levels):
        down, up = ancestral(sigma, sigma_next, options.get("eta", 1.0))
        x = guided(x, sigma) + down * (x - without_prompt(x, sigma)) / sigma
        if sigma_next > 0:
            x = x + next(numbers) * s_noise * up
    assert error(run(scheduler), x) <= 1e-4


@each_run
def test_dpmpp_2m(steps, schedule):
    scheduler = ready(DPMpp2MCFGppScheduler(), steps, schedule)
    x, lambdas = drawn(0) * scheduler.levels[0], [-log(sigma) for sigma in scheduler.levels[:-1]]
    before = None
    for i, (sigma, sigma_next) in enumerate(pairwise(scheduler.levels)):
        clean, uncond = guided(x, sigma), without_prompt(x, sigma)
        if sigma_next == 0:
            x = clean
            break
        h = lambdas[i + 1] - lambdas[i]
        mixed = -exp(-h) * uncond
        if before is not None:
            r = (lambdas[i] - lambdas[i - 1]) / h
            mixed = mixed - expm1(-h) / (2 * r) * (clean - before)
        x, before = clean + mixed + exp(-h) * x, uncond
    assert error(run(scheduler), x) <= 1e-4


@each_run
@pytest.mark.parametrize("options", [{}, {"eta": 0.6, "s_noise": 1.02}])
def test_dpmpp_2s_ancestral(steps, schedule, options):
    scheduler = ready(DPMpp2SAncestralCFGppScheduler(**options), steps, schedule)
    numbers, s_noise = fresh(), options.get("s_noise", 1.0)
    x = drawn(0) * scheduler.levels[0]
    for sigma, sigma_next in pairwise(scheduler.levels):
        uncond = without_prompt(x, sigma)
        guidance = guided(x, sigma) - uncond
        down, up = ancestral(sigma, sigma_next, options.get("eta", 1.0))
        if down == 0:
            x = uncond + guidance
            break
        h = log(sigma / down)
        halfway = sigma * exp(-h / 2)
        x_2 = exp(-h / 2) * x - expm1(-h / 2) * uncond
        x = exp(-h) * x - expm1(-h) * without_prompt(x_2, halfway)
        x = x + next(numbers) * s_noise * up + guidance
    assert error(run(scheduler), x) <= 1e-4


@pytest.mark.parametrize(
    ("plus", "plain"), [(EulerCFGppScheduler, EulerScheduler), (DDIMCFGppScheduler, DDIMScheduler)]
)
def test_without_a_prediction_of_its_own_the_direction_is_the_guided_one(plus, plain):
    """As in a diffusers pipeline, which tells one prediction."""
    x = drawn(0)
    results = []
    for scheduler in (plus(), plain()):
        scheduler.set_timesteps(5)
        state = scheduler.begin(x)
        while not scheduler.done:
            state = scheduler.advance(torch.tanh(state))
        results.append(state)
    torch.testing.assert_close(*results, rtol=1e-5, atol=1e-5)
