"""The house rules, read from the source: who may import whom, and who may change what.

``docs/architecture.md`` says why. A rule is never bent by naming an exception here: the import changes direction instead.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
MODULES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
    for path in [ROOT / "app.py", *sorted((ROOT / "webui").rglob("*.py"))]
}

# part of the tree -> the parts it may import. Parts side by side know nothing of each other.
FOUNDATION = {"errors"}
DOMAIN = FOUNDATION | {"domain"}
ENGINE = DOMAIN | {"library", "engine"}
FRONT = DOMAIN | {"runtime", "settings", "jobs.job", "accounts.account", "accounts.asker"}
ALLOWED: dict[str, set[str]] = {
    "errors": set(),
    "domain": DOMAIN,
    "library": FOUNDATION | {"library"},
    "setting_kinds": FOUNDATION,
    "settings": FOUNDATION | {"setting_kinds"},
    "engine": ENGINE,
    "postprocess": ENGINE | {"postprocess"},
    "jobs": ENGINE | {"postprocess", "jobs"},
    "training": ENGINE | {"postprocess", "training"},
    "accounts": FOUNDATION | {"accounts", "jobs.database"},
    "runtime": ENGINE | {"accounts", "settings", "postprocess", "jobs", "training"},
    "tabs": FRONT | {"tabs"},
    "api": FRONT | {"api"},
    "flags": FRONT,
    "draw": FRONT | {"flags"},
    "gate": FRONT | {"accounts", "gate"},
    "users": FRONT | {"flags", "accounts"},
    "metrics": FRONT,
    "server": FRONT | {"flags", "tabs", "api", "gate", "metrics", "accounts.accounts"},
    "doctor": FRONT | {"setting_kinds", "server"},
    "cli": FRONT | {"flags", "draw", "server", "doctor", "users"},
    "app": {"cli"},
}

# library -> the parts that may know it
HEAVY = {"engine", "postprocess", "training"}
ONLY_IN: dict[str, set[str]] = {
    "torch": HEAVY,
    "diffusers": HEAVY,
    "transformers": HEAVY,
    "gradio": {"tabs", "server"},
    "fastapi": {"api", "server"},
    "uvicorn": {"server"},
}


def part(module: str) -> str:
    """``webui.engine.noise`` -> ``engine``."""
    return module.removeprefix("webui.").split(".")[0]


@cache
def tree(module: str) -> ast.Module:
    return ast.parse(MODULES[module].read_text(encoding="utf-8"))


def imports(module: str) -> Iterator[str]:
    """Every module that this one imports anywhere in it, inside functions and ``if TYPE_CHECKING`` too."""
    for node in ast.walk(tree(module)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module}, line {node.lineno}: name the module in full"
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                yield inner if inner in MODULES else str(node.module)


def ours(module: str) -> set[str]:
    return {name for name in imports(module) if name in MODULES and name != "webui"}


def module_level_names(module: str) -> set[str]:
    return {
        target.id
        for node in tree(module).body
        if isinstance(node, ast.Assign | ast.AnnAssign)
        for target in (node.targets if isinstance(node, ast.Assign) else [node.target])
        if isinstance(target, ast.Name)
    }


@pytest.mark.parametrize("module", MODULES)
def test_imports_point_down(module: str) -> None:
    if module == "webui":
        return assert_empty(module)
    allowed = ALLOWED[part(module)]
    upward = {name for name in ours(module) if part(name) not in allowed and name.removeprefix("webui.") not in allowed}
    assert not upward, f"{module} may not import {upward}"


def assert_empty(module: str) -> None:
    assert not list(imports(module)), "importing webui itself must be free"


@pytest.mark.parametrize("library", ONLY_IN)
def test_a_library_stays_in_its_part(library: str) -> None:
    users = {module for module in MODULES for name in imports(module) if name.split(".")[0] == library}
    assert not {user for user in users if part(user) not in ONLY_IN[library]}


def test_no_import_circle() -> None:
    waiting = {module: ours(module) - {module} for module in MODULES}
    while free := {module for module, needs in waiting.items() if not needs & waiting.keys()}:
        waiting = {module: needs for module, needs in waiting.items() if module not in free}
    assert not waiting, f"circle among {sorted(waiting)}"


@pytest.mark.parametrize("module", MODULES)
def test_nothing_changes_what_stands_at_module_level(module: str) -> None:
    """No ``global``, and no function that writes into a module's table: what changes belongs to an object."""
    tables = module_level_names(module)
    changing = {
        "append",
        "extend",
        "insert",
        "add",
        "update",
        "setdefault",
        "pop",
        "popitem",
        "clear",
        "remove",
        "discard",
    }
    for function in ast.walk(tree(module)):
        assert not isinstance(function, ast.Global), f"{module}, line {getattr(function, 'lineno', 0)}: global"
        if not isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            continue
        local = {
            node.id for node in ast.walk(function) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)
        }
        local |= {argument.arg for argument in ast.walk(function) if isinstance(argument, ast.arg)}
        for node in ast.walk(function):
            owner: ast.expr | None = None
            if isinstance(node, ast.Subscript | ast.Attribute) and isinstance(node.ctx, ast.Store | ast.Del):
                owner = node.value
            elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in changing:
                owner = node.func.value
            if isinstance(owner, ast.Name):
                assert owner.id not in tables - local, f"{module}, line {node.lineno}: changes {owner.id}"


def test_one_broad_except() -> None:
    """In the worker, which must outlive every bug of a job. Everywhere else an unknown exception is let through."""
    broad = [
        module
        for module in MODULES
        for node in ast.walk(tree(module))
        if isinstance(node, ast.ExceptHandler) and not re_raises(node)
        if node.type is None or (isinstance(node.type, ast.Name) and node.type.id in ("Exception", "BaseException"))
    ]
    assert broad == ["webui.jobs.worker"]


def re_raises(handler: ast.ExceptHandler) -> bool:
    """``except BaseException: close(); raise`` only tidies up on the way."""
    last = handler.body[-1]
    return isinstance(last, ast.Raise) and last.exc is None


@pytest.mark.parametrize(
    "path", [*MODULES.values(), *sorted((ROOT / "tests").rglob("*.py"))], ids=lambda path: path.name
)
def test_a_file_is_about_one_thing(path: Path) -> None:
    lines = len(path.read_text(encoding="utf-8").splitlines())
    assert lines < 400, f"{path.name} has {lines} lines: two nouns in one file?"
    assert path.stem not in ("utils", "util", "helpers", "helper", "common", "misc")
