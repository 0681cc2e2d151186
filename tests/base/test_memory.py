"""Peak memory of a load: the array, and no more than the compressed file and 1 MiB besides."""

from __future__ import annotations

import gzip
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from proc_status import STATUS, status
from worker import Worker

import fastidx
from conftest import SANITIZED
from fastidx import reference

pytestmark = [
    pytest.mark.skipif(SANITIZED, reason="a sanitizer's own memory cannot be told apart"),
    pytest.mark.skipif(not STATUS.exists(), reason="needs /proc"),
]
MIB = 1 << 20
# The system counts in pages and batches, and Python's own objects come and go.
TOLERANCE = MIB // 4


def extra_memory(path: Path, *, into_array: bool = False, threads: int = 1) -> tuple[int, int]:
    """Bytes that load() adds to the process at its peak, and those of its result."""
    fastidx.load(gzip.compress(reference.dumps(np.zeros((3, 3), np.int32))))  # imports, once
    header = fastidx.info(path)
    out = np.ones(header.shape, header.dtype) if into_array else None
    Path("/proc/self/clear_refs").write_text("5")  # the peak starts again at what is in use now
    before = status("VmRSS")
    loaded = fastidx.load(path, out=out, threads=threads)
    peak = status("VmHWM") - before
    return peak, loaded.nbytes


def half_random(dtype: str, nbytes: int) -> np.ndarray[Any, Any]:
    """An array that compresses to about a half."""
    nibbles = np.random.default_rng(1).integers(0, 16, nbytes, np.uint8)
    return nibbles.view(dtype).reshape(-1, 64)


@pytest.mark.parametrize("compressed", [True, False], ids=["gzip", "plain"])
@pytest.mark.parametrize("dtype", ["u1", "i4", "f8"])
def test_load_of_a_path_needs_its_array_and_little_else(
    isolated: Worker, tmp_path: Path, dtype: str, compressed: bool
) -> None:
    content = reference.dumps(half_random(dtype, 24 * MIB))
    content = gzip.compress(content, 1) if compressed else content
    (tmp_path / "file").write_bytes(content)
    peak, nbytes = isolated(extra_memory, tmp_path / "file")
    assert nbytes == 24 * MIB
    assert nbytes <= peak + TOLERANCE  # or it is not the peak that was measured
    # The promise includes the compressed file, but that is read in small pieces.
    assert peak <= nbytes + MIB + TOLERANCE


@pytest.mark.parametrize("dtype", ["u1", "i4"])
def test_load_into_an_array_needs_no_second_one(
    isolated: Worker, tmp_path: Path, dtype: str
) -> None:
    content = gzip.compress(reference.dumps(half_random(dtype, 24 * MIB)), 1)
    (tmp_path / "file").write_bytes(content)
    peak, _ = isolated(extra_memory, tmp_path / "file", into_array=True)
    assert peak <= MIB + TOLERANCE


@pytest.mark.parametrize("threads", [2, 3])
def test_threads_read_a_path_in_pieces(isolated: Worker, tmp_path: Path, threads: int) -> None:
    compressor = zlib.compressobj(0, wbits=31)  # as large as its content: 96 MiB
    content = reference.dumps(half_random("u1", 96 * MIB))
    (tmp_path / "file").write_bytes(compressor.compress(content) + compressor.flush())
    peak, _ = isolated(extra_memory, tmp_path / "file", into_array=True, threads=threads)
    # The symbols of two guesses a thread, and the ranges of the file that they are made of.
    assert peak <= threads * 2 * (4 + 1) * MIB + TOLERANCE


def leak(path: Path, bad: bytes) -> int:
    """Growth of the process over a hundred loads, good and bad."""
    for nloads in (20, 100):
        before = status("VmRSS")
        for _ in range(nloads):
            fastidx.load(path)
            with pytest.raises(fastidx.IdxError):
                fastidx.load(bad)
    return status("VmRSS") - before


def test_loads_leave_nothing_behind(isolated: Worker, tmp_path: Path) -> None:
    content = gzip.compress(reference.dumps(half_random("i4", MIB // 4)), 1)
    (tmp_path / "file").write_bytes(content)
    # One decoder's buffer or one array a load would be tens of megabytes.
    assert isolated(leak, tmp_path / "file", content[:-100]) < 4 * MIB
