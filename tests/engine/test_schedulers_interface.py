"""Our schedulers behind diffusers' interface: in its pipelines, and under whatever those do to a scheduler."""

import diffusers
import pytest
import torch
from diffusers import StableDiffusionImg2ImgPipeline, StableDiffusionPipeline
from tiny import TINY_CONFIGS, tiny_components

from webui.domain.noise_levels import NoiseModel
from webui.engine.samplers import SCHEDULER_CLASSES
from webui.engine.schedulers.ddim import DDIMScheduler
from webui.engine.schedulers.dpmpp import DPMpp2MScheduler
from webui.engine.schedulers.euler import EulerAncestralScheduler, EulerScheduler
from webui.engine.schedulers.heun import HeunScheduler
from webui.engine.schedulers.timestep_space import TimestepScheduler
from webui.errors import IncompatibleModel, InvalidRequest

SD1 = TINY_CONFIGS["scheduler"]
ALL = [cls for cls in SCHEDULER_CLASSES.values() if not cls.adaptive]  # a pipeline must know the timesteps before
TWINS = [
    (EulerScheduler, diffusers.EulerDiscreteScheduler),
    (EulerAncestralScheduler, diffusers.EulerAncestralDiscreteScheduler),
    (HeunScheduler, diffusers.HeunDiscreteScheduler),
]
LIKE_OURS = SD1 | {"timestep_spacing": "linspace", "steps_offset": 1}
twins = pytest.mark.parametrize(("ours", "theirs"), TWINS, ids=[ours.__name__ for ours, _ in TWINS])
each = pytest.mark.parametrize("cls", ALL, ids=lambda cls: cls.__name__)


