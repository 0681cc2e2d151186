"""The layers of the package: a module imports only from layers below its own."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import NamedTuple

import pytest

# Not the installed package, which has no Cython files.
PACKAGE = Path(__file__).resolve().parents[1] / "src" / "fastidx"

# From the bottom up. A layer is a folder or a module.
LAYERS = [
    *("errors", "base", "_kernel", "format", "items", "sources", "codecs", "opening", "gzipped"),
    *("writing", "reading", "transfer", "datasets", "compat", "integrations", "cli"),
]
# These modules use the package as others do. From "datasets" on, layers may do so, too.
USERS = ["plots", "reference", "synthetic"]
PUBLIC_FROM = LAYERS.index("datasets")

# Imports that break a rule and must stay for now, as (module, imported module), with the reason.
EXCEPTIONS: set[tuple[str, str]] = set()


class Import(NamedTuple):
    """One imported module, and the names taken from it."""

    module: str
    names: tuple[str, ...] = ()
    is_relative: bool = False


def module_of(path: Path) -> str:
    """Return a file's module; parts of the extension are the extension."""
    if path.suffix != ".py":
        return "fastidx._kernel"
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def layer_of(module: str) -> str:
    """Return the folder or module within the package; empty for the package itself."""
    return module.partition(".")[2].partition(".")[0]


def folder_of(module: str) -> str:
    is_folder = (PACKAGE.parent / module.replace(".", "/")).is_dir()
    return module if is_folder else module.rpartition(".")[0]


def is_module(name: str) -> bool:
    path = PACKAGE.parent / name.replace(".", "/")
    return path.is_dir() or any(path.with_suffix(suffix).is_file() for suffix in (".py", ".pyx"))


def imports_of(tree: ast.AST, folder: str) -> Iterator[Import]:
    """Yield all imports of a module: those in functions and for type checkers, too."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (Import(alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = folder.split(".")[: folder.count(".") + 2 - node.level] if node.level else []
            module = ".".join([*base, *filter(None, [node.module])])
            for alias in node.names:
                if is_module(f"{module}.{alias.name}"):
                    yield Import(f"{module}.{alias.name}", (), node.level > 0)
                else:
                    yield Import(module, (alias.name,), node.level > 0)


def parsed(path: Path) -> ast.AST:
    """Parse a Python file, or the import statements of a Cython file."""
    text = path.read_text(encoding="utf-8")
    if path.suffix != ".py":
        pattern = r"^[ \t]*((?:from \S+ )?import (?:\([^)]*\)|[^\n]*))"
        text = "\n".join(re.findall(pattern, text, re.MULTILINE))
    return ast.parse(text)


def all_imports() -> Iterator[tuple[str, Import]]:
    """Yield which module of the package imports which other."""
    for path in sorted(PACKAGE.rglob("*.p*")):
        if path.suffix not in (".py", ".pyx", ".pxi"):
            continue
        module = module_of(path)
        for found in imports_of(parsed(path), folder_of(module)):
            is_own = found.module.split(".")[0] == "fastidx" and found.module != module
            if is_own and (module, found.module) not in EXCEPTIONS:
                yield module, found


IMPORTS = list(all_imports())


def in_words(pairs: list[tuple[str, Import]]) -> list[str]:
    return [f"{module} imports {found.module} {found.names}" for module, found in pairs]


def goes_up(module: str, found: Import) -> bool:
    own, other = layer_of(module), layer_of(found.module)
    if own in ("", "__main__") or own == other:
        return False
    if own in USERS:
        return other == "cli"
    if other == "" or other in USERS:
        return LAYERS.index(own) < PUBLIC_FROM
    return LAYERS.index(other) > LAYERS.index(own)


def is_private(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__")


def test_each_module_belongs_to_a_layer() -> None:
    assert ("fastidx._kernel", Import("fastidx.base.settings")) in IMPORTS  # Cython files are read
    modules = {module for module, _ in IMPORTS} | {found.module for _, found in IMPORTS}
    assert {layer_of(module) for module in modules} <= {*LAYERS, *USERS, "", "__main__"}


def test_no_import_goes_up() -> None:
    assert not in_words([pair for pair in IMPORTS if goes_up(*pair)])


@pytest.mark.parametrize("layer", LAYERS)
def test_no_circle_in_a_layer(layer: str) -> None:
    graph: dict[str, set[str]] = {}
    for module, found in IMPORTS:
        if layer_of(module) == layer_of(found.module) == layer:
            graph.setdefault(module, set()).add(found.module)
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(" imports ".join(reversed(error.args[1])))


def test_no_private_name_crosses_a_module() -> None:
    assert not in_words([pair for pair in IMPORTS if any(map(is_private, pair[1].names))])


def test_no_relative_import_leaves_its_folder() -> None:
    def stays(module: str, found: Import) -> bool:
        return f"{found.module}.".startswith(f"{folder_of(module)}.")

    assert not in_words([pair for pair in IMPORTS if pair[1].is_relative and not stays(*pair)])


@pytest.mark.parametrize(
    ("module", "statement", "is_upward", "names", "is_relative"),
    [
        ("fastidx.base.replace", "import fastidx.format.header", True, (), False),
        ("fastidx.base.replace", "def f(): from fastidx import load", True, ("load",), False),
        ("fastidx.items.conversion", "from ..sources.local import _x", True, ("_x",), True),
        ("fastidx.sources.local", "from fastidx.base import settings", False, (), False),
        ("fastidx.compat.mnist", "from fastidx import load", False, ("load",), False),
        ("fastidx.reference", "from .cli.main import main", True, ("main",), True),
    ],
)
def test_import_is_seen_as_it_is(
    module: str, statement: str, is_upward: bool, names: tuple[str, ...], is_relative: bool
) -> None:
    (found,) = imports_of(ast.parse(statement), folder_of(module))
    assert goes_up(module, found) == is_upward
    assert (found.names, found.is_relative) == (names, is_relative)
