"""The order of the house: imports go down only, and nothing depends on the environment."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
# Lowest first; a module may import from its own layer and from those before it.
LAYERS = (
    ("errors", "extras", "files", "malloc", "untrusted"),
    ("color",),
    ("gainmap", "hdr10", "hdr10plus", "curve"),
    ("models",),
    ("backends",),
    ("filters",),
    ("photo", "video"),
    ("preview",),
    ("bench", "cli"),
)
RANK = {name: rank for rank, layer in enumerate(LAYERS) for name in layer}


def modules(package: str) -> list[Path]:
    return sorted((ROOT / package).rglob("*.py"))


def imports(path: Path) -> Iterator[str]:
    """Yield the modules that a file imports, at its top or inside functions, for types too."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def layer_of(module: str) -> str:
    return module.split(".")[1] if "." in module else ""


@pytest.mark.parametrize("path", modules("vs_gainmap"), ids=lambda p: str(p.relative_to(ROOT)))
def test_imports_go_down(path: Path) -> None:
    parts = path.relative_to(ROOT / "vs_gainmap").with_suffix("").parts
    if parts == ("__init__",):
        return
    own = RANK[parts[0]]
    found = set(imports(path))
    ours = {layer_of(name) for name in found if name.startswith("vs_gainmap.")}
    above = {name for name in ours if name in RANK and RANK[name] > own}
    assert not above, f"imports {above} from above"
    assert not any(name == "training" or name.startswith("training.") for name in found)
    tops = {name.partition(".")[0] for name in found}
    if parts[0] in ("errors", "files", "color", "gainmap", "hdr10", "hdr10plus", "models"):
        assert "vapoursynth" not in tops
    # The doctor tells its version.
    if parts[0] != "video" and parts != ("cli", "doctor"):
        assert "av" not in tops


@pytest.mark.parametrize("package", ["vs_gainmap", "training"])
def test_no_switch_by_environment_variable(package: str) -> None:
    reads = {"environ", "getenv"}
    for path in modules(package):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                # Setting one for a library that has no other way is allowed, reading is not.
                inner = node.func.value
                of_environ = isinstance(inner, ast.Attribute) and inner.attr == "environ"
                assert node.func.attr != "getenv", path
                assert not (of_environ and node.func.attr == "get"), path
            if isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Load):
                value = node.value
                assert not (isinstance(value, ast.Attribute) and value.attr in reads), path


def test_modules_stay_small() -> None:
    long = {
        str(path.relative_to(ROOT)): lines
        for package in ("vs_gainmap", "training")
        for path in modules(package)
        if (lines := len(path.read_text().splitlines())) > 400
    }
    assert not long
