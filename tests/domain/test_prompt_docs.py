"""What docs/prompts.md says in its tables is what happens."""

import re
from pathlib import Path

from webui.domain.prompt import parse_attention
from webui.domain.prompt_plan import plan_prompt
from webui.domain.styles import Style, apply_styles
from webui.domain.wildcards import resolve

PAGE = (Path(__file__).parents[2] / "docs" / "prompts.md").read_text(encoding="utf-8")


def table(heading):
    """The rows below a heading, each the texts in its first cell and the whole of the last."""
    part = PAGE.split(f"\n## {heading}\n")[1].split("\n## ")[0]
    rows = [row for row in part.splitlines() if row.startswith("| `")]
    assert rows
    for row in rows:
        cells = [cell.strip().replace(r"\|", "|") for cell in re.split(r"(?<!\\)\|", row)[1:-1]]
        yield re.findall("`(.+?)`", cells[0]), cells


def test_weights():
    for (written,), cells in table("Making words count more or less"):
        read = [(text, float(weight)) for text, weight in re.findall(r"`(.+?)` × ([\d.]+)", cells[-1])]
        assert [(piece.text.strip(), round(piece.weight, 2)) for piece in parse_attention(written)] == read, written


def test_schedules():
    for (written,), cells in table("Changing the prompt while sampling"):
        stages = [(text, int(step)) for text, step in re.findall(r"`(.+?)` to step (\d+)", cells[-1])]
        (part,) = plan_prompt(written, 20).parts
        assert [(stage.text, stage.end_step) for stage in part.stages] == stages, written


def test_networks():
    for (written,), _ in table("Networks"):
        plan = plan_prompt(written, 20)
        assert len(plan.networks) == 1 and not plan.remarks


def test_choices():
    for (written,), cells in table("Choices for the seed"):
        drawn = {resolve(written, seed, {}).text for seed in range(50)}
        assert drawn == set(re.findall("`(.+?)`", cells[-1])), written


def test_styles():
    for (style,), (_, prompt, result) in table("Styles"):
        assert apply_styles(prompt.strip("`"), "", [Style("s", style)])[0] == result.strip("`")
