"""The environment variables: parsed in one place, and anew at each call."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import fastidx
from fastidx.base import settings


@pytest.mark.parametrize(("value", "threads"), [("", None), ("1", 1), ("64", 64), (" 3 ", 3)])
def test_threads(monkeypatch: pytest.MonkeyPatch, value: str, threads: int | None) -> None:
    monkeypatch.setenv("FASTIDX_THREADS", value)
    assert settings.threads() == threads


@pytest.mark.parametrize("value", ["0", "-1", "two", "1.5", "1e3"])
def test_other_numbers_of_threads_are_refused(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("FASTIDX_THREADS", value)
    with pytest.raises(ValueError, match=f"FASTIDX_THREADS: expected .*, found '{value}'; corr"):
        settings.threads()


@pytest.mark.parametrize("variable", ["PORTABLE", "OFFLINE"])
@pytest.mark.parametrize(
    ("value", "is_set"),
    [("1", True), ("yes", True), ("2", True), ("", False), ("0", False), ("False", False)],
)
def test_switches(monkeypatch: pytest.MonkeyPatch, variable: str, value: str, is_set: bool) -> None:
    read = getattr(settings, variable.lower())
    monkeypatch.delenv(f"FASTIDX_{variable}", raising=False)
    assert not read()
    monkeypatch.setenv(f"FASTIDX_{variable}", value)
    assert read() == is_set


def test_folders_and_addresses(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("MIRROR", "DATA_DIR", "TEST_DATA"):
        monkeypatch.setenv(f"FASTIDX_{name}", "")
    assert settings.mirrors() == []
    assert settings.data_dir() is settings.test_data() is None
    monkeypatch.setenv("FASTIDX_MIRROR", " https://a/ file:///b/  ")
    monkeypatch.setenv("FASTIDX_DATA_DIR", "/data")
    assert settings.mirrors() == ["https://a/", "file:///b/"]
    assert settings.data_dir() == "/data"


def test_no_other_module_reads_the_environment() -> None:
    package = Path(fastidx.__file__).parent
    readers = [
        path.relative_to(package).as_posix()
        for kind in ("*.py", "*.pyx", "*.pxi")
        for path in package.rglob(kind)
        if re.search(r"os\.(environ|getenv)\b.*FASTIDX_", path.read_text(encoding="utf-8"))
    ]
    assert readers == ["base/settings.py"]
