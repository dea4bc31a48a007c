import model_headers as published
import pytest
from hypothesis import given
from hypothesis import strategies as st
from model_headers import Shapes, below, kohya_lora, unet

from webui.library.formats import Header, TensorInfo
from webui.library.identify import Identity, identify, identify_folder


def header(shapes: Shapes, **metadata: str) -> Header:
    return Header({name: TensorInfo(shape, "F16") for name, shape in shapes.items()}, metadata)


def identity_of(shapes: Shapes, label: str = "file.safetensors", **metadata: str) -> Identity:
    return identify(header(shapes, **metadata), label)


@pytest.mark.parametrize(
    "shapes", [published.SD1, published.SD1_OLD_CLIP, published.SD1_WITH_EMA], ids=["plain", "old CLIP prefix", "EMA"]
)
def test_stable_diffusion_1_is_usable(shapes: Shapes) -> None:
    identity = identity_of(shapes)
    assert identity == Identity("checkpoint", "sd1", "original", "epsilon")


USABLE_CHECKPOINTS = {
    "inpaint": (published.SD1_INPAINT, "sd1", "epsilon"),
    "ip2p": (published.SD1_IP2P, "sd1", "epsilon"),
    "no VAE": (published.SD1_NO_VAE, "sd1", "epsilon"),
    "v": (published.SD1_V, "sd1", "v_prediction"),
    "sd2": (published.SD2, "sd2", ""),  # base and 768-v have the same tensors
    "sd2 inpaint": (published.SD2_INPAINT, "sd2", "epsilon"),
    "sd2 depth": (published.SD2_DEPTH, "sd2", "epsilon"),
    "sdxl": (published.SDXL, "sdxl", "epsilon"),
    "sdxl inpaint": (published.SDXL_INPAINT, "sdxl", "epsilon"),
    "sdxl v": (published.SDXL_V, "sdxl", "v_prediction"),
    "refiner": (published.REFINER, "sdxl-refiner", "epsilon"),
}


@pytest.mark.parametrize(("shapes", "family", "prediction"), USABLE_CHECKPOINTS.values(), ids=USABLE_CHECKPOINTS)
def test_every_family_is_usable(shapes: Shapes, family: str, prediction: str) -> None:
    identity = identity_of(shapes)
    snr = "ztsnr" in shapes
    assert identity == Identity("checkpoint", family, "original", prediction, zero_terminal_snr=snr)


UNUSABLE_CHECKPOINTS = {
    "no text encoder": (published.SD1_NO_CLIP, "sd1", "holds no text encoder"),
    "bare U-Net": (unet(), "sd1", "holds no text encoder"),
    "bare U-Net of SDXL": (unet(context=2048), "sdxl", "holds no text encoder"),
    "SDXL with one text encoder": (published.SDXL_ONE_CLIP, "sdxl", "holds no second text encoder"),
    "ComfyUI U-Net": (below("diffusion_model.", unet()), "sd1", "holds no text encoder"),
    "diffusers U-Net": (published.DIFFUSERS_UNET, "sd1", "holds no text encoder"),
    "other sizes": (published.SD1_SMALL, "sd1", "not of its family's published sizes"),
    "unclip": (published.UNCLIP, "sd2", "an unCLIP checkpoint"),
    "upscaler": (published.X4_UPSCALER, "sd2", "upscaling (7 input channels)"),
    "playground": (published.PLAYGROUND, "sdxl", "EDM's noise levels"),
    "svd": (published.SVD, "video", "video checkpoints are not supported yet"),
    "flux": (published.FLUX, "flux", "Flux checkpoints are not supported yet"),
    "flux without prefix": (published.FLUX_BARE, "flux", "Flux checkpoints are not supported yet"),
    "sd3": (published.SD3, "sd3", "Stable Diffusion 3 checkpoints are not supported yet"),
    "never seen": (published.ALIEN, "unknown", "a kind that Lucid does not know"),
}


@pytest.mark.parametrize(("shapes", "family", "reason"), UNUSABLE_CHECKPOINTS.values(), ids=UNUSABLE_CHECKPOINTS)
def test_other_checkpoints_say_why_not(shapes: Shapes, family: str, reason: str) -> None:
    identity = identity_of(shapes)
    assert (identity.kind, identity.family) == ("checkpoint", family)
    assert identity.problem.startswith("file.safetensors ")
    assert reason in identity.problem


@pytest.mark.parametrize(
    ("metadata", "shapes", "prediction"),
    [
        ({}, published.SD1_V, "v_prediction"),
        ({"modelspec.prediction_type": "v"}, published.SD1, "v_prediction"),
        ({"modelspec.prediction_type": "v_prediction"}, published.SD1, "v_prediction"),
        ({"modelspec.prediction_type": "epsilon"}, published.SD1, "epsilon"),
    ],
)
def test_what_the_network_predicts(metadata: dict[str, str], shapes: Shapes, prediction: str) -> None:
    identity = identity_of(shapes, **metadata)
    assert identity.prediction_type == prediction
    assert identity.zero_terminal_snr == ("ztsnr" in shapes)


