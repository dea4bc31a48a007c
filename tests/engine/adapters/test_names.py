"""Under how many names one layer goes, and that each of them finds it."""

from __future__ import annotations

import pytest
from tiny import tiny_components

from webui.engine.adapters.names import Place, find_place, places, split_name

ATTENTION = "down_blocks.0.attentions.0.transformer_blocks.0.attn1"
FIRST_TEXT = "encoder.layers.0"


@pytest.fixture(scope="module")
def known():
    parts = tiny_components()
    return places({name: parts[name].state_dict() for name in ("unet", "text_encoder")})


@pytest.mark.parametrize(
    ("name", "module", "part"),
    [
        ("lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn1_to_q.lora_up.weight", "to_q", "up"),
        ("lora_unet_input_blocks_1_1_transformer_blocks_0_attn1_to_q.lora_mid.weight", "to_q", "mid"),
        ("lycoris_down_blocks_0_attentions_0_transformer_blocks_0_attn1_to_out_0.hada_w1_a", "to_out.0", "hada_w1_a"),
        (f"unet.{ATTENTION}.to_k.lora_A.weight", "to_k", "down"),
        (f"base_model.model.unet.{ATTENTION}.to_k.lora_B.default.weight", "to_k", "up"),
        (f"{ATTENTION}.to_k.lora_B.weight", "to_k", "up"),
        (f"unet.{ATTENTION}.processor.to_v_lora.down.weight", "to_v", "down"),
        (f"{ATTENTION}.processor.to_out_lora.up.weight", "to_out.0", "up"),
        (f"unet.{ATTENTION}.to_q.lora.up.weight", "to_q", "up"),
        (f"unet.{ATTENTION}.to_q.lora_magnitude_vector", "to_q", "magnitude"),
        ("diffusion_model.input_blocks.1.1.transformer_blocks.0.attn1.to_q.lokr_w1", "to_q", "lokr_w1"),
        ("model.diffusion_model.input_blocks.1.1.transformer_blocks.0.attn1.to_q.diff_b", "to_q", "bias"),
    ],
)
def test_names_of_the_unet(name, module, part, known):
    layer, found = split_name(name)
    assert (find_place(layer, known), found) == (Place("unet", f"{ATTENTION}.{module}"), part)


@pytest.mark.parametrize(
    ("original", "ours"),
    [
        ("input_blocks_0_0", "conv_in"),
        ("input_blocks_1_0_in_layers_2", "down_blocks.0.resnets.0.conv1"),
        ("input_blocks_1_0_emb_layers_1", "down_blocks.0.resnets.0.time_emb_proj"),
        ("input_blocks_1_1_proj_in", "down_blocks.0.attentions.0.proj_in"),
        ("input_blocks_2_0_op", "down_blocks.0.downsamplers.0.conv"),
        ("middle_block_1_proj_out", "mid_block.attentions.0.proj_out"),
        ("output_blocks_0_0_out_layers_0", "up_blocks.0.resnets.0.norm2"),
        ("time_embed_2", "time_embedding.linear_2"),
        ("out_2", "conv_out"),
    ],
)
def test_both_names_of_a_layer_lead_to_it(original, ours, known):
    assert find_place(f"lora_unet_{original}", known) == Place("unet", ours)
    assert find_place(f"lora_unet_{ours.replace('.', '_')}", known) == Place("unet", ours)


@pytest.mark.parametrize(
    "name",
    [
        "lora_te_text_model_encoder_layers_0_self_attn_q_proj.lora_up.weight",
        "lora_te1_text_model_encoder_layers_0_self_attn_q_proj.lora_up.weight",
        f"text_encoder.text_model.{FIRST_TEXT}.self_attn.q_proj.lora_B.weight",
        f"text_encoder.{FIRST_TEXT}.self_attn.q_proj.lora_linear_layer.up.weight",
        f"text_encoder.text_model.{FIRST_TEXT}.self_attn.to_q_lora.up.weight",
        f"text_encoders.clip_l.transformer.text_model.{FIRST_TEXT}.self_attn.q_proj.lora_up.weight",
        f"cond_stage_model.transformer.text_model.{FIRST_TEXT}.self_attn.q_proj.lora_up.weight",
        f"te1.text_model.{FIRST_TEXT}.self_attn.q_proj.lora_up.weight",
    ],
)
def test_names_of_the_text_encoder(name, known):
    layer, part = split_name(name)
    assert (find_place(layer, known), part) == (Place("text_encoder", f"{FIRST_TEXT}.self_attn.q_proj"), "up")


def test_every_layer_with_a_weight_is_found_by_its_kohya_name(known):
    parts = tiny_components()
    for network, prefix in (("unet", "lora_unet_"), ("text_encoder", "lora_te_text_model_")):
        for parameter in parts[network].state_dict():
            module = parameter.rpartition(".")[0]
            assert find_place(prefix + module.replace(".", "_"), known) == Place(network, module)


@pytest.mark.parametrize(
    "layer",
    [
        "lora_te2_text_model_encoder_layers_0_mlp_fc1",
        "text_encoder_2.text_model.encoder.layers.0.mlp.fc1",
        "lora_unet_double_blocks_0_img_mod_lin",
        "lora_unet_down_blocks_9_resnets_0_conv1",
        "lora_unet_",
        "",
    ],
)
def test_what_is_not_there_is_not_found(layer, known):
    assert find_place(layer, known) is None
