"""Hypernetworks, held against networks built and saved here by the rules of A1111's trainer."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from webui.domain.events import Notice
from webui.engine.hypernetworks import ACTIVATIONS, hypernetworks_on, read_hypernetwork
from webui.engine.model_manager import HypernetworkUse, ModelManager, Selection
from webui.errors import IncompatibleModel, UnreadableModel
from webui.library.hypernetworks import ACTIVATIONS as LISTED_ACTIVATIONS
from webui.library.index import Library
from webui.library.model_file import ModelFile

WIDTHS = (32, 64)  # the tiny U-Net's: text and first level, second level
CPU = torch.device("cpu")


def trained(
    width: int,
    structure: list[float],
    activation: str | None,
    *,
    norm: bool = False,
    dropout: bool = False,
    last_dropout: bool = False,
    activate_output: bool = False,
) -> nn.Sequential:
    """The layers that A1111 builds, in its order: linear, activation, norm, dropout."""
    layers: list[nn.Module] = []
    count = len(structure) - 1
    for place, (before, after) in enumerate(pairwise(structure)):
        layers.append(nn.Linear(int(width * before), int(width * after)))
        if activation not in (None, "linear") and (place < count - 1 or activate_output):
            layers.append(ACTIVATIONS[str(activation)]())
        if norm:
            layers.append(nn.LayerNorm(int(width * after)))
        if dropout and (place < count - 2 or (last_dropout and place < count - 1)):
            layers.append(nn.Dropout(0.3))
    for layer in layers:
        for parameter in layer.parameters():
            nn.init.normal_(parameter, 0.1, 0.3)
    return nn.Sequential(*layers).eval()


class Trainee:
    def __init__(self, structure: list[float], activation: str | None, seed: int = 0, **options: Any) -> None:
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            self.networks = {
                width: tuple(trained(width, structure, activation, **options) for _ in "kv") for width in WIDTHS
            }
        self.options = {
            "step": 100,
            "name": "style",
            "layer_structure": structure,
            "activation_func": activation,
            "is_layer_norm": options.get("norm", False),
            "use_dropout": options.get("dropout", False),
            "activate_output": options.get("activate_output", False),
            "last_layer_dropout": options.get("last_dropout", False),
        }

    def save(self, folder: Path, name: str = "style", **changes: Any) -> ModelFile:
        states: dict[Any, Any] = {
            width: tuple({f"linear.{key}": value for key, value in network.state_dict().items()} for network in pair)
            for width, pair in self.networks.items()
        }
        torch.save(states | self.options | changes, folder / f"{name}.pt")
        return listed(folder, name)


def listed(folder: Path, name: str = "style") -> ModelFile:
    library = Library({"hypernetwork": (folder,)}, folder / "hashes.sqlite3")
    library.rescan()
    return library.find("hypernetwork", name)


def read(file: ModelFile) -> Any:
    reading = read_hypernetwork(file, CPU)
    while True:
        try:
            next(reading)
        except StopIteration as finished:
            return finished.value


STRUCTURES: dict[str, dict[str, Any]] = {
    "plain": {"structure": [1, 2, 1]},
    "deep": {"structure": [1, 2, 2, 1]},
    "narrow": {"structure": [1, 1.5, 0.5, 1]},
    "norm": {"structure": [1, 2, 1], "norm": True},
    "dropout": {"structure": [1, 2, 2, 1], "dropout": True},
    "last dropout": {"structure": [1, 2, 1], "dropout": True, "last_dropout": True},
    "all": {"structure": [1, 2, 2, 1], "norm": True, "dropout": True, "last_dropout": True, "activate_output": True},
}


@pytest.mark.parametrize("options", STRUCTURES.values(), ids=STRUCTURES)
@pytest.mark.parametrize("activation", ["linear", None, "relu", "prelu"])
def test_every_structure(tmp_path: Path, options: dict[str, Any], activation: str | None) -> None:
    trainee = Trainee(activation=activation, **options)
    network = read(trainee.save(tmp_path))
    state = torch.randn(2, 5, 32)
    for side in (0, 1):
        assert torch.equal(network.networks[32][side](state), trainee.networks[32][side](state))


FORMULAS: dict[str, Callable[[Tensor], Tensor]] = {
    "linear": lambda x: x,
    "relu": lambda x: x.clamp(min=0),
    "leakyrelu": lambda x: torch.where(x > 0, x, 0.01 * x),
    "elu": lambda x: torch.where(x > 0, x, x.exp() - 1),
    "swish": lambda x: x * ((x + 3) / 6).clamp(0, 1),
    "tanh": lambda x: (x.exp() - (-x).exp()) / (x.exp() + (-x).exp()),
    "sigmoid": lambda x: 1 / (1 + (-x).exp()),
    "celu": lambda x: torch.where(x > 0, x, x.exp() - 1),
    "gelu": lambda x: x / 2 * (1 + torch.erf(x / 2**0.5)),
    "hardshrink": lambda x: torch.where(x.abs() > 0.5, x, 0),
    "hardsigmoid": lambda x: ((x + 3) / 6).clamp(0, 1),
    "hardswish": lambda x: x * ((x + 3) / 6).clamp(0, 1),
    "hardtanh": lambda x: x.clamp(-1, 1),
    "logsigmoid": lambda x: -(1 + (-x).exp()).log(),
    "mish": lambda x: x * (1 + x.exp()).log().tanh(),
    "prelu": lambda x: torch.where(x > 0, x, 0.25 * x),
    "relu6": lambda x: x.clamp(0, 6),
    "rrelu": lambda x: torch.where(x > 0, x, (1 / 8 + 1 / 3) / 2 * x),
    "selu": lambda x: 1.0507009873554805 * torch.where(x > 0, x, 1.6732632423543772 * (x.exp() - 1)),
    "silu": lambda x: x / (1 + (-x).exp()),
    "softplus": lambda x: (1 + x.exp()).log(),
    "softshrink": lambda x: torch.where(x > 0.5, x - 0.5, torch.where(x < -0.5, x + 0.5, 0)),
    "softsign": lambda x: x / (1 + x.abs()),
    "tanhshrink": lambda x: x - x.tanh(),
}


def test_every_activation_that_is_listed_as_usable_has_its_formula_here() -> None:
    assert set(FORMULAS) == set(ACTIVATIONS) == set(LISTED_ACTIVATIONS)


@pytest.mark.parametrize("activation", FORMULAS)
@pytest.mark.parametrize("activate_output", [False, True])
def test_every_activation(tmp_path: Path, activation: str, activate_output: bool) -> None:
    linear = {"linear.0.weight": torch.randn(64, 32) * 0.3, "linear.0.bias": torch.randn(64) * 0.3}
    last = "1" if activation == "linear" else "2"
    state_dict = linear | {f"linear.{last}.weight": torch.randn(32, 64) * 0.3, f"linear.{last}.bias": torch.randn(32)}
    if activation == "prelu":
        state_dict["linear.1.weight"] = torch.tensor([0.25])
        if activate_output:
            state_dict["linear.3.weight"] = torch.tensor([0.25])
    content = {32: (state_dict, state_dict), "activation_func": activation, "activate_output": activate_output}
    torch.save(content, tmp_path / "style.pt")
    x = torch.randn(2, 5, 32)
    inner = FORMULAS[activation](x @ linear["linear.0.weight"].T + linear["linear.0.bias"])
    expected = inner @ state_dict[f"linear.{last}.weight"].T + state_dict[f"linear.{last}.bias"]
    expected = FORMULAS[activation](expected) if activate_output else expected
    torch.testing.assert_close(read(listed(tmp_path)).networks[32][0](x), expected, atol=1e-5, rtol=1e-5)


def test_files_of_novelai_hold_only_weights(tmp_path: Path) -> None:
    state = {
        "linear1.weight": torch.randn(64, 32),
        "linear1.bias": torch.randn(64),
        "linear2.weight": torch.randn(32, 64),
        "linear2.bias": torch.randn(32),
    }
    torch.save({32: (state, state)}, tmp_path / "style.pt", _use_new_zipfile_serialization=False)
    x = torch.randn(1, 3, 32)
    inner = F.linear(x, state["linear1.weight"], state["linear1.bias"])
    expected = F.linear(inner, state["linear2.weight"], state["linear2.bias"])
    assert torch.equal(read(listed(tmp_path)).networks[32][1](x), expected)


class TestRefused:
    def test_an_activation_over_the_batch(self, tmp_path: Path) -> None:
        with pytest.raises(IncompatibleModel, match="softmax"):
            Trainee([1, 2, 1], "relu").save(tmp_path, activation_func="softmax")

    def test_layers_that_do_not_follow_one_another(self, tmp_path: Path) -> None:
        state = {"linear.0.weight": torch.zeros(64, 32), "linear.0.bias": torch.zeros(64)}
        torch.save({32: (state, state)}, tmp_path / "style.pt")
        with pytest.raises(UnreadableModel, match="ends with another width, 64"):
            read(listed(tmp_path))
        torch.save({32: ({"linear.0.weight": torch.zeros(64, 31)}, state)}, tmp_path / "style.pt")
        with pytest.raises(UnreadableModel, match="does not follow"):
            read(listed(tmp_path))

    def test_values_without_keys(self, tmp_path: Path) -> None:
        state = {"linear.0.weight": torch.zeros(32, 32), "linear.0.bias": torch.zeros(32)}
        torch.save({32: (state, {})}, tmp_path / "style.pt")
        with pytest.raises(UnreadableModel, match="keys or for values"):
            read(listed(tmp_path))


class Steered(nn.Module):
    """A projection that reads its input through hypernetworks: the same thing done by replacing the layer."""

    def __init__(self, projection: nn.Module, side: int, uses: list[tuple[Trainee, float]]) -> None:
        super().__init__()
        self.projection, self.side, self.uses = projection, side, uses

    def forward(self, x: Tensor) -> Tensor:
        for trainee, strength in self.uses:
            x = x + trainee.networks[x.shape[-1]][self.side](x) * strength
        return self.projection(x)  # type: ignore[no-any-return]


class TestOnTheUNet:
    @pytest.fixture
    def selection(self, tiny_library: Library) -> Selection:
        return Selection(tiny_library.find("checkpoint", "a"))

    def picture(self, unet: Any) -> Tensor:
        random = torch.Generator().manual_seed(1)
        latents, text = torch.randn(2, 4, 8, 8, generator=random), torch.randn(2, 77, 32, generator=random)
        with torch.inference_mode():
            return unet(latents, 500, text).sample  # type: ignore[no-any-return]

    def with_uses(self, models: ModelManager, selection: Selection, *uses: HypernetworkUse) -> Tensor:
        chosen = Selection(selection.checkpoint, hypernetworks=uses)
        list(models.load(chosen))
        with models.use(chosen) as model:
            return self.picture(model.checkpoint.unet)

    @pytest.mark.parametrize("strengths", [(1.0,), (0.4,), (0.7, -0.5), (-0.5, 0.7)])
    def test_keys_and_values_go_through_them_in_order(
        self, models: ModelManager, selection: Selection, tmp_path: Path, strengths: tuple[float, ...]
    ) -> None:
        trainees = [Trainee([1, 2, 1], "relu", seed) for seed, _ in enumerate(strengths)]
        uses = [
            HypernetworkUse(trainee.save(tmp_path, f"h{number}"), strength)
            for number, (trainee, strength) in enumerate(zip(trainees, strengths, strict=True))
        ]
        actual = self.with_uses(models, selection, *uses)
        other = ModelManager(models.compute, budget=2**33)
        list(other.load(selection))
        with other.use(selection) as model:
            pairs = list(zip(trainees, strengths, strict=True))
            for layer in [layer for layer in model.checkpoint.unet.modules() if hasattr(layer, "to_k")]:
                layer.to_k, layer.to_v = Steered(layer.to_k, 0, pairs), Steered(layer.to_v, 1, pairs)
            expected = self.picture(model.checkpoint.unet)
        torch.testing.assert_close(actual, expected, atol=1e-6, rtol=1e-6)

    def test_a_picture_without_it_is_bit_for_bit_what_it_was(
        self, models: ModelManager, selection: Selection, tmp_path: Path
    ) -> None:
        before = self.with_uses(models, selection)
        file = Trainee([1, 2, 1], "tanh").save(tmp_path)
        changed = self.with_uses(models, selection, HypernetworkUse(file))
        assert (changed - before).abs().max() > 1e-3
        assert torch.equal(self.with_uses(models, selection), before)
        assert torch.equal(self.with_uses(models, selection, HypernetworkUse(file, 0.0)), before)

    def test_it_comes_off_after_an_error_too(self, models: ModelManager, selection: Selection, tmp_path: Path) -> None:
        network = read(Trainee([1, 2, 1], "relu").save(tmp_path))
        list(models.load(selection))
        with models.use(selection) as model:
            unet = model.checkpoint.unet
            before = self.picture(unet)
            with pytest.raises(KeyError), hypernetworks_on(unet, [(network, 1.0)]):
                raise KeyError
            assert torch.equal(self.picture(unet), before)

    def test_one_for_other_widths_is_said_to_change_nothing(
        self, models: ModelManager, selection: Selection, tmp_path: Path
    ) -> None:
        state = {"linear.0.weight": torch.zeros(48, 48), "linear.0.bias": torch.zeros(48)}
        torch.save({48: (state, state)}, tmp_path / "style.pt")
        chosen = Selection(selection.checkpoint, hypernetworks=(HypernetworkUse(listed(tmp_path)),))
        notices = [event.text for event in models.load(chosen) if isinstance(event, Notice)]
        assert notices == ['The hypernetwork "style" changes nothing: "a" has no layer of its widths.']
