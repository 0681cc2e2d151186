"""What `import fastidx` offers, and what it does not import."""

from __future__ import annotations

import subprocess
import sys
from types import ModuleType

import pytest

import fastidx


def test_dir_shows_what_is_public_and_nothing_else() -> None:
    assert dir(fastidx) == sorted({*fastidx.__all__, "__version__"})


@pytest.mark.parametrize("name", fastidx.__all__)
def test_each_public_name_is_there(name: str) -> None:
    value = getattr(fastidx, name)
    assert isinstance(value, ModuleType) or value.__module__.startswith("fastidx")
    assert getattr(fastidx, name) is value


def test_other_names_are_attribute_errors() -> None:
    with pytest.raises(AttributeError, match="module 'fastidx' has no attribute 'IndexFileError'"):
        fastidx.IndexFileError  # noqa: B018


@pytest.mark.parametrize("name", ["compat", "datasets", "plots", "reference", "synthetic"])
def test_modules_need_no_import_of_their_own(name: str) -> None:
    code = f"import fastidx; print(fastidx.{name}.__name__)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == f"fastidx.{name}"


def test_what_few_programs_use_is_imported_when_it_is_asked_for() -> None:
    code = (
        "import sys, fastidx; fastidx.load(bytes.fromhex('0000080100000003050004')); "
        "print([name for name in sys.modules if name.startswith('fastidx.')])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    for name in ("gzipped", "reading.reader", "writing", "transfer", "datasets", "cli", "plots"):
        assert f"fastidx.{name}" not in done.stdout
