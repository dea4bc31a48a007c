from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from webui.engine.conditioning import Conditioning
from webui.engine.denoise import denoise
from webui.engine.guidance import Guidance, predict, rescaled
from webui.engine.samplers import build
from webui.engine.schedulers.cfgpp import DDIMCFGppScheduler, EulerCFGppScheduler

COND, LONG_COND = Conditioning(torch.full((1, 77, 2), 3.0)), Conditioning(torch.full((1, 154, 2), 3.0))
UNCOND = Conditioning(torch.full((1, 77, 2), 1.0))
X = torch.zeros(2, 4, 8, 8)


class Recorder:
    """A network whose answer is the mean of its conditioning, so that 3 is the prompt and 1 is none."""

    def __init__(self) -> None:
        self.batches: list[int] = []

    def __call__(self, x, timestep, told):
        self.batches.append(len(x))
        return x + told.text.mean(dim=(1, 2))[:, None, None, None]


def ask(scale, cond=COND, **more):
    network = Recorder()
    said = predict(network, X, 5.0, Guidance(cond, UNCOND, scale), **more)
    return said.guided.unique().tolist(), said.uncond.unique().tolist(), network.batches


def test_scale_1_is_the_prompt_alone_with_one_call():
    assert ask(1) == ([3.0], [3.0], [2])


def test_scale_0_ignores_the_prompt_with_one_call():
    assert ask(0) == ([1.0], [1.0], [2])
    assert ask(0, pair=True) == ([1.0], [1.0], [2])


def test_other_scales_extrapolate_with_both_in_one_call():
    assert ask(7.5) == ([1 + 7.5 * 2], [1.0], [4])


def test_prompts_of_different_lengths_are_asked_apart():
    assert ask(2, LONG_COND) == ([5.0], [1.0], [2, 2])


def test_a_pair_is_got_at_scale_1_too():
    assert ask(1, pair=True) == ([3.0], [1.0], [4])


class TestPromptsJoinedByAnd:
    """Composable diffusion: each prompt steers by its own difference. The first says 3, the second 7, none 1."""

    second = Conditioning(torch.full((1, 77, 2), 7.0))

    def guidance(self, weight=1.0, other=1.0, scale=2.0, **more):
        return Guidance(COND, UNCOND, scale, weight=weight, others=((other, self.second),), **more)

    def ask(self, guidance, **more):
        network = Recorder()
        said = predict(network, X, 5.0, guidance, **more)
        return said.guided.unique().tolist(), said.uncond.unique().tolist(), network.batches

    def test_add_up_in_one_call(self):
        assert self.ask(self.guidance()) == ([1 + 2 * 2 + 2 * 6], [1.0], [6])

    def test_count_as_much_as_their_weights_say(self):
        assert self.ask(self.guidance(1.5, -0.5))[0] == [1 + 2 * 1.5 * 2 - 2 * 0.5 * 6]
        assert self.ask(self.guidance(0.0, 1.0)) == ([1 + 2 * 6], [1.0], [4])  # the first is not even asked
        assert self.ask(self.guidance(0.0, 0.0)) == ([1.0], [1.0], [2])

    def test_a_single_prompt_has_a_weight_too(self):
        network = Recorder()
        assert predict(network, X, 5.0, Guidance(COND, UNCOND, 1.0, weight=1.5)).guided.unique().tolist() == [4.0]

    def test_those_of_another_length_are_asked_apart(self):
        long = replace(self.guidance(), others=((1.0, Conditioning(torch.full((1, 154, 2), 7.0))), (1.0, self.second)))
        assert self.ask(long) == ([1 + 2 * 2 + 2 * 6 + 2 * 6], [1.0], [6, 2])

    def test_need_no_negative_prompt_where_it_cancels_out(self):
        assert self.ask(self.guidance(0.5, 0.5, scale=1.0)) == ([5.0], [3.0], [4])
        assert self.ask(self.guidance(0.5, 0.5, scale=1.0), pair=True) == ([5.0], [1.0], [6])

    def test_many_do_not_share_one_call(self):
        many = Guidance(COND, UNCOND, 2.0, others=((1.0, COND),) * 9)
        assert self.ask(many) == ([1 + 2 * 2 * 10], [1.0], [16, 6])

    def test_the_first_stands_in_for_a_negative_prompt_that_is_left_out(self):
        """A1111: c_0 + the sum of weight_i (c_i - c_0), whatever the scale."""
        assert self.ask(self.guidance(9.0, 0.5).without_uncond()) == ([3 + 0.5 * 4], [3.0], [4])
        network = Recorder()
        skipping = self.guidance(ngms=100.0, ngms_all_steps=True)
        list(denoise(network, build("Euler", "Uniform", 2, {}), X, lambda *levels: X, skipping))
        assert network.batches == [4, 4]

    def test_are_brought_back_to_the_strength_that_they_have_together_at_scale_1(self):
        def network(x, timestep, told):
            return x * told.text.mean(dim=(1, 2))[:, None, None, None]

        x = torch.randn(2, 4, 6, 6, generator=torch.Generator().manual_seed(0))
        guided = predict(network, x, 5.0, self.guidance(scale=7.0, rescale=1.0)).guided
        torch.testing.assert_close(guided, x * (1 + 2 + 6))

    def test_work_in_pairs(self):
        scheduler = EulerCFGppScheduler()
        scheduler.set_timesteps(3)
        _, batches = denoised(scheduler, self.guidance(scale=0.6))
        assert batches == [6, 6, 6]


