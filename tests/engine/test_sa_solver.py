"""SA-Solver against the integrals of arXiv 2309.05019, and against diffusers' class where the arithmetic is the same."""

from itertools import pairwise
from math import exp, log, prod, sqrt

import diffusers
import numpy as np
import pytest
import torch
from references.mixture import posterior_mean
from references.mixture_run import SCHEDULES, STEPS, drawn, error, fresh, ready, run

from webui.engine.schedulers.res_multistep import phi_1, phi_2
from webui.engine.schedulers.sa_solver import SASolverScheduler, adams_weights

NODES, WEIGHTS = np.polynomial.legendre.leggauss(60)


def integrals(points, start, end, tau):
    """∫ exp((1 + τ²)·λ)·l_j(λ) dλ of every Lagrange polynomial, by quadrature."""
    middle, half = (start + end) / 2, (end - start) / 2
    lambdas = middle + half * NODES
    return [
        half
        * np.sum(WEIGHTS * np.exp((1 + tau**2) * lambdas) * prod((lambdas - q) / (p - q) for q in points if q != p))
        for p in points
    ]


def equation_14(x, past, s, t, tau, noise):
    """From λ_s to λ_t in the paper's coordinates; ``past`` holds (λ, x0 as predicted)."""
    alpha, alpha_next = (1 / sqrt(1 + exp(-2 * level)) for level in (s, t))
    sigma, sigma_next = alpha * exp(-s), alpha_next * exp(-t)
    h = t - s
    x = sigma_next / sigma * exp(-(tau**2) * h) * x
    for b, (_, clean) in zip(integrals([level for level, _ in past], s, t, tau), past, strict=True):
        x = x + sigma_next * exp(-(tau**2) * t) * (1 + tau**2) * b * clean
    return x + sigma_next * sqrt(1 - exp(-2 * tau**2 * h)) * noise


@pytest.mark.parametrize("steps", STEPS)
@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("options", [{}, {"eta": 0.0}, {"eta": 0.6, "s_noise": 0.9}])
def test_is_algorithm_1_with_comfyuis_parameters(steps, schedule, options):
    scheduler = ready(SASolverScheduler(**options), steps, schedule)
    sigmas, model, numbers = scheduler.levels, scheduler.noise_model, fresh()
    high, low = (model.t_to_sigma(t) for t in (799.2, 199.8))
    lambdas = [-log(sigma) for sigma in sigmas[:-1]]
    x = predicted = drawn(0) * sigmas[0] / sqrt(1 + sigmas[0] ** 2)
    past, tau, noise = [], 0.0, 0.0
    for i, (sigma, sigma_next) in enumerate(pairwise(sigmas)):
        clean = posterior_mean(predicted * sqrt(1 + sigma**2), sigma)
        if sigma_next == 0:
            predicted = clean
            break
        past.append((lambdas[i], clean))
        if i > 0:
            order = min(4, len(past), steps - i)
            x = equation_14(x, past[-order:], lambdas[i - 1], lambdas[i], tau, noise)
        else:
            x = predicted
        tau = options.get("eta", 1.0) if low <= sigma_next <= high else 0.0
        noise = options.get("s_noise", 1.0) * next(numbers) if tau > 0 else 0.0
        order = min(3, len(past), steps - 1 - i)
        predicted = equation_14(x, past[-order:], lambdas[i], lambdas[i + 1], tau, noise)
    assert error(run(scheduler), predicted) <= 1e-4


def test_orders_are_kept_to_the_end_where_noise_is_left():
    """A schedule that does not end at 0 needs no caution there."""
    scheduler = SASolverScheduler(eta=0.0)
    scheduler.set_timesteps(sigmas=[8.0, 4.0, 2.0, 1.0, 0.5, 0.25])
    lambdas, past = [-log(sigma) for sigma in scheduler.levels], []
    scales = [sqrt(1 + sigma**2) for sigma in scheduler.levels]
    x = predicted = drawn(0) * 8 / scales[0]
    for i in range(5):
        past.append((lambdas[i], posterior_mean(predicted * scales[i], scheduler.levels[i])))
        if i > 0:
            x = equation_14(x, past[-4:], lambdas[i - 1], lambdas[i], 0.0, 0.0)
        predicted = equation_14(x, past[-3:], lambdas[i], lambdas[i + 1], 0.0, 0.0)
    assert error(run(scheduler), predicted * scales[-1]) <= 1e-5


@pytest.mark.parametrize("tau", [0.0, 0.5, 1.0])
def test_equals_diffusers_at_order_1(tau):
    """At order 2 theirs takes simplified weights, and higher orders pass through it; their τ is asked a step earlier."""

    class FirstOrder(SASolverScheduler):
        predictor_order = corrector_order = 1

        def tau(self, sigma):
            return tau

    theirs = diffusers.SASolverScheduler(
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        predictor_order=1,
        corrector_order=1,
        tau_func=lambda t: torch.tensor(tau),
    )
    theirs.set_timesteps(10)
    ours = FirstOrder()
    ours.set_timesteps(sigmas=theirs.sigmas.tolist())
    generators = [torch.Generator().manual_seed(1) for _ in range(2)]
    expected = drawn(0).float()
    x = ours.begin(expected * (1 + ours.levels[0] ** 2) ** 0.5)
    for t, level in zip(theirs.timesteps, ours.levels[1:], strict=True):
        output = torch.tanh(ours.scale_model_input(x)) * 0.9
        if tau == 0:  # diffusers draws also then
            x, _ = ours.step(output, t, x, return_dict=False)
        else:
            x, _ = ours.step(output, t, x, generators[0], return_dict=False)
        expected = theirs.step(torch.tanh(expected) * 0.9, t, expected, generators[1]).prev_sample
        torch.testing.assert_close(x / (1 + level**2) ** 0.5, expected, rtol=1e-4, atol=1e-4)


def test_weights_are_exact_for_polynomials():
    """∫ k·exp(k·u)·u² du from −h to 0, also where the steps are as short as those of 1000."""
    for h in (0.5, 0.006):
        points = [-h, -2.2 * h, -3.1 * h]
        for k in (1.0, 2.0):
            got = sum(b * u**2 for b, u in zip(adams_weights(points, h, k), points, strict=True))
            u = -h / 2 + h / 2 * NODES
            assert got == pytest.approx(np.sum(WEIGHTS * k * np.exp(k * u) * u**2) * h / 2, rel=1e-6)


@pytest.mark.parametrize(("points", "h"), [([-0.5, -0.9], 0.5), ([-0.1, -0.4], 0.1)])
def test_the_predictor_of_order_2_without_noise_is_res(points, h):
    b2 = phi_2(-h) / ((points[1] - points[0]) / h)
    assert adams_weights(points, h, 1.0) == pytest.approx([h * (phi_1(-h) - b2), h * b2])