def test_other_sizes_are_fine_with_configs() -> None:
    assert identify(header(published.SD1_SMALL), "file", has_configs=True).problem == ""


ADDITIONS = {
    "ControlNet": (published.CONTROLNET, "controlnet", "sd1"),
    "ControlNet of diffusers": (published.CONTROLNET_DIFFUSERS, "controlnet", "sd1"),
    "T2I adapter": ({"adapter.body.0.in_conv.weight": (320, 192, 1, 1)}, "controlnet", "unknown"),
    "ESRGAN": (published.ESRGAN, "upscaler", "unknown"),
    "Real-ESRGAN": (published.REAL_ESRGAN, "upscaler", "unknown"),
    "Real-ESRGAN compact": (published.COMPACT, "upscaler", "unknown"),
}


@pytest.mark.parametrize(("shapes", "kind", "family"), ADDITIONS.values(), ids=ADDITIONS)
def test_additions_are_told_apart(shapes: Shapes, kind: str, family: str) -> None:
    identity = identity_of(shapes)
    assert (identity.kind, identity.family) == (kind, family)
    assert ("not supported yet" in identity.problem) is (kind != "upscaler")


USABLE_ADDITIONS = {
    "embedding": (published.TEXTUAL_INVERSION, "embedding", "sd1"),
    "embedding named by its token": ({"<cat-toy>": (768,)}, "embedding", "sd1"),
    "embedding of A1111": ({"string_to_token.*": (), "string_to_param.*": (2, 768)}, "embedding", "sd1"),
    "embedding of an unknown text encoder": ({"emb_params": (2, 32)}, "embedding", "unknown"),
    "embedding for SD 2": ({"emb_params": (2, 1024)}, "embedding", "sd2"),
    "embedding for SDXL": (published.TEXTUAL_INVERSION_XL, "embedding", "sdxl"),
    "hypernetwork": (published.HYPERNETWORK, "hypernetwork", "sd1"),
    "hypernetwork of NovelAI": ({"1024.0.linear1.weight": (2048, 1024)}, "hypernetwork", "sd2"),
}


@pytest.mark.parametrize(("shapes", "kind", "family"), USABLE_ADDITIONS.values(), ids=USABLE_ADDITIONS)
def test_additions_that_can_be_used(shapes: Shapes, kind: str, family: str) -> None:
    assert identity_of(shapes) == Identity(kind, family)


def test_additions_that_cannot() -> None:
    several = {"string_to_param.a": (1, 768), "string_to_param.b": (1, 768)}
    assert "several words" in identity_of(several).problem
    assert identity_of({"clip_l": (2, 768), "clip_g": (3, 1280)}).kind == ""
    assert identity_of({"emb_params": (0, 768)}).kind == ""
    assert "pictures of a batch" in identity_of(published.HYPERNETWORK, activation_func="softmax").problem
    assert "'magic'" in identity_of(published.HYPERNETWORK, activation_func="magic").problem


TO_K = "lora_unet_down_blocks_1_attentions_0_transformer_blocks_0_attn2_to_k"
LORAS = {
    "kohya": (kohya_lora(768), "sd1"),
    "kohya for SD 2": (kohya_lora(1024), "sd2"),
    "kohya for SDXL": (kohya_lora(2048, "lora_te1_text_model"), "sdxl"),
    "kohya for SDXL by its depth": (
        {"lora_unet_input_blocks_4_1_transformer_blocks_1_attn1_to_q.oft_blocks": (4, 8, 8)},
        "sdxl",
    ),
    "kohya, text encoder only": ({"lora_te_text_model_encoder_layers_0_mlp_fc1.lora_down.weight": (8, 768)}, "sd1"),
    "PEFT": (published.PEFT_LORA, "sd1"),
    "LoHa": (published.LOHA, "sd1"),
    "LoKr": ({f"{TO_K}.lokr_w1": (8, 8), f"{TO_K}.lokr_w2": (80, 96)}, "unknown"),
    "GLoRA": ({f"{TO_K}.a1.weight": (768, 8), f"{TO_K}.b1.weight": (640, 8)}, "unknown"),
    "IA3": ({f"{TO_K}.weight": (640,), f"{TO_K}.on_input": ()}, "unknown"),
    "full difference": ({f"{TO_K}.diff": (640, 768)}, "sd1"),
    "norms": ({"lora_unet_out_0.w_norm": (320,), "lora_unet_out_0.b_norm": (320,)}, "unknown"),
    "Flux": ({"lora_unet_double_blocks_0_img_attn_qkv.lora_down.weight": (8, 3072)}, "flux"),
}


