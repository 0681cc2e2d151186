"""Compression: which files are compressed, and to which bytes."""

from __future__ import annotations

import gzip
import os
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from saving import saved

from fastidx import reference
from fastidx.writing.save import save

Array = np.ndarray[Any, Any]
POSIX = pytest.mark.skipif(os.name != "posix", reason="POSIX permissions and file types")
MIB = 1 << 20


@pytest.mark.parametrize(
    ("name", "compression", "gzipped"),
    [
        ("a.idx", "infer", False),
        ("a.idx.gz", "infer", True),
        ("A.GZ", "infer", True),
        ("agz", "infer", False),
        ("a.gz", None, False),
        ("a.idx", "gzip", True),
    ],
)
def test_compression_follows_option_and_name(
    tmp_path: Path, name: str, compression: Any, gzipped: bool
) -> None:
    array = np.arange(100, dtype="u1")
    save(tmp_path / name, array, compression=compression)
    content = (tmp_path / name).read_bytes()
    assert content.startswith(b"\x1f\x8b") == gzipped
    assert (gzip.decompress(content) if gzipped else content) == reference.dumps(array)


def test_file_objects_are_plain_unless_told_otherwise(tmp_path: Path) -> None:
    array = np.arange(100, dtype="u1")
    # A GzipFile has a name in .gz, but compresses by itself.
    with gzip.open(tmp_path / "a.gz", "wb") as file:
        save(file, array)
        assert not file.closed
    assert gzip.decompress((tmp_path / "a.gz").read_bytes()) == reference.dumps(array)
    assert gzip.decompress(saved(array, compression="gzip")) == reference.dumps(array)


def test_gzip_header_says_nothing_of_where_and_when() -> None:
    # Magic, CM 8, FLG 0, MTIME 0; XFL 4 for the fastest and 2 for the smallest; OS unknown.
    for level, extra in [(0, 0), (1, 4), (5, 0), (6, 0), (9, 2)]:
        content = saved(np.zeros(99, "u1"), compression="gzip", level=level)
        assert content[:10] == bytes([0x1F, 0x8B, 8, 0, 0, 0, 0, 0, extra, 255])


def test_level_reaches_zlib() -> None:
    array = np.random.default_rng(0).integers(0, 4, 50_000).astype("u1")
    data = reference.dumps(array)
    for level in range(10):
        content = saved(array, compression="gzip", level=level)
        assert gzip.decompress(content) == data
        compressor = zlib.compressobj(level, zlib.DEFLATED, -15)
        assert content[10:-8] == compressor.compress(data) + compressor.flush()
    assert content[-8:] == struct.pack("<II", zlib.crc32(data), len(data))


def test_gzip_bytes_are_reproducible_across_names_times_and_layouts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    array = np.arange(3 * MIB // 4, dtype="<i4").reshape(3, -1)
    save(tmp_path / "one.gz", array)
    monkeypatch.setattr("time.time", lambda: 4e9)
    save(tmp_path / "two.gz", np.asfortranarray(array.astype(">i4")))
    assert (tmp_path / "one.gz").read_bytes() == (tmp_path / "two.gz").read_bytes()
    assert (tmp_path / "one.gz").read_bytes() == saved(array, compression="gzip")