class TestRescale:
    cond, guided = torch.randn(2, 3, 4, 6, 6, generator=torch.Generator().manual_seed(0)).unbind()
    guided = guided * torch.tensor([2.0, 3.0, 9.0])[:, None, None, None]

    @pytest.mark.parametrize("phi", [0.3, 0.7, 1.0])
    def test_follows_the_papers_equations(self, phi):
        """15 and 16 of arXiv 2305.08891, in double precision."""
        cond, guided = self.cond.double().numpy(), self.guided.double().numpy()
        for c, g, ours in zip(cond, guided, rescaled(self.guided, self.cond, phi), strict=True):
            expected = phi * g * np.std(c) / np.std(g) + (1 - phi) * g
            np.testing.assert_allclose(ours, expected, rtol=1e-5, atol=1e-6)

    def test_fully_gives_the_prompts_own_strength(self):
        full = rescaled(self.guided, self.cond, 1.0)
        torch.testing.assert_close(full.std(dim=(1, 2, 3)), self.cond.std(dim=(1, 2, 3)))

    def test_is_the_same_to_the_last_bit_alone_and_in_a_batch(self):
        together = rescaled(self.guided, self.cond, 0.7)
        alone = [rescaled(g, c, 0.7) for g, c in zip(self.guided.split(1), self.cond.split(1), strict=True)]
        assert torch.equal(together, torch.cat(alone))

    def test_is_part_of_a_guided_prediction(self):
        def network(x, timestep, told):
            return x * told.text.mean(dim=(1, 2))[:, None, None, None]

        guidance = Guidance(COND, UNCOND, 7.0)
        plain, half = (
            predict(network, self.cond, 5.0, each).guided for each in (guidance, replace(guidance, rescale=0.5))
        )
        torch.testing.assert_close(half, (plain + self.cond * 3) / 2)


class TestLeavingOutTheNegativePrompt:
    def wanted(self, sigmas, **more):
        guidance = Guidance(COND, UNCOND, 7.0, **more)
        return [guidance.wants_uncond(call, len(sigmas), sigma) for call, sigma in enumerate(sigmas)]

    def test_never_by_default(self):
        assert all(self.wanted([14.6, 5.0, 1.0, 0.0]))

    def test_in_the_first_share_of_the_calls(self):
        """A1111: as long as call / calls <= value, so also in the one just there."""
        assert self.wanted([9.0] * 10, skip_early=0.2) == [False] * 3 + [True] * 7

    def test_below_a_noise_level_in_every_other_call(self):
        assert self.wanted([9, 8, 4, 3, 2, 1], ngms=4) == [True, True, True, False, True, False]

    def test_below_a_noise_level_in_all_calls(self):
        assert self.wanted([9, 8, 4, 3, 2, 1], ngms=4, ngms_all_steps=True) == [True, True, True, False, False, False]

    def test_makes_the_scale_1_and_the_call_half_as_large(self):
        network = Recorder()
        scheduler = build("Euler", "Uniform", 4, {})
        guidance = Guidance(COND, UNCOND, 7.0, ngms=100.0)
        seen = [state.predicted for state in denoise(network, scheduler, X, lambda *levels: X, guidance)]
        assert network.batches == [4, 2, 4, 2]
        plain = next(
            denoise(Recorder(), build("Euler", "Uniform", 4, {}), X, lambda *levels: X, replace(guidance, scale=1))
        )
        torch.testing.assert_close(plain.predicted / 3 * 15, seen[0])

    def test_counts_two_calls_for_each_step_of_heun(self):
        network = Recorder()
        guidance = Guidance(COND, UNCOND, 7.0, skip_early=0.5)
        list(denoise(network, build("Heun", "Uniform", 4, {}), X, lambda *levels: X, guidance))
        assert network.batches == [2] * 5 + [4] * 2


def denoised(scheduler, guidance, x=None, **more):
    x = (torch.ones(2, 4, 8, 8) if x is None else x) * scheduler.init_noise_sigma
    network = Recorder()
    return [*denoise(network, scheduler, x, lambda *levels: X, guidance, **more)][-1].latents, network.batches


