"""An index that contradicts its file: the file's own checksum has the last word."""

from __future__ import annotations

import zlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from gzip_streams import digits, idx, stream

import fastidx
from fastidx import ChecksumError, GzipIndex
from fastidx.gzipped.index import Checkpoint

DATA = idx(digits(400_000))
CONTENT = stream(DATA)


def with_a_wrong_window(content: bytes) -> GzipIndex:
    """An index with one byte of a window changed, and the CRC of the stretch made to match."""
    with fastidx.open(content) as reader:
        index = reader.build_index(spacing=50_000)
    assert index.crcs is not None
    for number in range(1, len(index.points) - 1):
        point, end = index.points[number], index.points[number + 1].offset
        for place in range(len(point.window) - 1, 0, -97):
            window = bytearray(point.window)
            window[place] ^= 0x55
            decoder = zlib.decompressobj(-15, zdict=bytes(window))
            wrong = decoder.decompress(shifted(content, point), end - point.offset)
            if wrong != DATA[point.offset : end]:
                points = list(index.points)
                points[number] = point._replace(window=bytes(window))
                crcs = list(index.crcs)
                crcs[number] = zlib.crc32(wrong)
                return replace(index, points=points, crcs=crcs)
    raise AssertionError("no window matters")


def shifted(content: bytes, point: Checkpoint) -> bytes:
    """The compressed bits from a checkpoint on, from the first bit of a byte."""
    bits = int.from_bytes(content[point.bit // 8 :], "little") >> point.bit % 8
    return bits.to_bytes(len(content) - point.bit // 8, "little")


@pytest.mark.parametrize("threads", [1, 2, 4])
def test_load_gives_what_the_file_holds(threads: int) -> None:
    index = with_a_wrong_window(CONTENT)
    loaded = fastidx.load(CONTENT, index=index, threads=threads)
    np.testing.assert_array_equal(loaded, fastidx.load(CONTENT))


def test_load_with_an_index_file(tmp_path: Path) -> None:
    (tmp_path / "x.gz").write_bytes(CONTENT)
    index = with_a_wrong_window(CONTENT)
    index.save(tmp_path / "x.gz.gzidx")
    loaded = fastidx.load(tmp_path / "x.gz", index="auto", threads=2)
    np.testing.assert_array_equal(loaded, fastidx.load(CONTENT))


@pytest.mark.parametrize("threads", [1, 3])
def test_reader_refuses_a_whole_pass(threads: int) -> None:
    index = with_a_wrong_window(CONTENT)
    with fastidx.open(CONTENT, index=index, threads=threads) as reader:
        with pytest.raises(ChecksumError, match=r"as the gzip member says.*build the index anew"):
            np.asarray(reader)
        with pytest.raises(ChecksumError, match="build the index anew"):
            for _ in reader.batches(1000):
                pass


def test_sound_index_passes() -> None:
    with fastidx.open(CONTENT) as reader:
        index = reader.build_index(spacing=50_000)
    with fastidx.open(CONTENT, index=index) as reader:
        np.testing.assert_array_equal(np.asarray(reader), fastidx.load(CONTENT))
        assert sum(map(len, reader.batches(777))) == len(reader)
