"""The command line: what it understands, what it refuses and how, and that it draws what the page would."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from webui.cli import COMMANDS, OFFLINE, main
from webui.domain.infotext import parse, to_request
from webui.domain.request import PARAMETERS
from webui.flags import FOLDER_FLAGS, IGNORED, IGNORED_WITH_VALUE, REFUSED, SAME_AS
from webui.settings import SETTINGS

ROOT = Path(__file__).resolve().parent.parent
SMALL = ["--steps", "2", "--width", "64", "--height", "64", "--seed", "7"]


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith("LUCID_"):
            monkeypatch.delenv(name)
    for name, value in OFFLINE.items():  # main sets them; this puts them back
        monkeypatch.setenv(name, value)


@pytest.fixture
def folders(tmp_path: Path) -> list[str]:
    return ["--data-dir", str(tmp_path), "--models-dir", str(ROOT / "models")]


def help_of(command: str, capsys: pytest.CaptureFixture[str]) -> str:
    with pytest.raises(SystemExit) as exit:
        main([command, "--help"])
    assert exit.value.code == 0
    return capsys.readouterr().out


def test_help_shows_every_setting_every_parameter_and_what_is_known_of_a1111(
    capsys: pytest.CaptureFixture[str],
) -> None:
    serve = help_of("serve", capsys)
    for setting in SETTINGS.values():
        assert setting.flag in serve
    for flag in [*FOLDER_FLAGS, *SAME_AS, *IGNORED, *IGNORED_WITH_VALUE, *REFUSED, "--config", "--insecure"]:
        assert flag in serve
    generate = help_of("generate", capsys)
    for name in PARAMETERS:
        assert name == "prompt" or f"--{name.replace('_', '-')}" in generate
    for command in COMMANDS:
        assert command in serve


def test_serve_is_the_command_when_none_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--help"])
    assert capsys.readouterr().out == help_of("serve", capsys)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--prot", "7861"], 'There is no flag "--prot". Did you mean "--port"'),
        (["--port"], "Argument --port: expected one argument"),
        (["--port", "http"], "--port: port must be a whole number between 0 and 65535, not 'http'"),
        (["--models-dir", "nowhere"], "--models-dir: the folder"),
        (["--lora-dir", "nowhere"], "--lora-dir: the lora folder"),
        (["--config", "nowhere.yaml"], "nowhere.yaml does not exist"),
        (["--device", "gpu"], '--device: device knows no device "gpu"'),
        (["serv"], 'There is no command "serv". Did you mean "serve"'),
        (["generate", "a cat", "a dog"], 'There is no argument "a dog"'),
        (["generate", "x", "--steps", "0"], "Sampling steps must be between 1 and 1000, not 0"),
        (["generate", "x", "--steps", "many"], "Sampling steps must be a whole number, not 'many'"),
        (["generate", "x", "--ngms-all-steps", "--eta", "2"], "Eta must be between -1 and 1, not 2"),
        (["generate", "x", "--rng", "TPU"], "Random number source must be one of NV, GPU, CPU"),
        (["generate", "x", "--width", "100"], "Width must be a multiple of 8, not 100. Try 96"),
        (["generate", "x", "-o", "x.gif"], "must end in .png"),
        (["generate", "x", "-o", "nowhere/x.png"], "nowhere does not exist"),
        (["generate", "x", "--port", "1"], 'There is no flag "--port"'),
    ],
)
def test_what_cannot_be_is_one_sentence_and_exit_code_2(
    arguments: list[str],
    sentence: str,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == 2
    told = capsys.readouterr()
    assert sentence in told.err
    assert len(told.err.splitlines()) == 1
    assert not told.out


@pytest.mark.parametrize("flag", REFUSED)
def test_a_flag_that_would_be_unsafe_or_mean_something_else_is_refused_with_its_reason(
    flag: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([flag]) == 2
    assert main([f"{flag}=value"]) == 2
    assert capsys.readouterr().err.splitlines() == [f"{flag}: {REFUSED[flag]}."] * 2


@pytest.mark.parametrize("flag", [*IGNORED, *IGNORED_WITH_VALUE])
def test_a_flag_that_nothing_needs_is_noted_and_ignored(flag: str, capsys: pytest.CaptureFixture[str]) -> None:
    value = ["full"] if flag in IGNORED_WITH_VALUE else []
    assert main([flag, *value, "--port", "http"]) == 2  # it came as far as the settings
    noted, wrong = capsys.readouterr().err.splitlines()
    assert noted.startswith(f"{flag} is ignored: ")
    assert wrong.startswith("--port: ")


@pytest.mark.parametrize("host", [["--listen"], ["--host", "192.168.0.7"], ["--host", "::"]])
def test_other_computers_are_let_in_only_on_purpose(
    host: list[str], folders: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*host, *folders]) == 2
    assert "--insecure" in capsys.readouterr().err


def test_a_taken_port_is_told_before_anything_is_loaded(folders: list[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        code = (
            "import sys; from webui.cli import main; code = main(sys.argv[1:])\n"
            "assert not {'torch', 'gradio', 'diffusers'} & sys.modules.keys(); sys.exit(code)"
        )
        done = subprocess.run(
            [sys.executable, "-c", code, "--port", str(port), *folders],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
        )
    assert done.returncode == 2
    assert done.stderr.startswith(f"Port {port} of 127.0.0.1 is in use")
    assert len(done.stderr.splitlines()) == 1


def test_drawing_twice_gives_the_same_picture_with_its_parameters(
    folders: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first, second = tmp_path / "first.png", tmp_path / "second.png"
    for output in (first, second):
        command = [
            "generate",
            "a red apple",
            "--negative-prompt",
            "fog",
            "--sampler",
            "euler",
            *SMALL,
            "-o",
            str(output),
        ]
        assert main([*command, *folders]) == 0
        told = capsys.readouterr()
        assert told.out.splitlines() == [str(output)]
        assert not told.err
    with Image.open(first) as picture:
        assert picture.size == (64, 64)
        request, unused, remarks = to_request(parse(picture.info["parameters"]))
    assert not remarks and not unused
    assert (request.prompt, request.negative_prompt, request.sampler) == ("a red apple", "fog", "Euler")
    assert (request.steps, request.seed, request.checkpoint) == (2, 7, "lucid-starter")
    assert first.read_bytes() == second.read_bytes()


def test_a_picture_and_a_mask_are_named_by_their_files(
    folders: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    photo, mask, drawn = (tmp_path / f"{name}.png" for name in ("photo", "mask", "drawn"))
    Image.new("RGB", (64, 64), "red").save(photo)
    Image.new("L", (64, 64)).save(mask)
    with Image.open(mask) as black:
        black.paste(255, (40, 0, 64, 64))
        black.save(mask)
    files = ["--init-image", str(photo), "--mask", str(mask)]
    wish = ["a blue wall", "--denoising-strength", "0.9"]
    assert main(["generate", *wish, *files, *SMALL, "-o", str(drawn), *folders]) == 0
    capsys.readouterr()
    with Image.open(drawn) as picture:
        assert picture.getpixel((5, 5)) == (255, 0, 0)
        assert picture.getpixel((60, 5)) != (255, 0, 0)
        assert "Denoising strength: 0.9" in picture.info["parameters"]
    assert main(["generate", "x", "--init-image", str(tmp_path / "none.png"), *folders]) == 2
    assert "none.png: the file cannot be read" in capsys.readouterr().err


def test_several_pictures_get_numbers_and_the_suffix_chooses_the_format(
    folders: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["generate", "a cat", *SMALL, "--batch-count", "2", "-o", str(tmp_path / "cat.webp"), *folders]) == 0
    paths = [Path(line) for line in capsys.readouterr().out.splitlines()]
    assert [path.name for path in paths] == ["cat-1.webp", "cat-2.webp"]
    for path in paths:
        with Image.open(path) as picture:
            assert picture.format == "WEBP"


def test_without_o_the_picture_is_where_the_page_would_put_it(
    folders: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["generate", "a cat", *SMALL, *folders]) == 0
    path = Path(capsys.readouterr().out.strip())
    assert path.is_file() and path.is_relative_to(tmp_path / "outputs" / "txt2img")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--sampler", "Eular"], 'There is no sampler "Eular". Did you mean "Euler"'),
        (["--checkpoint", "lucid-startr"], 'Did you mean "lucid-starter"'),
        (["--filename-pattern", "[sed]"], 'unknown [sed]. Did you mean "seed"'),
    ],
)
def test_a_name_that_does_not_exist_names_near_ones(
    arguments: list[str], sentence: str, folders: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["generate", "a cat", *SMALL, *arguments, *folders]) == 2
    told = capsys.readouterr().err
    assert sentence in told and len(told.splitlines()) == 1


def test_what_the_checkpoint_suggests_is_taken_unless_told_otherwise(
    folders: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["generate", "a cat", "--steps", "1", "--height", "64", "-o", str(tmp_path / "cat.png"), *folders]) == 0
    with Image.open(tmp_path / "cat.png") as picture:
        assert picture.size == (128, 64)  # the starter is at home at 128 x 128


def test_ctrl_c_stops_the_job_and_keeps_what_is_finished(folders: list[str], tmp_path: Path) -> None:
    command = ["generate", "a cat", *SMALL, "--batch-count", "1000", "-o", str(tmp_path / "cat.png"), *folders]
    with subprocess.Popen(
        [sys.executable, "app.py", *command], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout and process.stderr
        first = process.stdout.readline().strip()
        process.send_signal(signal.SIGINT)
        rest, errors = process.communicate()
    assert process.returncode == 130, errors
    assert not errors
    finished = [first, *rest.splitlines()]
    assert len(finished) < 1000
    for path in finished:
        with Image.open(path) as picture:
            picture.load()
    assert not list(tmp_path.glob("*.part"))