class TestPairs:
    def scheduler(self, cls):
        scheduler = cls()
        scheduler.set_timesteps(3)
        return scheduler

    def test_reach_the_sampler(self):
        """Euler CFG++ by hand: the guided picture, and the noise predicted without the prompt. ε is x/scale + text."""
        scheduler = self.scheduler(EulerCFGppScheduler)
        latents, batches = denoised(scheduler, Guidance(COND, UNCOND, 0.6))
        x = scheduler.levels[0]
        for sigma, sigma_next in zip(scheduler.levels, scheduler.levels[1:], strict=False):
            scaled = x / (1 + sigma**2) ** 0.5
            guided, uncond = scaled + 1 + 0.6 * 2, scaled + 1
            x = x - guided * sigma + uncond * sigma_next
        assert latents.unique().item() == pytest.approx(x, rel=1e-5)
        assert batches == [4, 4, 4]

    def test_are_got_at_scale_1(self):
        scheduler = self.scheduler(EulerCFGppScheduler)
        assert denoised(scheduler, Guidance(COND, UNCOND, 1.0))[1] == [4, 4, 4]

    def test_are_twice_the_prompts_own_where_the_negative_prompt_is_left_out(self):
        plus, plain = (
            denoised(scheduler, Guidance(COND, UNCOND, 1.0, ngms=100.0, ngms_all_steps=True))
            for scheduler in (self.scheduler(EulerCFGppScheduler), build("Euler", "Uniform", 3, {}))
        )
        torch.testing.assert_close(plus[0], plain[0])
        assert plus[1] == plain[1] == [2, 2, 2]

    def test_ddim_cfgpp_divides_the_scale(self):
        asked = Guidance(COND, UNCOND, 12.5)
        latents, batches = denoised(self.scheduler(DDIMCFGppScheduler), asked)
        assert batches == [4] * len(batches)
        same = self.scheduler(DDIMCFGppScheduler)
        same.cfg_factor = 1.0
        torch.testing.assert_close(denoised(same, replace(asked, scale=1.0))[0], latents)

    def test_are_the_same_in_groups_of_any_size(self):
        guidance = Guidance(COND, UNCOND, 0.6, rescale=0.5)
        x = torch.randn(2, 4, 8, 8, generator=torch.Generator().manual_seed(0))
        whole, one_by_one = (
            denoised(self.scheduler(EulerCFGppScheduler), guidance, x, pictures_per_call=size)[0] for size in (None, 1)
        )
        assert torch.equal(whole, one_by_one)


class TestChannelsBeside:
    """A network that sees a picture beside the latents, and answers with its mean plus what the prompt says."""

    beside = torch.full((2, 4, 8, 8), 10.0)

    def ask(self, scale, **more):
        channels = []

        def network(x, timestep, told):
            channels.append(x.shape[:2])
            return x[:, :4] + (x[:, 4:].mean(dim=(1, 2, 3)) + told.text.mean(dim=(1, 2)))[:, None, None, None]

        said = predict(network, X, 5.0, Guidance(COND, UNCOND, scale, **more), beside=self.beside)
        return said.guided.unique().tolist(), said.uncond.unique().tolist(), channels

    def test_are_seen_with_and_without_the_prompt(self):
        assert self.ask(2.0) == ([10 + 1 + 2 * 2], [11.0], [(4, 8)])

    def test_steer_by_their_own_difference(self):
        """Equation 3 of the instruct-pix2pix paper: 1 + 1.5 (11 - 1) + 2 (13 - 11)."""
        assert self.ask(2.0, picture_scale=1.5) == ([1 + 1.5 * 10 + 2 * 2], [1.0], [(4, 8), (2, 8)])

    def test_steer_at_the_scale_at_which_the_negative_prompt_cancels_out(self):
        assert self.ask(1.0, picture_scale=2.0) == ([1 + 2 * 10 + 1 * 2], [1.0], [(4, 8), (2, 8)])
        assert self.ask(0.0, picture_scale=2.0) == ([1 + 2 * 10], [1.0], [(2, 8), (2, 8)])

    def test_go_with_their_pictures_when_the_batch_is_parted(self):
        seen = []

        def network(x, timestep, told):
            seen.append(x[:, 4].mean(dim=(1, 2)).tolist())
            return x[:, :4]

        beside = torch.tensor([1.0, 2.0])[:, None, None, None].expand(2, 1, 8, 8)
        guidance = Guidance(COND, UNCOND, 1.0)
        scheduler = build("Euler", "Uniform", 1, {})
        list(denoise(network, scheduler, X, lambda *levels: X, guidance, 1, beside))
        assert seen == [[1.0], [2.0]]


def test_pooled_vectors_and_sizes_go_with_their_texts():
    told = []

    def network(x, timestep, conditioning):
        told.append((conditioning.pooled.tolist(), conditioning.time_ids.tolist()))
        return x

    cond, uncond = (
        Conditioning(torch.zeros(1, 77, 2), torch.full((1, 1), float(number))).with_time_ids([number, 8])
        for number in (1, 2)
    )
    predict(network, X, 5.0, Guidance(cond, uncond, 7.0))
    assert told == [([[1.0], [1.0], [2.0], [2.0]], [[1.0, 8.0], [1.0, 8.0], [2.0, 8.0], [2.0, 8.0]])]