@pytest.mark.parametrize(("shapes", "family"), LORAS.values(), ids=LORAS)
def test_loras_and_their_kin_are_usable(shapes: Shapes, family: str) -> None:
    assert identity_of(shapes) == Identity("lora", family)


@pytest.mark.parametrize(
    ("stated", "family"),
    [
        ({"ss_base_model_version": "sd_v1"}, "sd1"),
        ({"ss_base_model_version": "sdxl_base_v1-0"}, "sdxl"),
        ({"modelspec.architecture": "stable-diffusion-xl-v1-base/lora"}, "sdxl"),
        ({"modelspec.architecture": "flux-1-dev/lora"}, "flux"),
    ],
)
def test_a_lora_may_state_its_family(stated: dict[str, str], family: str) -> None:
    text_only = {"lora_te_text_model_encoder_layers_0_mlp_fc1.lora_down.weight": (8, 768)}
    assert identity_of(text_only, **stated).family == family


@pytest.mark.parametrize(
    ("shapes", "layout"),
    [
        (published.VAE, "original"),
        (published.STORED_VAE, "original"),
        (published.DIFFUSERS_VAE, "diffusers"),
        (below("first_stage_model.", published.DIFFUSERS_VAE), "diffusers"),
    ],
)
def test_vae_files_are_usable(shapes: Shapes, layout: str) -> None:
    assert identity_of(shapes, "vae-ft-mse-840000.safetensors") == Identity("vae", "sd1", layout)


def test_vaes_of_other_families() -> None:
    assert "another architecture" in identity_of(published.FLUX_VAE, "ae.safetensors").problem
    for name in ("sdxl_vae.safetensors", "xlVAEC_f1.safetensors", "my-xl.vae.safetensors"):
        assert identity_of(published.VAE, name) == Identity("vae", "sdxl", "original")
    assert identity_of(published.VAE, "exlibris.safetensors").problem == ""
    small = {**published.VAE, "encoder.conv_in.weight": (16, 3, 3, 3)}
    assert "sizes" in identity_of(small).problem


def test_tiny_autoencoders() -> None:
    assert identity_of(published.TAESD_DECODER, "taesd_decoder.safetensors") == Identity("taesd", "sd1", "original")
    assert identity_of(published.AUTOENCODER_TINY) == Identity("taesd", "sd1", "diffusers")
    of_sdxl = identity_of(published.TAESD_DECODER, "taesdxl_decoder.safetensors")
    assert of_sdxl == Identity("taesd", "sdxl", "original")
    assert "another latent space" in identity_of(published.TAEF1_DECODER).problem
    assert "encoder" in identity_of(published.TAESD_ENCODER).problem


@pytest.mark.parametrize("shapes", [{}, {"x": (3,)}, below("text_model.", published.OPENAI_CLIP)])
def test_the_unknown_is_called_unknown(shapes: Shapes) -> None:
    identity = identity_of(shapes)
    assert identity.kind == ""
    assert "not a kind of model that Lucid knows" in identity.problem


NAMES = sorted(
    {name for shapes in vars(published).values() if isinstance(shapes, dict) for name in shapes if "." in name}
)


@given(
    st.dictionaries(st.sampled_from(NAMES), st.lists(st.integers(0, 2048), max_size=5).map(tuple), max_size=8),
    st.booleans(),
)
def test_no_shape_is_taken_for_granted(shapes: Shapes, has_configs: bool) -> None:
    identity = identify(header(shapes), "file", has_configs)
    assert identity.kind or identity.problem


INDEX = {"unet": ["diffusers", "UNet2DConditionModel"], "text_encoder": ["transformers", "CLIPTextModel"]}
CONFIGS = {"text_encoder": {"hidden_act": "quick_gelu"}, "scheduler": {"prediction_type": "v_prediction"}}
UNET = header(published.DIFFUSERS_UNET)


class TestDiffusersFolder:
    def test_stable_diffusion_1(self) -> None:
        identity = identify_folder(INDEX, CONFIGS, UNET, "folder")
        assert identity == Identity("checkpoint", "sd1", "diffusers", "v_prediction")

    def test_stable_diffusion_2_by_its_text_encoder(self) -> None:
        configs = {**CONFIGS, "text_encoder": {"hidden_act": "gelu"}}
        assert identify_folder(INDEX, configs, UNET, "folder").family == "sd2"

    def test_sdxl_and_refiner_by_the_second_text_encoder(self) -> None:
        second = {**INDEX, "text_encoder_2": ["transformers", "CLIPTextModelWithProjection"]}
        assert identify_folder(second, CONFIGS, UNET, "folder").family == "sdxl"
        only_second = {**second, "text_encoder": [None, None]}
        assert identify_folder(only_second, CONFIGS, UNET, "folder").family == "sdxl-refiner"
