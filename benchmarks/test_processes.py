"""The costs of a process: what the import adds, and the peak of memory in a load."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from . import processes
from .files import prepare

# Enough to tell the file's share from the process's own; synthetic, so always the same.
_N = 10000


@pytest.mark.parametrize("code", ["import numpy", "import numpy, fastidx"])
def test_import(code: str, benchmark: Any) -> None:
    benchmark.group = "A process that imports, from start to end"
    benchmark.name = code
    if "fastidx" in code:
        benchmark.extra_info["added_s"] = processes.import_seconds()
    benchmark.pedantic(processes.start, (code,), rounds=10, warmup_rounds=1)


def test_peak_memory(tmp_path: Path, benchmark: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Peak memory of a load from a path: the output, the compressed file and at most 1 MiB."""
    monkeypatch.delenv("FASTIDX_TEST_DATA", raising=False)
    files = prepare(tmp_path, n=_N)
    benchmark.group = "Peak memory of a load, in a process of its own"
    try:
        peak = benchmark.pedantic(processes.peak_memory, (files.images, files.labels), rounds=3)
    except NotImplementedError as unsupported:
        pytest.skip(str(unsupported))
    benchmark.extra_info |= peak._asdict() | {"excess": peak.excess}
    assert peak.excess <= processes.MIB


def test_peak_memory_with_threads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With two threads at most 64 MiB more, however large the file is."""
    monkeypatch.delenv("FASTIDX_TEST_DATA", raising=False)
    files = prepare(tmp_path, n=20, big_n=4 * _N)
    try:
        peak = processes.peak_memory(files.big, files.labels, threads=2)
    except NotImplementedError as unsupported:
        pytest.skip(str(unsupported))
    assert peak.output == 4 * _N * 784
    assert peak.excess <= 64 * processes.MIB