def pipeline(scheduler, kind=StableDiffusionPipeline, dtype=torch.float32):
    parts = tiny_components()
    made = kind(
        vae=parts["vae"],
        text_encoder=None,
        tokenizer=None,
        unet=parts["unet"],
        scheduler=scheduler,
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    made.set_progress_bar_config(disable=True)
    return made.to(dtype)


def draw(pipe, steps=10, seeds=(0, 1), **more):
    """Latents (2, 4, 8, 8). With 10 steps the uniform timesteps are whole, where both interpolations of σ agree."""
    text = torch.linspace(-1, 1, 2 * 77 * 32).reshape(2, 77, 32).to(pipe.dtype)
    return pipe(
        prompt_embeds=text,
        negative_prompt_embeds=-text,
        num_inference_steps=steps,
        guidance_scale=3.0,
        generator=[torch.Generator().manual_seed(seed) for seed in seeds],
        output_type="latent",
        **more,
    ).images


@twins
def test_a_pipeline_cannot_tell_ours_from_its_own(ours, theirs):
    expected = draw(pipeline(theirs(**LIKE_OURS)))
    torch.testing.assert_close(draw(pipeline(ours(**SD1))), expected, rtol=1e-4, atol=1e-4)


@twins
def test_image_to_image_begins_in_the_middle(ours, theirs):
    image = torch.linspace(-1, 1, 2 * 4 * 8 * 8).reshape(2, 4, 8, 8)
    schedulers = (ours(**SD1), theirs(**LIKE_OURS))
    drawn, expected = (
        draw(pipeline(scheduler, StableDiffusionImg2ImgPipeline), image=image, strength=0.5) for scheduler in schedulers
    )
    torch.testing.assert_close(drawn, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("in_place", [False, True])
def test_latents_changed_between_steps_are_taken_up(in_place):
    """As an inpainting pipeline does, and callbacks may."""

    def brighten(pipe, step, timestep, kept):
        if in_place:
            kept["latents"] += 0.5
            return kept
        return {"latents": kept["latents"] + 0.5}

    drawn, untouched, expected = (
        draw(pipeline(scheduler), callback_on_step_end=callback)
        for scheduler, callback in [
            (EulerScheduler(**SD1), brighten),
            (EulerScheduler(**SD1), None),
            (diffusers.EulerDiscreteScheduler(**LIKE_OURS), brighten),
        ]
    )
    torch.testing.assert_close(drawn, expected, rtol=1e-4, atol=1e-4)
    assert (drawn - untouched).abs().max() > 0.1


def test_a_pipeline_in_half_precision_gets_its_own_precision_back():
    half = draw(pipeline(DPMpp2MScheduler(**SD1), dtype=torch.bfloat16), steps=3)
    assert half.dtype == torch.bfloat16
    assert half.isfinite().all()


def test_a_pipeline_may_give_sigmas():
    pipe = pipeline(DPMpp2MScheduler(**SD1))
    draw(pipe, sigmas=[14.0, 3.0, 0.5, 0.0])
    assert pipe.scheduler.levels == (14.0, 3.0, 0.5, 0.0)
    assert len(pipe.scheduler.timesteps) == 3


def test_configuration_comes_from_and_goes_to_files(tmp_path):
    theirs = diffusers.PNDMScheduler(**SD1 | {"prediction_type": "v_prediction"}, skip_prk_steps=True)
    EulerScheduler.from_config(theirs.config, s_churn=2.0).save_pretrained(tmp_path)
    ours = EulerScheduler.from_pretrained(tmp_path)
    assert (ours.prediction_type, ours.s_churn, ours.config.beta_end) == ("v_prediction", 2.0, 0.012)


@each
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_the_state_stays_in_float32(cls, dtype):
    """The network may answer in half precision; the sampler's own sums must not be rounded to it."""
    scheduler = cls(**SD1)
    scheduler.set_timesteps(5)
    x = scheduler.begin(torch.ones(1, 4, 8, 8).to(dtype), noise=lambda level_from, level_to: torch.ones(1, 4, 8, 8))
    while not scheduler.done:
        x, predicted = scheduler.step(torch.ones(1, 4, 8, 8).to(dtype), scheduler.timestep, x, return_dict=False)
        assert (x.dtype, predicted.dtype) == (torch.float32, torch.float32)


@each
def test_all_prediction_types_say_the_same_of_the_same_picture(cls):
    x0, eps = torch.full((1, 4, 2, 2), 0.7), torch.full((1, 4, 2, 2), -1.3)
    results = []
    for prediction_type in ("epsilon", "v_prediction", "sample"):
        scheduler = cls(**SD1 | {"prediction_type": prediction_type})
        scheduler.set_timesteps(4)
        a, b = scheduler.signal_and_noise(scheduler.level)
        alpha, sigma = a / (a * a + b * b) ** 0.5, b / (a * a + b * b) ** 0.5
        output = {"epsilon": eps, "v_prediction": alpha * eps - sigma * x0, "sample": x0}[prediction_type]
        x = scheduler.begin(a * x0 + b * eps, noise=lambda level_from, level_to: eps)
        x, predicted = scheduler.step(output, scheduler.timestep, x, return_dict=False)
        torch.testing.assert_close(predicted, x0, rtol=1e-5, atol=1e-5)
        results.append(x)
    torch.testing.assert_close(results[0], results[1], rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(results[0], results[2], rtol=1e-5, atol=1e-5)


@each
def test_added_noise_is_scaled_to_unit_variance_for_the_network(cls):
    scheduler = cls(**SD1)
    scheduler.set_timesteps(10)
    generator = torch.Generator().manual_seed(0)
    x0, noise = torch.randn(2, 2, 4, 32, 32, generator=generator)
    for t in scheduler.timesteps[[0, 5, -1]]:
        noised = scheduler.add_noise(x0, noise, t[None])
        fresh = cls(**SD1)
        fresh.set_timesteps(10)
        assert fresh.scale_model_input(noised, t).std().item() == pytest.approx(1, abs=0.03)


def test_noise_is_added_per_picture():
    scheduler = EulerScheduler(**SD1)
    scheduler.set_timesteps(10)
    noised = scheduler.add_noise(torch.zeros(2, 1, 1, 1), torch.ones(2, 1, 1, 1), scheduler.timesteps[[0, 3]])
    torch.testing.assert_close(noised.flatten(), scheduler.sigmas[[0, 3]])


def test_pure_noise_at_the_end_of_training():
    """Zero terminal SNR, with A1111's numbers."""
    model = EulerScheduler(**SD1, rescale_betas_zero_snr=True).noise_model
    assert model.sigma_min == pytest.approx(0.0291675, rel=1e-4)
    assert model.levels[998] == pytest.approx(2254.2354, rel=1e-3)
    assert model.sigma_max == pytest.approx(4518.7637, rel=1e-6)


def test_trained_betas_and_linear_ones():
    by_name = EulerScheduler(beta_start=0.0001, beta_end=0.02, beta_schedule="linear").noise_model
    by_number = EulerScheduler(trained_betas=torch.linspace(0.0001, 0.02, 1000).tolist()).noise_model
    assert by_number.levels == pytest.approx(by_name.levels, rel=1e-4)
    theirs = diffusers.DDPMScheduler(beta_start=0.0001, beta_end=0.02).alphas_cumprod
    assert by_name.levels == pytest.approx(NoiseModel.from_alphas_cumprod(theirs.tolist()).levels, rel=1e-3)


@pytest.mark.parametrize("wrong", [{"prediction_type": "flow_prediction"}, {"beta_schedule": "sigmoid"}])
def test_a_model_of_another_kind_is_refused(wrong):
    with pytest.raises(IncompatibleModel, match=next(iter(wrong.values()))):
        EulerScheduler(**SD1 | wrong)


@pytest.mark.parametrize(
    "sigmas", [[], [1.0], [1.0, 2.0], [2.0, 2.0, 0.0], [2.0, -1.0], [float("inf"), 0.0], [2.0, float("nan"), 0.0]]
)
def test_sigmas_that_do_not_fall_are_refused(sigmas):
    with pytest.raises(InvalidRequest, match="below the one before"):
        EulerScheduler(**SD1).set_timesteps(sigmas=sigmas)


def test_steps_in_the_wrong_order_are_refused():
    scheduler = HeunScheduler(**SD1)
    x = torch.zeros(1, 4, 2, 2)
    with pytest.raises(ValueError, match="set_timesteps"):
        scheduler.begin(x)
    scheduler.set_timesteps(3)
    with pytest.raises(ValueError, match="begin"):
        scheduler.advance(x)
    with pytest.raises(ValueError, match="not one of the timesteps"):
        scheduler.step(x, 12.5, x)
    scheduler.set_begin_index(1)
    with pytest.raises(ValueError, match="middle of a step"):
        scheduler.begin(x)
    scheduler.set_begin_index(2)
    scheduler.begin(x)
    while not scheduler.done:
        scheduler.advance(x)
    with pytest.raises(ValueError, match="have been made"):
        scheduler.advance(x)


def test_churn_reaches_the_first_call_only_after_begin():
    scheduler = EulerScheduler(**SD1, s_churn=10.0)
    scheduler.set_timesteps(5)
    x = torch.zeros(1, 4, 2, 2)
    with pytest.raises(ValueError, match="begin"):
        scheduler.step(x, scheduler.timesteps[0], x)
    assert scheduler.begin(x, noise=lambda level_from, level_to: torch.ones_like(x)).min() > 1


@each
def test_a_finished_scheduler_can_run_again(cls):
    scheduler = cls(**SD1)
    scheduler.set_timesteps(4)
    start = torch.linspace(-1, 1, 16).reshape(1, 4, 2, 2)

    def run():
        x = scheduler.begin(start * scheduler.init_noise_sigma, noise=lambda level_from, level_to: start)
        while not scheduler.done:
            x = scheduler.advance(torch.tanh(x))
        return x

    assert torch.equal(run(), run())
    assert scheduler.call == len(scheduler.timesteps)


@each
def test_every_class_is_of_one_of_the_two_kinds(cls):
    """diffusers offers ``sigmas`` or ``timesteps`` to a scheduler by looking at ``set_timesteps``."""
    scheduler = cls(**SD1)
    if isinstance(scheduler, TimestepScheduler):
        scheduler.set_timesteps(timesteps=[800, 300, 1])
        assert scheduler.init_noise_sigma == 1.0
    else:
        scheduler.set_timesteps(sigmas=[8.0, 3.0, 0.0])
        assert scheduler.init_noise_sigma == 8.0
    assert scheduler.num_inference_steps == 2
    assert len(scheduler.sigmas) == 3


def test_ddim_takes_eta_as_the_standard_deviation_of_fresh_noise():
    """σ of equation 16 at the first of 10 steps, 901 to 801."""
    scheduler = DDIMScheduler(**SD1, eta=1.0)
    scheduler.set_timesteps(10)
    x = torch.zeros(1, 4, 2, 2)
    scheduler.begin(x, noise=lambda level_from, level_to: torch.ones_like(x))
    now, before = scheduler.alphas_cumprod[[901, 801]].double()
    sigma = ((1 - before) / (1 - now) * (1 - now / before)).sqrt().item()
    assert scheduler.advance(x).max().item() == pytest.approx(sigma, rel=1e-5)
