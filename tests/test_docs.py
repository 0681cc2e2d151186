"""docs/architecture.md names every module; test files have names of their own."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
# Not the installed package, which has no Cython files.
PACKAGE = Path(__file__).resolve().parents[1] / "src" / "fastidx"
TEXT = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
# Folders whose modules the page describes as a group.
GROUPS = {"compat", "plots", "kernel"}


def table() -> dict[str, set[str]]:
    """The modules that the table of layers names, by folder."""
    modules: dict[str, set[str]] = {}
    folder = ""
    for line in TEXT.partition("## The layers")[2].partition("## The words")[0].splitlines():
        cells = [cell.strip() for cell in line.split("|")]
        if len(cells) != 5:
            continue
        folder = cells[1].strip("`") or folder
        modules.setdefault(folder, set()).update(re.findall(r"`(\w+)`", cells[2]))
    return modules


def test_each_folder_is_described_with_all_its_modules() -> None:
    described = table()
    for folder in sorted(path for path in PACKAGE.iterdir() if (path / "__init__.py").exists()):
        if folder.name in GROUPS:
            assert f"`{folder.name}`" in TEXT or f"{folder.name}/" in TEXT
            continue
        found = {path.stem for path in folder.glob("*.py")} - {"__init__"}
        assert described[folder.name] - {"_kernel"} == found


def test_each_file_that_the_page_names_exists() -> None:
    for name in re.findall(r"`((?:\w+/)+\w+\.\w+)`", TEXT):
        assert (PACKAGE / name).exists() or (ROOT / name).exists(), name


def test_each_test_file_has_a_name_of_its_own() -> None:
    """Pytest imports them by name, wherever they lie."""
    names = [path.name for path in (ROOT / "tests").rglob("*.py") if path.name != "__init__.py"]
    assert sorted(names) == sorted(set(names))
