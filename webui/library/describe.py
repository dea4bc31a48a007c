"""From a file that was found to the ``ModelFile`` that says what it is and how it is to be used."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from webui.errors import IncompatibleModel, UnreadableModel, UnsafeModel, WebUIError
from webui.library.about import about
from webui.library.configs import (
    Configs,
    embedded_configs,
    family_configs,
    folder_configs,
    public_config,
    sidecar_prediction,
    suggested_parameters,
)
from webui.library.embedding_pictures import PICTURE_SUFFIXES, read_picture
from webui.library.embeddings import embedding_facts
from webui.library.formats import PICKLE_SUFFIXES, Header, TensorInfo, component_weights, read_header, read_json
from webui.library.hypernetworks import hypernetwork_facts
from webui.library.identify import Identity, identify, identify_folder
from webui.library.identify_checkpoint import vae_prefix
from webui.library.model_file import ModelFile
from webui.library.original_layout import PREFIXES
from webui.library.pickles import read_pickle
from webui.library.scan import FOLDER_MARK, Found
from webui.library.unet_shape import counted_config, first_layer

PIXELS_OF_A_LATENT = 8
PREDICTION_TYPES = ("epsilon", "v_prediction")
SDXL_SCALING_FACTOR = 0.13025
MAX_LATENT_SIDE = 8192
# the kinds whose pickles are read, by a reader that runs nothing; of the large ones only the weights
SMALL_PICKLES = ("embedding", "hypernetwork", "upscaler")
LARGE_PICKLES = ("checkpoint", "vae")


def describe(found: Found) -> ModelFile:
    """Everything about the file but its name, which depends on the other files. What is wrong becomes its ``problem``."""
    suffix = found.path.suffix.lower()
    try:
        if found.is_folder:
            return _describe_folder(found)
        if suffix in PICKLE_SUFFIXES:
            pickled = read_pickle(found.path)
            header = pickled.state_dict.header if found.kind in LARGE_PICKLES else pickled.header
            return replace(_describe_pickle(found, header), about=about(found, header.metadata))
        header = read_picture(found.path).header if suffix in PICTURE_SUFFIXES else read_header(found.path)
        return replace(_describe_file(found, header), about=about(found, header.metadata))
    except (UnreadableModel, UnsafeModel) as error:
        return _file(found, Identity(found.kind, problem=str(error)), error=type(error))


def _describe_pickle(found: Found, header: Header) -> ModelFile:
    """A kind that belongs into this folder; a LoRA as a pickle is refused, and so is what lies elsewhere."""
    file = _describe_file(found, header)
    if file.kind in (LARGE_PICKLES if found.kind in LARGE_PICKLES else SMALL_PICKLES) or file.problem:
        return file
    problem = f"{found.path.name} is a {file.kind} as a pickle; convert it to safetensors."
    return _file(found, Identity(file.kind, file.family, problem=problem), error=UnsafeModel)


def _describe_file(found: Found, header: Header) -> ModelFile:
    label = found.path.name
    configs: Configs = embedded_configs(header.metadata, label)
    if not configs and found.sidecar is not None and found.sidecar.suffix == ".json":
        configs = {"vae": public_config(read_json(found.sidecar))}  # a VAE published as a diffusers folder of its own
    identity = identify(header, label, has_configs=bool(configs))
    if not identity.kind and found.kind == "upscaler":  # one of forty architectures: the engine tells which
        identity = Identity("upscaler")
    if not identity.problem and identity.kind == "embedding":
        return _file(found, identity, {"embedding": embedding_facts(header)})
    if not identity.problem and identity.kind == "hypernetwork":
        return _file(found, identity, {"hypernetwork": hypernetwork_facts(header)})
    if identity.problem or identity.kind not in ("checkpoint", "vae"):
        return _file(found, identity)
    shipped = family_configs(identity.family)
    if identity.kind == "vae":
        config = configs.get("vae", shipped["vae"])
        is_sdxl = config.get("scaling_factor") == SDXL_SCALING_FACTOR
        return _file(found, replace(identity, family="sdxl") if is_sdxl else identity, {"vae": config})
    stated = configs.get("scheduler", {}).get("prediction_type")  # else what the marks in the file say
    identity = replace(identity, prediction_type=stated or identity.prediction_type)
    known = {**shipped, **configs}
    if "unet" not in configs:
        known["unet"] = _published_unet(header, identity, shipped["unet"], label)
    if vae_prefix(header.tensors) is None:
        del known["vae"]
    return _checkpoint(found, identity, known, suggested_parameters(header.metadata, label))


def _published_unet(header: Header, identity: Identity, config: Mapping[str, Any], label: str) -> dict[str, Any]:
    """The config of a U-Net whose file does not state it: its shape is counted; the size it was trained at is known."""
    prefix = next((one for one in PREFIXES["unet"] if first_layer(header.tensors, one)), "")
    counted = counted_config(header.tensors, prefix, config)
    resolution = re.match(r"(\d{2,4})x\d", header.metadata.get("modelspec.resolution", ""))
    if resolution:
        counted["sample_size"] = int(resolution[1]) // PIXELS_OF_A_LATENT
    elif identity.family == "sd2" and (identity.prediction_type == "epsilon" or "512" in label):
        counted["sample_size"] = 512 // PIXELS_OF_A_LATENT  # those that predict v were trained at 768
    return counted


def _describe_folder(found: Found) -> ModelFile:
    label = found.path.name
    index = read_json(found.path / FOLDER_MARK)
    if not (found.path / "unet").is_dir():
        problem = f"{label} has no U-Net; models of other architectures are not supported yet."
        return _file(found, Identity("checkpoint", layout="diffusers", problem=problem))
    configs = folder_configs(found.path)
    identity = identify_folder(index, configs, _whole_header(found, "unet"), label)
    if identity.problem:
        return _file(found, identity)
    for component in ("vae", *(name for name in configs if name.startswith("text_encoder"))):
        _whole_header(found, component)  # tells now rather than in the middle of a job that a file is cut short
    return _checkpoint(found, identity, configs, {})


def _whole_header(found: Found, component: str) -> Header:
    """The header of a component's weights, those of its shards together."""
    tensors: dict[str, TensorInfo] = {}
    for weights in component_weights(found.path, component):
        is_pickle = weights.suffix in PICKLE_SUFFIXES
        header = read_pickle(weights).state_dict.header if is_pickle else read_header(weights)
        tensors.update(header.tensors)
    return Header(tensors, {})


