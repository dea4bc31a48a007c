"""PLMS against the formulas of arXiv 2202.09778, and against diffusers' PNDM without its Runge-Kutta steps."""

from itertools import pairwise

import diffusers
import pytest
import torch
from references.mixture import posterior_mean
from references.mixture_run import STEPS, drawn, error, ready, run

from webui.engine.schedulers.plms import PLMSScheduler

SD1 = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"}


@pytest.mark.parametrize("steps", STEPS)
def test_is_the_pseudo_linear_multi_step_method(steps):
    scheduler = ready(PLMSScheduler(), steps)
    alphas_cumprod = scheduler.alphas_cumprod.double()

    def predicted(x, t):
        now = alphas_cumprod[t]
        return (x - now.sqrt() * posterior_mean(x / now.sqrt(), ((1 - now) / now).sqrt())) / (1 - now).sqrt()

    def transfer(x, eps, t, s):  # φ of equation 9, as printed
        a_t, a_s = alphas_cumprod[t], alphas_cumprod[s]
        return (a_s / a_t).sqrt() * x - (a_s - a_t) / (
            a_t.sqrt() * (((1 - a_s) * a_t).sqrt() + ((1 - a_t) * a_s).sqrt())
        ) * eps

    x, e = drawn(0), []
    for t, s in pairwise(int(level) for level in scheduler.levels):
        e.append(predicted(x, t))
        if len(e) == 1:
            mean = (e[0] + predicted(transfer(x, e[0], t, s), s)) / 2
        elif len(e) == 2:
            mean = (3 * e[-1] - e[-2]) / 2
        elif len(e) == 3:
            mean = (23 * e[-1] - 16 * e[-2] + 5 * e[-3]) / 12
        else:
            mean = (55 * e[-1] - 59 * e[-2] + 37 * e[-3] - 9 * e[-4]) / 24
        x = transfer(x, mean, t, s)
    assert error(run(scheduler), x) <= 1e-4


@pytest.mark.parametrize("steps", [4, 10, 20, 50])
def test_equals_diffusers_up_to_timestep_1(steps):
    """A1111 leaves out diffusers' last step, from timestep 1 to ᾱ_0.

    For v-prediction they differ: diffusers takes means of v, the paper (and A1111) means of the noise.
    """
    theirs = diffusers.PNDMScheduler(**SD1, skip_prk_steps=True, steps_offset=1)
    ours = PLMSScheduler(**SD1)
    theirs.set_timesteps(steps)
    ours.set_timesteps(steps)
    assert ours.timesteps.tolist() == theirs.timesteps.tolist()[:-1]

    x = expected = drawn(0).float()
    ours.begin(x)
    for t in ours.timesteps:
        expected = theirs.step(torch.tanh(expected) * 0.9, t.long(), expected).prev_sample
        x, _ = ours.step(torch.tanh(x) * 0.9, t, x, return_dict=False)
        torch.testing.assert_close(x, expected, rtol=1e-4, atol=1e-4)


def test_the_first_step_asks_twice():
    scheduler = ready(PLMSScheduler(), 4)
    assert scheduler.timesteps.tolist() == [751, 501, 501, 251]
    assert scheduler.levels[-1] == 1


def test_a_run_cannot_begin_where_it_would_ask_once_more_than_announced():
    scheduler = ready(PLMSScheduler(), 10)
    scheduler.set_begin_index(3)
    with pytest.raises(ValueError, match="needs the calls before"):
        scheduler.begin(drawn(0))
