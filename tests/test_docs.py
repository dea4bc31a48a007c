"""Documentation that lags behind the code fails the build."""

from __future__ import annotations

import ast
import re
import sys
from pathlib import Path

import pytest
import yaml

from webui import __version__
from webui.cli import COMMANDS
from webui.domain.request import PARAMETERS
from webui.domain.samplers import SAMPLERS
from webui.domain.schedules import SCHEDULES
from webui.flags import FOLDER_FLAGS, IGNORED, REFUSED, SAME_AS
from webui.jobs.filenames import TOKENS
from webui.settings import SETTINGS

ROOT = Path(__file__).resolve().parent.parent
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md"), *(ROOT / "outputs").glob("*.md")])
START = "pip install -e . && python app.py"
TEST = 'pip install -e ".[test]" && pytest'


def text(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def test_each_setting_has_its_heading_and_no_other_has_one() -> None:
    headings = re.findall(r"^## (\S+)$", text("docs/settings.md"), re.MULTILINE)
    assert sorted(headings) == sorted(SETTINGS)


def test_each_token_of_a_file_name_is_explained() -> None:
    part = text("docs/settings.md").split("## filename_pattern")[1].split("## folder_pattern")[0]
    assert set(re.findall(r"`\[([a-z_]+)(?:<[^>]*>)?\]`", part)) == set(TOKENS)


def test_readme_tells_the_two_commands_and_ci_runs_the_second_one() -> None:
    assert f"```\n{START}\n```" in text("README.md")
    assert f"```\n{TEST}\n```" in text("README.md")
    assert f"\n{TEST}\n" in text(".ci/run")


def test_pre_commit_runs_the_commands_of_ci() -> None:
    hooks = yaml.safe_load(text(".pre-commit-config.yaml"))["repos"][0]["hooks"]
    for hook in hooks:
        assert f"\n{hook['entry']}\n" in text(".ci/run")
        assert f"\n{hook['entry']}\n" in text("CONTRIBUTING.md")


def test_readme_lists_the_samplers_and_schedules_that_there_are() -> None:
    readme = text("README.md")
    assert f"| samplers | {', '.join(row.name for row in SAMPLERS)} |" in readme
    assert f"| schedules | {', '.join(row.name for row in SCHEDULES)} |" in readme


def test_changelog_knows_this_version() -> None:
    assert re.search(rf"^## {re.escape(__version__)}\b", text("CHANGELOG.md"), re.MULTILINE)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    content = page.read_text(encoding="utf-8")
    anchors = {
        re.sub(r"[^\w\- ]", "", line).strip().lower().replace(" ", "-")
        for line in re.findall("^#+ (.*)", content, re.M)
    }
    for target in re.findall(r"\]\(([^)]+)\)", content):
        if target.startswith("#"):
            assert target[1:] in anchors, target
        elif not target.startswith("http"):
            assert (page.parent / target.partition("#")[0]).exists(), target


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_files_that_are_named_exist(page: Path) -> None:
    """``domain/prompt.py`` in backticks is below webui/, ``tests/tiny.py`` below the root; "later" ones are marked so."""
    content = page.read_text(encoding="utf-8").split("Not there yet")[0]
    for name in re.findall(r"`((?:[\w.]+/)*[\w]+\.(?:py|css|js|yaml))`", content):
        if name in ("config.local.yaml", "name.yaml"):  # the user's own
            continue
        places = [ROOT / name, ROOT / "webui" / name, *(ROOT / "webui").rglob(name)]
        assert any(place.exists() for place in places), name


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_flags_that_are_named_exist(page: Path) -> None:
    known = {setting.flag for setting in SETTINGS.values()} | {"--" + name.replace("_", "-") for name in PARAMETERS}
    known |= {*FOLDER_FLAGS, *SAME_AS, *IGNORED, *REFUSED, "--help", "--config", "--insecure", "--nowebui"}
    known |= {"--admin", "--adopt", "--role", "--label", "--password-stdin"}  # of lucid users
    known |= {"--index-url", "--check", "--work", "--only"}  # pip's, ruff's, the training's, the benchmarks'
    named = set(re.findall(r"(?<![\w-])--[a-z][a-z0-9-]+", page.read_text(encoding="utf-8")))
    assert not named - known


def test_commands_that_are_named_exist() -> None:
    named = {command for page in PAGES for command in re.findall(r"lucid (\w+)[ `]", page.read_text(encoding="utf-8"))}
    assert named == set(COMMANDS)


def test_everything_that_is_imported_is_declared() -> None:
    """Also what another package brings today: tomorrow it may not."""
    called = {
        "PIL": "pillow",
        "yaml": "pyyaml",
        "resvg_py": "resvg-py",
        "lycoris": "lycoris-lora",
        "argon2": "argon2-cffi",
    }
    called |= {"sd_parsers": "sd-parsers", "sd_prompt_reader": "sd-prompt-reader"}
    project = text("pyproject.toml").split("[project.scripts]")[0]
    declared = {name.lower() for name in re.findall(r'"([\w-]+)>=', project)}
    own = {"webui", *(name for path in (ROOT / "tests").rglob("*.py") for name in (path.stem, path.parent.name))}
    for path in [*(ROOT / "webui").rglob("*.py"), *(ROOT / "tests").rglob("*.py")]:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [str(node.module)] if isinstance(node, ast.ImportFrom) else []
            for name in {name.split(".")[0] for name in names} - sys.stdlib_module_names - own:
                assert called.get(name, name).lower() in declared, f"{path.name} imports {name}"