def _checkpoint(found: Found, identity: Identity, configs: Configs, suggested: Mapping[str, Any]) -> ModelFile:
    """A usable checkpoint. What the user says beside the file goes before what the file says of itself."""
    stated = sidecar_prediction(found.sidecar) if found.sidecar is not None else ""
    prediction = stated or identity.prediction_type
    if prediction not in (*PREDICTION_TYPES, ""):
        problem = f'{found.path.name} predicts "{prediction}"; only {" and ".join(PREDICTION_TYPES)} are supported.'
        return _file(found, replace(identity, problem=problem))
    side = configs["unet"].get("sample_size")
    if type(side) is not int or not 0 < side <= MAX_LATENT_SIDE:
        raise UnreadableModel(f"{found.path.name} states no usable sample_size in its U-Net's config.")
    native = side * PIXELS_OF_A_LATENT
    scheduler = {**configs["scheduler"], "prediction_type": prediction or "epsilon"}
    if identity.zero_terminal_snr:
        scheduler["rescale_betas_zero_snr"] = True
    return replace(
        _file(found, replace(identity, prediction_type=prediction), {**configs, "scheduler": scheduler}),
        native_size=native,
        suggested={"width": native, "height": native, **suggested},
    )


def _file(
    found: Found, identity: Identity, configs: Configs | None = None, error: type[WebUIError] = IncompatibleModel
) -> ModelFile:
    mtime_ns, size = found.stamp
    return ModelFile(
        kind=identity.kind or found.kind,
        name=found.path.stem,
        path=found.path,
        size=size,
        mtime_ns=mtime_ns,
        family=identity.family,
        layout=identity.layout,
        prediction_type=identity.prediction_type,
        configs=configs or {},
        preview=found.preview,
        problem=identity.problem,
        error=error,
    )
